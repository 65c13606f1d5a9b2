/* open_avx512 - a block of 32 columns of sixteen rows kept open for AMX (tiles.h). Included by blocks_avx512.h
 * only. */
#ifndef KERNELS_X86_OPEN_AVX512_H
#define KERNELS_X86_OPEN_AVX512_H

#include "kernels/unroll.h"
#include "kernels/x86/tiles.h"

#include <immintrin.h>

/* Column `at` of each row's four codes. */
static ALWAYS_INLINE __m512 code_column(__m512i codes, const unsigned at)
{
    return _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(codes, 24 - 8 * at), 24));
}

/* Four columns of sixteen rows as bf16, which holds them exactly: two groups of pairs. */
static ALWAYS_INLINE void store_bf16(uint16_t *to, const __m512 columns[4])
{
    UNROLL(2)
    for (int i = 0; i < 2; i++) {
        __m512i even = _mm512_castps_si512(columns[2 * i]), odd = _mm512_castps_si512(columns[2 * i + 1]);
        _mm512_store_si512(to + 32 * i, _mm512_or_si512(_mm512_srli_epi32(even, 16), odd));
    }
}

/* Keeps a block open. */
static ALWAYS_INLINE void keep_open(struct opened *to, const __m512i w[8], const int bias, __m512 scale,
                                    __m512 min)
{
    size_t b = to->n_blocks++;
    const __m512i middle = _mm512_set1_epi8((char)(bias < 0 ? 0 : 1 << (bias & 7)));
    UNROLL(8)
    for (int i = 0; i < 8; i++) {
        __m512i codes = _mm512_sub_epi8(w[i], middle);
        const __m512 columns[4] = {code_column(codes, 0), code_column(codes, 1), code_column(codes, 2),
                                   code_column(codes, 3)};
        store_bf16(to->codes[0][b] + 64 * i, columns);
    }
    _mm512_store_ps(to->scale[b], scale);
    _mm512_store_ps(to->min[b], min);
}

/* The same times the whole scales of the halves. |code * scale| is at most 2^12: a multiple of 64, and at most
 * 32 more or less. The sums of both stay below 127 * 32 * (2^12 + 32) < 2^24. */
static ALWAYS_INLINE void keep_scaled_open(struct opened *to, const __m512i w[8], const int bias,
                                           const __m512 sub_scale[2], __m512 scale)
{
    const __m512 round = _mm512_set1_ps(0x1.8p23F * 64);
    const __m512i middle = _mm512_set1_epi8((char)(1 << (bias & 7)));
    size_t b = to->n_blocks++;
    UNROLL(8)
    for (int i = 0; i < 8; i++) {
        __m512i codes = _mm512_sub_epi8(w[i], middle);
        __m512 high[4], low[4];
        UNROLL(4)
        for (unsigned c = 0; c < 4; c++) {
            __m512 value = _mm512_mul_ps(code_column(codes, c), sub_scale[i / 4]);
            high[c] = _mm512_sub_ps(_mm512_add_ps(value, round), round);
            low[c] = _mm512_sub_ps(value, high[c]);
        }
        store_bf16(to->codes[0][b] + 64 * i, high);
        store_bf16(to->codes[1][b] + 64 * i, low);
    }
    _mm512_store_ps(to->scale[b], scale);
}

#endif
