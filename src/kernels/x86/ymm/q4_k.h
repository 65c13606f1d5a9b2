#include "kernels/x86/ymm/k_mins.h"

static ALWAYS_INLINE void panel_q4_k(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_super *x, const struct extent e)
{
    const struct codes codes = {.kind = NIBBLES, .most = 15};
    panel_k_mins(acc, panel, n_cols, x, e, codes, PANEL_Q4_BLOCK);
}
MATMUL_YMM(q4_k, super, 256)
INIT_YMM(q4_k, Q4_K, q4_k)
