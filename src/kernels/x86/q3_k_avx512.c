#include "kernels/x86/k_pairs_avx512.h"
#include "kernels/x86/levels.h"

/* The packed six bit numbers of sixteen rows: bytes 0-3, 4-7 and 8-11 of each are one vector. */
static ALWAYS_INLINE void open_scales(uint8_t scales[256], const uint8_t *packed)
{
    const __m512i low4 = _mm512_set1_epi8(15), top2 = _mm512_set1_epi8(0x30), middle = _mm512_set1_epi8(32);
    __m512i a = _mm512_loadu_si512(packed), b = _mm512_loadu_si512(packed + 64);
    __m512i c = _mm512_loadu_si512(packed + 128);
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
    __m512i high = _mm512_loadu_si512(codes + PANEL_Q2_BLOCK);
    const __m512i bits[8] = {_mm512_slli_epi16(high, 2), _mm512_slli_epi16(high, 1), high,
                             _mm512_srli_epi16(high, 1), _mm512_srli_epi16(high, 2), _mm512_srli_epi16(high, 3),
                             _mm512_srli_epi16(high, 4), _mm512_srli_epi16(high, 5)};
    two_bits(w, codes);
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

static ALWAYS_INLINE void block_of_products(struct block_to to, const uint32_t n, const uint8_t *codes,
                                            __m512i scale_pairs, __m512 d, struct x_block x)
{
    const uint32_t m = n < SIDE_BY_SIDE ? n : SIDE_BY_SIDE;
    __m512i w[8];

    turned_products(w, codes, scale_pairs);
    if (n == KEEP_OPEN)
        keep_turned_open(to.opened, w, d);
    UNROLL(16)
    for (uint32_t t = 0; t < n; t += m) {
        __m512i isum[SIDE_BY_SIDE];
        begin_sums(isum, m, 0, x.minus_sum + t, 1);
        dots_of(isum, m, w, 8, x.q + t * 8);
        UNROLL(8)
        for (uint32_t k = 0; k < m; k++) {
            __m512i turned = _mm512_sub_epi32(_mm512_setzero_si512(), isum[k]);
            to.acc[t + k] = add_link(to.acc[t + k], _mm512_cvtepi32_ps(turned), d, x.scale[t + k]);
        }
    }
}

static ALWAYS_INLINE void block_q3_k(struct block_to to, const uint32_t n, const uint8_t *codes,
                                     const uint8_t *scales, __m512 d, struct x_block x)
{
    __m512i scale_pairs = _mm512_cvtepi8_epi16(byte_pairs(scales)), w[8];
    __m512i off =
        _mm512_sub_epi16(_mm512_setzero_si512(), _mm512_slli_epi16(scale_pairs, 2)); /* what 4 is worth */

    if (n == KEEP_OPEN || n >= 4) {
        block_of_products(to, n, codes, scale_pairs, d, x);
        return;
    }
    read_ahead(codes, PANEL_Q3_BLOCK, n);
    codes_of(w, codes);
    UNROLL(16)
    for (uint32_t t = 0; t < n; t++) {
        __m512i isum = _mm512_madd_epi16(off, _mm512_set1_epi32(x.sum_pair[t]));
        isum = pair_dots(isum, w, scale_pairs, x.q + t * 8);
        to.acc[t] =
            _mm512_fmadd_ps(_mm512_cvtepi32_ps(isum), _mm512_mul_ps(d, _mm512_set1_ps(x.scale[t])), to.acc[t]);
    }
}

static ALWAYS_INLINE void panel_q3_k(struct block_to to, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const uint32_t n)
{
    _Alignas(64) uint8_t scales[256];

    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *super = panel + pair_codes_at(s, PANEL_Q3K_BYTES);
        __m512 d = f16_scales(panel + pair_scales_at(s, PANEL_Q3K_BYTES));
        read_pair_ahead(panel, s, PANEL_Q3K_BYTES, PANEL_Q3K_CODES, n);
        open_scales(scales, super);
        for (size_t j = 0; j < 8; j++)
            block_q3_k(to, n, super + PANEL_Q3K_CODES + j * PANEL_Q3_BLOCK, scales + j * 32, d,
                       x_block_at(x, s * 8 + j, n));
    }
}
MATMUL_AVX512(q3_k)
MATMUL_AMX(q3_k, BLOCK_PLAIN)

void kernels_init_q3_k_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q3_K].matmul = matmul_q3_k;
}

void kernels_init_q3_k_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q3_K].matmul = matmul_q3_k_amx;
}
