/* matmul_avx2 - what the families of quantised types share at AVX2: a panel by up to TILE_TOKENS tokens, of
 * which a block's codes are opened once for all. Included by the families' files only. */
#ifndef KERNELS_X86_MATMUL_AVX2_H
#define KERNELS_X86_MATMUL_AVX2_H

#include "kernels/x86/dots_avx2.h"
#include "kernels/x86/groups.h"
#include "kernels/x86/store_avx2.h"

#define TILE_TOKENS GROUP_MAX_INT8_AVX2

/* isum[t * 2 + half] += factor * dot products of a block, for a tile's tokens; factor: [half], or, for each
 * sixteen columns their own, [sixteen][half]. */
static ALWAYS_INLINE void add_block(__m256i *isum, const struct extent e, const struct codes as,
                                    const uint8_t *codes, const int32_t *q, const size_t stride,
                                    const __m256i *factor, const uint32_t n_factors)
{
    const uint32_t n_groups = 8 / n_factors;
    __m256i w[16];

    if (e.at_once == 4) {
        UNROLL(2)
        for (size_t h = 0; h < 2; h++)
            open_codes(w + h, 2, as, codes, (uint32_t)h);
        add_dots_of_many(isum, e.n, w, as.most, q, stride, factor, n_factors);
        return;
    }
    UNROLL(2)
    for (size_t h = 0; h < 2; h++) {
        open_codes(w, 1, as, codes, (uint32_t)h);
        UNROLL(2)
        for (size_t i = 0; i < n_factors; i++)
            add_dots(isum + h, e.n, 1, w + i * n_groups, n_groups, as.most, q + i * n_groups, stride,
                     factor + i * 2 + h);
    }
}

static ALWAYS_INLINE void clear_sums(__m256i *isum, const struct extent e)
{
    for (size_t t = 0; t < e.n; t += e.at_once) {
        UNROLL(8)
        for (size_t i = 0; i < 2 * e.at_once; i++)
            isum[2 * t + i] = _mm256_setzero_si256();
    }
}

/* From panel_NAME(acc, panel, n_cols, activations, extent), a panel times a tile's tokens, the functions for
 * each number of tokens and the slot matmul_NAME. blocks: int8 or super, of `width` columns. */
#define MATMUL_TILE_AVX2(name, blocks, width, suffix, n_tokens, n_at_once, acc_tokens)                         \
    static void tile_##name##_##suffix(const struct tile *tile)                                                \
    {                                                                                                          \
        struct group_##blocks x = group_##blocks##_at(tile->activations, tile->n_cols / (width), tile->group); \
        const struct extent e = {n_tokens, n_at_once};                                                         \
        for (uint32_t p = 0; p < tile->n_panels; p++) {                                                        \
            __m256 acc[2 * (acc_tokens)];                                                                      \
            UNROLL(4)                                                                                          \
            for (size_t i = 0; i < 2 * e.n; i++)                                                               \
                acc[i] = _mm256_setzero_ps();                                                                  \
            panel_##name(acc, tile->panel + p * tile->panel_bytes, tile->n_cols, &x, e);                       \
            store_tile(tile, p, acc, e.n);                                                                     \
        }                                                                                                      \
    }
#define MATMUL_AVX2(name, blocks, width)                                                                       \
    MATMUL_TILE_AVX2(name, blocks, width, 1, 1, 1, 1)                                                          \
    MATMUL_TILE_AVX2(name, blocks, width, 2, 2, 2, 2)                                                          \
    MATMUL_TILE_AVX2(name, blocks, width, many, tile->group.size, 4, TILE_TOKENS)                              \
    static void matmul_##name(const struct matmul *m, uint32_t row_first, uint32_t row_end)                    \
    {                                                                                                          \
        static tile_kernel *const kernels[] = {tile_##name##_1, tile_##name##_2, tile_##name##_many,           \
                                               tile_##name##_many, tile_##name##_many};                        \
        groups_matmul(m, row_first, row_end, panel_bytes_##name(m->n_cols), TILE_TOKENS, kernels);             \
    }

#endif
