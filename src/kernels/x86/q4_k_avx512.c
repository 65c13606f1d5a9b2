#include "kernels/x86/k_mins_avx512.h"
#include "kernels/x86/levels.h"

static ALWAYS_INLINE void panel_q4_k(struct block_to to, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const uint32_t n)
{
    panel_k_mins(to, panel, n_cols, x, n, PANEL_Q4_BLOCK);
}
MATMUL_AVX512(q4_k)
MATMUL_AMX(q4_k, BLOCK_MIN)

void kernels_init_q4_k_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q4_K].matmul = matmul_q4_k;
}

void kernels_init_q4_k_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q4_K].matmul = matmul_q4_k_amx;
}
