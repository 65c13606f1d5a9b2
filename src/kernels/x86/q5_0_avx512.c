#include "kernels/x86/levels.h"
#include "kernels/x86/matmul_avx512.h"

static ALWAYS_INLINE void codes_q5_0(__m512i w[8], const uint8_t *at, const uint32_t n)
{
    five_bits(w, at, n);
}
PANEL_OF_PAIRS(q5_0, PANEL_Q5_BLOCK, 4)
MATMUL_AVX512(q5_0)
MATMUL_AMX(q5_0, BLOCK_PLAIN)

void kernels_init_q5_0_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q5_0].matmul = matmul_q5_0;
}

void kernels_init_q5_0_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q5_0].matmul = matmul_q5_0_amx;
}
