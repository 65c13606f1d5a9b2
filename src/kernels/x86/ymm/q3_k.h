#include "kernels/x86/ymm/super.h"

/* The packed six bit numbers of sixteen rows: bytes 0-3, 4-7 and 8-11 of each are 64 bytes. */
static ALWAYS_INLINE void open_scales(uint8_t scales[256], const uint8_t *packed)
{
    const __m256i low4 = _mm256_set1_epi8(15), top2 = _mm256_set1_epi8(0x30), middle = _mm256_set1_epi8(32);

    for (size_t i = 0; i < 64; i += 32) {
        __m256i a = load_codes(packed + i), b = load_codes(packed + 64 + i), c = load_codes(packed + 128 + i);
        __m256i low[4] = {a, b, _mm256_srli_epi16(a, 4), _mm256_srli_epi16(b, 4)};
        __m256i high[4] = {_mm256_slli_epi16(c, 4), _mm256_slli_epi16(c, 2), c, _mm256_srli_epi16(c, 2)};
        UNROLL(4)
        for (size_t n = 0; n < 4; n++) {
            __m256i six = _mm256_or_si256(_mm256_and_si256(low[n], low4), _mm256_and_si256(high[n], top2));
            _mm256_store_si256((__m256i *)(scales + 64 * n + i), _mm256_sub_epi8(six, middle));
        }
    }
}

static ALWAYS_INLINE void panel_q3_k(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_super *x, const struct extent e)
{
    struct super super = {
        .as = {.kind = THREE_BITS, .most = 7}, .n_scales = 2, .is_signed = true, .code_bytes = PANEL_Q3_BLOCK};
    _Alignas(32) uint8_t scales[256];

    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *block = panel + pair_codes_at(s, PANEL_Q3K_BYTES);
        read_pair_ahead(panel, s, PANEL_Q3K_BYTES, PANEL_Q3K_CODES, e.n);
        open_scales(scales, block);
        super.codes = block + PANEL_Q3K_CODES;
        super.scales = scales;
        super_scale(&super, panel + pair_scales_at(s, PANEL_Q3K_BYTES));
        super_plain(acc, e, &super, 2, x_super_at(x, s, e.n));
    }
}
MATMUL_YMM(q3_k, super, 256)
INIT_YMM(q3_k, Q3_K, q3_k)
