#include "kernels/x86/ymm/super.h"

static ALWAYS_INLINE void panel_q6_k(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_super *x, const struct extent e)
{
    const struct codes as = {.kind = SIX_BITS, .most = 63};

    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *super = panel + pair_codes_at(s, PANEL_Q6K_BYTES);
        const uint8_t *scale = panel + pair_scales_at(s, PANEL_Q6K_BYTES);
        struct x_super xs = x_super_at(x, s, e.n);
        const __m256 d[2] = {f16_scales(scale, 0), f16_scales(scale, 1)};
        __m256i isum[2 * TILE_TOKENS], middles[16], factor[4];

        read_pair_ahead(panel, s, PANEL_Q6K_BYTES, PANEL_Q6K_CODES, e.n);
        clear_sums(isum, e);
        for (size_t j = 0; j < 8; j++) {
            const uint8_t *codes = super + PANEL_Q6K_CODES + j * PANEL_Q6K_BLOCK;
            read_ahead(codes, PANEL_Q6K_BLOCK, e.n);
            open_factors(factor, as.most, super + j * 32, 2, true);
            add_block(isum, e, as, codes, xs.q + j * 8, 64, factor, 2);
        }
        scale_pairs(middles, 8, super, true, 5);
        take_off(isum, e, middles, 8, xs.sum_16);
        add_isum(acc, e, isum, d, xs);
    }
}
MATMUL_YMM(q6_k, super, 256)
INIT_YMM(q6_k, Q6_K, q6_k)
