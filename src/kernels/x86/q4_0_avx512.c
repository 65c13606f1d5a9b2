#include "kernels/x86/levels.h"
#include "kernels/x86/matmul_avx512.h"

static ALWAYS_INLINE void codes_q4_0(__m512i w[8], const uint8_t *at, const uint32_t n)
{
    nibbles(w, at, n);
}
PANEL_OF_PAIRS(q4_0, PANEL_Q4_BLOCK, 3)
MATMUL_AVX512(q4_0)
MATMUL_AMX(q4_0, BLOCK_PLAIN)

void kernels_init_q4_0_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q4_0].matmul = matmul_q4_0;
}

void kernels_init_q4_0_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q4_0].matmul = matmul_q4_0_amx;
}
