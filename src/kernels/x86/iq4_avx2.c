#include "kernels/ref/codebooks.h"
#include "kernels/x86/blocks_avx2.h"
#include "kernels/x86/levels.h"
#include "kernels/x86/super_avx2.h"

static ALWAYS_INLINE struct codes iq4_codes(void)
{
    return (struct codes){.kind = TABLE, .most = SIGNED_BYTES, .table = codebook_iq4, .bias = -1};
}

static ALWAYS_INLINE void panel_iq4_nl(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                       const struct group_int8 *x, const struct extent e)
{
    const struct block_type type = {.codes = iq4_codes(), .bias = -1};
    panel_of_pairs(acc, panel, n_cols, x, e, type, PANEL_Q4_BLOCK);
}
MATMUL_AVX2(iq4_nl, int8, 32)

static ALWAYS_INLINE void panel_iq4_xs(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                       const struct group_super *x, const struct extent e)
{
    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *super = panel + pair_codes_at(s, PANEL_IQ4XS_BYTES);
        const uint8_t *scale = panel + pair_scales_at(s, PANEL_IQ4XS_BYTES);
        struct x_super xs = x_super_at(x, s, e.n);
        const __m256 d[2] = {f16_scales(scale, 0), f16_scales(scale, 1)};
        __m256i isum[2 * TILE_TOKENS], factor[2];

        read_pair_ahead(panel, s, PANEL_IQ4XS_BYTES, PANEL_IQ4XS_CODES, e.n);
        clear_sums(isum, e);
        for (size_t j = 0; j < 8; j++) {
            const uint8_t *codes = super + PANEL_IQ4XS_CODES + j * PANEL_Q4_BLOCK;
            read_ahead(codes, PANEL_Q4_BLOCK, e.n);
            factors_of(factor, super + j * 16, 1, true);
            add_block(isum, e, iq4_codes(), codes, xs.q + j * 8, 64, factor, 1);
        }
        add_isum(acc, e, isum, d, xs);
    }
}
MATMUL_AVX2(iq4_xs, super, 256)

void kernels_init_iq4_nl_avx2(struct kernels *k)
{
    k->types[TENSOR_TYPE_IQ4_NL].matmul = matmul_iq4_nl;
}

void kernels_init_iq4_xs_avx2(struct kernels *k)
{
    k->types[TENSOR_TYPE_IQ4_XS].matmul = matmul_iq4_xs;
}
