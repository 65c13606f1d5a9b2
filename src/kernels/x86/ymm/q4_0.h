#include "kernels/x86/ymm/blocks.h"

BLOCK_TYPE(q4_0, .codes = {.kind = NIBBLES, .most = 15}, .bias = 3)
static ALWAYS_INLINE void panel_q4_0(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const struct extent e)
{
    panel_of_pairs(acc, panel, n_cols, x, e, type_q4_0, many_q4_0, PANEL_Q4_BLOCK);
}
MATMUL_YMM(q4_0, int8, 32)
INIT_YMM(q4_0, Q4_0, q4_0)
