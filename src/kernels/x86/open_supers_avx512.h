/* open_supers_avx512 - what blocks of 256 columns of sixteen rows are opened with for AMX (tiles_supers.h).
 * Included by supers_avx512.h only. */
#ifndef KERNELS_X86_OPEN_SUPERS_AVX512_H
#define KERNELS_X86_OPEN_SUPERS_AVX512_H

#include "kernels/unroll.h"
#include "kernels/x86/tiles_supers.h"

#include <immintrin.h>

/* A row's scale in both halves of its 32 bits. */
static ALWAYS_INLINE __m512i twice_16(__m512i scale)
{
    __m512i low = _mm512_and_si512(scale, _mm512_set1_epi32(0xFFFF));
    return _mm512_or_si512(low, _mm512_slli_epi32(low, 16));
}

/* Signed codes times scales (twice_16), |product| < 2^15, to two parts: 2^8 times the second. */
static ALWAYS_INLINE void open_two_8(struct opened_super *to, size_t at, __m512i codes, __m512i scale)
{
    const __m512i low = _mm512_set1_epi16(0xFF);
    __m512i even = _mm512_mullo_epi16(_mm512_srai_epi16(_mm512_slli_epi16(codes, 8), 8), scale);
    __m512i odd = _mm512_mullo_epi16(_mm512_srai_epi16(codes, 8), scale);
    _mm512_store_si512(to->codes[0][at], /* even & low | odd << 8 */
                       _mm512_ternarylogic_epi32(even, low, _mm512_slli_epi16(odd, 8), 0xEA));
    _mm512_store_si512(to->codes[1][at], /* odd & ~low | even >> 8 */
                       _mm512_ternarylogic_epi32(odd, low, _mm512_srli_epi16(even, 8), 0xBA));
}

/* Whole numbers below 2^8 as bf16, twice. */
static ALWAYS_INLINE void open_mins(uint32_t to[PANEL_ROWS], const uint8_t *sixteen)
{
    __m512i wide = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)sixteen));
    __m512i bits = _mm512_castps_si512(_mm512_cvtepi32_ps(wide));
    _mm512_store_si512(to, _mm512_or_si512(bits, _mm512_srli_epi32(bits, 16)));
}

#endif
