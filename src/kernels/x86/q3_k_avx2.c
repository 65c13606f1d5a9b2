#include "kernels/x86/k_pairs_avx2.h"
#include "kernels/x86/levels.h"

/* The packed six bit numbers of sixteen rows: bytes 0-3, 4-7 and 8-11 of each are 64 bytes. */
static ALWAYS_INLINE void open_scales(uint8_t scales[256], const uint8_t *packed)
{
    const __m256i low4 = _mm256_set1_epi8(15), top2 = _mm256_set1_epi8(0x30), middle = _mm256_set1_epi8(32);

    for (size_t i = 0; i < 64; i += 32) {
        __m256i a = load_codes(packed + i), b = load_codes(packed + 64 + i), c = load_codes(packed + 128 + i);
        __m256i low[4] = {a, b, _mm256_srli_epi16(a, 4), _mm256_srli_epi16(b, 4)};
        __m256i high[4] = {_mm256_slli_epi16(c, 4), _mm256_slli_epi16(c, 2), c, _mm256_srli_epi16(c, 2)};
        UNROLL(4)
        for (size_t n = 0; n < 4; n++) {
            __m256i six = _mm256_or_si256(_mm256_and_si256(low[n], low4), _mm256_and_si256(high[n], top2));
            _mm256_store_si256((__m256i *)(scales + 64 * n + i), _mm256_sub_epi8(six, middle));
        }
    }
}

/* Half a block's codes, 0..7, where 4 stands for zero. */
static ALWAYS_INLINE void codes_of(__m256i w[4], const uint8_t *codes, uint32_t columns, uint32_t half)
{
    const __m256i third = _mm256_set1_epi8(4);
    __m256i high = load_codes(codes + PANEL_Q2_BLOCK + 32 * half);
    __m256i bits[4] = {_mm256_slli_epi16(high, 2), _mm256_slli_epi16(high, 1), high,
                       _mm256_srli_epi16(high, 1)};
    if (columns) {
        bits[0] = _mm256_srli_epi16(high, 2);
        bits[1] = _mm256_srli_epi16(high, 3);
        bits[2] = _mm256_srli_epi16(high, 4);
        bits[3] = _mm256_srli_epi16(high, 5);
    }
    two_bits(w, codes + 64 * columns + 32 * half);
    UNROLL(4)
    for (int i = 0; i < 4; i++)
        w[i] = _mm256_or_si256(w[i], _mm256_and_si256(bits[i], third));
}

/* Half h of the tile's part of a panel. scales: of the first half block's sixteen rows, then the second's. */
static ALWAYS_INLINE void half_panel(__m256 *acc, const uint8_t *codes, const uint8_t *scales, __m256 d,
                                     struct x_block x, const struct extent e, uint32_t h)
{
    __m128i bytes[2] = {load_8(scales + 8 * (e.half + h)), load_8(scales + 16 + 8 * (e.half + h))};
    __m256i pairs = _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(bytes[0], bytes[1])), isum[4], w[4];
    __m256i off = _mm256_sub_epi16(_mm256_setzero_si256(), _mm256_slli_epi16(pairs, 2)); /* what 4 is worth */

    UNROLL(4)
    for (uint32_t t = 0; t < e.n; t++)
        isum[t] = _mm256_madd_epi16(off, _mm256_set1_epi32(x.sum_pair[t]));
    UNROLL(2)
    for (uint32_t c = 0; c < 2; c++) {
        __m256i scale = _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(bytes[c], bytes[c]));
        codes_of(w, codes, c, e.half + h);
        UNROLL(4)
        for (uint32_t t = 0; t < e.n; t++)
            isum[t] = _mm256_add_epi32(isum[t], half_dots(w, x.q + t * 8 + 4 * c, scale));
    }
    UNROLL(4)
    for (uint32_t t = 0; t < e.n; t++) {
        __m256 *to = &acc[t * e.n_halves + h];
        *to = _mm256_fmadd_ps(_mm256_cvtepi32_ps(isum[t]), _mm256_mul_ps(d, _mm256_set1_ps(x.scale[t])), *to);
    }
}

static ALWAYS_INLINE void panel_q3_k(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const struct extent e)
{
    _Alignas(32) uint8_t scales[256];

    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *super = panel + pair_codes_at(s, PANEL_Q3K_BYTES);
        const uint8_t *d = panel + pair_scales_at(s, PANEL_Q3K_BYTES);
        read_pair_ahead(panel, s, PANEL_Q3K_BYTES, PANEL_Q3K_CODES, e.n);
        open_scales(scales, super);
        for (size_t j = 0; j < 8; j++) {
            const uint8_t *codes = super + PANEL_Q3K_CODES + j * PANEL_Q3_BLOCK;
            read_ahead(codes, PANEL_Q3_BLOCK, e.n);
            UNROLL(2)
            for (uint32_t h = 0; h < e.n_halves; h++)
                half_panel(acc, codes, scales + j * 32, f16_scales(d, e.half + h),
                           x_block_at(x, s * 8 + j, e.n), e, h);
        }
    }
}
MATMUL_AVX2(q3_k)

void kernels_init_q3_k_avx2(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q3_K].matmul = matmul_q3_k;
}
