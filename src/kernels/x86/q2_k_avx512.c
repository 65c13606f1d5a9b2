#include "kernels/x86/k_pairs_avx512.h"
#include "kernels/x86/levels.h"

/* Codes times their scales, 0..45: worth it where several tokens use them. */
static ALWAYS_INLINE void scale_codes(__m512i w[8], __m512i scale_pairs)
{
    __m512i s[2];

    scales_of_halves(s, scale_pairs);
    UNROLL(8)
    for (int i = 0; i < 8; i++)
        w[i] = _mm512_mullo_epi16(w[i], s[i / 4]);
}

static ALWAYS_INLINE void block_q2_k(struct block_to to, const uint32_t n, const uint8_t *codes,
                                     const uint8_t *scales, __m512 d, __m512 d_min, struct x_block x)
{
    const uint32_t m = n < SIDE_BY_SIDE ? n : SIDE_BY_SIDE;
    __m512i both = _mm512_cvtepu8_epi16(byte_pairs(scales)), w[8];
    __m512i scale_pairs = _mm512_and_si512(both, _mm512_set1_epi16(15)), min_pairs = _mm512_srli_epi16(both, 4);

    read_ahead(codes, PANEL_Q2_BLOCK, n);
    two_bits(w, codes);
    if (n >= 4)
        scale_codes(w, scale_pairs);
    UNROLL(16)
    for (uint32_t t = 0; t < n; t += m) {
        __m512i isum[SIDE_BY_SIDE];
        begin_sums(isum, m, -1, NULL, 0);
        if (n >= 4)
            dots_of(isum, m, w, 8, x.q + t * 8);
        UNROLL(8)
        for (uint32_t k = 0; k < m; k++) {
            __m512i sum = n >= 4 ? isum[k] : pair_dots(isum[k], w, scale_pairs, x.q + (t + k) * 8);
            __m512i x_sum = _mm512_madd_epi16(min_pairs, _mm512_set1_epi32(x.sum_pair[t + k]));
            __m512 x_scaled_sum = _mm512_mul_ps(_mm512_set1_ps(x.scale[t + k]), _mm512_cvtepi32_ps(x_sum));
            __m512 acc = add_link(to.acc[t + k], _mm512_cvtepi32_ps(sum), d, x.scale[t + k]);
            to.acc[t + k] = _mm512_fnmadd_ps(d_min, x_scaled_sum, acc);
        }
    }
}

static ALWAYS_INLINE void panel_q2_k(struct block_to to, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const uint32_t n)
{
    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *super = panel + s * PANEL_Q2K_BYTES;
        __m512 d = f16_scales(super), d_min = f16_scales(super + PANEL_SCALE_BYTES);
        read_ahead(super, PANEL_Q2K_CODES, n);
        for (size_t j = 0; j < 8; j++)
            block_q2_k(to, n, super + PANEL_Q2K_CODES + j * PANEL_Q2_BLOCK, super + 64 + j * 32, d, d_min,
                       x_block_at(x, s * 8 + j, n));
    }
}
MATMUL_AVX512(q2_k)

void kernels_init_q2_k_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q2_K].matmul = matmul_q2_k;
}
