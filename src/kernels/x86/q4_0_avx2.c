#include "kernels/x86/levels.h"
#include "kernels/x86/matmul_avx2.h"

static ALWAYS_INLINE void panel_q4_0(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const struct extent e)
{
    uint32_t n_blocks = n_cols / 32;

    for (size_t b = 0; b < n_blocks; b++) {
        const uint8_t *scales = panel + pair_scales_at(b, PANEL_Q4_BLOCK),
                      *codes = panel + pair_codes_at(b, PANEL_Q4_BLOCK);
        struct x_block xb = x_block_at(x, b, e.n);
        __m256i isum[4];
        __m256 scale[2];
        read_pair_ahead(panel, b, PANEL_Q4_BLOCK, PANEL_Q4_BLOCK, e.n);
        nibble_dots(isum, e, codes, xb.q);
        UNROLL(2)
        for (uint32_t h = 0; h < e.n_halves; h++)
            scale[h] = f16_scales(scales, e.half + h);
        add_plain(acc, e, isum, 3, scale, xb);
    }
}
MATMUL_AVX2(q4_0)

void kernels_init_q4_0_avx2(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q4_0].matmul = matmul_q4_0;
}
