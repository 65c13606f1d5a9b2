/* matmul_neon - what the quantised types share at NEON: a panel of 16 rows, in quarters, by up to 4 tokens.
 * Accumulators, of floats and of whole numbers, are [token][quarter]; a function for one quarter is given the
 * first token's. Included by blocks_neon.h and supers_neon.h only. */
#ifndef KERNELS_ARM_MATMUL_NEON_H
#define KERNELS_ARM_MATMUL_NEON_H

#include "kernels/arm/codes_neon.h"
#include "kernels/arm/groups.h"
#include "kernels/arm/levels.h"

#include <string.h>

static ALWAYS_INLINE void f16_quarters(float32x4_t out[4], const uint8_t *at)
{
    UNROLL(4)
    for (size_t r = 0; r < 4; r++)
        out[r] = vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(at + 8 * r)));
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

static ALWAYS_INLINE int32x4_t dot_32(const int8x16_t w[8], const int8_t *q)
{
    return dot_16(dot_16(vdupq_n_s32(0), w, q), w + 4, q + 16);
}

/* The link of the chain: fma(isum, w_scale * x_scale, acc). */
static ALWAYS_INLINE float32x4_t add_sum(float32x4_t acc, int32x4_t isum, float32x4_t w_scale, float x_scale)
{
    return vfmaq_f32(acc, vcvtq_f32_s32(isum), vmulq_n_f32(w_scale, x_scale));
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

/* panel_NAME(acc, panel, n_cols, x, n) adds a panel's blocks; kind: int8 or super, which struct group_* x is.
 */
#define MATMUL_TILE_NEON(kind, name, n)                                                                        \
    static void tile_##name##_##n(const struct tile *tile)                                                     \
    {                                                                                                          \
        struct group_##kind x = group_##kind##_at(tile->activations, tile->n_cols, tile->group);               \
        for (uint32_t p = 0; p < tile->n_panels; p++) {                                                        \
            float32x4_t acc[4 * (n)];                                                                          \
            UNROLL(16)                                                                                         \
            for (uint32_t i = 0; i < 4 * (n); i++)                                                             \
                acc[i] = vdupq_n_f32(0);                                                                       \
            panel_##name(acc, tile->panel + p * tile->panel_bytes, tile->n_cols, &x, n);                       \
            store_panel(tile, p, acc, n);                                                                      \
        }                                                                                                      \
    }
#define MATMUL_NEON(kind, name, id)                                                                            \
    MATMUL_TILE_NEON(kind, name, 1)                                                                            \
    MATMUL_TILE_NEON(kind, name, 2)                                                                            \
    MATMUL_TILE_NEON(kind, name, 4)                                                                            \
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
