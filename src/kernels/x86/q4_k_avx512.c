#include "kernels/x86/k_mins_avx512.h"
#include "kernels/x86/levels.h"

static ALWAYS_INLINE void panel_q4_k(__m512 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_super *x, const uint32_t n)
{
    panel_k_mins(acc, panel, n_cols, x, n, (struct k_mins){PANEL_Q4_BLOCK, .is_wide = false});
}

static void open_q4_k(struct opened_super *to, const uint8_t *panel, size_t s)
{
    open_k_mins(to, panel + s * PANEL_Q4K_BYTES, PANEL_Q4_BLOCK);
}
SUPERS_AVX512(q4_k, SUPER_TWO_3)

#define panel_bytes_q4_k_wide panel_bytes_q4_k
static ALWAYS_INLINE void panel_q4_k_wide(__m512 *acc, const uint8_t *panel, uint32_t n_cols,
                                          const struct group_super *x, const uint32_t n)
{
    panel_k_mins(acc, panel, n_cols, x, n, (struct k_mins){PANEL_Q4_BLOCK, .is_wide = n >= WIDE_TOKENS_MIN});
}
MATMUL_OF_TILES(q4_k_wide, group_super, 256, acc)

void kernels_init_q4_k_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q4_K].matmul = x86_is_amd() ? matmul_q4_k_wide : matmul_q4_k;
}

void kernels_init_q4_k_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q4_K].matmul = matmul_q4_k_amx;
}
