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
    const struct codes as = {.kind = THREE_BITS, .most = 7};
    _Alignas(32) uint8_t scales[256];

    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *super = panel + pair_codes_at(s, PANEL_Q3K_BYTES);
        const uint8_t *scale = panel + pair_scales_at(s, PANEL_Q3K_BYTES);
        struct x_super xs = x_super_at(x, s, e.n);
        const __m256 d[2] = {f16_scales(scale, 0), f16_scales(scale, 1)};
        __m256i isum[2 * TILE_TOKENS], fours[16], factor[4];

        read_pair_ahead(panel, s, PANEL_Q3K_BYTES, PANEL_Q3K_CODES, e.n);
        open_scales(scales, super);
        clear_sums(isum, e);
        for (size_t j = 0; j < 8; j++) {
            const uint8_t *codes = super + PANEL_Q3K_CODES + j * PANEL_Q3_BLOCK;
            read_ahead(codes, PANEL_Q3_BLOCK, e.n);
            open_factors(factor, as.most, scales + j * 32, 2, true);
            add_block(isum, e, as, codes, xs.q + j * 8, 64, factor, 2);
        }
        scale_pairs(fours, 8, scales, true, 2);
        take_off(isum, e, fours, 8, xs.sum_16);
        add_isum(acc, e, isum, d, xs);
    }
}
MATMUL_YMM(q3_k, super, 256)
INIT_YMM(q3_k, Q3_K, q3_k)
