/* Blocks of 32 with one f16 scale: Q8_0, Q4_0, Q5_0, IQ4_NL; of two bits: TQ1_0, TQ2_0. */
#include "kernels/arm/matmul_neon.h"
#include "kernels/ref/codebooks.h"

/* What of a type is opened how: unit_bytes of codes have one scale and hold unit_blocks blocks. */
#define PLAIN_PANEL(name, unit_bytes, unit_blocks, open)                                                       \
    static ALWAYS_INLINE void panel_##name(float32x4_t *acc, const uint8_t *panel, uint32_t n_cols,            \
                                           const struct group_int8 *x, const uint32_t n)                       \
    {                                                                                                          \
        for (size_t b = 0; b < n_cols / 32; b++) {                                                             \
            const size_t unit = b / (unit_blocks);                                                             \
            const uint8_t *codes =                                                                             \
                panel + pair_codes_at(unit, unit_bytes) + b % (unit_blocks) * ((unit_bytes) / (unit_blocks));  \
            float32x4_t scale[4];                                                                              \
            f16_quarters(scale, panel + pair_scales_at(unit, unit_bytes));                                     \
            UNROLL(4)                                                                                          \
            for (size_t r = 0; r < 4; r++) {                                                                   \
                int8x16_t w[8];                                                                                \
                open;                                                                                          \
                add_block(acc + r, w, scale[r], x_block_at(x, b, n), n);                                       \
            }                                                                                                  \
        }                                                                                                      \
    }

PLAIN_PANEL(q8_0, PANEL_Q8_BLOCK, 1, codes_bytes(w, codes, r))
PLAIN_PANEL(q4_0, PANEL_Q4_BLOCK, 1, codes_nibbles(w, codes, r, 8))
PLAIN_PANEL(q5_0, PANEL_Q5_BLOCK, 1, codes_five_bits(w, codes, r, 16))
PLAIN_PANEL(iq4_nl, PANEL_Q4_BLOCK, 1, codes_table(w, codes, r, vld1q_s8(codebook_iq4)))
PLAIN_PANEL(tq1_0, PANEL_TERNARY_BYTES, 8, codes_two_bits(w, codes, r, 1))
PLAIN_PANEL(tq2_0, PANEL_TERNARY_BYTES, 8, codes_two_bits(w, codes, r, 1))

MATMUL_NEON(q8_0, Q8_0)
MATMUL_NEON(q4_0, Q4_0)
MATMUL_NEON(q5_0, Q5_0)
MATMUL_NEON(iq4_nl, IQ4_NL)
MATMUL_NEON(tq1_0, TQ1_0)
MATMUL_NEON(tq2_0, TQ2_0)
