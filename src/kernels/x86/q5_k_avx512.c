#include "kernels/x86/k_mins_avx512.h"
#include "kernels/x86/levels.h"

static ALWAYS_INLINE void panel_q5_k(struct block_to to, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const uint32_t n)
{
    panel_k_mins(to, panel, n_cols, x, n, PANEL_Q5_BLOCK);
}
MATMUL_AVX512(q5_k)
MATMUL_AMX(q5_k, BLOCK_MIN)

void kernels_init_q5_k_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q5_K].matmul = matmul_q5_k;
}

void kernels_init_q5_k_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q5_K].matmul = matmul_q5_k_amx;
}
