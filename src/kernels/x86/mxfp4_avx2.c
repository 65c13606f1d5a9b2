#include "kernels/ref/codebooks.h"
#include "kernels/x86/levels.h"
#include "kernels/x86/matmul_avx2.h"

/* e8m0_half of eight exponents. */
static ALWAYS_INLINE __m256 e8m0_scales(const uint8_t *at)
{
    __m256i e = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)at));
    __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
    __m256i small = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
    __m256i is_small = _mm256_cmpgt_epi32(_mm256_set1_epi32(2), e);
    return _mm256_castsi256_ps(_mm256_blendv_epi8(normal, small, is_small));
}

static ALWAYS_INLINE void panel_mxfp4(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                      const struct group_int8 *x, const struct extent e)
{
    uint32_t n_blocks = n_cols / 32;

    for (size_t b = 0; b < n_blocks; b++) {
        struct x_block xb = x_block_at(x, b, e.n);
        __m256i isum[4];
        __m256 scale[2];
        if (b % 4 == 0)
            read_ahead(panel + four_scales_at(b), 64, e.n);
        read_ahead(panel + four_codes_at(b), PANEL_Q4_BLOCK, e.n);
        small_table_dots(isum, e, panel + four_codes_at(b), xb.q, codebook_fp4, 4);
        UNROLL(2)
        for (uint32_t h = 0; h < e.n_halves; h++)
            scale[h] = e8m0_scales(panel + four_scales_at(b) + 8 * (e.half + h));
        add_plain(acc, e, isum, 4, scale, xb);
    }
}
MATMUL_AVX2(mxfp4)

void kernels_init_mxfp4_avx2(struct kernels *k)
{
    k->types[TENSOR_TYPE_MXFP4].matmul = matmul_mxfp4;
}
