#include "kernels/x86/levels.h"
#include "kernels/x86/matmul_avx2.h"

static ALWAYS_INLINE void panel_q5_1(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const struct extent e)
{
    uint32_t n_blocks = n_cols / 32;

    for (size_t b = 0; b < n_blocks; b++) {
        const uint8_t *at = panel + b * (PANEL_MIN_CODES + PANEL_Q5_BLOCK);
        struct x_block xb = x_block_at(x, b, e.n);
        __m256i isum[4];
        __m256 scale[2], min[2];
        read_ahead(at, PANEL_MIN_CODES + PANEL_Q5_BLOCK, e.n);
        five_bit_dots(isum, e, at + PANEL_MIN_CODES, xb.q);
        UNROLL(2)
        for (uint32_t h = 0; h < e.n_halves; h++) {
            scale[h] = f16_scales(at, e.half + h);
            min[h] = f16_scales(at + PANEL_SCALE_BYTES, e.half + h);
        }
        add_plain(acc, e, isum, -1, scale, xb);
        add_min(acc, e, min, xb);
    }
}
MATMUL_AVX2(q5_1)

void kernels_init_q5_1_avx2(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q5_1].matmul = matmul_q5_1;
}
