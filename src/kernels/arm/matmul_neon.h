/* matmul_neon - what the families of quantised types share at NEON: a panel of 16 rows, in quarters, by up to 4
 * tokens. Accumulators are [token][quarter]. Included by the families' files only. */
#ifndef KERNELS_ARM_MATMUL_NEON_H
#define KERNELS_ARM_MATMUL_NEON_H

#include "kernels/arm/codes_neon.h"
#include "kernels/arm/groups.h"
#include "kernels/arm/levels.h"

#include <string.h>

struct x_block { /* of one block: pointers into the group's arrays */
    const int8_t *q;
    const float *scale, *scaled_sum;
    const int32_t *half_sum;
};
static ALWAYS_INLINE struct x_block x_block_at(const struct group_int8 *x, size_t b, const uint32_t n)
{
    return (struct x_block){.q = x->q + b * n * 32,
                            .scale = x->scale + b * n,
                            .scaled_sum = x->scaled_sum + b * n,
                            .half_sum = x->half_sum + b * n * 2};
}

/* --- numbers of sixteen rows, in quarters ----------------------------------------------------------------- */

static ALWAYS_INLINE void f16_quarters(float32x4_t out[4], const uint8_t *at)
{
    UNROLL(4)
    for (size_t r = 0; r < 4; r++)
        out[r] = vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(at + 8 * r)));
}

static ALWAYS_INLINE void whole_quarters(int32x4_t out[4], int8x16_t bytes)
{
    int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_high_s8(bytes);
    out[0] = vmovl_s16(vget_low_s16(low));
    out[1] = vmovl_high_s16(low);
    out[2] = vmovl_s16(vget_low_s16(high));
    out[3] = vmovl_high_s16(high);
}

/* factors *= bytes */
static ALWAYS_INLINE void times_bytes(float32x4_t factors[4], int8x16_t bytes)
{
    int32x4_t whole[4];
    whole_quarters(whole, bytes);
    UNROLL(4)
    for (size_t r = 0; r < 4; r++)
        factors[r] = vmulq_f32(factors[r], vcvtq_f32_s32(whole[r]));
}

/* --- dot products ----------------------------------------------------------------------------------------- */

/* Sixteen columns of four rows. */
static ALWAYS_INLINE int32x4_t dot_16(int32x4_t sum, const int8x16_t w[4], const int8_t *q)
{
    int8x16_t x = vld1q_s8(q);
    sum = vdotq_laneq_s32(sum, w[0], x, 0);
    sum = vdotq_laneq_s32(sum, w[1], x, 1);
    sum = vdotq_laneq_s32(sum, w[2], x, 2);
    return vdotq_laneq_s32(sum, w[3], x, 3);
}

static ALWAYS_INLINE float32x4_t add_sum(float32x4_t acc, int32x4_t isum, float32x4_t w_scale, float x_scale)
{
    return vfmaq_f32(acc, vcvtq_f32_s32(isum), vmulq_n_f32(w_scale, x_scale));
}

/* acc = fma(isum, w_scale * x_scale, acc), for each token; acc: of this quarter. */
static ALWAYS_INLINE void add_block(float32x4_t *acc, const int8x16_t w[8], float32x4_t w_scale,
                                    struct x_block x, const uint32_t n)
{
    UNROLL(4)
    for (uint32_t t = 0; t < n; t++) {
        int32x4_t isum = dot_16(vdupq_n_s32(0), w, x.q + t * 32);
        isum = dot_16(isum, w + 4, x.q + t * 32 + 16);
        acc[t * 4] = add_sum(acc[t * 4], isum, w_scale, x.scale[t]);
    }
}

/* The same with a scale for each half: isum = scale0 * half0 + scale1 * half1. */
static ALWAYS_INLINE void add_halves(float32x4_t *acc, const int8x16_t w[8], int32x4_t scale0, int32x4_t scale1,
                                     float32x4_t w_scale, struct x_block x, const uint32_t n)
{
    UNROLL(4)
    for (uint32_t t = 0; t < n; t++) {
        int32x4_t isum = vmulq_s32(dot_16(vdupq_n_s32(0), w, x.q + t * 32), scale0);
        isum = vmlaq_s32(isum, dot_16(vdupq_n_s32(0), w + 4, x.q + t * 32 + 16), scale1);
        acc[t * 4] = add_sum(acc[t * 4], isum, w_scale, x.scale[t]);
    }
}

/* acc = fma(-w_min, x_scale * x_sum, acc) */
static ALWAYS_INLINE void add_min(float32x4_t *acc, float32x4_t w_min, struct x_block x, const uint32_t n)
{
    UNROLL(4)
    for (uint32_t t = 0; t < n; t++)
        acc[t * 4] = vfmsq_n_f32(acc[t * 4], w_min, x.scaled_sum[t]);
}

/* --- panels ----------------------------------------------------------------------------------------------- */

static ALWAYS_INLINE void store_panel(const struct tile *tile, uint32_t panel, const float32x4_t *acc,
                                      const uint32_t n)
{
    uint32_t row = panel * PANEL_ROWS, n_rows = tile->n_rows - row;

    for (uint32_t t = 0; t < n; t++) {
        float all[PANEL_ROWS], *out = tile->out + t * tile->out_stride + row;
        float *to = n_rows < PANEL_ROWS ? all : out;
        UNROLL(4)
        for (uint32_t r = 0; r < 4; r++)
            vst1q_f32(to + 4 * r, acc[t * 4 + r]);
        if (n_rows < PANEL_ROWS)
            memcpy(out, all, n_rows * sizeof *all);
    }
}

/* panel_NAME(acc, panel, n_cols, x, n) adds a panel's blocks. */
#define MATMUL_TILE_NEON(name, n)                                                                              \
    static void tile_##name##_##n(const struct tile *tile)                                                     \
    {                                                                                                          \
        struct group_int8 x = group_int8_at(tile->activations, tile->n_cols / 32, tile->group);                \
        for (uint32_t p = 0; p < tile->n_panels; p++) {                                                        \
            float32x4_t acc[4 * (n)];                                                                          \
            UNROLL(16)                                                                                         \
            for (uint32_t i = 0; i < 4 * (n); i++)                                                             \
                acc[i] = vdupq_n_f32(0);                                                                       \
            panel_##name(acc, tile->panel + p * tile->panel_bytes, tile->n_cols, &x, n);                       \
            store_panel(tile, p, acc, n);                                                                      \
        }                                                                                                      \
    }
#define MATMUL_NEON(name, id)                                                                                  \
    MATMUL_TILE_NEON(name, 1)                                                                                  \
    MATMUL_TILE_NEON(name, 2)                                                                                  \
    MATMUL_TILE_NEON(name, 4)                                                                                  \
    static void matmul_##name(const struct matmul *m, uint32_t row_first, uint32_t row_end)                    \
    {                                                                                                          \
        static tile_kernel *const kernels[] = {tile_##name##_1, tile_##name##_2, tile_##name##_4};             \
        groups_matmul(m, row_first, row_end, panel_bytes_##name(m->n_cols), GROUP_MAX_NEON, kernels);          \
    }                                                                                                          \
    void kernels_init_##name##_neon(struct kernels *k)                                                         \
    {                                                                                                          \
        k->types[TENSOR_TYPE_##id].matmul = matmul_##name;                                                     \
    }

#endif
