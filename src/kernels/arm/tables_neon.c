/* Nibbles that stand for the values of a table under scales of their own: IQ4_XS, IQ3_S, IQ3_XXS, MXFP4. */
#include "kernels/arm/matmul_neon.h"
#include "kernels/ref/codebooks.h"

static ALWAYS_INLINE void block_of_table(float32x4_t *acc, const uint8_t *codes, const int8_t table[16],
                                         const float32x4_t scale[4], struct x_block x, const uint32_t n)
{
    UNROLL(4)
    for (size_t r = 0; r < 4; r++) {
        int8x16_t w[8];
        codes_table(w, codes, r, vld1q_s8(table));
        add_block(acc + r, w, scale[r], x, n);
    }
}

static ALWAYS_INLINE void panel_iq4_xs(float32x4_t *acc, const uint8_t *panel, uint32_t n_cols,
                                       const struct group_int8 *x, const uint32_t n)
{
    for (size_t b = 0; b < n_cols / 32; b++) {
        const uint8_t *super = panel + pair_codes_at(b / 8, PANEL_IQ4XS_BYTES);
        const uint8_t *codes = super + PANEL_IQ4XS_CODES + b % 8 * PANEL_Q4_BLOCK;
        float32x4_t scale[4];
        f16_quarters(scale, panel + pair_scales_at(b / 8, PANEL_IQ4XS_BYTES));
        times_bytes(scale, vreinterpretq_s8_u8(vld1q_u8(super + b % 8 * 16)));
        block_of_table(acc, codes, codebook_iq4, scale, x_block_at(x, b, n), n);
    }
}
MATMUL_NEON(iq4_xs, IQ4_XS)

/* Scales stand for 1 + 2 * scale times `unit`; exact, whatever is multiplied first. */
static ALWAYS_INLINE void panel_iq3(float32x4_t *acc, const uint8_t *panel, uint32_t n_cols,
                                    const struct group_int8 *x, const uint32_t n, const int8_t table[16],
                                    const float unit)
{
    for (size_t b = 0; b < n_cols / 32; b++) {
        const uint8_t *super = panel + pair_codes_at(b / 8, PANEL_IQ3_BYTES);
        const uint8_t *codes = super + PANEL_IQ3_CODES + b % 8 * PANEL_Q4_BLOCK;
        uint8x16_t both = vld1q_u8(super + b % 4 * 16);
        uint8x16_t four = b % 8 < 4 ? vandq_u8(both, vdupq_n_u8(15)) : vshrq_n_u8(both, 4);
        float32x4_t scale[4];
        f16_quarters(scale, panel + pair_scales_at(b / 8, PANEL_IQ3_BYTES));
        times_bytes(scale, vreinterpretq_s8_u8(vorrq_u8(vshlq_n_u8(four, 1), vdupq_n_u8(1))));
        UNROLL(4)
        for (size_t r = 0; r < 4; r++)
            scale[r] = vmulq_n_f32(scale[r], unit);
        block_of_table(acc, codes, table, scale, x_block_at(x, b, n), n);
    }
}

#define IQ3_PANEL(name, unit)                                                                                  \
    static ALWAYS_INLINE void panel_##name(float32x4_t *acc, const uint8_t *panel, uint32_t n_cols,            \
                                           const struct group_int8 *x, const uint32_t n)                       \
    {                                                                                                          \
        panel_iq3(acc, panel, n_cols, x, n, codebook_##name, unit);                                            \
    }
IQ3_PANEL(iq3_s, 1.0F)
IQ3_PANEL(iq3_xxs, 0.5F)
MATMUL_NEON(iq3_s, IQ3_S)
MATMUL_NEON(iq3_xxs, IQ3_XXS)

/* e8m0_half of four of sixteen exponents. */
static ALWAYS_INLINE float32x4_t e8m0_halves(uint32x4_t e)
{
    uint32x4_t normal = vshlq_n_u32(vsubq_u32(e, vdupq_n_u32(1)), 23);
    uint32x4_t denormal = vshlq_u32(vdupq_n_u32(0x00200000U), vreinterpretq_s32_u32(e));
    return vreinterpretq_f32_u32(vbslq_u32(vcltq_u32(e, vdupq_n_u32(2)), denormal, normal));
}

static ALWAYS_INLINE void panel_mxfp4(float32x4_t *acc, const uint8_t *panel, uint32_t n_cols,
                                      const struct group_int8 *x, const uint32_t n)
{
    for (size_t b = 0; b < n_cols / 32; b++) {
        uint8x16_t e = vld1q_u8(panel + four_scales_at(b));
        uint16x8_t low = vmovl_u8(vget_low_u8(e)), high = vmovl_high_u8(e);
        const float32x4_t scale[4] = {
            e8m0_halves(vmovl_u16(vget_low_u16(low))), e8m0_halves(vmovl_high_u16(low)),
            e8m0_halves(vmovl_u16(vget_low_u16(high))), e8m0_halves(vmovl_high_u16(high))};
        block_of_table(acc, panel + four_codes_at(b), codebook_fp4, scale, x_block_at(x, b, n), n);
    }
}
MATMUL_NEON(mxfp4, MXFP4)
