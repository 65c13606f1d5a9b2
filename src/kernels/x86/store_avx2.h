/* store_avx2 - a panel's results at AVX2 to where they belong. */
#ifndef KERNELS_X86_STORE_AVX2_H
#define KERNELS_X86_STORE_AVX2_H

#include "kernels/panels/groups.h"

#include <immintrin.h>
#include <string.h>

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

/* acc is [token][half]. */
static ALWAYS_INLINE void store_tile(const struct tile *tile, uint32_t panel, const __m256 *acc,
                                     const uint32_t n)
{
    UNROLL(4)
    for (size_t t = 0; t < n; t++) {
        UNROLL(2)
        for (size_t h = 0; h < 2; h++) {
            uint32_t row = panel * PANEL_ROWS + 8 * (uint32_t)h;
            if (row < tile->n_rows)
                store_8(tile->out + t * tile->out_stride + row, acc[t * 2 + h], tile->n_rows - row);
        }
    }
}

#endif
