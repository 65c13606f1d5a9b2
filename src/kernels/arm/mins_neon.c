/* Blocks of 32 with an f16 scale and an f16 minimum: Q4_1, Q5_1. */
#include "kernels/arm/blocks_neon.h"

/* Codes are block_bytes long, PANEL_Q4_BLOCK or PANEL_Q5_BLOCK. */
static ALWAYS_INLINE void panel_mins(float32x4_t *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const uint32_t n, const size_t block_bytes)
{
    for (size_t b = 0; b < n_cols / 32; b++) {
        const uint8_t *block = panel + b * (PANEL_MIN_CODES + block_bytes), *codes = block + PANEL_MIN_CODES;
        float32x4_t scale[4], min[4];
        f16_quarters(scale, block);
        f16_quarters(min, block + PANEL_SCALE_BYTES);
        UNROLL(4)
        for (size_t r = 0; r < 4; r++) {
            int8x16_t w[8];
            codes_four_or_five_bits(w, codes, r, block_bytes);
            add_block(acc + r, w, scale[r], x_block_at(x, b, n), n);
            add_min(acc + r, min[r], x_block_at(x, b, n), n);
        }
    }
}

#define MINS_PANEL(name, block_bytes)                                                                          \
    static ALWAYS_INLINE void panel_##name(float32x4_t *acc, const uint8_t *panel, uint32_t n_cols,            \
                                           const struct group_int8 *x, const uint32_t n)                       \
    {                                                                                                          \
        panel_mins(acc, panel, n_cols, x, n, block_bytes);                                                     \
    }
MINS_PANEL(q4_1, PANEL_Q4_BLOCK)
MINS_PANEL(q5_1, PANEL_Q5_BLOCK)

MATMUL_NEON(int8, q4_1, Q4_1)
MATMUL_NEON(int8, q5_1, Q5_1)
