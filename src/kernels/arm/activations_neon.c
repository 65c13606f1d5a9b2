#include "kernels/arm/groups.h"
#include "kernels/quantise.h"

#include <arm_neon.h>

/* --- rule 1 --------------------------------------------------------------------------------------------- */

static uint32_t largest_bits(const float *x, size_t n)
{
    uint32x4_t most = vdupq_n_u32(0);

    for (size_t i = 0; i < n; i += 4)
        most = vmaxq_u32(most, vreinterpretq_u32_f32(vabsq_f32(vld1q_f32(x + i))));
    return vmaxvq_u32(most);
}

/* Sixteen values, and their sum. inverse is 0 also where x is not finite. */
static int32_t round_16(int8_t *q, const float *from, float inverse)
{
    const float32x4_t round = vdupq_n_f32(0x1.8p23F);
    int32x4_t whole[4];

    for (size_t i = 0; i < 4; i++) {
        float32x4_t x = vaddq_f32(vmulq_n_f32(vld1q_f32(from + 4 * i), inverse), round);
        whole[i] = vsubq_s32(vreinterpretq_s32_f32(x), vdupq_n_s32(0x4B400000));
        if (inverse == 0)
            whole[i] = vdupq_n_s32(0);
    }
    int16x8_t first = vcombine_s16(vmovn_s32(whole[0]), vmovn_s32(whole[1]));
    int16x8_t second = vcombine_s16(vmovn_s32(whole[2]), vmovn_s32(whole[3]));
    vst1q_s8(q, vcombine_s8(vmovn_s16(first), vmovn_s16(second)));
    return vaddvq_s16(vaddq_s16(first, second));
}

static size_t int8_bytes(uint32_t n_cols, uint32_t n_tokens)
{
    return (size_t)n_tokens * (n_cols / 32) * GROUP_INT8_BLOCK_BYTES;
}

/* Block `at` (of block and token) of the group. */
static void int8_fill(const struct group_int8 *to, size_t at, const float *from)
{
    float inverse, scale = quantise_scale(largest_bits(from, 32), &inverse);
    int32_t sum = round_16(to->q + at * 32, from, inverse);

    sum += round_16(to->q + at * 32 + 16, from + 16, inverse);
    to->scale[at] = scale;
    to->scaled_sum[at] = scale * (float)sum;
}

static size_t super_bytes(uint32_t n_cols, uint32_t n_tokens)
{
    return (size_t)n_tokens * (n_cols / 256) * GROUP_SUPER_BYTES;
}

static void super_fill(const struct group_super *to, size_t at, const float *from)
{
    float inverse;

    to->scale[at] = quantise_scale(largest_bits(from, 256), &inverse);
    for (size_t i = 0; i < 16; i++)
        to->sum[at * 16 + i] = (int16_t)round_16(to->q + at * 256 + i * 16, from + i * 16, inverse);
}

#define PREPARE(kind, columns)                                                                                 \
    static void kind##_prepare(void *prepared, const float *x, size_t x_stride,                                \
                               const struct activation_part *part)                                             \
    {                                                                                                          \
        for (uint32_t t = part->token_first; t < part->token_end; t++) {                                       \
            struct group g = group_of(t, part->n_tokens, GROUP_MAX_NEON);                                      \
            struct group_##kind to = group_##kind##_at(prepared, part->n_cols, g);                             \
            const float *from = x + t * x_stride;                                                              \
            for (size_t b = part->column_first / (columns); b < part->column_end / (columns); b++) {           \
                size_t at = b * g.size + (t - g.first);                                                        \
                kind##_fill(&to, at, from);                                                                    \
                from += (columns);                                                                             \
            }                                                                                                  \
        }                                                                                                      \
    }                                                                                                          \
    const struct activation_kernels activation_##kind##_neon = {kind##_bytes, kind##_prepare};
PREPARE(int8, 32)
PREPARE(super, 256)

/* --- rule 2 --------------------------------------------------------------------------------------------- */

static void f32_prepare(void *prepared, const float *x, size_t x_stride, const struct activation_part *part)
{
    groups_f32_prepare(prepared, x, x_stride, part, GROUP_MAX_NEON);
}

const struct activation_kernels activation_f32_neon = {groups_f32_bytes, f32_prepare};
