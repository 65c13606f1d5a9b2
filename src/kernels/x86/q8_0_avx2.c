#include "kernels/x86/blocks_avx2.h"
#include "kernels/x86/levels.h"

static ALWAYS_INLINE void panel_q8_0(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const struct extent e)
{
    const struct block_type type = {.codes = {.kind = EIGHT_BITS, .most = SIGNED_BYTES}, .bias = -1};
    panel_of_pairs(acc, panel, n_cols, x, e, type, PANEL_Q8_BLOCK);
}
MATMUL_AVX2(q8_0, int8, 32)

void kernels_init_q8_0_avx2(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q8_0].matmul = matmul_q8_0;
}
