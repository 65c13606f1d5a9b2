#include "kernels/ref/codebooks.h"
#include "kernels/x86/levels.h"
#include "kernels/x86/matmul_avx512.h"

/* e8m0_half of sixteen exponents. */
static ALWAYS_INLINE __m512 e8m0_scales(const uint8_t *at)
{
    __m512i e = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)at));
    __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    __m512i small = _mm512_sllv_epi32(_mm512_set1_epi32(0x00200000), e);
    __mmask16 is_small = _mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2));
    return _mm512_castsi512_ps(_mm512_mask_mov_epi32(normal, is_small, small));
}

static ALWAYS_INLINE void panel_mxfp4(struct block_to to, const uint8_t *panel, uint32_t n_cols,
                                      const struct group_int8 *x, const uint32_t n)
{
    uint32_t n_blocks = n_cols / 32;

    for (size_t b = 0; b < n_blocks; b++) {
        __m512i w[8];
        if (b % 4 == 0)
            read_ahead(panel + four_scales_at(b), 64, n);
        read_ahead(panel + four_codes_at(b), PANEL_Q4_BLOCK, n);
        table_codes(w, panel + four_codes_at(b), codebook_fp4, 1 << 4, n);
        block_plain(to, n, w, 4, e8m0_scales(panel + four_scales_at(b)), x_block_at(x, b, n));
    }
}
MATMUL_AVX512(mxfp4)
MATMUL_AMX(mxfp4, BLOCK_PLAIN)

void kernels_init_mxfp4_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_MXFP4].matmul = matmul_mxfp4;
}

void kernels_init_mxfp4_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_MXFP4].matmul = matmul_mxfp4_amx;
}
