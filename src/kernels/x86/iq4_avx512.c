#include "kernels/ref/codebooks.h"
#include "kernels/x86/levels.h"
#include "kernels/x86/matmul_avx512.h"

static ALWAYS_INLINE void panel_iq4_nl(struct block_to to, const uint8_t *panel, uint32_t n_cols,
                                       const struct group_int8 *x, const uint32_t n)
{
    uint32_t n_blocks = n_cols / 32;

    for (size_t b = 0; b < n_blocks; b++) {
        __m512i w[8];
        read_pair_ahead(panel, b, PANEL_Q4_BLOCK, PANEL_Q4_BLOCK, n);
        table_codes(w, panel + pair_codes_at(b, PANEL_Q4_BLOCK), codebook_iq4, 7);
        block_plain(to, n, w, 7, f16_scales(panel + pair_scales_at(b, PANEL_Q4_BLOCK)), x_block_at(x, b, n));
    }
}
MATMUL_AVX512(iq4_nl)
MATMUL_AMX(iq4_nl, BLOCK_PLAIN)

static ALWAYS_INLINE void panel_iq4_xs(struct block_to to, const uint8_t *panel, uint32_t n_cols,
                                       const struct group_int8 *x, const uint32_t n)
{
    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *super = panel + pair_codes_at(s, PANEL_IQ4XS_BYTES);
        __m512 d = f16_scales(panel + pair_scales_at(s, PANEL_IQ4XS_BYTES));
        read_pair_ahead(panel, s, PANEL_IQ4XS_BYTES, PANEL_IQ4XS_CODES, n);
        for (size_t j = 0; j < 8; j++) {
            __m512i w[8];
            read_ahead(super + PANEL_IQ4XS_CODES + j * PANEL_Q4_BLOCK, PANEL_Q4_BLOCK, n);
            table_codes(w, super + PANEL_IQ4XS_CODES + j * PANEL_Q4_BLOCK, codebook_iq4, 7);
            block_plain(to, n, w, 7, _mm512_mul_ps(d, signed_bytes(super + j * 16)),
                        x_block_at(x, s * 8 + j, n));
        }
    }
}
MATMUL_AVX512(iq4_xs)
MATMUL_AMX(iq4_xs, BLOCK_PLAIN)

void kernels_init_iq4_nl_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_IQ4_NL].matmul = matmul_iq4_nl;
}

void kernels_init_iq4_nl_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_IQ4_NL].matmul = matmul_iq4_nl_amx;
}

void kernels_init_iq4_xs_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_IQ4_XS].matmul = matmul_iq4_xs;
}

void kernels_init_iq4_xs_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_IQ4_XS].matmul = matmul_iq4_xs_amx;
}
