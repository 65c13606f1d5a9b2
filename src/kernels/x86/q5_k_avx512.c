#include "kernels/x86/k_mins_avx512.h"
#include "kernels/x86/levels.h"

static ALWAYS_INLINE void panel_q5_k(__m512 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_super *x, const uint32_t n)
{
    panel_k_mins(acc, panel, n_cols, x, n, (struct k_mins){PANEL_Q5_BLOCK, .is_wide = true});
}

static void open_q5_k(struct opened_super *to, const uint8_t *panel, size_t s)
{
    open_k_mins(to, panel + s * PANEL_Q5K_BYTES, PANEL_Q5_BLOCK);
}
SUPERS_AVX512(q5_k, SUPER_TWO_3)

void kernels_init_q5_k_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q5_K].matmul = matmul_q5_k;
}

void kernels_init_q5_k_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q5_K].matmul = matmul_q5_k_amx;
}
