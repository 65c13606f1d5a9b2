#include "kernels/x86/ymm/k_mins.h"

static ALWAYS_INLINE void panel_q5_k(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_super *x, const struct extent e)
{
    const struct codes codes = {.kind = FIVE_BITS, .most = 31};
    panel_k_mins(acc, panel, n_cols, x, e, codes, PANEL_Q5_BLOCK);
}
MATMUL_YMM(q5_k, super, 256)
INIT_YMM(q5_k, Q5_K, q5_k)
