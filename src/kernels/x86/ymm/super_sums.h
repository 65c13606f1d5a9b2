/* super_sums - a block of 256 columns: sums of whole numbers times whole scales, and their one float step (rule
 * 1). Included by super.h only. */
#ifndef KERNELS_X86_YMM_SUPER_SUMS_H
#define KERNELS_X86_YMM_SUPER_SUMS_H

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

/* Four tokens and both halves of a panel at once. Functions of their own, and codes in memory: codes that stay
 * in registers drive sums out. */
#define DOTS_OF_MANY(most, n_factors)                                                                          \
    static __attribute__((noinline, unused)) void dots_##most##_##n_factors(                                   \
        __m256i *restrict isum, uint32_t n, const __m256i *restrict w, const int32_t *q, size_t stride,        \
        const __m256i *factor)                                                                                 \
    {                                                                                                          \
        for (size_t t = 0; t < n; t += 4, isum += 8, q += 4 * stride) {                                        \
            __asm__ volatile("" ::: "memory");                                                                 \
            add_dots(isum, 4, 2, w, most, q, stride, factor, n_factors);                                       \
        }                                                                                                      \
    }
/* The largest code, and how many factors a block has. */
#define DOTS_ALL(DO) DO(3, 0) DO(3, 2) DO(7, 2) DO(15, 1) DO(31, 1) DO(63, 1) DO(63, 2) DO(255, 1)
DOTS_ALL(DOTS_OF_MANY)

#define DOTS_IF(most_is, n_is)                                                                                 \
    if (most == (most_is) && n_factors == (n_is))                                                              \
        dots_##most_is##_##n_is(isum, n, w, q, stride, factor);

static ALWAYS_INLINE void add_dots_of_many(__m256i *isum, uint32_t n, const __m256i *w, const uint32_t most,
                                           const int32_t *q, size_t stride, const __m256i *factor,
                                           const uint32_t n_factors)
{
    DOTS_ALL(DOTS_IF)
}

/* isum[t][half] += factors * dot products of a block of sixteen rows, for a tile's tokens; n_factors, known
 * when compiled: 0, or 1, or 2, for each sixteen columns (open_factors). */
static ALWAYS_INLINE void add_block(__m256i *isum, const struct extent e, const struct codes as,
                                    const uint8_t *codes, const int32_t *q, const size_t stride,
                                    const __m256i *factor, const uint32_t n_factors)
{
    __m256i w[16];

    if (e.at_once == AT_ONCE_MAX) {
        UNROLL(2)
        for (uint32_t h = 0; h < 2; h++)
            open_codes(w + h, 2, as, codes, h);
        add_dots_of_many(isum, e.n, w, as.most, q, stride, factor, n_factors);
        return;
    }
    UNROLL(2)
    for (uint32_t h = 0; h < 2; h++) {
        open_codes(w, 1, as, codes, h);
        add_dots(isum + h, e.at_once, 1, w, as.most, q, stride, factor + h, n_factors);
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
    for (size_t t = 0; t < e.n; t += e.at_once) {
        UNROLL(8)
        for (size_t i = 0; i < 2 * e.at_once; i++)
            isum[2 * t + i] = _mm256_sub_epi32(
                isum[2 * t + i], times_sums(pairs + i % 2, n_pairs, sums + (t + i / 2) * n_pairs));
    }
}

/* acc = fma(isum, w_scale * x_scale, acc) */
static ALWAYS_INLINE void add_isum(__m256 *acc, const struct extent e, const __m256i *isum,
                                   const __m256 *w_scale, struct x_super x)
{
    for (size_t t = 0; t < e.n; t += e.at_once) {
        UNROLL(8)
        for (size_t i = 0; i < 2 * e.at_once; i++) {
            __m256 scale = _mm256_mul_ps(w_scale[i % 2], _mm256_set1_ps(x.scale[t + i / 2]));
            acc[2 * t + i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(isum[2 * t + i]), scale, acc[2 * t + i]);
        }
    }
}

/* acc = fma(-w_min, x_scale * x_sum, acc) */
static ALWAYS_INLINE void add_mins(__m256 *acc, const struct extent e, const __m256i *pairs,
                                   const uint32_t n_pairs, const int32_t *sums, const __m256 *w_min,
                                   struct x_super x)
{
    for (size_t t = 0; t < e.n; t += e.at_once) {
        UNROLL(8)
        for (size_t i = 0; i < 2 * e.at_once; i++) {
            __m256i whole = times_sums(pairs + i % 2, n_pairs, sums + (t + i / 2) * n_pairs);
            __m256 x_sum = _mm256_mul_ps(_mm256_set1_ps(x.scale[t + i / 2]), _mm256_cvtepi32_ps(whole));
            acc[2 * t + i] = _mm256_fnmadd_ps(w_min[i % 2], x_sum, acc[2 * t + i]);
        }
    }
}

#endif
