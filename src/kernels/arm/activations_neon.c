#include "kernels/arm/groups.h"
#include "kernels/quantise.h"

#include <arm_neon.h>

/* --- rule 1 --------------------------------------------------------------------------------------------- */

static size_t int8_bytes(uint32_t n_cols, uint32_t n_tokens)
{
    return (size_t)n_tokens * (n_cols / 32) * GROUP_INT8_BLOCK_BYTES;
}

static uint32_t largest_bits(const float32x4_t x[8])
{
    uint32x4_t most = vdupq_n_u32(0);

    for (int i = 0; i < 8; i++)
        most = vmaxq_u32(most, vreinterpretq_u32_f32(vabsq_f32(x[i])));
    return vmaxvq_u32(most);
}

/* Block `at` (of block and token) of the group. */
static void block_fill(const struct group_int8 *to, size_t at, const float *from)
{
    const float32x4_t round = vdupq_n_f32(0x1.8p23F);
    float32x4_t x[8];
    int32x4_t q[8];
    float inverse;

    for (int i = 0; i < 8; i++)
        x[i] = vld1q_f32(from + 4 * i);
    float scale = quantise_scale(largest_bits(x), &inverse);
    for (int i = 0; i < 8; i++) {
        float32x4_t whole = vaddq_f32(vmulq_n_f32(x[i], inverse), round);
        q[i] = vsubq_s32(vreinterpretq_s32_f32(whole), vdupq_n_s32(0x4B400000));
        if (inverse == 0) /* also where x is not finite */
            q[i] = vdupq_n_s32(0);
    }
    for (int i = 0; i < 8; i += 4) {
        int16x8_t first = vcombine_s16(vmovn_s32(q[i]), vmovn_s32(q[i + 1]));
        int16x8_t second = vcombine_s16(vmovn_s32(q[i + 2]), vmovn_s32(q[i + 3]));
        vst1q_s8(to->q + at * 32 + 4 * i, vcombine_s8(vmovn_s16(first), vmovn_s16(second)));
        to->half_sum[at * 2 + (size_t)i / 4] =
            vaddvq_s32(vaddq_s32(vaddq_s32(q[i], q[i + 1]), vaddq_s32(q[i + 2], q[i + 3])));
    }
    to->scale[at] = scale;
    to->scaled_sum[at] = scale * (float)(to->half_sum[at * 2] + to->half_sum[at * 2 + 1]);
}

static void int8_prepare(void *prepared, const float *x, size_t x_stride, const struct activation_part *part)
{
    for (uint32_t t = part->token_first; t < part->token_end; t++) {
        struct group g = group_of(t, part->n_tokens, GROUP_MAX_NEON);
        struct group_int8 to = group_int8_at(prepared, part->n_cols / 32, g);
        const float *from = x + t * x_stride;
        for (size_t b = part->column_first / 32; b < part->column_end / 32; b++, from += 32)
            block_fill(&to, b * g.size + (t - g.first), from);
    }
}

/* --- rule 2 --------------------------------------------------------------------------------------------- */

static void f32_prepare(void *prepared, const float *x, size_t x_stride, const struct activation_part *part)
{
    groups_f32_prepare(prepared, x, x_stride, part, GROUP_MAX_NEON);
}

const struct activation_kernels activation_int8_neon = {int8_bytes, int8_prepare};
const struct activation_kernels activation_f32_neon = {groups_f32_bytes, f32_prepare};
