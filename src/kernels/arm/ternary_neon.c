/* Blocks of 256 of -1, 0 and 1, without scales in between: TQ1_0, TQ2_0. */
#include "kernels/arm/supers_neon.h"

static ALWAYS_INLINE void super_ternary(float32x4_t *acc, const uint8_t *panel, size_t s, struct x_super x,
                                        const uint32_t n)
{
    const uint8_t *codes = panel + pair_codes_at(s, PANEL_TERNARY_BYTES);
    int32x4_t isum[ISUM_MAX];

    isum_zero(isum, n);
    for (size_t j = 0; j < 8; j++, codes += PANEL_Q2_BLOCK) {
        UNROLL(4)
        for (size_t r = 0; r < 4; r++) {
            int8x16_t w[8];
            codes_two_bits(w, codes, r, 1);
            sum_plain(isum + r, w, x.q + j * 32, n);
        }
    }
    add_super(acc, isum, panel + pair_scales_at(s, PANEL_TERNARY_BYTES), x, n);
}

#define super_tq1_0 super_ternary
#define super_tq2_0 super_ternary
MATMUL_SUPERS_NEON(tq1_0, TQ1_0)
MATMUL_SUPERS_NEON(tq2_0, TQ2_0)
