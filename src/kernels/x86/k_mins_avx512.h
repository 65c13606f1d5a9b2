/* k_mins_avx512 - Q4_K and Q5_K, which differ in their codes alone. Included by their files only. */
#ifndef KERNELS_X86_K_MINS_AVX512_H
#define KERNELS_X86_K_MINS_AVX512_H

#include "kernels/x86/supers_avx512.h"

/* The six bit numbers of eight times 32 columns, [block][row]. */
struct k_scales {
    _Alignas(64) uint8_t scale[128];
    _Alignas(64) uint8_t min[128];
};

/* The packed six bit numbers of sixteen rows: bytes 0-3, 4-7 and 8-11 of each are one vector. */
static ALWAYS_INLINE void open_scales(struct k_scales *to, const uint8_t *packed)
{
    const __m512i low6 = _mm512_set1_epi8(63), low4 = _mm512_set1_epi8(15), top2 = _mm512_set1_epi8(0x30);
    __m512i a = load_line(packed), b = load_line(packed + 64), c = load_line(packed + 128);

    _mm512_store_si512(to->scale, _mm512_and_si512(a, low6));
    _mm512_store_si512(to->min, _mm512_and_si512(b, low6));
    __m512i a_top = _mm512_and_si512(_mm512_srli_epi16(a, 2), top2);
    __m512i b_top = _mm512_and_si512(_mm512_srli_epi16(b, 2), top2);
    _mm512_store_si512(to->scale + 64, _mm512_or_si512(_mm512_and_si512(c, low4), a_top));
    _mm512_store_si512(to->min + 64, _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(c, 4), low4), b_top));
}

/* block_bytes: of codes, PANEL_Q4_BLOCK or PANEL_Q5_BLOCK. */
static ALWAYS_INLINE void codes_of(__m512i w[8], const uint8_t *codes, const size_t block_bytes,
                                   const uint32_t n_tokens)
{
    if (block_bytes == PANEL_Q5_BLOCK)
        five_bits(w, codes, n_tokens);
    else
        nibbles(w, codes, n_tokens);
}

/* How nibbles' sums are multiplied. Two products of 16 bits are what one of 32 costs on Intel's machines, and
 * twice that on a Zen 4: there 32 columns at once are 1.06 times as fast. Q5_K's sums need 32 bits. */
struct k_mins {
    size_t block_bytes; /* of codes, PANEL_Q4_BLOCK or PANEL_Q5_BLOCK */
    bool is_wide;
};
#define WIDE_TOKENS_MIN 4 /* fewer have other worries */

static ALWAYS_INLINE void super_k_mins(__m512 *acc, const uint8_t *super, const uint32_t n,
                                       const struct k_mins as, struct x_super x)
{
    const size_t block_bytes = as.block_bytes;
    struct k_scales scales;
    __m512i isum[GROUP_MAX_AVX512], min_pairs[4];

    read_ahead(super, PANEL_Q4K_CODES, n);
    const bool is_early = tokens_are_few(n) || block_bytes == PANEL_Q5_BLOCK; /* else registers are short */
    __m512 d, min;
    if (is_early)
        d = f16_scales(super), min = f16_scales(super + PANEL_SCALE_BYTES);
    open_scales(&scales, super + PANEL_Q4K_SCALES);
    clear_sums(isum, n);
    for (size_t j = 0; j < 8; j++) {
        __m512i w[8], scale = wide_signed(scales.scale + j * 16);
        const uint8_t *codes = super + PANEL_Q4K_CODES + j * block_bytes;
        read_ahead(codes, block_bytes, n);
        codes_of(w, codes, block_bytes, n);
        if (as.is_wide) {
            add_scaled_dots(isum, n, w, 0, 8, scale, SCALE_32, x, j);
        } else {
            add_scaled_dots(isum, n, w, 0, 4, scale, SCALE_16, x, j);
            add_scaled_dots(isum, n, w, 4, 4, scale, SCALE_16, x, j);
        }
    }
    for (int i = 0; i < 4; i++)
        min_pairs[i] = _mm512_cvtepu8_epi16(byte_pairs(scales.min + 32 * i));
    if (!is_early)
        d = f16_scales(super), min = f16_scales(super + PANEL_SCALE_BYTES);
    add_links(acc, n, isum, d, x);
    add_mins(acc, n, min_pairs, 4, min, x);
}

static ALWAYS_INLINE void panel_k_mins(__m512 *acc, const uint8_t *panel, uint32_t n_cols,
                                       const struct group_super *x, const uint32_t n, const struct k_mins as)
{
    for (size_t s = 0; s < n_cols / 256; s++)
        super_k_mins(acc, panel + s * (PANEL_Q4K_CODES + 8 * as.block_bytes), n, as, x_super_at(x, s, n));
}

/* Codes times three bits of their scale: |product| <= 31 * 7 < 2^8, so that two are multiplied at once. */
static ALWAYS_INLINE void open_k_mins(struct opened_super *to, const uint8_t *super, const size_t block_bytes)
{
    struct k_scales scales;

    open_scales(&scales, super + PANEL_Q4K_SCALES);
    for (size_t j = 0; j < 8; j++) {
        __m512i w[8], scale = twice_16(wide_signed(scales.scale + j * 16));
        __m512i low = _mm512_and_si512(scale, _mm512_set1_epi16(7)), high = _mm512_srli_epi16(scale, 3);
        codes_of(w, super + PANEL_Q4K_CODES + j * block_bytes, block_bytes, KEEP_OPEN);
        UNROLL(8)
        for (size_t i = 0; i < 8; i++) {
            _mm512_store_si512(to->codes[0][j * 8 + i], _mm512_mullo_epi16(w[i], low));
            _mm512_store_si512(to->codes[1][j * 8 + i], _mm512_mullo_epi16(w[i], high));
        }
        open_mins(to->min[2 * j], scales.min + j * 16);
        open_mins(to->min[2 * j + 1], scales.min + j * 16);
    }
    _mm512_store_ps(to->scale, f16_scales(super));
    _mm512_store_ps(to->min_scale, f16_scales(super + PANEL_SCALE_BYTES));
}

#endif
