/* dots_avx2 - dot products of a block of codes with a block of activations at AVX2, for each way in which codes
 * are kept: 8 rows (half a panel) by up to 4 tokens, or both halves. Included by matmul_avx2.h. */
#ifndef KERNELS_X86_DOTS_AVX2_H
#define KERNELS_X86_DOTS_AVX2_H

#include "kernels/kernels_private.h"
#include "kernels/unroll.h"
#include "kernels/x86/groups.h"

#include <immintrin.h>

/* How much a tile holds: n tokens, n_halves halves of a panel from `half` on. Accumulators are [token][half].
 */
struct extent {
    uint32_t n, n_halves, half;
};

struct x_block { /* of one block: pointers into the group's arrays */
    const int32_t *q, *minus_sum, *minus_half, *sum_pair;
    const float *scale, *scaled_sum;
};
static ALWAYS_INLINE struct x_block x_block_at(const struct group_int8 *x, size_t b, const uint32_t n)
{
    return (struct x_block){.q = x->q + b * n * 8,
                            .minus_sum = x->minus_sum + b * n,
                            .minus_half = x->minus_half + b * n * 2,
                            .sum_pair = x->sum_pair + b * n,
                            .scale = x->scale + b * n,
                            .scaled_sum = x->scaled_sum + b * n};
}

static ALWAYS_INLINE __m256i load_codes(const uint8_t *at)
{
    return _mm256_loadu_si256((const __m256i *)at);
}

/* Eight of sixteen f16. */
static ALWAYS_INLINE __m256 f16_scales(const uint8_t *at, uint32_t half)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(at + 16 * half)));
}

/* Eight whole numbers from -128 to 127. */
static ALWAYS_INLINE __m256 signed_bytes(const uint8_t *eight)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)eight)));
}

static ALWAYS_INLINE __m256i pairs_to_32(__m256i sums16)
{
    return _mm256_madd_epi16(sums16, _mm256_set1_epi16(1));
}

/* Dot products of a block of nibbles, as unsigned codes: eight pairs add up to at most 8 * 2 * 15 * 127 < 2^15.
 */
static ALWAYS_INLINE void nibble_dots(__m256i *isum, const struct extent e, const uint8_t *codes,
                                      const int32_t *q)
{
    const __m256i low = _mm256_set1_epi8(15);

    UNROLL(4)
    for (uint32_t i = 0; i < e.n * e.n_halves; i++)
        isum[i] = _mm256_setzero_si256();
    UNROLL(4)
    for (uint32_t j = 0; j < 4; j++) {
        UNROLL(2)
        for (uint32_t h = 0; h < e.n_halves; h++) {
            __m256i both = load_codes(codes + 64 * j + 32 * (e.half + h));
            __m256i w0 = _mm256_and_si256(both, low), w1 = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
            UNROLL(4)
            for (uint32_t t = 0; t < e.n; t++) {
                __m256i *sum = &isum[t * e.n_halves + h];
                __m256i p0 = _mm256_maddubs_epi16(w0, _mm256_set1_epi32(q[t * 8 + j]));
                __m256i p1 = _mm256_maddubs_epi16(w1, _mm256_set1_epi32(q[t * 8 + 4 + j]));
                *sum = _mm256_add_epi16(*sum, _mm256_add_epi16(p0, p1));
            }
        }
    }
    UNROLL(4)
    for (uint32_t i = 0; i < e.n * e.n_halves; i++)
        isum[i] = pairs_to_32(isum[i]);
}

static ALWAYS_INLINE __m256i load_table(const int8_t table[16])
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
}

/* Dot products of a block of nibbles that stand for the values of a table, -127..127: magnitudes with the
 * activations' signs turned, so that a pair fits 16 bits. */
static ALWAYS_INLINE void table_dots(__m256i *isum, const struct extent e, const uint8_t *codes,
                                     const int32_t *q, const int8_t table[16])
{
    const __m256i low = _mm256_set1_epi8(15), to = load_table(table);

    UNROLL(4)
    for (uint32_t i = 0; i < e.n * e.n_halves; i++)
        isum[i] = _mm256_setzero_si256();
    UNROLL(8)
    for (uint32_t j = 0; j < 8; j++) {
        UNROLL(2)
        for (uint32_t h = 0; h < e.n_halves; h++) {
            __m256i both = load_codes(codes + 64 * (j % 4) + 32 * (e.half + h));
            __m256i w =
                _mm256_shuffle_epi8(to, _mm256_and_si256(j < 4 ? both : _mm256_srli_epi16(both, 4), low));
            __m256i magnitude = _mm256_abs_epi8(w);
            UNROLL(4)
            for (uint32_t t = 0; t < e.n; t++) {
                __m256i x = _mm256_sign_epi8(_mm256_set1_epi32(q[t * 8 + j]), w);
                __m256i *sum = &isum[t * e.n_halves + h];
                *sum = _mm256_add_epi32(*sum, pairs_to_32(_mm256_maddubs_epi16(magnitude, x)));
            }
        }
    }
}

