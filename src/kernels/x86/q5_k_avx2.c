#include "kernels/x86/k_mins_avx2.h"
#include "kernels/x86/levels.h"

static ALWAYS_INLINE void panel_q5_k(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_super *x, const struct extent e)
{
    const struct codes codes = {.kind = FIVE_BITS, .most = 31};
    panel_k_mins(acc, panel, n_cols, x, e, codes, PANEL_Q5_BLOCK);
}
MATMUL_AVX2(q5_k, super, 256)

void kernels_init_q5_k_avx2(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q5_K].matmul = matmul_q5_k;
}
