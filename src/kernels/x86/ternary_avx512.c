#include "kernels/x86/k_pairs_avx512.h"
#include "kernels/x86/levels.h"

static ALWAYS_INLINE void panel_tq2_0(struct block_to to, const uint8_t *panel, uint32_t n_cols,
                                      const struct group_int8 *x, const uint32_t n)
{
    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *codes = panel + pair_codes_at(s, PANEL_TERNARY_BYTES);
        __m512 d = f16_scales(panel + pair_scales_at(s, PANEL_TERNARY_BYTES));
        read_pair_ahead(panel, s, PANEL_TERNARY_BYTES, 0, n);
        for (size_t j = 0; j < 8; j++) {
            __m512i w[8];
            read_ahead(codes + j * PANEL_Q2_BLOCK, PANEL_Q2_BLOCK, n);
            two_bits(w, codes + j * PANEL_Q2_BLOCK);
            block_plain(to, n, w, 0, d, x_block_at(x, s * 8 + j, n));
        }
    }
}
MATMUL_AVX512(tq2_0)
MATMUL_AMX(tq2_0, BLOCK_PLAIN)

void kernels_init_tq1_0_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_TQ1_0].matmul = matmul_tq2_0;
}

void kernels_init_tq1_0_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_TQ1_0].matmul = matmul_tq2_0_amx;
}

void kernels_init_tq2_0_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_TQ2_0].matmul = matmul_tq2_0;
}

void kernels_init_tq2_0_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_TQ2_0].matmul = matmul_tq2_0_amx;
}
