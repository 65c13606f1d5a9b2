#include "kernels/x86/levels.h"
#include "kernels/x86/matmul_avx512.h"

static ALWAYS_INLINE void panel_q5_1(struct block_to to, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const uint32_t n)
{
    uint32_t n_blocks = n_cols / 32;

    for (size_t b = 0; b < n_blocks; b++) {
        const uint8_t *at = panel + b * (PANEL_MIN_CODES + PANEL_Q5_BLOCK);
        __m512 d = f16_scales(at), min = f16_scales(at + PANEL_SCALE_BYTES);
        __m512i w[8];
        read_ahead(at, PANEL_MIN_CODES + PANEL_Q5_BLOCK, n);
        five_bits(w, at + PANEL_MIN_CODES, n);
        block_min(to, n, w, d, min, x_block_at(x, b, n));
    }
}
MATMUL_AVX512(q5_1)
MATMUL_AMX(q5_1, BLOCK_MIN)

void kernels_init_q5_1_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q5_1].matmul = matmul_q5_1;
}

void kernels_init_q5_1_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q5_1].matmul = matmul_q5_1_amx;
}
