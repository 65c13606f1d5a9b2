/* Activations for AVX2 and AVX-512, which differ only in how many tokens a group holds. */
#include "kernels/quantise.h"
#include "kernels/x86/groups.h"

#include <immintrin.h>

/* --- rule 1 --------------------------------------------------------------------------------------------- */

static size_t int8_bytes(uint32_t n_cols, uint32_t n_tokens)
{
    return (size_t)n_tokens * (n_cols / 32) * GROUP_INT8_BLOCK_BYTES;
}

static uint32_t largest_bits(const __m256 x[4])
{
    const __m256i magnitude = _mm256_set1_epi32(0x7FFFFFFF);
    __m256i m = _mm256_and_si256(_mm256_castps_si256(x[0]), magnitude);

    for (int i = 1; i < 4; i++)
        m = _mm256_max_epu32(m, _mm256_and_si256(_mm256_castps_si256(x[i]), magnitude));
    __m128i n = _mm_max_epu32(_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1));
    n = _mm_max_epu32(n, _mm_shuffle_epi32(n, 0x4E));
    n = _mm_max_epu32(n, _mm_shuffle_epi32(n, 0xB1));
    return (uint32_t)_mm_cvtsi128_si32(n);
}

static int32_t sum_of_8(__m256i v)
{
    __m128i n = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    n = _mm_add_epi32(n, _mm_shuffle_epi32(n, 0x4E));
    n = _mm_add_epi32(n, _mm_shuffle_epi32(n, 0xB1));
    return _mm_cvtsi128_si32(n);
}

/* Block `at` (of block and token) of the group. */
static void block_fill(const struct group_int8 *to, size_t at, const float *from)
{
    const __m256 round = _mm256_set1_ps(0x1.8p23F);
    __m256 x[4];
    __m256i q[4];
    float inverse;

    for (int i = 0; i < 4; i++)
        x[i] = _mm256_loadu_ps(from + 8 * i);
    float scale = quantise_scale(largest_bits(x), &inverse);
    for (int i = 0; i < 4; i++) {
        __m256 whole = _mm256_add_ps(_mm256_mul_ps(x[i], _mm256_set1_ps(inverse)), round);
        q[i] = _mm256_sub_epi32(_mm256_castps_si256(whole), _mm256_set1_epi32(0x4B400000));
        if (inverse == 0) /* also where x is not finite */
            q[i] = _mm256_setzero_si256();
    }
    int32_t sum0 = sum_of_8(_mm256_add_epi32(q[0], q[1])), sum1 = sum_of_8(_mm256_add_epi32(q[2], q[3]));

    __m256i words0 = _mm256_packs_epi32(q[0], q[1]), words1 = _mm256_packs_epi32(q[2], q[3]);
    __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(words0, words1),
                                                _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)(to->q + at * 8), bytes);
    to->scale[at] = scale;
    to->scaled_sum[at] = scale * (float)(sum0 + sum1);
    to->minus_sum[at] = -(1 << GROUP_SUM_BIAS) * (sum0 + sum1);
    to->minus_half[at * 2] = -(1 << GROUP_HALF_BIAS) * sum0;
    to->minus_half[at * 2 + 1] = -(1 << GROUP_HALF_BIAS) * sum1;
    to->sum_pair[at] = (int32_t)(((uint32_t)sum0 & 0xFFFFU) | (uint32_t)sum1 << 16);
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

/* --- both levels ---------------------------------------------------------------------------------------- */

#define PREPARE(kind, bytes, prepare, level, group_max)                                                        \
    static void kind##_prepare_##level(void *prepared, const float *x, size_t x_stride,                        \
                                       const struct activation_part *part)                                     \
    {                                                                                                          \
        prepare(prepared, x, x_stride, part, group_max);                                                       \
    }                                                                                                          \
    const struct activation_kernels activation_##kind##_##level = {bytes, kind##_prepare_##level};

PREPARE(int8, int8_bytes, int8_prepare, avx2, GROUP_MAX_AVX2)
PREPARE(int8, int8_bytes, int8_prepare, avx512, GROUP_MAX_AVX512)
PREPARE(f32, groups_f32_bytes, groups_f32_prepare, avx2, GROUP_MAX_AVX2)
PREPARE(f32, groups_f32_bytes, groups_f32_prepare, avx512, GROUP_MAX_AVX512)
