/* super_avx2 - rule 1 of types whose blocks have 256 columns, at AVX2: whole numbers all through a block.
 * Included by their files only. */
#ifndef KERNELS_X86_SUPER_AVX2_H
#define KERNELS_X86_SUPER_AVX2_H

#include "kernels/x86/matmul_avx2.h"

struct x_super { /* of one block: pointers into the group's arrays */
    const int32_t *q, *sum_16, *sum_32;
    const float *scale;
};
static ALWAYS_INLINE struct x_super x_super_at(const struct group_super *x, size_t s, const uint32_t n)
{
    return (struct x_super){.q = x->q + s * n * 64,
                            .sum_16 = x->sum_16 + s * n * 8,
                            .sum_32 = x->sum_32 + s * n * 4,
                            .scale = x->scale + s * n};
}

/* Scales of the rows, sixteen bytes for each 32 columns or for each 16, as factors of add_block. */
static ALWAYS_INLINE void factors_of(__m256i *factor, const uint8_t *scales, const uint32_t n_factors,
                                     const bool is_signed)
{
    UNROLL(4)
    for (size_t i = 0; i < 2 * n_factors; i++)
        factor[i] = byte_pairs(scales + 8 * i, scales + 8 * i, is_signed);
}

/* Sum of scale * sum of q over a block, scales as 16 bit pairs at [i][half]. */
static ALWAYS_INLINE __m256i times_sums(const __m256i *pairs, const uint32_t n_pairs, const int32_t *sums)
{
    __m256i sum = _mm256_madd_epi16(pairs[0], _mm256_set1_epi32(sums[0]));
    UNROLL(8)
    for (uint32_t i = 1; i < n_pairs; i++)
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs[2 * i], _mm256_set1_epi32(sums[i])));
    return sum;
}

/* What takes off that codes are unsigned: the pairs are 2^bias * scale. */
static ALWAYS_INLINE void take_off(__m256i *isum, const struct extent e, const __m256i *pairs,
                                   const uint32_t n_pairs, const int32_t *sums)
{
    UNROLL(2)
    for (size_t t = 0; t < e.n; t++) {
        UNROLL(2)
        for (size_t h = 0; h < 2; h++)
            isum[t * 2 + h] =
                _mm256_sub_epi32(isum[t * 2 + h], times_sums(pairs + h, n_pairs, sums + t * n_pairs));
    }
}

/* acc = fma(isum, w_scale * x_scale, acc) */
static ALWAYS_INLINE void add_isum(__m256 *acc, const struct extent e, const __m256i *isum,
                                   const __m256 *w_scale, struct x_super x)
{
    UNROLL(2)
    for (size_t t = 0; t < e.n; t++) {
        UNROLL(2)
        for (size_t h = 0; h < 2; h++) {
            __m256 scale = _mm256_mul_ps(w_scale[h], _mm256_set1_ps(x.scale[t]));
            acc[t * 2 + h] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(isum[t * 2 + h]), scale, acc[t * 2 + h]);
        }
    }
}

/* acc = fma(-w_min, x_scale * x_sum, acc) */
static ALWAYS_INLINE void add_mins(__m256 *acc, const struct extent e, const __m256i *pairs,
                                   const uint32_t n_pairs, const int32_t *sums, const __m256 *w_min,
                                   struct x_super x)
{
    UNROLL(2)
    for (size_t t = 0; t < e.n; t++) {
        UNROLL(2)
        for (size_t h = 0; h < 2; h++) {
            __m256 x_sum = _mm256_cvtepi32_ps(times_sums(pairs + h, n_pairs, sums + t * n_pairs));
            x_sum = _mm256_mul_ps(_mm256_set1_ps(x.scale[t]), x_sum);
            acc[t * 2 + h] = _mm256_fnmadd_ps(w_min[h], x_sum, acc[t * 2 + h]);
        }
    }
}

#endif
