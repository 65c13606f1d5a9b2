/* Blocks whose halves have whole scales of their own: Q2_K, Q3_K, Q6_K. */
#include "kernels/arm/matmul_neon.h"

static ALWAYS_INLINE int8x16_t load_scales(const uint8_t *scales, size_t i)
{
    return vreinterpretq_s8_u8(vld1q_u8(scales + 16 * i));
}

static ALWAYS_INLINE void panel_q6_k(float32x4_t *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const uint32_t n)
{
    for (size_t b = 0; b < n_cols / 32; b++) {
        const uint8_t *super = panel + pair_codes_at(b / 8, PANEL_Q6K_BYTES);
        const uint8_t *codes = super + PANEL_Q6K_CODES + b % 8 * PANEL_Q6K_BLOCK;
        float32x4_t d[4];
        int32x4_t scale0[4], scale1[4];
        f16_quarters(d, panel + pair_scales_at(b / 8, PANEL_Q6K_BYTES));
        whole_quarters(scale0, load_scales(super, b % 8 * 2));
        whole_quarters(scale1, load_scales(super, b % 8 * 2 + 1));
        UNROLL(4)
        for (size_t r = 0; r < 4; r++) {
            int8x16_t w[8];
            codes_six_bits(w, codes, r, 32);
            add_halves(acc + r, w, scale0[r], scale1[r], d[r], x_block_at(x, b, n), n);
        }
    }
}
MATMUL_NEON(q6_k, Q6_K)

/* Half block i of 16, as block32_q3_k_scale; byte k of sixteen rows is packed + 16 * k. */
static ALWAYS_INLINE int8x16_t q3_k_scale(const uint8_t *packed, size_t i)
{
    uint8x16_t both = vld1q_u8(packed + 16 * (i % 8)), high = vld1q_u8(packed + 16 * (8 + i % 4));
    uint8x16_t low = i < 8 ? vandq_u8(both, vdupq_n_u8(15)) : vshrq_n_u8(both, 4);
    high = vandq_u8(vshlq_u8(high, vdupq_n_s8((int8_t)(-(int)(i / 4 * 2)))), vdupq_n_u8(3));
    return vreinterpretq_s8_u8(vsubq_u8(vsliq_n_u8(low, high, 4), vdupq_n_u8(32)));
}

static ALWAYS_INLINE void panel_q3_k(float32x4_t *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const uint32_t n)
{
    for (size_t b = 0; b < n_cols / 32; b++) {
        const uint8_t *super = panel + pair_codes_at(b / 8, PANEL_Q3K_BYTES);
        const uint8_t *codes = super + PANEL_Q3K_CODES + b % 8 * PANEL_Q3_BLOCK;
        float32x4_t d[4];
        int32x4_t scale0[4], scale1[4];
        f16_quarters(d, panel + pair_scales_at(b / 8, PANEL_Q3K_BYTES));
        whole_quarters(scale0, q3_k_scale(super, b % 8 * 2));
        whole_quarters(scale1, q3_k_scale(super, b % 8 * 2 + 1));
        UNROLL(4)
        for (size_t r = 0; r < 4; r++) {
            int8x16_t w[8];
            codes_three_bits(w, codes, r, 4);
            add_halves(acc + r, w, scale0[r], scale1[r], d[r], x_block_at(x, b, n), n);
        }
    }
}
MATMUL_NEON(q3_k, Q3_K)

/* acc = fma(-dmin, x_scale * (min0 * sum0 + min1 * sum1), acc) */
static ALWAYS_INLINE void add_half_mins(float32x4_t *acc, int32x4_t min0, int32x4_t min1, float32x4_t dmin,
                                        struct x_block x, const uint32_t n)
{
    UNROLL(4)
    for (uint32_t t = 0; t < n; t++) {
        int32x4_t sum = vmlaq_n_s32(vmulq_n_s32(min0, x.half_sum[t * 2]), min1, x.half_sum[t * 2 + 1]);
        acc[t * 4] = vfmsq_f32(acc[t * 4], dmin, vmulq_n_f32(vcvtq_f32_s32(sum), x.scale[t]));
    }
}

static ALWAYS_INLINE void panel_q2_k(float32x4_t *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const uint32_t n)
{
    for (size_t b = 0; b < n_cols / 32; b++) {
        const uint8_t *super = panel + b / 8 * PANEL_Q2K_BYTES, *both = super + 64 + b % 8 * 32;
        const uint8_t *codes = super + PANEL_Q2K_CODES + b % 8 * PANEL_Q2_BLOCK;
        float32x4_t d[4], dmin[4];
        int32x4_t scale[2][4], min[2][4];
        f16_quarters(d, super);
        f16_quarters(dmin, super + PANEL_SCALE_BYTES);
        UNROLL(2)
        for (size_t i = 0; i < 2; i++) {
            uint8x16_t bytes = vld1q_u8(both + 16 * i);
            whole_quarters(scale[i], vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15))));
            whole_quarters(min[i], vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4)));
        }
        UNROLL(4)
        for (size_t r = 0; r < 4; r++) {
            int8x16_t w[8];
            codes_two_bits(w, codes, r, 0);
            add_halves(acc + r, w, scale[0][r], scale[1][r], d[r], x_block_at(x, b, n), n);
            add_half_mins(acc + r, min[0][r], min[1][r], dmin[r], x_block_at(x, b, n), n);
        }
    }
}
MATMUL_NEON(q2_k, Q2_K)
