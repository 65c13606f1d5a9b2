#include "kernels/ref/codebooks.h"
#include "kernels/x86/ymm/blocks.h"
#include "kernels/x86/ymm/super.h"

BLOCK_TYPE(iq4_nl, .codes = {.kind = TABLE, .most = 255, .table = codebook_iq4, .bias = BYTES_BIAS},
           .bias = BYTES_BIAS)
static ALWAYS_INLINE void panel_iq4_nl(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                       const struct group_int8 *x, const struct extent e)
{
    panel_of_pairs(acc, panel, n_cols, x, e, type_iq4_nl, many_iq4_nl, PANEL_Q4_BLOCK);
}
MATMUL_YMM(iq4_nl, int8, 32)

static ALWAYS_INLINE void panel_iq4_xs(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                       const struct group_super *x, const struct extent e)
{
    const struct codes as = type_iq4_nl.codes;

    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *super = panel + pair_codes_at(s, PANEL_IQ4XS_BYTES);
        const uint8_t *scale = panel + pair_scales_at(s, PANEL_IQ4XS_BYTES);
        struct x_super xs = x_super_at(x, s, e.n);
        const __m256 d[2] = {f16_scales(scale, 0), f16_scales(scale, 1)};
        __m256i isum[2 * TILE_TOKENS], zeros[8], factor[2];

        read_pair_ahead(panel, s, PANEL_IQ4XS_BYTES, PANEL_IQ4XS_CODES, e.n);
        clear_sums(isum, e);
        for (size_t j = 0; j < 8; j++) {
            const uint8_t *codes = super + PANEL_IQ4XS_CODES + j * PANEL_Q4_BLOCK;
            read_ahead(codes, PANEL_Q4_BLOCK, e.n);
            open_factors(factor, as.most, super + j * 16, 1, true);
            add_block(isum, e, as, codes, xs.q + j * 8, 64, factor, 1);
        }
        if (as.bias >= 0) {
            scale_pairs(zeros, 4, super, true, as.bias);
            take_off(isum, e, zeros, 4, xs.sum_32);
        }
        add_isum(acc, e, isum, d, xs);
    }
}
MATMUL_YMM(iq4_xs, super, 256)

INIT_YMM(iq4_nl, IQ4_NL, iq4_nl)
INIT_YMM(iq4_xs, IQ4_XS, iq4_xs)
