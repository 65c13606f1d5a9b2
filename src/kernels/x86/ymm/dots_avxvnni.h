/* dots_avxvnni - dot products of codes with activations at AVX-VNNI, which adds four products to 32 bits at
 * once. Included by dots.h only. */
#ifndef KERNELS_X86_YMM_DOTS_AVXVNNI_H
#define KERNELS_X86_YMM_DOTS_AVXVNNI_H

#include "kernels/x86/ymm/codes.h"
#include "kernels/x86/ymm/store.h"

/* Sums of sixteen columns fit 16 bits (16 * 15 * 127 < 2^15): the instruction that multiplies pairs with their
 * factors takes a block's both at once. Wider sums cost a multiplication of 32 bits, which is two. */
static ALWAYS_INLINE bool fits_pairs(const uint32_t most)
{
    return most <= 16;
}

/* [half] 16 bits for each half block of a row, or, where sums do not fit, 32 bits, [i][half]. */
static ALWAYS_INLINE void open_factors(__m256i *factor, const uint32_t most, const uint8_t *scales,
                                       const uint32_t n_factors, const bool is_signed)
{
    const uint8_t *second = scales + 16 * (n_factors - 1);
    if (fits_pairs(most)) {
        factor[0] = byte_pairs(scales, second, is_signed);
        factor[1] = byte_pairs(scales + 8, second + 8, is_signed);
        return;
    }
    UNROLL(4)
    for (size_t i = 0; i < 2 * n_factors; i++) {
        __m128i eight = _mm_loadl_epi64((const __m128i *)(scales + 8 * i));
        factor[i] = is_signed ? _mm256_cvtepi8_epi32(eight) : _mm256_cvtepu8_epi32(eight);
    }
}

/* sum[k][h] = start of it + dot products of n_groups column groups at w[group][h] with those at q[k * stride].
 */
static ALWAYS_INLINE void chains(__m256i *sum, const uint32_t m, const uint32_t n_halves, const __m256i *w,
                                 const uint32_t n_groups, const int32_t *q, const size_t stride)
{
    UNROLL(8)
    for (size_t i = 0; i < n_groups; i++) {
        UNROLL(4)
        for (size_t k = 0; k < m; k++) {
            __m256i x = _mm256_set1_epi32(q[k * stride + i]);
            UNROLL(2)
            for (size_t h = 0; h < n_halves; h++)
                sum[k * 2 + h] = _mm256_dpbusd_avx_epi32(sum[k * 2 + h], w[i * n_halves + h], x);
        }
    }
}

static ALWAYS_INLINE void clear(__m256i *sum, const uint32_t n)
{
    UNROLL(8)
    for (size_t i = 0; i < n; i++)
        sum[i] = _mm256_setzero_si256();
}

/* The sums of sixteen columns each, as pairs of 16 bits. */
static ALWAYS_INLINE __m256i pair_sums(__m256i first, __m256i second)
{
    return _mm256_blend_epi16(first, _mm256_bslli_epi128(second, 2), 0xAA);
}

/* isum[k][h] += dot products of a block at w[group][h] with q[k * stride], times its factors if it has some,
 * for m tokens and n_halves. */
static ALWAYS_INLINE void add_dots(__m256i *isum, const uint32_t m, const uint32_t n_halves, const __m256i *w,
                                   const uint32_t most, const int32_t *q, const size_t stride,
                                   const __m256i *factor, const uint32_t n_factors)
{
    const bool in_one = n_factors == 0 || (n_factors == 1 && !fits_pairs(most));
    __m256i first[2 * AT_ONCE_MAX], second[2 * AT_ONCE_MAX];

    if (n_factors == 0 && m == AT_ONCE_MAX) {
        chains(isum, m, n_halves, w, 8, q, stride);
        return;
    }
    clear(first, 2 * m);
    chains(first, m, n_halves, w, in_one ? 8 : 4, q, stride);
    if (!in_one) {
        clear(second, 2 * m);
        chains(second, m, n_halves, w + 4 * n_halves, 4, q + 4, stride);
    }
    UNROLL(4)
    for (size_t k = 0; k < m; k++) {
        UNROLL(2)
        for (size_t h = 0; h < n_halves; h++) {
            size_t i = k * 2 + h;
            if (n_factors == 0) { /* few tokens' chains would wait for each other from block to block */
                isum[i] = _mm256_add_epi32(isum[i], first[i]);
                continue;
            }
            if (fits_pairs(most)) {
                isum[i] = _mm256_dpwssd_avx_epi32(isum[i], pair_sums(first[i], second[i]), factor[h]);
                continue;
            }
            isum[i] = _mm256_add_epi32(isum[i], _mm256_mullo_epi32(first[i], factor[h]));
            if (!in_one)
                isum[i] = _mm256_add_epi32(isum[i], _mm256_mullo_epi32(second[i], factor[2 + h]));
        }
    }
}

static ALWAYS_INLINE __m256i add_products_of_pairs(__m256i sum, __m256i a, __m256i b)
{
    return _mm256_dpwssd_avx_epi32(sum, a, b);
}

#endif
