/* blocks - rule 1 of types whose blocks have 32 columns. Included by their files only. */
#ifndef KERNELS_X86_YMM_BLOCKS_H
#define KERNELS_X86_YMM_BLOCKS_H

#include "kernels/x86/ymm/matmul.h"

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

/* Sums begin with what takes off that codes are unsigned. */
static ALWAYS_INLINE void begin_sums(__m256i *isum, const struct extent e, const int bias,
                                     const int32_t *minus_sum)
{
    for (size_t first = 0; first < e.n; first += e.at_once) {
        UNROLL(4)
        for (size_t t = first; t < first + e.at_once; t++) {
            __m256i off = _mm256_setzero_si256();
            if (bias >= 0)
                off = _mm256_srai_epi32(_mm256_set1_epi32(minus_sum[t]), (GROUP_SUM_BIAS - bias) & 31);
            isum[t * 2] = isum[t * 2 + 1] = off;
        }
    }
}

/* acc = fma(isum, w_scale * x_scale, acc), then acc = fma(-w_min, x_scale * x_sum, acc) */
static ALWAYS_INLINE void add_links(__m256 *acc, const struct extent e, const bool has_min, const __m256i *isum,
                                    const __m256 *w_scale, const __m256 *w_min, struct x_block x)
{
    for (size_t first = 0; first < e.n; first += e.at_once) {
        UNROLL(4)
        for (size_t t = first; t < first + e.at_once; t++) {
            UNROLL(2)
            for (size_t h = 0; h < 2; h++) {
                __m256 scale = _mm256_mul_ps(w_scale[h], _mm256_set1_ps(x.scale[t])), *to = &acc[t * 2 + h];
                *to = _mm256_fmadd_ps(_mm256_cvtepi32_ps(isum[t * 2 + h]), scale, *to);
                if (has_min)
                    *to = _mm256_fnmadd_ps(w_min[h], _mm256_set1_ps(x.scaled_sum[t]), *to);
            }
        }
    }
}

/* A block of sixteen rows times a tile's tokens; w_scale and w_min are [half]. */
static ALWAYS_INLINE void block_times(__m256 *acc, const struct extent e, const struct block_type type,
                                      const uint8_t *codes, const __m256 *w_scale, const __m256 *w_min,
                                      struct x_block x)
{
    __m256i isum[2 * TILE_TOKENS];

    begin_sums(isum, e, type.bias, x.minus_sum);
    add_block(isum, e, type.codes, codes, x.q, 8, NULL, 0);
    add_links(acc, e, type.has_min, isum, w_scale, w_min, x);
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
