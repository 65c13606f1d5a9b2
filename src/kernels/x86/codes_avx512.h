/* codes_avx512 - a block's codes and scales of sixteen rows, from panels (panels.h) to vectors. Included by
 * matmul_avx512.h only. */
#ifndef KERNELS_X86_CODES_AVX512_H
#define KERNELS_X86_CODES_AVX512_H

#include "kernels/panels/panels.h"
#include "kernels/unroll.h"

#include <immintrin.h>

static ALWAYS_INLINE __m512 f16_scales(const uint8_t *at)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)at));
}

/* Codes that four and more vectors come from: compilers would load them for each, and a Zen 4 loads one vector
 * a cycle where it computes two. */
static ALWAYS_INLINE __m512i load_once(const uint8_t *at)
{
    __m512i v = _mm512_loadu_si512(at);
    __asm__("" : "+v"(v));
    return v;
}

/* Nibbles to codes: w[0..3] the low ones, w[4..7] the high ones. */
static ALWAYS_INLINE void nibbles(__m512i w[8], const uint8_t *codes)
{
    const __m512i low = _mm512_set1_epi8(15);
    UNROLL(4)
    for (int i = 0; i < 4; i++) {
        __m512i both = _mm512_loadu_si512(codes + 64 * i);
        w[i] = _mm512_and_si512(both, low);
        w[i + 4] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
    }
}

/* Nibbles to the values of a table, with some number added, such as makes them unsigned. */
static ALWAYS_INLINE void table_codes(__m512i w[8], const uint8_t *codes, const int8_t table[16],
                                      const int more)
{
    __m128i sixteen = _mm_loadu_si128((const __m128i *)table);
    __m512i to = _mm512_broadcast_i32x4(_mm_add_epi8(sixteen, _mm_set1_epi8((char)more)));
    nibbles(w, codes);
    UNROLL(8)
    for (int i = 0; i < 8; i++)
        w[i] = _mm512_shuffle_epi8(to, w[i]);
}

/* Nibbles and the fifth bits behind them, 0..31. */
static ALWAYS_INLINE void five_bits(__m512i w[8], const uint8_t *codes)
{
    const __m512i fifth = _mm512_set1_epi8(16);
    __m512i high = load_once(codes + PANEL_Q4_BLOCK);
    nibbles(w, codes);
    const __m512i bits[8] = {_mm512_slli_epi16(high, 4),
                             _mm512_slli_epi16(high, 3),
                             _mm512_slli_epi16(high, 2),
                             _mm512_slli_epi16(high, 1),
                             high,
                             _mm512_srli_epi16(high, 1),
                             _mm512_srli_epi16(high, 2),
                             _mm512_srli_epi16(high, 3)};
    UNROLL(8)
    for (int i = 0; i < 8; i++)
        w[i] = _mm512_ternarylogic_epi32(w[i], bits[i], fifth, 0xF8); /* w | bits & fifth */
}

#endif
