#include "kernels/ref/codebooks.h"
#include "kernels/x86/ymm/blocks.h"

/* e8m0_half of eight exponents. */
static ALWAYS_INLINE __m256 e8m0_scales(const uint8_t *at)
{
    __m256i e = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)at));
    __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
    __m256i small = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
    __m256i is_small = _mm256_cmpgt_epi32(_mm256_set1_epi32(2), e);
    return _mm256_castsi256_ps(_mm256_blendv_epi8(normal, small, is_small));
}

BLOCK_TYPE(mxfp4, .codes = {.kind = TABLE, .most = 31, .table = codebook_fp4, .bias = 4}, .bias = 4)
static ALWAYS_INLINE void panel_mxfp4(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                      const struct group_int8 *x, const struct extent e)
{
    uint32_t n_blocks = n_cols / 32;

    for (size_t b = 0; b < n_blocks; b++) {
        const uint8_t *scales = panel + four_scales_at(b);
        const __m256 scale[4] = {e8m0_scales(scales), e8m0_scales(scales + 8)};
        if (b % 4 == 0)
            read_ahead(scales, 64, e.n);
        read_ahead(panel + four_codes_at(b), PANEL_Q4_BLOCK, e.n);
        block_times(acc, e, type_mxfp4, many_mxfp4, panel + four_codes_at(b), scale, x_block_at(x, b, e.n));
    }
}
MATMUL_YMM(mxfp4, int8, 32)
INIT_YMM(mxfp4, MXFP4, mxfp4)
