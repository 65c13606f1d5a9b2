#include "kernels/x86/ymm/super.h"

static ALWAYS_INLINE void panel_tq2_0(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                      const struct group_super *x, const struct extent e)
{
    const __m256i one = _mm256_set1_epi16(1), ones[8] = {one, one, one, one, one, one, one, one};
    struct super super = {.as = {.kind = TWO_BITS, .most = 3}, .n_scales = 0, .code_bytes = PANEL_Q2_BLOCK};

    for (size_t s = 0; s < n_cols / 256; s++) {
        struct x_super xs = x_super_at(x, s, e.n);
        __m256i isum[2 * TILE_TOKENS];
        read_pair_ahead(panel, s, PANEL_TERNARY_BYTES, 0, e.n);
        super.codes = panel + pair_codes_at(s, PANEL_TERNARY_BYTES);
        super_scale(&super, panel + pair_scales_at(s, PANEL_TERNARY_BYTES));
        sum_super(isum, e, &super, xs);
        take_off(isum, e, ones, 4, xs.sum_32);
        add_isum(acc, e, isum, super.d, xs);
    }
}
MATMUL_YMM(tq2_0, super, 256)
INIT_YMM(tq1_0, TQ1_0, tq2_0)
INIT_YMM(tq2_0, TQ2_0, tq2_0)
