#include "kernels/x86/k_pairs_avx512.h"
#include "kernels/x86/levels.h"

/* The packed six bit numbers of sixteen rows: bytes 0-3, 4-7 and 8-11 of each are one vector. */
static ALWAYS_INLINE void open_scales(uint8_t scales[256], const uint8_t *packed)
{
    const __m512i low4 = _mm512_set1_epi8(15), top2 = _mm512_set1_epi8(0x30), middle = _mm512_set1_epi8(32);
    __m512i a = load_line(packed), b = load_line(packed + 64), c = load_line(packed + 128);
    __m512i low[4] = {a, b, _mm512_srli_epi16(a, 4), _mm512_srli_epi16(b, 4)};
    __m512i high[4] = {_mm512_slli_epi16(c, 4), _mm512_slli_epi16(c, 2), c, _mm512_srli_epi16(c, 2)};

    UNROLL(4)
    for (int i = 0; i < 4; i++) {
        __m512i six = _mm512_or_si512(_mm512_and_si512(low[i], low4), _mm512_and_si512(high[i], top2));
        _mm512_store_si512(scales + 64 * i, _mm512_sub_epi8(six, middle));
    }
}

/* 0..7, where 4 stands for zero. */
static ALWAYS_INLINE void codes_of(__m512i w[8], const uint8_t *codes)
{
    const __m512i third = _mm512_set1_epi8(4);
    two_bits(w, codes);
    __m512i high = load_line(codes + PANEL_Q2_BLOCK);
    const __m512i bits[8] = {_mm512_slli_epi16(high, 2), _mm512_slli_epi16(high, 1), high,
                             _mm512_srli_epi16(high, 1), _mm512_srli_epi16(high, 2), _mm512_srli_epi16(high, 3),
                             _mm512_srli_epi16(high, 4), _mm512_srli_epi16(high, 5)};
    UNROLL(8)
    for (int i = 0; i < 8; i++)
        w[i] = _mm512_ternarylogic_epi32(w[i], bits[i], third, 0xF8); /* w | bits & third */
}

/* 128 - (code - 4) * scale, which is 0..252: worth it where several tokens use them. With s = scale + 32 and
 * the code's third bit apart from its first two, it is (third ? 128 : 4 * s) + 32 * two - two * s. */
static ALWAYS_INLINE void turned_products(__m512i w[8], const uint8_t *codes, __m512i scale_pairs)
{
    const __m512i value_128 = _mm512_set1_epi8((char)128);
    __m512i high = _mm512_loadu_si512(codes + PANEL_Q2_BLOCK);
    __m512i s[2], four_s[2];

    scales_of_halves(s, _mm512_add_epi16(scale_pairs, _mm512_set1_epi16(32)));
    for (int half = 0; half < 2; half++)
        four_s[half] = _mm512_or_si512(_mm512_slli_epi32(s[half], 2), _mm512_slli_epi32(s[half], 10));
    two_bits(w, codes);
    UNROLL(8)
    for (int i = 0; i < 8; i++) {
        __mmask64 third = _mm512_test_epi8_mask(high, _mm512_set1_epi8((char)(1 << i)));
        __m512i times_s = _mm512_mullo_epi16(w[i], s[i / 4]);
        __m512i rest = _mm512_mask_blend_epi8(third, four_s[i / 4], value_128);
        w[i] = _mm512_add_epi8(rest, _mm512_sub_epi8(_mm512_slli_epi16(w[i], 5), times_s));
    }
}

/* isum is that of 128 - values for as many tokens as use products, else of codes. */
static ALWAYS_INLINE void block_q3_k(__m512i *isum, const uint32_t n, const uint8_t *codes, __m512i scale_pairs,
                                     struct x_super x, size_t j)
{
    __m512i w[8];

    read_ahead(codes, PANEL_Q3_BLOCK, n);
    if (n >= PRODUCTS_TOKENS_MIN) {
        turned_products(w, codes, scale_pairs);
        add_products(isum, n, w, x, j);
        return;
    }
    codes_of(w, codes);
    UNROLL(2)
    for (uint32_t t = 0; t < n; t++)
        isum[t] = pair_dots(isum[t], w, scale_pairs, x.q + t * 64 + j * 8);
}

/* From the sums of 128 - value to those of values. */
static ALWAYS_INLINE void turn_back(__m512i *isum, const uint32_t n, struct x_super x)
{
    const __m512i ones = _mm512_set1_epi16(1), all_ones[4] = {ones, ones, ones, ones};
    UNROLL(16)
    for (uint32_t t = 0; t < n; t++) {
        __m512i sum = times_sums(_mm512_setzero_si512(), all_ones, x.sum_32 + t * 4, 4);
        isum[t] = _mm512_sub_epi32(_mm512_slli_epi32(sum, 7), isum[t]);
    }
}

static ALWAYS_INLINE void super_q3_k(__m512 *acc, const uint8_t *super, __m512 d, const uint32_t n,
                                     struct x_super x)
{
    __m512i isum[GROUP_MAX_AVX512], scale_pairs[8];
    _Alignas(64) uint8_t scales[256];

    open_scales(scales, super);
    clear_sums(isum, n);
    for (size_t j = 0; j < 8; j++) {
        scale_pairs[j] = _mm512_cvtepi8_epi16(byte_pairs(scales + j * 32));
        block_q3_k(isum, n, super + PANEL_Q3K_CODES + j * PANEL_Q3_BLOCK, scale_pairs[j], x, j);
    }
    if (n >= PRODUCTS_TOKENS_MIN)
        turn_back(isum, n, x);
    else
        take_off_bias(isum, n, scale_pairs, 8, 2, x);
    add_links(acc, n, isum, d, x);
}

static ALWAYS_INLINE void panel_q3_k(__m512 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_super *x, const uint32_t n)
{
    for (size_t s = 0; s < n_cols / 256; s++) {
        read_pair_ahead(panel, s, PANEL_Q3K_BYTES, PANEL_Q3K_CODES, n);
        super_q3_k(acc, panel + pair_codes_at(s, PANEL_Q3K_BYTES),
                   f16_scales(panel + pair_scales_at(s, PANEL_Q3K_BYTES)), n, x_super_at(x, s, n));
    }
}

/* Values with their signs turned, because 128 is one: and so the scale. */
static void open_q3_k(struct opened_super *to, const uint8_t *panel, size_t s)
{
    const uint8_t *super = panel + pair_codes_at(s, PANEL_Q3K_BYTES);
    const __m512i value_128 = _mm512_set1_epi8((char)128);
    _Alignas(64) uint8_t scales[256];

    open_scales(scales, super);
    for (size_t j = 0; j < 8; j++) {
        __m512i w[8];
        turned_products(w, super + PANEL_Q3K_CODES + j * PANEL_Q3_BLOCK,
                        _mm512_cvtepi8_epi16(byte_pairs(scales + j * 32)));
        UNROLL(8)
        for (size_t i = 0; i < 8; i++)
            _mm512_store_si512(to->codes[0][j * 8 + i], _mm512_xor_si512(w[i], value_128));
    }
    _mm512_store_ps(to->scale,
                    _mm512_sub_ps(_mm512_setzero_ps(), f16_scales(panel + pair_scales_at(s, PANEL_Q3K_BYTES))));
}
SUPERS_AVX512(q3_k, SUPER_ONE)

void kernels_init_q3_k_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q3_K].matmul = matmul_q3_k;
}

void kernels_init_q3_k_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q3_K].matmul = matmul_q3_k_amx;
}
