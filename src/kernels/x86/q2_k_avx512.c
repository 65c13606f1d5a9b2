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

static ALWAYS_INLINE void block_q2_k(__m512i *isum, const uint32_t n, const uint8_t *codes, __m512i scale_pairs,
                                     struct x_super x, size_t j)
{
    __m512i w[8];

    read_ahead(codes, PANEL_Q2_BLOCK, n);
    two_bits(w, codes);
    if (n >= PRODUCTS_TOKENS_MIN) {
        scale_codes(w, scale_pairs);
        add_products(isum, n, w, x, j);
        return;
    }
    UNROLL(2)
    for (uint32_t t = 0; t < n; t++)
        isum[t] = pair_dots(isum[t], w, scale_pairs, x.q + t * 64 + j * 8);
}

static ALWAYS_INLINE void super_q2_k(__m512 *acc, const uint8_t *super, const uint32_t n, struct x_super x)
{
    __m512i isum[GROUP_MAX_AVX512], min_pairs[8];
    __m512 d = f16_scales(super), min = f16_scales(super + PANEL_SCALE_BYTES);
    _Alignas(64) uint8_t scales[256];

    read_ahead(super, PANEL_Q2K_CODES, n);
    load_lines(scales, super + 64, 4);
    clear_sums(isum, n);
    for (size_t j = 0; j < 8; j++) {
        __m512i both = _mm512_cvtepu8_epi16(byte_pairs(scales + j * 32));
        min_pairs[j] = _mm512_srli_epi16(both, 4);
        block_q2_k(isum, n, super + PANEL_Q2K_CODES + j * PANEL_Q2_BLOCK,
                   _mm512_and_si512(both, _mm512_set1_epi16(15)), x, j);
    }
    add_links(acc, n, isum, d, x);
    add_mins(acc, n, min_pairs, 8, min, x);
}

static ALWAYS_INLINE void panel_q2_k(__m512 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_super *x, const uint32_t n)
{
    for (size_t s = 0; s < n_cols / 256; s++)
        super_q2_k(acc, panel + s * PANEL_Q2K_BYTES, n, x_super_at(x, s, n));
}

static void open_q2_k(struct opened_super *to, const uint8_t *panel, size_t s)
{
    const uint8_t *super = panel + s * PANEL_Q2K_BYTES;
    const __m512i low = _mm512_set1_epi8(15);
    _Alignas(64) uint8_t mins[256];

    for (size_t i = 0; i < 4; i++) {
        __m512i both = _mm512_loadu_si512(super + 64 + 64 * i);
        _mm512_store_si512(mins + 64 * i, _mm512_and_si512(_mm512_srli_epi16(both, 4), low));
    }
    for (size_t j = 0; j < 8; j++) {
        __m512i w[8], both = _mm512_cvtepu8_epi16(byte_pairs(super + 64 + j * 32));
        two_bits(w, super + PANEL_Q2K_CODES + j * PANEL_Q2_BLOCK);
        scale_codes(w, _mm512_and_si512(both, _mm512_set1_epi16(15)));
        UNROLL(8)
        for (size_t i = 0; i < 8; i++)
            _mm512_store_si512(to->codes[0][j * 8 + i], w[i]);
        open_mins(to->min[2 * j], mins + 32 * j);
        open_mins(to->min[2 * j + 1], mins + 32 * j + 16);
    }
    _mm512_store_ps(to->scale, f16_scales(super));
    _mm512_store_ps(to->min_scale, f16_scales(super + PANEL_SCALE_BYTES));
}
SUPERS_AVX512(q2_k, SUPER_ONE_MIN)

void kernels_init_q2_k_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q2_K].matmul = matmul_q2_k;
}

void kernels_init_q2_k_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q2_K].matmul = matmul_q2_k_amx;
}
