#include "kernels/x86/levels.h"
#include "kernels/x86/supers_avx512.h"

/* Low nibbles and the two bits above them, 0..63. */
static ALWAYS_INLINE void codes_of(__m512i w[8], const uint8_t *codes, const uint32_t n_tokens)
{
    const __m512i top2 = _mm512_set1_epi8(0x30);
    nibbles(w, codes, n_tokens);
    UNROLL(2)
    for (int half = 0; half < 2; half++) {
        __m512i high = load_line(codes + PANEL_Q4_BLOCK + 64 * half), *to = w + 4 * half;
        to[0] = _mm512_or_si512(to[0], _mm512_and_si512(_mm512_slli_epi16(high, 4), top2));
        to[1] = _mm512_or_si512(to[1], _mm512_and_si512(_mm512_slli_epi16(high, 2), top2));
        to[2] = _mm512_or_si512(to[2], _mm512_and_si512(high, top2));
        to[3] = _mm512_or_si512(to[3], _mm512_and_si512(_mm512_srli_epi16(high, 2), top2));
    }
}

static ALWAYS_INLINE void super_q6_k(__m512 *acc, const uint8_t *super, __m512 d, const uint32_t n,
                                     struct x_super x)
{
    __m512i isum[GROUP_MAX_AVX512];
    _Alignas(64) uint8_t scales[256];

    load_lines(scales, super, 4);
    clear_sums(isum, n);
    for (size_t j = 0; j < 8; j++) {
        const uint8_t *codes = super + PANEL_Q6K_CODES + j * PANEL_Q6K_BLOCK;
        __m512i w[8], scale0 = wide_signed(scales + j * 32), scale1 = wide_signed(scales + j * 32 + 16);
        read_ahead(codes, PANEL_Q6K_BLOCK, n);
        codes_of(w, codes, n);
        add_scaled_halves(isum, n, w, scale0, scale1, x, j);
    }
    add_links(acc, n, isum, d, x);
}

static ALWAYS_INLINE void panel_q6_k(__m512 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_super *x, const uint32_t n)
{
    for (size_t s = 0; s < n_cols / 256; s++) {
        read_pair_ahead(panel, s, PANEL_Q6K_BYTES, PANEL_Q6K_CODES, n);
        super_q6_k(acc, panel + pair_codes_at(s, PANEL_Q6K_BYTES),
                   f16_scales(panel + pair_scales_at(s, PANEL_Q6K_BYTES)), n, x_super_at(x, s, n));
    }
}

static void open_q6_k(struct opened_super *to, const uint8_t *panel, size_t s)
{
    const uint8_t *super = panel + pair_codes_at(s, PANEL_Q6K_BYTES);
    const __m512i middle = _mm512_set1_epi8(1 << GROUP_HALF_BIAS);

    for (size_t j = 0; j < 8; j++) {
        __m512i w[8],
            scale[2] = {twice_16(wide_signed(super + j * 32)), twice_16(wide_signed(super + j * 32 + 16))};
        codes_of(w, super + PANEL_Q6K_CODES + j * PANEL_Q6K_BLOCK, KEEP_OPEN);
        UNROLL(8)
        for (size_t i = 0; i < 8; i++)
            open_two_8(to, j * 8 + i, _mm512_sub_epi8(w[i], middle), scale[i / 4]);
    }
    _mm512_store_ps(to->scale, f16_scales(panel + pair_scales_at(s, PANEL_Q6K_BYTES)));
}
SUPERS_AVX512(q6_k, SUPER_TWO_8)

void kernels_init_q6_k_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q6_K].matmul = matmul_q6_k;
}

void kernels_init_q6_k_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q6_K].matmul = matmul_q6_k_amx;
}
