#include "kernels/x86/levels.h"
#include "kernels/x86/matmul_avx2.h"

static ALWAYS_INLINE void q8_dots(__m256i *isum, const struct extent e, const uint8_t *codes, const int32_t *q)
{
    UNROLL(4)
    for (uint32_t i = 0; i < e.n * e.n_halves; i++)
        isum[i] = _mm256_setzero_si256();
    UNROLL(8)
    for (uint32_t j = 0; j < 8; j++) {
        UNROLL(2)
        for (uint32_t h = 0; h < e.n_halves; h++) {
            __m256i w =
                _mm256_xor_si256(load_codes(codes + 64 * j + 32 * (e.half + h)), _mm256_set1_epi8(-128));
            __m256i magnitude = _mm256_abs_epi8(w); /* of -128: 128, unsigned */
            UNROLL(4)
            for (uint32_t t = 0; t < e.n; t++) {
                __m256i x = _mm256_sign_epi8(_mm256_set1_epi32(q[t * 8 + j]), w);
                __m256i *sum = &isum[t * e.n_halves + h];
                *sum = _mm256_add_epi32(*sum, pairs_to_32(_mm256_maddubs_epi16(magnitude, x)));
            }
        }
    }
}

static ALWAYS_INLINE void panel_q8_0(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const struct extent e)
{
    uint32_t n_blocks = n_cols / 32;

    for (size_t b = 0; b < n_blocks; b++) {
        const uint8_t *scales = panel + pair_scales_at(b, PANEL_Q8_BLOCK),
                      *codes = panel + pair_codes_at(b, PANEL_Q8_BLOCK);
        struct x_block xb = x_block_at(x, b, e.n);
        __m256i isum[4];
        __m256 scale[2];
        read_pair_ahead(panel, b, PANEL_Q8_BLOCK, PANEL_Q8_BLOCK, e.n);
        q8_dots(isum, e, codes, xb.q);
        UNROLL(2)
        for (uint32_t h = 0; h < e.n_halves; h++)
            scale[h] = f16_scales(scales, e.half + h);
        add_plain(acc, e, isum, -1, scale, xb);
    }
}
MATMUL_AVX2(q8_0)

void kernels_init_q8_0_avx2(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q8_0].matmul = matmul_q8_0;
}
