/* Activations for AMX. */
#include "kernels/quantise.h"
#include "kernels/unroll.h"
#include "kernels/x86/groups.h"

#include <immintrin.h>

static size_t int8_bytes(uint32_t n_cols, uint32_t n_tokens)
{
    return group_steps_bytes(n_cols / 32, n_tokens) +
           activation_int8_avx512.bytes(n_cols, n_tokens - group_steps_tokens(n_tokens));
}

/* Block `at` (of block and token). Whole numbers as f32 have all that is not zero in the upper half: bf16. */
static void block_fill(const struct group_step *to, size_t at, const float *from)
{
    const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF);
    const __m512i upper_halves =
        _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27, 25, 23, 21,
                         19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    const __m512 round = _mm512_set1_ps(0x1.8p23F), x0 = _mm512_loadu_ps(from), x1 = _mm512_loadu_ps(from + 16);
    float inverse,
        scale = quantise_scale(
            _mm512_reduce_max_epu32(_mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(x0), magnitude),
                                                     _mm512_and_si512(_mm512_castps_si512(x1), magnitude))),
            &inverse);
    __mmask16 some = inverse == 0 ? 0 : 0xFFFF; /* none where x is not finite */
    __m512 q0 = _mm512_add_ps(_mm512_mul_ps(x0, _mm512_set1_ps(inverse)), round),
           q1 = _mm512_add_ps(_mm512_mul_ps(x1, _mm512_set1_ps(inverse)), round);

    q0 = _mm512_maskz_sub_ps(some, q0, round);
    q1 = _mm512_maskz_sub_ps(some, q1, round);
    _mm512_store_si512(to->x + at * 32, _mm512_permutex2var_epi16(_mm512_castps_si512(q0), upper_halves,
                                                                  _mm512_castps_si512(q1)));
    to->scale[at] = scale;
    to->scaled_sum[at] = scale * _mm512_reduce_add_ps(_mm512_add_ps(q0, q1)); /* exact in any order */
}

/* The part's tokens from t on, which are no whole groups: as AVX-512's, in a buffer of their own. */
static void prepare_rest(const struct activation_kernels *as, void *prepared, const float *x, size_t x_stride,
                         const struct activation_part *part, uint32_t t)
{
    uint32_t n_whole = group_steps_tokens(part->n_tokens);
    struct activation_part rest = *part;

    rest.n_tokens -= n_whole;
    rest.token_first = t - n_whole;
    rest.token_end -= n_whole;
    as->prepare(prepared, x + n_whole * x_stride, x_stride, &rest);
}

static void int8_prepare(void *prepared, const float *x, size_t x_stride, const struct activation_part *part)
{
    uint32_t n_blocks = part->n_cols / 32, n_whole = group_steps_tokens(part->n_tokens), t = part->token_first;

    for (; t < part->token_end && t < n_whole; t++) {
        const float *from = x + t * x_stride;
        for (uint32_t b = part->column_first / 32; b < part->column_end / 32; b++, from += 32) {
            struct group_step to =
                group_step_at(prepared, n_blocks, part->n_tokens, t / GROUP_MAX_AVX512, b / STEP_BLOCKS);
            block_fill(&to, (size_t)(b % STEP_BLOCKS) * GROUP_MAX_AVX512 + t % GROUP_MAX_AVX512, from);
        }
    }
    if (t < part->token_end)
        prepare_rest(&activation_int8_avx512, (char *)prepared + group_steps_bytes(n_blocks, part->n_tokens), x,
                     x_stride, part, t);
}
const struct activation_kernels activation_int8_amx = {int8_bytes, int8_prepare};

/* --- in blocks of 256 columns --------------------------------------------------------------------------- */

static size_t super_bytes(uint32_t n_cols, uint32_t n_tokens)
{
    return group_super_tiles_bytes(n_cols / 256, n_tokens) +
           activation_super_avx512.bytes(n_cols, n_tokens - group_steps_tokens(n_tokens));
}

