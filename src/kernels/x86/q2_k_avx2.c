#include "kernels/x86/k_pairs_avx2.h"
#include "kernels/x86/levels.h"

/* Half h of the tile's part of a panel. scales: of the first half block's sixteen rows, then the second's. */
static ALWAYS_INLINE void half_panel(__m256 *acc, const uint8_t *codes, const uint8_t *scales, __m256 d,
                                     __m256 d_min, struct x_block x, const struct extent e, uint32_t h)
{
    const __m256i low = _mm256_set1_epi16(15);
    __m128i bytes[2] = {load_8(scales + 8 * (e.half + h)), load_8(scales + 16 + 8 * (e.half + h))};
    __m256i pairs = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(bytes[0], bytes[1]));
    __m256i min_pairs = _mm256_srli_epi16(pairs, 4), isum[4], w[4];

    UNROLL(2)
    for (uint32_t c = 0; c < 2; c++) {
        __m256i twice = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(bytes[c], bytes[c]));
        __m256i scale = _mm256_and_si256(twice, low);
        two_bits(w, codes + 64 * c + 32 * (e.half + h));
        UNROLL(4)
        for (uint32_t t = 0; t < e.n; t++) {
            __m256i sum = half_dots(w, x.q + t * 8 + 4 * c, scale);
            isum[t] = c ? _mm256_add_epi32(isum[t], sum) : sum;
        }
    }
    UNROLL(4)
    for (uint32_t t = 0; t < e.n; t++) {
        __m256 *to = &acc[t * e.n_halves + h], x_scale = _mm256_set1_ps(x.scale[t]);
        __m256i x_sum = _mm256_madd_epi16(min_pairs, _mm256_set1_epi32(x.sum_pair[t]));
        *to = _mm256_fmadd_ps(_mm256_cvtepi32_ps(isum[t]), _mm256_mul_ps(d, x_scale), *to);
        *to = _mm256_fnmadd_ps(d_min, _mm256_mul_ps(x_scale, _mm256_cvtepi32_ps(x_sum)), *to);
    }
}

static ALWAYS_INLINE void panel_q2_k(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const struct extent e)
{
    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *super = panel + s * PANEL_Q2K_BYTES;
        read_ahead(super, PANEL_Q2K_CODES, e.n);
        for (size_t j = 0; j < 8; j++) {
            const uint8_t *codes = super + PANEL_Q2K_CODES + j * PANEL_Q2_BLOCK;
            read_ahead(codes, PANEL_Q2_BLOCK, e.n);
            UNROLL(2)
            for (uint32_t h = 0; h < e.n_halves; h++)
                half_panel(acc, codes, super + 64 + j * 32, f16_scales(super, e.half + h),
                           f16_scales(super + PANEL_SCALE_BYTES, e.half + h), x_block_at(x, s * 8 + j, e.n), e,
                           h);
        }
    }
}
MATMUL_AVX2(q2_k)

void kernels_init_q2_k_avx2(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q2_K].matmul = matmul_q2_k;
}
