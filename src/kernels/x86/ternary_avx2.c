#include "kernels/x86/k_pairs_avx2.h"
#include "kernels/x86/levels.h"

/* Eight pairs of codes up to 3 add up to at most 8 * 2 * 3 * 127 < 2^15. */
static ALWAYS_INLINE void ternary_dots(__m256i *isum, const struct extent e, const uint8_t *codes,
                                       const int32_t *q)
{
    UNROLL(2)
    for (uint32_t h = 0; h < e.n_halves; h++) {
        __m256i w[8];
        two_bits(w, codes + 32 * (e.half + h));
        two_bits(w + 4, codes + 64 + 32 * (e.half + h));
        UNROLL(4)
        for (uint32_t t = 0; t < e.n; t++) {
            __m256i sum = _mm256_maddubs_epi16(w[0], _mm256_set1_epi32(q[t * 8]));
            UNROLL(7)
            for (uint32_t i = 1; i < 8; i++)
                sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(w[i], _mm256_set1_epi32(q[t * 8 + i])));
            isum[t * e.n_halves + h] = pairs_to_32(sum);
        }
    }
}

static ALWAYS_INLINE void panel_tq2_0(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                      const struct group_int8 *x, const struct extent e)
{
    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *codes = panel + pair_codes_at(s, PANEL_TERNARY_BYTES);
        const uint8_t *d = panel + pair_scales_at(s, PANEL_TERNARY_BYTES);
        read_pair_ahead(panel, s, PANEL_TERNARY_BYTES, 0, e.n);
        for (size_t j = 0; j < 8; j++) {
            read_ahead(codes + j * PANEL_Q2_BLOCK, PANEL_Q2_BLOCK, e.n);
            struct x_block xb = x_block_at(x, s * 8 + j, e.n);
            __m256i isum[4];
            __m256 scale[2];
            ternary_dots(isum, e, codes + j * PANEL_Q2_BLOCK, xb.q);
            UNROLL(2)
            for (uint32_t h = 0; h < e.n_halves; h++)
                scale[h] = f16_scales(d, e.half + h);
            add_plain(acc, e, isum, 0, scale, xb);
        }
    }
}
MATMUL_AVX2(tq2_0)

void kernels_init_tq1_0_avx2(struct kernels *k)
{
    k->types[TENSOR_TYPE_TQ1_0].matmul = matmul_tq2_0;
}

void kernels_init_tq2_0_avx2(struct kernels *k)
{
    k->types[TENSOR_TYPE_TQ2_0].matmul = matmul_tq2_0;
}