static ALWAYS_INLINE __m512i whole_of_16(const float *from, __m512 inverse)
{
    return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(from), inverse)); /* to nearest, ties to even */
}

/* 64 values of a block; none where x is not finite. They stay in a register: what is stored in parts would have
 * to be in memory before it could be loaded whole. */
static ALWAYS_INLINE __m512i bytes_of_64(const float *from, __m512 inverse, __mmask16 some)
{
    const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    __m512i of_32 = _mm512_packs_epi32(whole_of_16(from, inverse), whole_of_16(from + 16, inverse));
    __m512i next = _mm512_packs_epi32(whole_of_16(from + 32, inverse), whole_of_16(from + 48, inverse));
    return _mm512_maskz_permutexvar_epi32(some, order, _mm512_packs_epi16(of_32, next));
}

/* Sums of 16 bytes, four times each. */
static __m512i sums_of_16(__m512i bytes)
{
    __m512i of_4 = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), bytes);
    __m512i of_8 = _mm512_add_epi32(of_4, _mm512_shuffle_epi32(of_4, 0xB1));
    return _mm512_add_epi32(of_8, _mm512_shuffle_epi32(of_8, 0x4E));
}

/* |sum| <= 2032: a multiple of 64, and at most 32 more or less. */
static void store_sums(uint16_t *to, const __m512i of_64[4])
{
    const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    __m512i sum = of_64[0];

    for (int c = 1; c < 4; c++)
        sum = _mm512_mask_mov_epi32(sum, (__mmask16)(0x1111 << c), of_64[c]);
    sum = _mm512_permutexvar_epi32(order, sum);
    __m512i high = _mm512_and_si512(_mm512_add_epi32(sum, _mm512_set1_epi32(32)), _mm512_set1_epi32(-64));
    __m512i low_bits = _mm512_castps_si512(_mm512_cvtepi32_ps(_mm512_sub_epi32(sum, high)));
    __m512i high_bits = _mm512_castps_si512(_mm512_cvtepi32_ps(high));
    _mm512_store_si512(to, _mm512_or_si512(_mm512_srli_epi32(low_bits, 16), high_bits));
}

static uint32_t largest_of_256(const float *from)
{
    __m512i most = _mm512_setzero_si512();
    for (size_t i = 0; i < 256; i += 16)
        most = _mm512_max_epu32(most,
                                _mm512_and_si512(_mm512_loadu_si512(from + i), _mm512_set1_epi32(0x7FFFFFFF)));
    return _mm512_reduce_max_epu32(most);
}

static void super_fill(const struct group_super_tile *to, size_t token, const float *from)
{
    float inverse;
    __m512i of_64[4];

    to->scale[token] = quantise_scale(largest_of_256(from), &inverse);
    __mmask16 some = inverse == 0 ? 0 : 0xFFFF; /* none where x is not finite */
    for (size_t c = 0; c < 4; c++, from += 64) {
        __m512i q = bytes_of_64(from, _mm512_set1_ps(inverse), some);
        _mm512_store_si512(to->q + (c * GROUP_MAX_AVX512 + token) * 64, q);
        of_64[c] = sums_of_16(q);
    }
    store_sums(to->sum + token * 32, of_64);
}

static void super_prepare(void *prepared, const float *x, size_t x_stride, const struct activation_part *part)
{
    uint32_t n_whole = group_steps_tokens(part->n_tokens), t = part->token_first;

    for (; t < part->token_end && t < n_whole; t++) {
        const float *from = x + t * x_stride;
        for (size_t s = part->column_first / 256; s < part->column_end / 256; s++, from += 256) {
            struct group_super_tile to = group_super_tile_at(prepared, part->n_tokens, t / GROUP_MAX_AVX512, s);
            super_fill(&to, t % GROUP_MAX_AVX512, from);
        }
    }
    if (t < part->token_end)
        prepare_rest(&activation_super_avx512,
                     (char *)prepared + group_super_tiles_bytes(part->n_cols / 256, part->n_tokens), x,
                     x_stride, part, t);
}
const struct activation_kernels activation_super_amx = {super_bytes, super_prepare};
