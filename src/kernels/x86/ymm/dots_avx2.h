/* dots_avx2 - dot products of codes with activations at AVX2. Included by dots.h only.
 *
 * Products of unsigned codes and signed activations are added in pairs to 16 bits, which saturates: codes of
 * few bits may add up several pairs, those of a whole byte are taken apart into magnitude and sign (2 * 128 *
 * 127 fits). The instruction that widens such sums to 32 bits multiplies them too. */
#ifndef KERNELS_X86_YMM_DOTS_AVX2_H
#define KERNELS_X86_YMM_DOTS_AVX2_H

#include "kernels/x86/ymm/codes.h"
#include "kernels/x86/ymm/store.h"

/* sum + p, of 16 or 32 bits; written so that compilers do not turn a chain of these into a tree, which needs
 * more registers than there are. */
static ALWAYS_INLINE __m256i add_16_in_order(__m256i sum, __m256i p)
{
    __asm__("vpaddw %1, %0, %0" : "+x"(sum) : "x"(p));
    return sum;
}
static ALWAYS_INLINE __m256i add_32_in_order(__m256i sum, __m256i p)
{
    __asm__("vpaddd %1, %0, %0" : "+x"(sum) : "x"(p));
    return sum;
}

static ALWAYS_INLINE __m256i dots_of_pairs(__m256i w, const int32_t *q, const bool is_signed)
{
    __m256i x = _mm256_set1_epi32(*q);
    return is_signed ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w))
                     : _mm256_maddubs_epi16(w, x);
}

/* Each factor as 16 bits, twice for each row; [i][half]. */
static ALWAYS_INLINE void open_factors(__m256i *factor, const uint32_t most, const uint8_t *scales,
                                       const uint32_t n_factors, const bool is_signed)
{
    (void)most;
    UNROLL(4)
    for (size_t i = 0; i < 2 * n_factors; i++)
        factor[i] = byte_pairs(scales + 8 * i, scales + 8 * i, is_signed);
}

/* isum[k][h] += factor[h] * dot products of n_groups column groups at w[group][h] with those at q[k * stride],
 * for m tokens and n_halves; factor NULL: 1. */
static ALWAYS_INLINE void add_groups(__m256i *isum, const uint32_t m, const uint32_t n_halves, const __m256i *w,
                                     const uint32_t n_groups, const uint32_t most, const int32_t *q,
                                     const size_t stride, const __m256i *factor)
{
    const uint32_t at_once = most == 255 ? 1 : 32767 / (2 * 127 * most); /* groups whose sums fit 16 bits */
    __m256i sum16[2 * AT_ONCE_MAX];

    UNROLL(8)
    for (size_t i = 0; i < n_groups; i++) {
        UNROLL(4)
        for (size_t k = 0; k < m; k++) {
            UNROLL(2)
            for (size_t h = 0; h < n_halves; h++) {
                __m256i *sum = &sum16[k * 2 + h], *to = &isum[k * 2 + h];
                __m256i p = dots_of_pairs(w[i * n_halves + h], &q[k * stride + i], most == 255);
                *sum = i % at_once ? add_16_in_order(*sum, p) : p;
                if (i % at_once == at_once - 1 || i == n_groups - 1)
                    *to = add_32_in_order(*to,
                                          _mm256_madd_epi16(*sum, factor ? factor[h] : _mm256_set1_epi16(1)));
            }
        }
    }
}

/* The same of a block, with n_factors: none, one, or one for each sixteen columns. */
static ALWAYS_INLINE void add_dots(__m256i *isum, const uint32_t m, const uint32_t n_halves, const __m256i *w,
                                   const uint32_t most, const int32_t *q, const size_t stride,
                                   const __m256i *factor, const uint32_t n_factors)
{
    if (n_factors < 2) {
        add_groups(isum, m, n_halves, w, 8, most, q, stride, n_factors ? factor : NULL);
        return;
    }
    add_groups(isum, m, n_halves, w, 4, most, q, stride, factor);
    add_groups(isum, m, n_halves, w + 4 * n_halves, 4, most, q + 4, stride, factor + 2);
}

static ALWAYS_INLINE __m256i add_products_of_pairs(__m256i sum, __m256i a, __m256i b)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}

#endif
