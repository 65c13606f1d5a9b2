/* open_avx512 - a block of 32 columns of sixteen rows kept open for AMX (tiles.h). Included by blocks_avx512.h
 * only. */
#ifndef KERNELS_X86_OPEN_AVX512_H
#define KERNELS_X86_OPEN_AVX512_H

#include "kernels/unroll.h"
#include "kernels/x86/tiles.h"

#include <immintrin.h>

/* Column `at` of each row's four codes, as code + 2^23: so whole numbers become f32 without a conversion, for
 * which there are fewer units than for what this takes. */
#define TWO_23 0x1p23F
static ALWAYS_INLINE __m512 code_column(__m512i codes, const unsigned at)
{
    const __m512i byte = _mm512_set1_epi32(0xFF), two_23 = _mm512_castps_si512(_mm512_set1_ps(TWO_23));
    return _mm512_castsi512_ps(
        _mm512_ternarylogic_epi32(_mm512_srli_epi32(codes, 8 * at), byte, two_23, 0xEA)); /* a & b | c */
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

/* Keeps a block open. code = value + 2^bias; bias < 0: code = value. */
static ALWAYS_INLINE void keep_open(struct opened *to, const __m512i w[8], const int bias, __m512 scale,
                                    __m512 min)
{
    size_t b = to->n_blocks++;
    const __m512 middle = _mm512_set1_ps(TWO_23 + (float)(bias < 0 ? 0 : 1 << (bias & 7)));
    UNROLL(8)
    for (int i = 0; i < 8; i++) {
        __m512 columns[4];
        UNROLL(4)
        for (unsigned c = 0; c < 4; c++)
            columns[c] = _mm512_sub_ps(code_column(w[i], c), middle);
        store_bf16(to->codes[b] + 64 * i, columns);
    }
    _mm512_store_ps(to->scale[b], scale);
    _mm512_store_ps(to->min[b], min);
}

#endif
