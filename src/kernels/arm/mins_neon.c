/* Blocks with a scale and a minimum: Q4_1, Q5_1, Q4_K, Q5_K. */
#include "kernels/arm/matmul_neon.h"

/* One block whose codes are block_bytes long, PANEL_Q4_BLOCK or PANEL_Q5_BLOCK. */
static ALWAYS_INLINE void block_with_min(float32x4_t *acc, const uint8_t *codes, const size_t block_bytes,
                                         const float32x4_t scale[4], const float32x4_t min[4], struct x_block x,
                                         const uint32_t n)
{
    UNROLL(4)
    for (size_t r = 0; r < 4; r++) {
        int8x16_t w[8];
        if (block_bytes == PANEL_Q5_BLOCK)
            codes_five_bits(w, codes, r, 0);
        else
            codes_nibbles(w, codes, r, 0);
        add_block(acc + r, w, scale[r], x, n);
        add_min(acc + r, min[r], x, n);
    }
}

static ALWAYS_INLINE void panel_mins(float32x4_t *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const uint32_t n, const size_t block_bytes)
{
    for (size_t b = 0; b < n_cols / 32; b++) {
        const uint8_t *block = panel + b * (PANEL_MIN_CODES + block_bytes);
        float32x4_t scale[4], min[4];
        f16_quarters(scale, block);
        f16_quarters(min, block + PANEL_SCALE_BYTES);
        block_with_min(acc, block + PANEL_MIN_CODES, block_bytes, scale, min, x_block_at(x, b, n), n);
    }
}

/* The six bit scale and minimum of block j, as block32_k_scales; byte i of sixteen rows is packed + 16 * i. */
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

static ALWAYS_INLINE void panel_k_mins(float32x4_t *acc, const uint8_t *panel, uint32_t n_cols,
                                       const struct group_int8 *x, const uint32_t n, const size_t block_bytes)
{
    for (size_t b = 0; b < n_cols / 32; b++) {
        const uint8_t *super = panel + b / 8 * (PANEL_Q4K_CODES + 8 * block_bytes);
        int8x16_t whole_scale, whole_min;
        float32x4_t scale[4], min[4];
        f16_quarters(scale, super);
        f16_quarters(min, super + PANEL_SCALE_BYTES);
        open_scales(super + PANEL_Q4K_SCALES, b % 8, &whole_scale, &whole_min);
        times_bytes(scale, whole_scale);
        times_bytes(min, whole_min);
        block_with_min(acc, super + PANEL_Q4K_CODES + b % 8 * block_bytes, block_bytes, scale, min,
                       x_block_at(x, b, n), n);
    }
}

#define MINS_PANEL(name, how, block_bytes)                                                                     \
    static ALWAYS_INLINE void panel_##name(float32x4_t *acc, const uint8_t *panel, uint32_t n_cols,            \
                                           const struct group_int8 *x, const uint32_t n)                       \
    {                                                                                                          \
        how(acc, panel, n_cols, x, n, block_bytes);                                                            \
    }
MINS_PANEL(q4_1, panel_mins, PANEL_Q4_BLOCK)
MINS_PANEL(q5_1, panel_mins, PANEL_Q5_BLOCK)
MINS_PANEL(q4_k, panel_k_mins, PANEL_Q4_BLOCK)
MINS_PANEL(q5_k, panel_k_mins, PANEL_Q5_BLOCK)

MATMUL_NEON(q4_1, Q4_1)
MATMUL_NEON(q5_1, Q5_1)
MATMUL_NEON(q4_k, Q4_K)
MATMUL_NEON(q5_k, Q5_K)
