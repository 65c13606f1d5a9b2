#include "kernels/x86/levels.h"
#include "kernels/x86/matmul_avx512.h"

static ALWAYS_INLINE void panel_q8_0(struct block_to to, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const uint32_t n)
{
    uint32_t n_blocks = n_cols / 32;

    for (size_t b = 0; b < n_blocks; b++) {
        const uint8_t *scales = panel + pair_scales_at(b, PANEL_Q8_BLOCK),
                      *codes = panel + pair_codes_at(b, PANEL_Q8_BLOCK);
        __m512i w[8];
        read_pair_ahead(panel, b, PANEL_Q8_BLOCK, PANEL_Q8_BLOCK, n);
        UNROLL(8)
        for (int i = 0; i < 8; i++)
            w[i] = _mm512_loadu_si512(codes + 64 * i);
        block_plain(to, n, w, 7, f16_scales(scales), x_block_at(x, b, n));
    }
}
MATMUL_AVX512(q8_0)
MATMUL_AMX(q8_0, BLOCK_PLAIN)

void kernels_init_q8_0_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q8_0].matmul = matmul_q8_0;
}

void kernels_init_q8_0_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q8_0].matmul = matmul_q8_0_amx;
}
