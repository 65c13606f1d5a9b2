/* k_mins_avx2 - Q4_K and Q5_K, which differ in their codes alone. Included by their files only. */
#ifndef KERNELS_X86_K_MINS_AVX2_H
#define KERNELS_X86_K_MINS_AVX2_H

#include "kernels/x86/matmul_avx2.h"

static ALWAYS_INLINE __m256 times_bytes(__m256 factor, const uint8_t *eight)
{
    return _mm256_mul_ps(factor,
                         _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)eight))));
}

/* The packed six bit numbers of sixteen rows: bytes 0-3, 4-7 and 8-11 of each are 64 bytes. */
static ALWAYS_INLINE void open_scales(uint8_t scales[128], uint8_t mins[128], const uint8_t *packed)
{
    const __m256i low6 = _mm256_set1_epi8(63), low4 = _mm256_set1_epi8(15), top2 = _mm256_set1_epi8(0x30);

    for (size_t i = 0; i < 64; i += 32) {
        __m256i a = load_codes(packed + i), b = load_codes(packed + 64 + i), c = load_codes(packed + 128 + i);
        __m256i a_top = _mm256_and_si256(_mm256_srli_epi16(a, 2), top2);
        __m256i b_top = _mm256_and_si256(_mm256_srli_epi16(b, 2), top2);
        __m256i c_high = _mm256_and_si256(_mm256_srli_epi16(c, 4), low4);
        _mm256_store_si256((__m256i *)(scales + i), _mm256_and_si256(a, low6));
        _mm256_store_si256((__m256i *)(mins + i), _mm256_and_si256(b, low6));
        _mm256_store_si256((__m256i *)(scales + 64 + i), _mm256_or_si256(_mm256_and_si256(c, low4), a_top));
        _mm256_store_si256((__m256i *)(mins + 64 + i), _mm256_or_si256(c_high, b_top));
    }
}

/* block_bytes: of codes, PANEL_Q4_BLOCK or PANEL_Q5_BLOCK. */
static ALWAYS_INLINE void panel_k_mins(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                       const struct group_int8 *x, const struct extent e,
                                       const size_t block_bytes)
{
    _Alignas(32) uint8_t scales[128], mins[128];

    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *super = panel + s * (PANEL_Q4K_CODES + 8 * block_bytes);
        read_ahead(super, PANEL_Q4K_CODES, e.n);
        open_scales(scales, mins, super + PANEL_Q4K_SCALES);
        for (size_t j = 0; j < 8; j++) {
            struct x_block xb = x_block_at(x, s * 8 + j, e.n);
            __m256i isum[4];
            __m256 scale[2], min[2];
            const uint8_t *codes = super + PANEL_Q4K_CODES + j * block_bytes;
            read_ahead(codes, block_bytes, e.n);
            if (block_bytes == PANEL_Q5_BLOCK)
                five_bit_dots(isum, e, codes, xb.q);
            else
                nibble_dots(isum, e, codes, xb.q);
            UNROLL(2)
            for (uint32_t h = 0; h < e.n_halves; h++) {
                size_t at = j * 16 + 8 * (size_t)(e.half + h);
                scale[h] = times_bytes(f16_scales(super, e.half + h), scales + at);
                min[h] = times_bytes(f16_scales(super + 32, e.half + h), mins + at);
            }
            add_plain(acc, e, isum, -1, scale, xb);
            add_min(acc, e, min, xb);
        }
    }
}

#endif
