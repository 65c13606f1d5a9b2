/* codes - a block's codes and scales of eight rows (half a panel), from panels (panels.h) to vectors.
 * Included by
 * dots.h only. */
#ifndef KERNELS_X86_YMM_CODES_H
#define KERNELS_X86_YMM_CODES_H

#include "kernels/panels/panels.h"
#include "kernels/unroll.h"
#include "kernels/x86/ymm/level.h"

#include <immintrin.h>

/* How a type keeps its codes, and the largest that they become: 255, bytes, mean -128..127 where
 * BYTES_ARE_SIGNED, else 0..255. Values of tables have 2^bias added, or nothing where it is negative. All known
 * when compiled. */
enum code_kind { TWO_BITS, THREE_BITS, NIBBLES, FIVE_BITS, SIX_BITS, EIGHT_BITS, TABLE };
struct codes {
    enum code_kind kind;
    uint32_t most;
    const int8_t *table;
    int bias;
};
#define BYTES_BIAS (BYTES_ARE_SIGNED ? -1 : 7)

static ALWAYS_INLINE __m256i load_codes(const uint8_t *at)
{
    return _mm256_loadu_si256((const __m256i *)at);
}

/* Nibbles: w[0..3] the low ones, w[4..7] the high ones. Each w of these functions is `step` behind the one
 * before it, for two halves of a panel side by side. */
static ALWAYS_INLINE void open_nibbles(__m256i *w, const size_t step, const uint8_t *codes, uint32_t half)
{
    const __m256i low = _mm256_set1_epi8(15);
    UNROLL(4)
    for (size_t i = 0; i < 4; i++) {
        __m256i both = load_codes(codes + 64 * i + 32 * half);
        w[i * step] = _mm256_and_si256(both, low);
        w[(i + 4) * step] = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
    }
}

/* w[i] |= the bits of `high` under mask, shifted left by first - i. */
static ALWAYS_INLINE void add_high_bits(__m256i *w, const size_t step, __m256i high, const int first,
                                        const int apart, const size_t n, const __m256i mask)
{
    UNROLL(8)
    for (size_t i = 0; i < n; i++) {
        const int left = first - apart * (int)i;
        __m256i bits = left < 0 ? _mm256_srli_epi16(high, -left & 15) : _mm256_slli_epi16(high, left & 15);
        w[i * step] = _mm256_or_si256(w[i * step], _mm256_and_si256(bits, mask));
    }
}

static ALWAYS_INLINE void open_two_bits(__m256i *w, const size_t step, const uint8_t *codes, uint32_t half)
{
    const __m256i low = _mm256_set1_epi8(3);
    UNROLL(2)
    for (size_t i = 0; i < 2; i++) {
        __m256i all = load_codes(codes + 64 * i + 32 * half);
        w[4 * i * step] = _mm256_and_si256(all, low);
        w[(4 * i + 1) * step] = _mm256_and_si256(_mm256_srli_epi16(all, 2), low);
        w[(4 * i + 2) * step] = _mm256_and_si256(_mm256_srli_epi16(all, 4), low);
        w[(4 * i + 3) * step] = _mm256_and_si256(_mm256_srli_epi16(all, 6), low);
    }
}

/* Bytes, of which 128 stands for zero. */
static ALWAYS_INLINE void open_bytes(__m256i *w, const size_t step, const uint8_t *codes, uint32_t half)
{
    UNROLL(8)
    for (size_t i = 0; i < 8; i++) {
        __m256i bytes = load_codes(codes + 64 * i + 32 * half);
        w[i * step] = BYTES_ARE_SIGNED ? _mm256_xor_si256(bytes, _mm256_set1_epi8(-128)) : bytes;
    }
}

static ALWAYS_INLINE void look_up(__m256i *w, const size_t step, const struct codes as)
{
    __m128i sixteen = _mm_loadu_si128((const __m128i *)as.table);
    if (as.bias >= 0)
        sixteen = _mm_add_epi8(sixteen, _mm_set1_epi8((char)(1 << (as.bias & 7))));
    __m256i to = _mm256_broadcastsi128_si256(sixteen);
    UNROLL(8)
    for (size_t i = 0; i < 8; i++)
        w[i * step] = _mm256_shuffle_epi8(to, w[i * step]);
}

/* 32 columns of eight rows: w[i * step] is column group i. */
static ALWAYS_INLINE void open_codes(__m256i *w, const size_t step, const struct codes as, const uint8_t *codes,
                                     uint32_t half)
{
    if (as.kind == EIGHT_BITS)
        open_bytes(w, step, codes, half);
    else if (as.kind == TWO_BITS || as.kind == THREE_BITS)
        open_two_bits(w, step, codes, half);
    else
        open_nibbles(w, step, codes, half);
    if (as.kind == THREE_BITS)
        add_high_bits(w, step, load_codes(codes + PANEL_Q2_BLOCK + 32 * half), 2, 1, 8, _mm256_set1_epi8(4));
    if (as.kind == FIVE_BITS)
        add_high_bits(w, step, load_codes(codes + PANEL_Q4_BLOCK + 32 * half), 4, 1, 8, _mm256_set1_epi8(16));
    if (as.kind == SIX_BITS) {
        const uint8_t *high = codes + PANEL_Q4_BLOCK + 32 * half;
        const __m256i top2 = _mm256_set1_epi8(0x30);
        add_high_bits(w, step, load_codes(high), 4, 2, 4, top2);
        add_high_bits(w + 4 * step, step, load_codes(high + 64), 4, 2, 4, top2);
    }
    if (as.kind == TABLE)
        look_up(w, step, as);
}

/* Eight of sixteen f16. */
static ALWAYS_INLINE __m256 f16_scales(const uint8_t *at, uint32_t half)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(at + 16 * half)));
}

/* Of eight rows' bytes at first and at second, 16 bits each: row 0's first and second, row 1's, ... */
static ALWAYS_INLINE __m256i byte_pairs(const uint8_t *first, const uint8_t *second, const bool is_signed)
{
    __m128i both =
        _mm_unpacklo_epi8(_mm_loadl_epi64((const __m128i *)first), _mm_loadl_epi64((const __m128i *)second));
    return is_signed ? _mm256_cvtepi8_epi16(both) : _mm256_cvtepu8_epi16(both);
}

#endif
