/* dots_avx2 - dot products of a block of codes with a block of activations at AVX2. Included by matmul_avx2.h
 * only.
 *
 * Products of unsigned codes and signed activations are added in pairs to 16 bits, which saturates: codes of
 * few bits may add up several pairs, those of a whole byte are taken apart into magnitude and sign (2 * 128 *
 * 127 fits). The instruction that widens such sums to 32 bits multiplies them too. */
#ifndef KERNELS_X86_DOTS_AVX2_H
#define KERNELS_X86_DOTS_AVX2_H

#include "kernels/x86/codes_avx2.h"

/* Tokens of a tile, and how many of them (1, 2 or 4, known when compiled) are multiplied at once, as registers
 * allow: four with both halves of a panel, fewer with one half after the other. Sums are [token][half]. */
#define AT_ONCE_MAX 4
struct extent {
    uint32_t n, at_once;
};

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

/* isum[k * 2 + h] += factor[h] * dot products of n_groups column groups at w[i * n_halves + h] with those at
 * q[k * stride + i], for m tokens. A factor is 16 bits, twice for each row. */
static ALWAYS_INLINE void add_dots(__m256i *isum, const uint32_t m, const uint32_t n_halves, const __m256i *w,
                                   const uint32_t n_groups, const uint32_t most, const int32_t *q,
                                   const size_t stride, const __m256i *factor)
{
    const uint32_t at_once = most == SIGNED_BYTES ? 1 : 32767 / (2 * 127 * most); /* groups that fit 16 bits */
    __m256i sum16[2 * AT_ONCE_MAX];

    UNROLL(8)
    for (size_t i = 0; i < n_groups; i++) {
        UNROLL(4)
        for (size_t k = 0; k < m; k++) {
            UNROLL(2)
            for (size_t h = 0; h < n_halves; h++) {
                __m256i *sum = &sum16[k * 2 + h], *to = &isum[k * 2 + h];
                __m256i p = dots_of_pairs(w[i * n_halves + h], &q[k * stride + i], most == SIGNED_BYTES);
                *sum = i % at_once ? add_16_in_order(*sum, p) : p;
                if (i % at_once == at_once - 1 || i == n_groups - 1)
                    *to = add_32_in_order(*to, _mm256_madd_epi16(*sum, factor[h]));
            }
        }
    }
}

/* The same for both halves and a multiple of four tokens, with a factor for all eight groups or for four each.
 * w is [group][half], factor [i][half]. Functions of their own, so that nothing else is in registers. */
#define DOTS_OF_MANY(most, n_factors)                                                                          \
    static __attribute__((noinline, unused)) void dots_##most##_##n_factors(                                   \
        __m256i *restrict isum, uint32_t n, const __m256i *restrict w, const int32_t *q, size_t stride,        \
        const __m256i *factor)                                                                                 \
    {                                                                                                          \
        for (size_t t = 0; t < n; t += 4, isum += 8, q += 4 * stride) {                                        \
            __asm__ volatile("" ::: "memory"); /* codes that stay in registers would drive sums out */         \
            UNROLL(2)                                                                                          \
            for (size_t i = 0; i < (n_factors); i++)                                                           \
                add_dots(isum, 4, 2, w + i * 16 / (n_factors), 8 / (n_factors), most, q + i * 8 / (n_factors), \
                         stride, factor + 2 * i);                                                              \
        }                                                                                                      \
    }
DOTS_OF_MANY(3, 1)
DOTS_OF_MANY(3, 2)
DOTS_OF_MANY(7, 2)
DOTS_OF_MANY(15, 1)
DOTS_OF_MANY(31, 1)
DOTS_OF_MANY(63, 1)
DOTS_OF_MANY(63, 2)
DOTS_OF_MANY(128, 1)

static ALWAYS_INLINE void add_dots_of_many(__m256i *isum, uint32_t n, const __m256i *w, const uint32_t most,
                                           const int32_t *q, size_t stride, const __m256i *factor,
                                           const uint32_t n_factors)
{
    _Static_assert(SIGNED_BYTES == 128, "dots_128_1");
    if (most == 3)
        (n_factors == 1 ? dots_3_1 : dots_3_2)(isum, n, w, q, stride, factor);
    else if (most == 63)
        (n_factors == 1 ? dots_63_1 : dots_63_2)(isum, n, w, q, stride, factor);
    else if (most == 7)
        dots_7_2(isum, n, w, q, stride, factor);
    else if (most == 15)
        dots_15_1(isum, n, w, q, stride, factor);
    else if (most == 31)
        dots_31_1(isum, n, w, q, stride, factor);
    else
        dots_128_1(isum, n, w, q, stride, factor);
}

#endif
