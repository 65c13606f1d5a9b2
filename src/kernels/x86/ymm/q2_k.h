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
    const struct codes as = {.kind = TWO_BITS, .most = 3};
    _Alignas(32) uint8_t scales[256], mins[256];

    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *super = panel + s * PANEL_Q2K_BYTES, *min = super + PANEL_SCALE_BYTES;
        struct x_super xs = x_super_at(x, s, e.n);
        const __m256 d[2] = {f16_scales(super, 0), f16_scales(super, 1)};
        const __m256 d_min[2] = {f16_scales(min, 0), f16_scales(min, 1)};
        __m256i isum[2 * TILE_TOKENS], pairs[16], factor[4];

        read_ahead(super, PANEL_Q2K_CODES, e.n);
        open_scales(scales, mins, super + 2 * PANEL_SCALE_BYTES);
        clear_sums(isum, e);
        for (size_t j = 0; j < 8; j++) {
            const uint8_t *codes = super + PANEL_Q2K_CODES + j * PANEL_Q2_BLOCK;
            read_ahead(codes, PANEL_Q2_BLOCK, e.n);
            open_factors(factor, as.most, scales + j * 32, 2, false);
            add_block(isum, e, as, codes, xs.q + j * 8, 64, factor, 2);
        }
        add_isum(acc, e, isum, d, xs);
        scale_pairs(pairs, 8, mins, false, 0);
        add_mins(acc, e, pairs, 8, xs.sum_16, d_min, xs);
    }
}
MATMUL_YMM(q2_k, super, 256)
INIT_YMM(q2_k, Q2_K, q2_k)
