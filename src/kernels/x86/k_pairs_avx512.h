/* k_pairs_avx512 - Q2_K and Q3_K: halves of 32 columns have scales of their own. Few tokens' sums of halves fit
 * into 16 bits (|code| * 127 * 16 < 2^15), so that one instruction multiplies both with their scales and adds
 * them; with more tokens codes times scales, which fit eight bits, are made first. Included by the files of
 * types of two bit codes only. */
#ifndef KERNELS_X86_K_PAIRS_AVX512_H
#define KERNELS_X86_K_PAIRS_AVX512_H

#include "kernels/x86/supers_avx512.h"

static ALWAYS_INLINE void two_bits(__m512i w[8], const uint8_t *codes)
{
    const __m512i low = _mm512_set1_epi8(3);
    UNROLL(2)
    for (int half = 0; half < 2; half++) {
        __m512i all = load_line(codes + 64 * half), *to = w + 4 * half;
        to[0] = _mm512_and_si512(all, low);
        to[1] = _mm512_and_si512(_mm512_srli_epi16(all, 2), low);
        to[2] = _mm512_and_si512(_mm512_srli_epi16(all, 4), low);
        to[3] = _mm512_and_si512(_mm512_srli_epi16(all, 6), low);
    }
}

/* Each half's scale of pairs, twice: to multiply two bytes of 16 bits with at once where neither overflows. */
static ALWAYS_INLINE void scales_of_halves(__m512i s[2], __m512i scale_pairs)
{
    s[0] = twice_16(scale_pairs);
    s[1] = twice_16(_mm512_srli_epi32(scale_pairs, 16));
}

/* start + the halves' sums times their scales. */
static ALWAYS_INLINE __m512i pair_dots(__m512i start, const __m512i w[8], __m512i scale_pairs, const int32_t *q)
{
    __m512i half0 = dots(_mm512_setzero_si512(), w, q, 4),
            half1 = dots(_mm512_setzero_si512(), w + 4, q + 4, 4);
    __m512i pairs = _mm512_mask_blend_epi16(0xAAAAAAAAU, half0, _mm512_slli_epi32(half1, 16));
    return _mm512_dpwssd_epi32(start, pairs, scale_pairs);
}

#define PRODUCTS_TOKENS_MIN 4

#endif
