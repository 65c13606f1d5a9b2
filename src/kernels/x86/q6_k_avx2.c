#include "kernels/x86/levels.h"
#include "kernels/x86/matmul_avx2.h"

/* Half of a block's columns (low nibbles or high ones, with their two bits above) of half a panel, 0..63. */
static ALWAYS_INLINE void codes_of(__m256i w[4], const uint8_t *codes, uint32_t columns, uint32_t half)
{
    const __m256i low = _mm256_set1_epi8(15), top2 = _mm256_set1_epi8(0x30);
    __m256i high = load_codes(codes + PANEL_Q4_BLOCK + 64 * columns + 32 * half);
    __m256i bits[4] = {_mm256_slli_epi16(high, 4), _mm256_slli_epi16(high, 2), high,
                       _mm256_srli_epi16(high, 2)};

    UNROLL(4)
    for (uint32_t i = 0; i < 4; i++) {
        __m256i both = load_codes(codes + 64 * i + 32 * half);
        __m256i nibble = _mm256_and_si256(columns ? _mm256_srli_epi16(both, 4) : both, low);
        w[i] = _mm256_or_si256(nibble, _mm256_and_si256(bits[i], top2));
    }
}

/* Sixteen columns: two pairs of codes up to 63 add up to at most 4 * 63 * 127 < 2^15. */
static ALWAYS_INLINE __m256i dot_16(const __m256i w[4], const int32_t *q)
{
    __m256i first = _mm256_add_epi16(_mm256_maddubs_epi16(w[0], _mm256_set1_epi32(q[0])),
                                     _mm256_maddubs_epi16(w[1], _mm256_set1_epi32(q[1])));
    __m256i second = _mm256_add_epi16(_mm256_maddubs_epi16(w[2], _mm256_set1_epi32(q[2])),
                                      _mm256_maddubs_epi16(w[3], _mm256_set1_epi32(q[3])));
    return _mm256_add_epi32(pairs_to_32(first), pairs_to_32(second));
}

/* isum of half a panel, in f32, which holds it exactly: |sum| * |scale| stays below 2^24. */
static ALWAYS_INLINE void half_panel(__m256 *acc, const uint8_t *codes, const uint8_t *sub_scales, __m256 d,
                                     struct x_block x, const struct extent e, uint32_t h)
{
    __m256 isum[4];
    __m256i w[4];

    UNROLL(2)
    for (uint32_t columns = 0; columns < 2; columns++) {
        __m256 sub_scale = signed_bytes(sub_scales + 16 * columns + 8 * (e.half + h));
        codes_of(w, codes, columns, e.half + h);
        UNROLL(4)
        for (uint32_t t = 0; t < e.n; t++) {
            __m256i off = _mm256_set1_epi32(x.minus_half[t * 2 + columns]);
            __m256 sum = _mm256_cvtepi32_ps(_mm256_add_epi32(dot_16(w, x.q + t * 8 + 4 * columns), off));
            isum[t] = columns ? _mm256_fmadd_ps(sum, sub_scale, isum[t]) : _mm256_mul_ps(sum, sub_scale);
        }
    }
    UNROLL(4)
    for (uint32_t t = 0; t < e.n; t++) {
        __m256 *to = &acc[t * e.n_halves + h];
        *to = _mm256_fmadd_ps(isum[t], _mm256_mul_ps(d, _mm256_set1_ps(x.scale[t])), *to);
    }
}

static ALWAYS_INLINE void panel_q6_k(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const struct extent e)
{
    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *super = panel + pair_codes_at(s, PANEL_Q6K_BYTES);
        const uint8_t *d = panel + pair_scales_at(s, PANEL_Q6K_BYTES);
        read_pair_ahead(panel, s, PANEL_Q6K_BYTES, PANEL_Q6K_CODES, e.n);
        for (size_t j = 0; j < 8; j++) {
            const uint8_t *codes = super + PANEL_Q6K_CODES + j * PANEL_Q6K_BLOCK;
            read_ahead(codes, PANEL_Q6K_BLOCK, e.n);
            UNROLL(2)
            for (uint32_t h = 0; h < e.n_halves; h++)
                half_panel(acc, codes, super + j * 32, f16_scales(d, e.half + h), x_block_at(x, s * 8 + j, e.n),
                           e, h);
        }
    }
}
MATMUL_AVX2(q6_k)

void kernels_init_q6_k_avx2(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q6_K].matmul = matmul_q6_k;
}
