#include "kernels/x86/ymm/super.h"

static ALWAYS_INLINE void panel_tq2_0(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                      const struct group_super *x, const struct extent e)
{
    const struct codes as = {.kind = TWO_BITS, .most = 3};
    const __m256i ones[8] = {_mm256_set1_epi16(1), _mm256_set1_epi16(1), _mm256_set1_epi16(1),
                             _mm256_set1_epi16(1), _mm256_set1_epi16(1), _mm256_set1_epi16(1),
                             _mm256_set1_epi16(1), _mm256_set1_epi16(1)};

    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *codes = panel + pair_codes_at(s, PANEL_TERNARY_BYTES);
        const uint8_t *scale = panel + pair_scales_at(s, PANEL_TERNARY_BYTES);
        struct x_super xs = x_super_at(x, s, e.n);
        const __m256 d[2] = {f16_scales(scale, 0), f16_scales(scale, 1)};
        __m256i isum[2 * TILE_TOKENS];

        read_pair_ahead(panel, s, PANEL_TERNARY_BYTES, 0, e.n);
        clear_sums(isum, e);
        for (size_t j = 0; j < 8; j++) {
            read_ahead(codes + j * PANEL_Q2_BLOCK, PANEL_Q2_BLOCK, e.n);
            add_block(isum, e, as, codes + j * PANEL_Q2_BLOCK, xs.q + j * 8, 64, NULL, 0);
        }
        take_off(isum, e, ones, 4, xs.sum_32);
        add_isum(acc, e, isum, d, xs);
    }
}
MATMUL_YMM(tq2_0, super, 256)
INIT_YMM(tq1_0, TQ1_0, tq2_0)
INIT_YMM(tq2_0, TQ2_0, tq2_0)
