/* blocks_avx2 - rule 1 of types whose blocks have 32 columns, at AVX2. Included by their files only. */
#ifndef KERNELS_X86_BLOCKS_AVX2_H
#define KERNELS_X86_BLOCKS_AVX2_H

#include "kernels/x86/matmul_avx2.h"

struct x_block { /* of one block: pointers into the group's arrays */
    const int32_t *q, *minus_sum;
    const float *scale, *scaled_sum;
};
static ALWAYS_INLINE struct x_block x_block_at(const struct group_int8 *x, size_t b, const uint32_t n)
{
    return (struct x_block){.q = x->q + b * n * 8,
                            .minus_sum = x->minus_sum + b * n,
                            .scale = x->scale + b * n,
                            .scaled_sum = x->scaled_sum + b * n};
}

/* A type's blocks: codes, their value and 2^bias (bias < 0: nothing more), and whether they have minima. */
struct block_type {
    struct codes codes;
    int bias;
    bool has_min;
};

/* acc = fma(isum, w_scale * x_scale, acc), then acc = fma(-w_min, x_scale * x_sum, acc), for m tokens. */
static ALWAYS_INLINE void add_links(__m256 *acc, const uint32_t m, const struct block_type type,
                                    const __m256i *isum, const __m256 *w_scale, const __m256 *w_min,
                                    struct x_block x)
{
    UNROLL(4)
    for (size_t t = 0; t < m; t++) {
        UNROLL(2)
        for (size_t h = 0; h < 2; h++) {
            __m256i sum = isum[t * 2 + h];
            if (type.bias >= 0)
                sum = _mm256_add_epi32(sum, _mm256_srai_epi32(_mm256_set1_epi32(x.minus_sum[t]),
                                                              (GROUP_SUM_BIAS - type.bias) & 31));
            __m256 scale = _mm256_mul_ps(w_scale[h], _mm256_set1_ps(x.scale[t])), *to = &acc[t * 2 + h];
            *to = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), scale, *to);
            if (type.has_min)
                *to = _mm256_fnmadd_ps(w_min[h], _mm256_set1_ps(x.scaled_sum[t]), *to);
        }
    }
}

/* A block of sixteen rows times a tile's tokens; w_scale and w_min are [half]. */
static ALWAYS_INLINE void block_times(__m256 *acc, const struct extent e, const struct block_type type,
                                      const uint8_t *codes, const __m256 *w_scale, const __m256 *w_min,
                                      struct x_block x)
{
    const __m256i ones[2] = {_mm256_set1_epi16(1), _mm256_set1_epi16(1)};
    __m256i isum[2 * TILE_TOKENS];

    clear_sums(isum, e);
    add_block(isum, e, type.codes, codes, x.q, 8, ones, 1);
    for (size_t t = 0; t < e.n; t += e.at_once) {
        struct x_block at = {x.q, x.minus_sum + t, x.scale + t, x.scaled_sum + t};
        add_links(acc + t * 2, e.at_once, type, isum + t * 2, w_scale, w_min, at);
    }
}

/* A panel whose blocks lie in pairs behind their f16 scales. */
static ALWAYS_INLINE void panel_of_pairs(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                         const struct group_int8 *x, const struct extent e,
                                         const struct block_type type, const size_t block_bytes)
{
    uint32_t n_blocks = n_cols / 32;

    for (size_t b = 0; b < n_blocks; b++) {
        const uint8_t *scales = panel + pair_scales_at(b, block_bytes);
        const __m256 scale[2] = {f16_scales(scales, 0), f16_scales(scales, 1)};
        read_pair_ahead(panel, b, block_bytes, block_bytes, e.n);
        block_times(acc, e, type, panel + pair_codes_at(b, block_bytes), scale, NULL, x_block_at(x, b, e.n));
    }
}

/* One whose blocks each lie behind their scales and minima. */
static ALWAYS_INLINE void panel_with_mins(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                          const struct group_int8 *x, const struct extent e,
                                          const struct block_type type, const size_t block_bytes)
{
    uint32_t n_blocks = n_cols / 32;

    for (size_t b = 0; b < n_blocks; b++) {
        const uint8_t *at = panel + b * (PANEL_MIN_CODES + block_bytes), *mins = at + PANEL_SCALE_BYTES;
        const __m256 scale[2] = {f16_scales(at, 0), f16_scales(at, 1)};
        const __m256 min[2] = {f16_scales(mins, 0), f16_scales(mins, 1)};
        read_ahead(at, PANEL_MIN_CODES + block_bytes, e.n);
        block_times(acc, e, type, at + PANEL_MIN_CODES, scale, min, x_block_at(x, b, e.n));
    }
}

#endif
