#include "kernels/x86/levels.h"
#include "kernels/x86/matmul_avx512.h"

static ALWAYS_INLINE void codes_q8_0(__m512i w[8], const uint8_t *at, const uint32_t n)
{
    (void)n;
    UNROLL(8)
    for (int i = 0; i < 8; i++)
        w[i] = _mm512_loadu_si512(at + 64 * i);
}
PANEL_OF_PAIRS(q8_0, PANEL_Q8_BLOCK, 7)
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