/* The same with 2^bias added to the table's values, which makes unsigned codes of them: below 2^5, so that four
 * pairs fit 16 bits, or below 2^6, two pairs (2 * 2 * 63 * 127 < 2^15). */
static ALWAYS_INLINE void small_table_dots(__m256i *isum, const struct extent e, const uint8_t *codes,
                                           const int32_t *q, const int8_t table[16], const int bias)
{
    const __m256i low = _mm256_set1_epi8(15);
    const __m256i to = _mm256_add_epi8(load_table(table), _mm256_set1_epi8((char)(1 << bias)));
    const uint32_t at_once = bias == 4 ? 2 : 1; /* vectors of nibbles */
    __m256i sum16[4];

    UNROLL(4)
    for (uint32_t j = 0; j < 4; j++) {
        UNROLL(2)
        for (uint32_t h = 0; h < e.n_halves; h++) {
            __m256i both = load_codes(codes + 64 * j + 32 * (e.half + h));
            __m256i w0 = _mm256_shuffle_epi8(to, _mm256_and_si256(both, low));
            __m256i w1 = _mm256_shuffle_epi8(to, _mm256_and_si256(_mm256_srli_epi16(both, 4), low));
            UNROLL(4)
            for (uint32_t t = 0; t < e.n; t++) {
                uint32_t i = t * e.n_halves + h;
                __m256i p = _mm256_add_epi16(_mm256_maddubs_epi16(w0, _mm256_set1_epi32(q[t * 8 + j])),
                                             _mm256_maddubs_epi16(w1, _mm256_set1_epi32(q[t * 8 + 4 + j])));
                sum16[i] = j % at_once ? _mm256_add_epi16(sum16[i], p) : p;
                if (j % at_once == at_once - 1)
                    isum[i] =
                        j < at_once ? pairs_to_32(sum16[i]) : _mm256_add_epi32(isum[i], pairs_to_32(sum16[i]));
            }
        }
    }
}

/* Codes of column groups j, 4 + j, j + 1 and 5 + j (j: 0 or 2): nibbles and the fifth bits behind them, 0..31.
 */
static ALWAYS_INLINE void five_bits(__m256i w[4], const uint8_t *codes, const uint32_t j, uint32_t half)
{
    const __m256i low = _mm256_set1_epi8(15), fifth = _mm256_set1_epi8(16);
    __m256i high = load_codes(codes + PANEL_Q4_BLOCK + 32 * half);
    __m256i bits[4] = {_mm256_slli_epi16(high, 4), high, _mm256_slli_epi16(high, 3),
                       _mm256_srli_epi16(high, 1)};
    if (j) {
        bits[0] = _mm256_slli_epi16(high, 2);
        bits[1] = _mm256_srli_epi16(high, 2);
        bits[2] = _mm256_slli_epi16(high, 1);
        bits[3] = _mm256_srli_epi16(high, 3);
    }
    UNROLL(2)
    for (uint32_t i = 0; i < 2; i++) {
        __m256i both = load_codes(codes + 64 * (j + i) + 32 * half);
        w[2 * i] = _mm256_or_si256(_mm256_and_si256(both, low), _mm256_and_si256(bits[2 * i], fifth));
        w[2 * i + 1] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(both, 4), low),
                                       _mm256_and_si256(bits[2 * i + 1], fifth));
    }
}

/* The same of a block of five bit codes: four pairs add up to at most 4 * 2 * 31 * 127 < 2^15. */
static ALWAYS_INLINE void five_bit_dots(__m256i *isum, const struct extent e, const uint8_t *codes,
                                        const int32_t *q)
{
    UNROLL(4)
    for (uint32_t i = 0; i < e.n * e.n_halves; i++)
        isum[i] = _mm256_setzero_si256();
    UNROLL(2)
    for (uint32_t j = 0; j < 4; j += 2) {
        UNROLL(2)
        for (uint32_t h = 0; h < e.n_halves; h++) {
            __m256i w[4];
            five_bits(w, codes, j, e.half + h);
            UNROLL(4)
            for (uint32_t t = 0; t < e.n; t++) {
                const int32_t *x = q + t * 8 + j;
                __m256i *sum = &isum[t * e.n_halves + h];
                __m256i p0 = _mm256_add_epi16(_mm256_maddubs_epi16(w[0], _mm256_set1_epi32(x[0])),
                                              _mm256_maddubs_epi16(w[1], _mm256_set1_epi32(x[4])));
                __m256i p1 = _mm256_add_epi16(_mm256_maddubs_epi16(w[2], _mm256_set1_epi32(x[1])),
                                              _mm256_maddubs_epi16(w[3], _mm256_set1_epi32(x[5])));
                *sum = _mm256_add_epi32(*sum, pairs_to_32(_mm256_add_epi16(p0, p1)));
            }
        }
    }
}

#endif
