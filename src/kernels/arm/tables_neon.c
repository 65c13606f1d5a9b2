/* Blocks of 256 of nibbles that stand for the values of a table, with a whole scale for each 32: IQ4_XS, IQ3_S,
 * IQ3_XXS. */
#include "kernels/arm/supers_neon.h"
#include "kernels/ref/codebooks.h"

static ALWAYS_INLINE void sum_of_table(int32x4_t *isum, const uint8_t *codes, const int8_t table[16],
                                       int8x16_t scales, const int8_t *q, const uint32_t n)
{
    int32x4_t scale[4];
    whole_quarters(scale, scales);
    UNROLL(4)
    for (size_t r = 0; r < 4; r++) {
        int8x16_t w[8];
        codes_table(w, codes, r, vld1q_s8(table));
        sum_block(isum + r, w, scale[r], q, n);
    }
}

static ALWAYS_INLINE void super_iq4_xs(float32x4_t *acc, const uint8_t *panel, size_t s, struct x_super x,
                                       const uint32_t n)
{
    const uint8_t *super = panel + pair_codes_at(s, PANEL_IQ4XS_BYTES), *codes = super + PANEL_IQ4XS_CODES;
    int32x4_t isum[ISUM_MAX];

    isum_zero(isum, n);
    for (size_t j = 0; j < 8; j++)
        sum_of_table(isum, codes + j * PANEL_Q4_BLOCK, codebook_iq4, load_scales(super + 16 * j), x.q + j * 32,
                     n);
    add_super(acc, isum, panel + pair_scales_at(s, PANEL_IQ4XS_BYTES), x, n);
}
MATMUL_SUPERS_NEON(iq4_xs, IQ4_XS)

/* 1 + 2 * scale */
static ALWAYS_INLINE int8x16_t iq3_scales(const uint8_t *packed, size_t j)
{
    uint8x16_t both = vld1q_u8(packed + 16 * (j % 4));
    uint8x16_t four = j < 4 ? vandq_u8(both, vdupq_n_u8(15)) : vshrq_n_u8(both, 4);
    return vreinterpretq_s8_u8(vorrq_u8(vshlq_n_u8(four, 1), vdupq_n_u8(1)));
}

static ALWAYS_INLINE void super_iq3(float32x4_t *acc, const uint8_t *panel, size_t s, struct x_super x,
                                    const uint32_t n, const int8_t table[16], const float unit)
{
    const uint8_t *super = panel + pair_codes_at(s, PANEL_IQ3_BYTES), *codes = super + PANEL_IQ3_CODES;
    int32x4_t isum[ISUM_MAX];

    isum_zero(isum, n);
    for (size_t j = 0; j < 8; j++)
        sum_of_table(isum, codes + j * PANEL_Q4_BLOCK, table, iq3_scales(super, j), x.q + j * 32, n);
    add_super_of_unit(acc, isum, panel + pair_scales_at(s, PANEL_IQ3_BYTES), unit, x, n);
}

static ALWAYS_INLINE void super_iq3_s(float32x4_t *acc, const uint8_t *panel, size_t s, struct x_super x,
                                      const uint32_t n)
{
    super_iq3(acc, panel, s, x, n, codebook_iq3_s, 1);
}
MATMUL_SUPERS_NEON(iq3_s, IQ3_S)

static ALWAYS_INLINE void super_iq3_xxs(float32x4_t *acc, const uint8_t *panel, size_t s, struct x_super x,
                                        const uint32_t n)
{
    super_iq3(acc, panel, s, x, n, codebook_iq3_xxs, 0.5F);
}
MATMUL_SUPERS_NEON(iq3_xxs, IQ3_XXS)
