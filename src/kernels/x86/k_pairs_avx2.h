/* k_pairs_avx2 - Q2_K and Q3_K: blocks of two halves, whose sums fit into 16 bits (|code| * 127 * 16 < 2^15),
 * so that the instruction that widens them also multiplies with their scales. Included by their files only. */
#ifndef KERNELS_X86_K_PAIRS_AVX2_H
#define KERNELS_X86_K_PAIRS_AVX2_H

#include "kernels/x86/matmul_avx2.h"

static ALWAYS_INLINE __m128i load_8(const uint8_t *at)
{
    return _mm_loadl_epi64((const __m128i *)at);
}

/* Column groups 0..3 of half a block of two bit codes: 32 bytes, eight rows. */
static ALWAYS_INLINE void two_bits(__m256i w[4], const uint8_t *codes)
{
    const __m256i low = _mm256_set1_epi8(3);
    __m256i all = load_codes(codes);
    w[0] = _mm256_and_si256(all, low);
    w[1] = _mm256_and_si256(_mm256_srli_epi16(all, 2), low);
    w[2] = _mm256_and_si256(_mm256_srli_epi16(all, 4), low);
    w[3] = _mm256_and_si256(_mm256_srli_epi16(all, 6), low);
}

/* Sixteen columns times their scale, which stands twice for each row. */
static ALWAYS_INLINE __m256i half_dots(const __m256i w[4], const int32_t *q, __m256i scale16)
{
    __m256i first = _mm256_add_epi16(_mm256_maddubs_epi16(w[0], _mm256_set1_epi32(q[0])),
                                     _mm256_maddubs_epi16(w[1], _mm256_set1_epi32(q[1])));
    __m256i second = _mm256_add_epi16(_mm256_maddubs_epi16(w[2], _mm256_set1_epi32(q[2])),
                                      _mm256_maddubs_epi16(w[3], _mm256_set1_epi32(q[3])));
    return _mm256_madd_epi16(_mm256_add_epi16(first, second), scale16);
}

#endif
