#include "kernels/x86/ymm/blocks.h"

BLOCK_TYPE(q5_1, .codes = {.kind = FIVE_BITS, .most = 31}, .bias = -1, .has_min = true)
static ALWAYS_INLINE void panel_q5_1(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const struct extent e)
{
    panel_with_mins(acc, panel, n_cols, x, e, type_q5_1, many_q5_1, PANEL_Q5_BLOCK);
}
MATMUL_YMM(q5_1, int8, 32)
INIT_YMM(q5_1, Q5_1, q5_1)
