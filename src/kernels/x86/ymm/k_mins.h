/* k_mins - Q4_K and Q5_K, which differ in their codes alone. Included by their files only. */
#ifndef KERNELS_X86_YMM_K_MINS_H
#define KERNELS_X86_YMM_K_MINS_H

#include "kernels/x86/ymm/super.h"

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
                                       const struct group_super *x, const struct extent e,
                                       const struct codes as, const size_t block_bytes)
{
    _Alignas(32) uint8_t scales[128], mins[128];

    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *super = panel + s * (PANEL_Q4K_CODES + 8 * block_bytes);
        struct x_super xs = x_super_at(x, s, e.n);
        const __m256 d[2] = {f16_scales(super, 0), f16_scales(super, 1)};
        const __m256 d_min[2] = {f16_scales(super + 32, 0), f16_scales(super + 32, 1)};
        __m256i isum[2 * TILE_TOKENS], pairs[8], factor[2];

        read_ahead(super, PANEL_Q4K_CODES, e.n);
        open_scales(scales, mins, super + PANEL_Q4K_SCALES);
        clear_sums(isum, e);
        for (size_t j = 0; j < 8; j++) {
            const uint8_t *codes = super + PANEL_Q4K_CODES + j * block_bytes;
            read_ahead(codes, block_bytes, e.n);
            open_factors(factor, as.most, scales + j * 16, 1, false);
            add_block(isum, e, as, codes, xs.q + j * 8, 64, factor, 1);
        }
        add_isum(acc, e, isum, d, xs);
        scale_pairs(pairs, 4, mins, false, 0);
        add_mins(acc, e, pairs, 4, xs.sum_32, d_min, xs);
    }
}

#endif
