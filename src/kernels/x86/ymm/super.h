/* super - rule 1 of types whose blocks have 256 columns: whole numbers all through a block.
 * Included by their files only. */
#ifndef KERNELS_X86_YMM_SUPER_H
#define KERNELS_X86_YMM_SUPER_H

#include "kernels/x86/ymm/matmul.h"

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

static ALWAYS_INLINE void clear_sums(__m256i *isum, const struct extent e)
{
    for (size_t first = 0; first < e.n; first += e.at_once) {
        UNROLL(8)
        for (size_t i = 2 * first; i < 2 * (first + e.at_once); i++)
            isum[i] = _mm256_setzero_si256();
    }
}

/* Whole scales or minima, sixteen rows' bytes for each 32 columns or each 16, as pairs for times_sums: each two
 * lots side by side, times 2^more. */
static ALWAYS_INLINE void scale_pairs(__m256i *pairs, const uint32_t n_pairs, const uint8_t *scales,
                                      const bool is_signed, const int more)
{
    UNROLL(8)
    for (size_t i = 0; i < n_pairs; i++) {
        UNROLL(2)
        for (size_t h = 0; h < 2; h++) {
            const uint8_t *at = scales + 32 * i + 8 * h;
            pairs[2 * i + h] = _mm256_slli_epi16(byte_pairs(at, at + 16, is_signed), more);
        }
    }
}

/* Sum of scale * sum of q over a block of one half; pairs: [n_pairs][half]. */
static ALWAYS_INLINE __m256i times_sums(const __m256i *pairs, const uint32_t n_pairs, const int32_t *sums)
{
    __m256i sum = _mm256_madd_epi16(pairs[0], _mm256_set1_epi32(sums[0]));
    UNROLL(8)
    for (size_t i = 1; i < n_pairs; i++)
        sum = add_products_of_pairs(sum, pairs[2 * i], _mm256_set1_epi32(sums[i]));
    return sum;
}

/* What takes off that codes are unsigned: the pairs are 2^bias * scale. */
static ALWAYS_INLINE void take_off(__m256i *isum, const struct extent e, const __m256i *pairs,
                                   const uint32_t n_pairs, const int32_t *sums)
{
    for (size_t first = 0; first < e.n; first += e.at_once) {
        UNROLL(8)
        for (size_t i = 2 * first; i < 2 * (first + e.at_once); i++)
            isum[i] = _mm256_sub_epi32(isum[i], times_sums(pairs + i % 2, n_pairs, sums + i / 2 * n_pairs));
    }
}

/* acc = fma(isum, w_scale * x_scale, acc) */
static ALWAYS_INLINE void add_isum(__m256 *acc, const struct extent e, const __m256i *isum,
                                   const __m256 *w_scale, struct x_super x)
{
    for (size_t first = 0; first < e.n; first += e.at_once) {
        UNROLL(8)
        for (size_t i = 2 * first; i < 2 * (first + e.at_once); i++) {
            __m256 scale = _mm256_mul_ps(w_scale[i % 2], _mm256_set1_ps(x.scale[i / 2]));
            acc[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(isum[i]), scale, acc[i]);
        }
    }
}

/* acc = fma(-w_min, x_scale * x_sum, acc) */
static ALWAYS_INLINE void add_mins(__m256 *acc, const struct extent e, const __m256i *pairs,
                                   const uint32_t n_pairs, const int32_t *sums, const __m256 *w_min,
                                   struct x_super x)
{
    for (size_t first = 0; first < e.n; first += e.at_once) {
        UNROLL(8)
        for (size_t i = 2 * first; i < 2 * (first + e.at_once); i++) {
            __m256i whole = times_sums(pairs + i % 2, n_pairs, sums + i / 2 * n_pairs);
            __m256 x_sum = _mm256_mul_ps(_mm256_set1_ps(x.scale[i / 2]), _mm256_cvtepi32_ps(whole));
            acc[i] = _mm256_fnmadd_ps(w_min[i % 2], x_sum, acc[i]);
        }
    }
}

#endif
