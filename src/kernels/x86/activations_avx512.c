/* Activations for AMX. */
#include "kernels/quantise.h"
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
    if (t < part->token_end) {
        struct activation_part rest = *part;
        rest.n_tokens -= n_whole;
        rest.token_first = t - n_whole;
        rest.token_end -= n_whole;
        activation_int8_avx512.prepare((char *)prepared + group_steps_bytes(n_blocks, part->n_tokens),
                                       x + n_whole * x_stride, x_stride, &rest);
    }
}
const struct activation_kernels activation_int8_amx = {int8_bytes, int8_prepare};
