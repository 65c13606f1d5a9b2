/* Activations for AVX2 and AVX-512, which differ only in how many tokens a group holds. */
#include "kernels/quantise.h"
#include "kernels/x86/groups.h"

#include <immintrin.h>

/* --- rule 1 --------------------------------------------------------------------------------------------- */

static size_t int8_bytes(uint32_t n_cols, uint32_t n_tokens)
{
    return (size_t)n_tokens * (n_cols / 32) * GROUP_INT8_BLOCK_BYTES;
}

static uint32_t largest_bits(const float *x, size_t n)
{
    const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
    __m256i m = _mm256_setzero_si256();

    for (size_t i = 0; i < n; i += 8)
        m = _mm256_max_epu32(m, _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(x + i)), magnitude));
    __m128i most = _mm_max_epu32(_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1));
    most = _mm_max_epu32(most, _mm_shuffle_epi32(most, 0x4E));
    most = _mm_max_epu32(most, _mm_shuffle_epi32(most, 0xB1));
    return (uint32_t)_mm_cvtsi128_si32(most);
}

static int32_t sum_of_8(__m256i v)
{
    __m128i n = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    n = _mm_add_epi32(n, _mm_shuffle_epi32(n, 0x4E));
    n = _mm_add_epi32(n, _mm_shuffle_epi32(n, 0xB1));
    return _mm_cvtsi128_si32(n);
}

/* 32 values, to eight words of four; and the sum of each 8. inverse is 0 also where x is not finite. */
static void round_32(int32_t q[8], int32_t sum[4], const float *from, float inverse)
{
    const __m256 round = _mm256_set1_ps(0x1.8p23F);
    __m256i whole[4];

    for (int i = 0; i < 4; i++) {
        __m256 x = _mm256_mul_ps(_mm256_loadu_ps(from + 8 * i), _mm256_set1_ps(inverse));
        whole[i] =
            _mm256_sub_epi32(_mm256_castps_si256(_mm256_add_ps(x, round)), _mm256_set1_epi32(0x4B400000));
        if (inverse == 0)
            whole[i] = _mm256_setzero_si256();
        sum[i] = sum_of_8(whole[i]);
    }
    __m256i words0 = _mm256_packs_epi32(whole[0], whole[1]), words1 = _mm256_packs_epi32(whole[2], whole[3]);
    __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(words0, words1),
                                                _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)q, bytes);
}

static int32_t in_halves(int32_t low, int32_t high)
{
    return (int32_t)(((uint32_t)low & 0xFFFFU) | (uint32_t)high << 16);
}

/* Block `at` (of block and token) of the group. */
static void block_fill(const struct group_int8 *to, size_t at, const float *from)
{
    float inverse, scale = quantise_scale(largest_bits(from, 32), &inverse);
    int32_t of_8[4];

    round_32(to->q + at * 8, of_8, from, inverse);
    int32_t sum = of_8[0] + of_8[1] + of_8[2] + of_8[3];
    to->scale[at] = scale;
    to->scaled_sum[at] = scale * (float)sum;
    to->minus_sum[at] = -(1 << GROUP_SUM_BIAS) * sum;
}

static void int8_prepare(void *prepared, const float *x, size_t x_stride, const struct activation_part *part,
                         uint32_t group_max)
{
    for (uint32_t t = part->token_first; t < part->token_end; t++) {
        struct group g = group_of(t, part->n_tokens, group_max);
        struct group_int8 to = group_int8_at(prepared, part->n_cols / 32, g);
        const float *from = x + t * x_stride;
        for (size_t b = part->column_first / 32; b < part->column_end / 32; b++, from += 32)
            block_fill(&to, b * g.size + (t - g.first), from);
    }
}

static size_t super_bytes(uint32_t n_cols, uint32_t n_tokens)
{
    return (size_t)n_tokens * (n_cols / 256) * GROUP_SUPER_BYTES;
}

static void super_fill(const struct group_super *to, size_t at, const float *from)
{
    float inverse, scale = quantise_scale(largest_bits(from, 256), &inverse);
    int32_t of_32[8];

    to->scale[at] = scale;
    for (size_t j = 0; j < 8; j++) {
        int32_t of_8[4];
        round_32(to->q + at * 64 + j * 8, of_8, from + 32 * j, inverse);
        const int32_t of_16[2] = {of_8[0] + of_8[1], of_8[2] + of_8[3]};
        for (size_t i = 0; i < 2; i++)
            to->minus_16[at * 16 + j * 2 + i] = -(1 << GROUP_HALF_BIAS) * of_16[i];
        to->sum_16[at * 8 + j] = in_halves(of_16[0], of_16[1]);
        of_32[j] = of_16[0] + of_16[1];
        to->minus_32[at * 8 + j] = -(1 << GROUP_SUM_BIAS) * of_32[j];
    }
    for (size_t j = 0; j < 4; j++)
        to->sum_32[at * 4 + j] = in_halves(of_32[2 * j], of_32[2 * j + 1]);
}

static void super_prepare(void *prepared, const float *x, size_t x_stride, const struct activation_part *part,
                          uint32_t group_max)
{
    for (uint32_t t = part->token_first; t < part->token_end; t++) {
        struct group g = group_of(t, part->n_tokens, group_max);
        struct group_super to = group_super_at(prepared, part->n_cols / 256, g);
        const float *from = x + t * x_stride;
        for (size_t s = part->column_first / 256; s < part->column_end / 256; s++, from += 256)
            super_fill(&to, s * g.size + (t - g.first), from);
    }
}

/* --- both levels ---------------------------------------------------------------------------------------- */

#define PREPARE(kind, bytes, prepare, level, group_max)                                                        \
    static void kind##_prepare_##level(void *prepared, const float *x, size_t x_stride,                        \
                                       const struct activation_part *part)                                     \
    {                                                                                                          \
        prepare(prepared, x, x_stride, part, group_max);                                                       \
    }                                                                                                          \
    const struct activation_kernels activation_##kind##_##level = {bytes, kind##_prepare_##level};

PREPARE(int8, int8_bytes, int8_prepare, avx2, GROUP_MAX_INT8_AVX2)
PREPARE(int8, int8_bytes, int8_prepare, avx512, GROUP_MAX_AVX512)
PREPARE(super, super_bytes, super_prepare, avx2, GROUP_MAX_INT8_AVX2)
PREPARE(super, super_bytes, super_prepare, avx512, GROUP_MAX_AVX512)
PREPARE(f32, groups_f32_bytes, groups_f32_prepare, avx2, GROUP_MAX_AVX2)
PREPARE(f32, groups_f32_bytes, groups_f32_prepare, avx512, GROUP_MAX_AVX512)
