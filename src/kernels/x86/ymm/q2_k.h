#include "kernels/x86/ymm/super.h"

/* Scales are low nibbles, minima high ones: of each half block of sixteen rows. */
static ALWAYS_INLINE void open_scales(uint8_t scales[256], uint8_t mins[256], const uint8_t *packed)
{
    const __m256i low = _mm256_set1_epi8(15);
    for (size_t i = 0; i < 256; i += 32) {
        __m256i both = load_codes(packed + i);
        _mm256_store_si256((__m256i *)(scales + i), _mm256_and_si256(both, low));
        _mm256_store_si256((__m256i *)(mins + i), _mm256_and_si256(_mm256_srli_epi16(both, 4), low));
    }
}

static ALWAYS_INLINE void panel_q2_k(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_super *x, const struct extent e)
{
    struct super super = {
        .as = {.kind = TWO_BITS, .most = 3}, .n_scales = 2, .is_signed = false, .code_bytes = PANEL_Q2_BLOCK};
    _Alignas(32) uint8_t scales[256], mins[256];

    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *block = panel + s * PANEL_Q2K_BYTES;
        read_ahead(block, PANEL_Q2K_CODES, e.n);
        open_scales(scales, mins, block + 2 * PANEL_SCALE_BYTES);
        super.codes = block + PANEL_Q2K_CODES;
        super.scales = scales;
        super_scale(&super, block);
        super_with_mins(acc, e, &super, mins, block + PANEL_SCALE_BYTES, x_super_at(x, s, e.n));
    }
}
MATMUL_YMM(q2_k, super, 256)
INIT_YMM(q2_k, Q2_K, q2_k)
