/* codes_avx512 - a block's codes and scales of sixteen rows, from panels (panels.h) to vectors. Included by
 * matmul_avx512.h only. */
#ifndef KERNELS_X86_CODES_AVX512_H
#define KERNELS_X86_CODES_AVX512_H

#include "kernels/panels/groups.h"
#include "kernels/unroll.h"

#include <immintrin.h>

static ALWAYS_INLINE __m512 f16_scales(const uint8_t *at)
{
    __m256i halves = _mm256_loadu_si256((const __m256i *)at);
    __asm__ volatile("" : "+v"(halves));
    return _mm512_cvtph_ps(halves);
}

/* A line of weights, loaded once, after those of the calls before. Compilers would load it for each vector that
 * comes from it, where a Zen 4 loads one a cycle and computes two, and in some order of theirs: the machine
 * reads ahead where lines follow each other, and decode of Q6_K reached 24 GB/s of 33 with six of them in
 * another order. */
static ALWAYS_INLINE __m512i load_line(const uint8_t *at)
{
    __m512i v = _mm512_loadu_si512(at);
    __asm__ volatile("" : "+v"(v));
    return v;
}

/* The scales of the first and of the second of a pair. */
static ALWAYS_INLINE __m512 first_scales(__m512i line)
{
    return _mm512_cvtph_ps(_mm512_castsi512_si256(line));
}
static ALWAYS_INLINE __m512 second_scales(__m512i line)
{
    return _mm512_cvtph_ps(_mm512_extracti64x4_epi64(line, 1));
}

/* What is before codes comes to a place of its own first, so that it is not gone back to among them. */
static ALWAYS_INLINE void load_lines(uint8_t *to, const uint8_t *at, const size_t n_lines)
{
    UNROLL(4)
    for (size_t i = 0; i < n_lines; i++)
        _mm512_store_si512(to + 64 * i, load_line(at + 64 * i));
}

/* Nibbles to codes: w[0..3] the low ones, w[4..7] the high ones. */
static ALWAYS_INLINE void nibbles(__m512i w[8], const uint8_t *codes, const uint32_t n_tokens)
{
    const __m512i low = _mm512_set1_epi8(15);
    UNROLL(4)
    for (int i = 0; i < 4; i++) {
        const uint8_t *at = codes + 64 * i; /* many tokens have no register for it */
        __m512i both = tokens_are_few(n_tokens) ? load_line(at) : _mm512_loadu_si512(at);
        w[i] = _mm512_and_si512(both, low);
        w[i + 4] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
    }
}

/* Nibbles to the values of a table, with some number added, such as makes them unsigned. */
static ALWAYS_INLINE void table_codes(__m512i w[8], const uint8_t *codes, const int8_t table[16],
                                      const int more, const uint32_t n_tokens)
{
    __m128i sixteen = _mm_loadu_si128((const __m128i *)table);
    __m512i to = _mm512_broadcast_i32x4(_mm_add_epi8(sixteen, _mm_set1_epi8((char)more)));
    nibbles(w, codes, n_tokens);
    UNROLL(8)
    for (int i = 0; i < 8; i++)
        w[i] = _mm512_shuffle_epi8(to, w[i]);
}

/* Nibbles and the fifth bits behind them, 0..31. */
static ALWAYS_INLINE void five_bits(__m512i w[8], const uint8_t *codes, const uint32_t n_tokens)
{
    const __m512i fifth = _mm512_set1_epi8(16);
    nibbles(w, codes, n_tokens);
    __m512i high = load_line(codes + PANEL_Q4_BLOCK);
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
