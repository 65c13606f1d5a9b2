#include "kernels/x86/ymm/blocks.h"

BLOCK_TYPE(q5_0, .codes = {.kind = FIVE_BITS, .most = 31}, .bias = 4)
static ALWAYS_INLINE void panel_q5_0(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const struct extent e)
{
    panel_of_pairs(acc, panel, n_cols, x, e, type_q5_0, many_q5_0, PANEL_Q5_BLOCK);
}
MATMUL_YMM(q5_0, int8, 32)
INIT_YMM(q5_0, Q5_0, q5_0)
