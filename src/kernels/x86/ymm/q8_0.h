#include "kernels/x86/ymm/blocks.h"

BLOCK_TYPE(q8_0, .codes = {.kind = EIGHT_BITS, .most = 255}, .bias = BYTES_BIAS)
static ALWAYS_INLINE void panel_q8_0(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const struct extent e)
{
    panel_of_pairs(acc, panel, n_cols, x, e, type_q8_0, many_q8_0, PANEL_Q8_BLOCK);
}
MATMUL_YMM(q8_0, int8, 32)
INIT_YMM(q8_0, Q8_0, q8_0)
