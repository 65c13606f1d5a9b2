/* k_mins_avx512 - Q4_K and Q5_K, which differ in their codes alone. Included by their files only. */
#ifndef KERNELS_X86_K_MINS_AVX512_H
#define KERNELS_X86_K_MINS_AVX512_H

#include "kernels/x86/matmul_avx512.h"

static ALWAYS_INLINE __m512 times_bytes(__m512 factor, const uint8_t *sixteen)
{
    __m512i wide = _mm512_cvtepu8_epi32(_mm_load_si128((const __m128i *)sixteen));
    return _mm512_mul_ps(factor, _mm512_cvtepi32_ps(wide));
}

/* The packed six bit numbers of sixteen rows: bytes 0-3, 4-7 and 8-11 of each are one vector. */
static ALWAYS_INLINE void open_scales(uint8_t scales[128], uint8_t mins[128], const uint8_t *packed)
{
    const __m512i low6 = _mm512_set1_epi8(63), low4 = _mm512_set1_epi8(15), top2 = _mm512_set1_epi8(0x30);
    __m512i a = _mm512_loadu_si512(packed), b = _mm512_loadu_si512(packed + 64);
    __m512i c = _mm512_loadu_si512(packed + 128);

    _mm512_store_si512(scales, _mm512_and_si512(a, low6));
    _mm512_store_si512(mins, _mm512_and_si512(b, low6));
    __m512i a_top = _mm512_and_si512(_mm512_srli_epi16(a, 2), top2);
    __m512i b_top = _mm512_and_si512(_mm512_srli_epi16(b, 2), top2);
    _mm512_store_si512(scales + 64, _mm512_or_si512(_mm512_and_si512(c, low4), a_top));
    _mm512_store_si512(mins + 64, _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(c, 4), low4), b_top));
}

/* block_bytes: of codes, PANEL_Q4_BLOCK or PANEL_Q5_BLOCK. */
static ALWAYS_INLINE void panel_k_mins(struct block_to to, const uint8_t *panel, uint32_t n_cols,
                                       const struct group_int8 *x, const uint32_t n, const size_t block_bytes)
{
    _Alignas(64) uint8_t scales[128], mins[128];

    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *super = panel + s * (PANEL_Q4K_CODES + 8 * block_bytes);
        __m512 d = f16_scales(super), d_min = f16_scales(super + 32);
        read_ahead(super, PANEL_Q4K_CODES, n);
        open_scales(scales, mins, super + PANEL_Q4K_SCALES);
        for (size_t j = 0; j < 8; j++) {
            __m512i w[8];
            const uint8_t *codes = super + PANEL_Q4K_CODES + j * block_bytes;
            read_ahead(codes, block_bytes, n);
            if (block_bytes == PANEL_Q5_BLOCK)
                five_bits(w, codes);
            else
                nibbles(w, codes);
            block_min(to, n, w, times_bytes(d, scales + j * 16), times_bytes(d_min, mins + j * 16),
                      x_block_at(x, s * 8 + j, n));
        }
    }
}

#endif
