#include "kernels/ref/codebooks.h"
#include "kernels/x86/levels.h"
#include "kernels/x86/matmul_avx2.h"

static ALWAYS_INLINE void panel_iq4_nl(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                       const struct group_int8 *x, const struct extent e)
{
    uint32_t n_blocks = n_cols / 32;

    for (size_t b = 0; b < n_blocks; b++) {
        const uint8_t *scales = panel + pair_scales_at(b, PANEL_Q4_BLOCK),
                      *codes = panel + pair_codes_at(b, PANEL_Q4_BLOCK);
        struct x_block xb = x_block_at(x, b, e.n);
        __m256i isum[4];
        __m256 scale[2];
        read_pair_ahead(panel, b, PANEL_Q4_BLOCK, PANEL_Q4_BLOCK, e.n);
        table_dots(isum, e, codes, xb.q, codebook_iq4);
        UNROLL(2)
        for (uint32_t h = 0; h < e.n_halves; h++)
            scale[h] = f16_scales(scales, e.half + h);
        add_plain(acc, e, isum, -1, scale, xb);
    }
}
MATMUL_AVX2(iq4_nl)

static ALWAYS_INLINE void panel_iq4_xs(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                       const struct group_int8 *x, const struct extent e)
{
    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *super = panel + pair_codes_at(s, PANEL_IQ4XS_BYTES);
        const uint8_t *d = panel + pair_scales_at(s, PANEL_IQ4XS_BYTES);
        read_pair_ahead(panel, s, PANEL_IQ4XS_BYTES, PANEL_IQ4XS_CODES, e.n);
        for (size_t j = 0; j < 8; j++) {
            const uint8_t *codes = super + PANEL_IQ4XS_CODES + j * PANEL_Q4_BLOCK;
            struct x_block xb = x_block_at(x, s * 8 + j, e.n);
            __m256i isum[4];
            __m256 scale[2];
            read_ahead(codes, PANEL_Q4_BLOCK, e.n);
            table_dots(isum, e, codes, xb.q, codebook_iq4);
            UNROLL(2)
            for (uint32_t h = 0; h < e.n_halves; h++)
                scale[h] =
                    _mm256_mul_ps(f16_scales(d, e.half + h), signed_bytes(super + j * 16 + 8 * (e.half + h)));
            add_plain(acc, e, isum, -1, scale, xb);
        }
    }
}
MATMUL_AVX2(iq4_xs)

void kernels_init_iq4_nl_avx2(struct kernels *k)
{
    k->types[TENSOR_TYPE_IQ4_NL].matmul = matmul_iq4_nl;
}

void kernels_init_iq4_xs_avx2(struct kernels *k)
{
    k->types[TENSOR_TYPE_IQ4_XS].matmul = matmul_iq4_xs;
}
