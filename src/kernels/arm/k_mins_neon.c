/* Blocks of 256 whose 32s have a whole scale and a whole minimum of six bits: Q4_K, Q5_K. */
#include "kernels/arm/supers_neon.h"

/* Of block j of 32, as block32_k_scales; byte i of sixteen rows is packed + 16 * i. */
static ALWAYS_INLINE void open_scales(const uint8_t *packed, size_t j, int8x16_t *scale, int8x16_t *min)
{
    const uint8x16_t low6 = vdupq_n_u8(63), low4 = vdupq_n_u8(15), top2 = vdupq_n_u8(0x30);

    if (j < 4) {
        *scale = vreinterpretq_s8_u8(vandq_u8(vld1q_u8(packed + 16 * j), low6));
        *min = vreinterpretq_s8_u8(vandq_u8(vld1q_u8(packed + 16 * (j + 4)), low6));
        return;
    }
    uint8x16_t a = vld1q_u8(packed + 16 * (j - 4)), b = vld1q_u8(packed + 16 * j),
               c = vld1q_u8(packed + 16 * (j + 4));
    *scale = vreinterpretq_s8_u8(vorrq_u8(vandq_u8(c, low4), vandq_u8(vshrq_n_u8(a, 2), top2)));
    *min = vreinterpretq_s8_u8(vorrq_u8(vshrq_n_u8(c, 4), vandq_u8(vshrq_n_u8(b, 2), top2)));
}

/* Codes of 32 columns are block_bytes long, PANEL_Q4_BLOCK or PANEL_Q5_BLOCK. */
static ALWAYS_INLINE void super_k_mins(float32x4_t *acc, const uint8_t *super, struct x_super x,
                                       const uint32_t n, const size_t block_bytes)
{
    const uint8_t *codes = super + PANEL_Q4K_CODES;
    int32x4_t isum[ISUM_MAX];
    int8x16_t mins[8];

    isum_zero(isum, n);
    for (size_t j = 0; j < 8; j++, codes += block_bytes) {
        int8x16_t bytes;
        int32x4_t scale[4];
        open_scales(super + PANEL_Q4K_SCALES, j, &bytes, &mins[j]);
        whole_quarters(scale, bytes);
        UNROLL(4)
        for (size_t r = 0; r < 4; r++) {
            int8x16_t w[8];
            codes_four_or_five_bits(w, codes, r, block_bytes);
            sum_block(isum + r, w, scale[r], x.q + j * 32, n);
        }
    }
    add_super(acc, isum, super, x, n);
    add_super_mins(acc, mins, 8, super + PANEL_SCALE_BYTES, x, n);
}

static ALWAYS_INLINE void super_q4_k(float32x4_t *acc, const uint8_t *panel, size_t s, struct x_super x,
                                     const uint32_t n)
{
    super_k_mins(acc, panel + s * PANEL_Q4K_BYTES, x, n, PANEL_Q4_BLOCK);
}
MATMUL_SUPERS_NEON(q4_k, Q4_K)

static ALWAYS_INLINE void super_q5_k(float32x4_t *acc, const uint8_t *panel, size_t s, struct x_super x,
                                     const uint32_t n)
{
    super_k_mins(acc, panel + s * PANEL_Q5K_BYTES, x, n, PANEL_Q5_BLOCK);
}
MATMUL_SUPERS_NEON(q5_k, Q5_K)
