#include "kernels/x86/ymm/super.h"

static ALWAYS_INLINE void panel_q6_k(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_super *x, const struct extent e)
{
    struct super super = {
        .as = {.kind = SIX_BITS, .most = 63}, .n_scales = 2, .is_signed = true, .code_bytes = PANEL_Q6K_BLOCK};

    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *block = panel + pair_codes_at(s, PANEL_Q6K_BYTES);
        read_pair_ahead(panel, s, PANEL_Q6K_BYTES, PANEL_Q6K_CODES, e.n);
        super.codes = block + PANEL_Q6K_CODES;
        super.scales = block;
        super_scale(&super, panel + pair_scales_at(s, PANEL_Q6K_BYTES));
        super_plain(acc, e, &super, 5, x_super_at(x, s, e.n));
    }
}
MATMUL_YMM(q6_k, super, 256)
INIT_YMM(q6_k, Q6_K, q6_k)
