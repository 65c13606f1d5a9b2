/* Blocks of 32 under one scale: Q8_0, Q4_0, Q5_0, IQ4_NL, MXFP4. */
#include "kernels/arm/blocks_neon.h"
#include "kernels/ref/codebooks.h"

/* What of a type is opened how. */
#define PLAIN_PANEL(name, block_bytes, open)                                                                   \
    static ALWAYS_INLINE void panel_##name(float32x4_t *acc, const uint8_t *panel, uint32_t n_cols,            \
                                           const struct group_int8 *x, const uint32_t n)                       \
    {                                                                                                          \
        for (size_t b = 0; b < n_cols / 32; b++) {                                                             \
            const uint8_t *codes = panel + pair_codes_at(b, block_bytes);                                      \
            float32x4_t scale[4];                                                                              \
            f16_quarters(scale, panel + pair_scales_at(b, block_bytes));                                       \
            UNROLL(4)                                                                                          \
            for (size_t r = 0; r < 4; r++) {                                                                   \
                int8x16_t w[8];                                                                                \
                open;                                                                                          \
                add_block(acc + r, w, scale[r], x_block_at(x, b, n), n);                                       \
            }                                                                                                  \
        }                                                                                                      \
    }

PLAIN_PANEL(q8_0, PANEL_Q8_BLOCK, codes_bytes(w, codes, r))
PLAIN_PANEL(q4_0, PANEL_Q4_BLOCK, codes_nibbles(w, codes, r, 8))
PLAIN_PANEL(q5_0, PANEL_Q5_BLOCK, codes_five_bits(w, codes, r, 16))
PLAIN_PANEL(iq4_nl, PANEL_Q4_BLOCK, codes_table(w, codes, r, vld1q_s8(codebook_iq4)))

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
        UNROLL(4)
        for (size_t r = 0; r < 4; r++) {
            int8x16_t w[8];
            codes_table(w, panel + four_codes_at(b), r, vld1q_s8(codebook_fp4));
            add_block(acc + r, w, scale[r], x_block_at(x, b, n), n);
        }
    }
}

MATMUL_NEON(int8, q8_0, Q8_0)
MATMUL_NEON(int8, q4_0, Q4_0)
MATMUL_NEON(int8, q5_0, Q5_0)
MATMUL_NEON(int8, iq4_nl, IQ4_NL)
MATMUL_NEON(int8, mxfp4, MXFP4)
