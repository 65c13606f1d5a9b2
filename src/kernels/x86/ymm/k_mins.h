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
    struct super super = {.as = as, .n_scales = 1, .is_signed = false, .code_bytes = block_bytes};
    _Alignas(32) uint8_t scales[128], mins[128];

    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *block = panel + s * (PANEL_Q4K_CODES + 8 * block_bytes);
        read_ahead(block, PANEL_Q4K_CODES, e.n);
        open_scales(scales, mins, block + PANEL_Q4K_SCALES);
        super.codes = block + PANEL_Q4K_CODES;
        super.scales = scales;
        super_scale(&super, block);
        super_with_mins(acc, e, &super, mins, block + PANEL_SCALE_BYTES, x_super_at(x, s, e.n));
    }
}

#endif
