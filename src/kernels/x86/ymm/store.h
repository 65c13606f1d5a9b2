/* store - a tile's tokens, and a panel's results to where they belong. */
#ifndef KERNELS_X86_YMM_STORE_H
#define KERNELS_X86_YMM_STORE_H

#include "kernels/panels/groups.h"

#include <immintrin.h>
#include <string.h>

/* Tokens of a tile, and how many of them (1, 2 or 4, known when compiled) are taken at once, as registers
 * allow. What belongs to a panel's rows is [token][half]. */
struct extent {
    uint32_t n, at_once;
};
#define AT_ONCE_MAX 4

static inline void store_8(float *out, __m256 values, uint32_t n)
{
    float all[8];
    if (n >= 8) {
        _mm256_storeu_ps(out, values);
        return;
    }
    _mm256_storeu_ps(all, values);
    memcpy(out, all, n * sizeof *all);
}

static ALWAYS_INLINE void store_tile(const struct tile *tile, uint32_t panel, const __m256 *acc,
                                     const struct extent e)
{
    for (size_t t = 0; t < e.n; t += e.at_once) {
        UNROLL(8)
        for (size_t i = 0; i < 2 * e.at_once; i++) {
            uint32_t row = panel * PANEL_ROWS + (i % 2 ? 8 : 0);
            if (row < tile->n_rows)
                store_8(tile->out + (t + i / 2) * tile->out_stride + row, acc[2 * t + i], tile->n_rows - row);
        }
    }
}

#endif
