#include "kernels/x86/ymm/blocks.h"

BLOCK_TYPE(q4_1, .codes = {.kind = NIBBLES, .most = 15}, .bias = -1, .has_min = true)
static ALWAYS_INLINE void panel_q4_1(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const struct extent e)
{
    panel_with_mins(acc, panel, n_cols, x, e, type_q4_1, many_q4_1, PANEL_Q4_BLOCK);
}
MATMUL_YMM(q4_1, int8, 32)
INIT_YMM(q4_1, Q4_1, q4_1)
