/* Blocks of 256 whose 16s have whole scales of their own: Q2_K, Q3_K, Q6_K. */
#include "kernels/arm/supers_neon.h"

static ALWAYS_INLINE void super_q6_k(float32x4_t *acc, const uint8_t *panel, size_t s, struct x_super x,
                                     const uint32_t n)
{
    const uint8_t *super = panel + pair_codes_at(s, PANEL_Q6K_BYTES), *codes = super + PANEL_Q6K_CODES;
    int32x4_t isum[ISUM_MAX];

    isum_zero(isum, n);
    for (size_t j = 0; j < 8; j++, codes += PANEL_Q6K_BLOCK) {
        int32x4_t scale0[4], scale1[4];
        whole_quarters(scale0, load_scales(super + 32 * j));
        whole_quarters(scale1, load_scales(super + 32 * j + 16));
        UNROLL(4)
        for (size_t r = 0; r < 4; r++) {
            int8x16_t w[8];
            codes_six_bits(w, codes, r, 32);
            sum_halves(isum + r, w, scale0[r], scale1[r], x.q + j * 32, n);
        }
    }
    add_super(acc, isum, panel + pair_scales_at(s, PANEL_Q6K_BYTES), x, n);
}
MATMUL_SUPERS_NEON(q6_k, Q6_K)

/* Half block i of 16, as block32_q3_k_scale; byte k of sixteen rows is packed + 16 * k. */
static ALWAYS_INLINE int8x16_t q3_k_scale(const uint8_t *packed, size_t i)
{
    uint8x16_t both = vld1q_u8(packed + 16 * (i % 8)), high = vld1q_u8(packed + 16 * (8 + i % 4));
    uint8x16_t low = i < 8 ? vandq_u8(both, vdupq_n_u8(15)) : vshrq_n_u8(both, 4);
    high = vandq_u8(vshlq_u8(high, vdupq_n_s8((int8_t)(-(int)(i / 4 * 2)))), vdupq_n_u8(3));
    return vreinterpretq_s8_u8(vsubq_u8(vsliq_n_u8(low, high, 4), vdupq_n_u8(32)));
}

static ALWAYS_INLINE void super_q3_k(float32x4_t *acc, const uint8_t *panel, size_t s, struct x_super x,
                                     const uint32_t n)
{
    const uint8_t *super = panel + pair_codes_at(s, PANEL_Q3K_BYTES), *codes = super + PANEL_Q3K_CODES;
    int32x4_t isum[ISUM_MAX];

    isum_zero(isum, n);
    for (size_t j = 0; j < 8; j++, codes += PANEL_Q3_BLOCK) {
        int32x4_t scale0[4], scale1[4];
        whole_quarters(scale0, q3_k_scale(super, 2 * j));
        whole_quarters(scale1, q3_k_scale(super, 2 * j + 1));
        UNROLL(4)
        for (size_t r = 0; r < 4; r++) {
            int8x16_t w[8];
            codes_three_bits(w, codes, r, 4);
            sum_halves(isum + r, w, scale0[r], scale1[r], x.q + j * 32, n);
        }
    }
    add_super(acc, isum, panel + pair_scales_at(s, PANEL_Q3K_BYTES), x, n);
}
MATMUL_SUPERS_NEON(q3_k, Q3_K)

static ALWAYS_INLINE void super_q2_k(float32x4_t *acc, const uint8_t *panel, size_t s, struct x_super x,
                                     const uint32_t n)
{
    const uint8_t *super = panel + s * PANEL_Q2K_BYTES, *codes = super + PANEL_Q2K_CODES;
    int32x4_t isum[ISUM_MAX];
    int8x16_t mins[16];

    isum_zero(isum, n);
    for (size_t j = 0; j < 8; j++, codes += PANEL_Q2_BLOCK) {
        int32x4_t scale[2][4];
        UNROLL(2)
        for (size_t i = 0; i < 2; i++) {
            uint8x16_t both = vld1q_u8(super + 2 * PANEL_SCALE_BYTES + 32 * j + 16 * i);
            whole_quarters(scale[i], vreinterpretq_s8_u8(vandq_u8(both, vdupq_n_u8(15))));
            mins[2 * j + i] = vreinterpretq_s8_u8(vshrq_n_u8(both, 4));
        }
        UNROLL(4)
        for (size_t r = 0; r < 4; r++) {
            int8x16_t w[8];
            codes_two_bits(w, codes, r, 0);
            sum_halves(isum + r, w, scale[0][r], scale[1][r], x.q + j * 32, n);
        }
    }
    add_super(acc, isum, super, x, n);
    add_super_mins(acc, mins, 16, super + PANEL_SCALE_BYTES, x, n);
}
MATMUL_SUPERS_NEON(q2_k, Q2_K)
