#include "kernels/x86/ymm/blocks.h"

static ALWAYS_INLINE void panel_q5_1(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const struct extent e)
{
    const struct block_type type = {.codes = {.kind = FIVE_BITS, .most = 31}, .bias = -1, .has_min = true};
    panel_with_mins(acc, panel, n_cols, x, e, type, PANEL_Q5_BLOCK);
}
MATMUL_YMM(q5_1, int8, 32)
INIT_YMM(q5_1, Q5_1, q5_1)
