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
    struct super super = {
        .as = type_iq4_nl.codes, .n_scales = 1, .is_signed = true, .code_bytes = PANEL_Q4_BLOCK};

    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *block = panel + pair_codes_at(s, PANEL_IQ4XS_BYTES);
        read_pair_ahead(panel, s, PANEL_IQ4XS_BYTES, PANEL_IQ4XS_CODES, e.n);
        super.codes = block + PANEL_IQ4XS_CODES;
        super.scales = block;
        super_scale(&super, panel + pair_scales_at(s, PANEL_IQ4XS_BYTES));
        super_plain(acc, e, &super, type_iq4_nl.codes.bias, x_super_at(x, s, e.n));
    }
}
MATMUL_YMM(iq4_xs, super, 256)

INIT_YMM(iq4_nl, IQ4_NL, iq4_nl)
INIT_YMM(iq4_xs, IQ4_XS, iq4_xs)
