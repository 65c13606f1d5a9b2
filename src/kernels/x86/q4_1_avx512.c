#include "kernels/x86/levels.h"
#include "kernels/x86/matmul_avx512.h"

static ALWAYS_INLINE void panel_q4_1(struct block_to to, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const uint32_t n)
{
    uint32_t n_blocks = n_cols / 32;

    for (size_t b = 0; b < n_blocks; b++) {
        const uint8_t *at = panel + b * (PANEL_MIN_CODES + PANEL_Q4_BLOCK);
        __m512 d = f16_scales(at), min = f16_scales(at + PANEL_SCALE_BYTES);
        __m512i w[8];
        read_ahead(at, PANEL_MIN_CODES + PANEL_Q4_BLOCK, n);
        nibbles(w, at + PANEL_MIN_CODES, n);
        block_min(to, n, w, d, min, x_block_at(x, b, n));
    }
}
MATMUL_AVX512(q4_1)
MATMUL_AMX(q4_1, BLOCK_MIN)

void kernels_init_q4_1_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q4_1].matmul = matmul_q4_1;
}

void kernels_init_q4_1_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q4_1].matmul = matmul_q4_1_amx;
}
