#include "kernels/ref/codebooks.h"
#include "kernels/x86/ymm/super.h"

/* 1 + 2 * scale for blocks 0..7 of sixteen rows. */
static ALWAYS_INLINE void open_scales(uint8_t scales[128], const uint8_t *packed)
{
    const __m256i low = _mm256_set1_epi8(15), one = _mm256_set1_epi8(1);
    UNROLL(2)
    for (int i = 0; i < 2; i++) {
        __m256i both = load_codes(packed + 32 * i);
        __m256i first = _mm256_and_si256(both, low), second = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
        first = _mm256_add_epi8(_mm256_add_epi8(first, first), one);
        second = _mm256_add_epi8(_mm256_add_epi8(second, second), one);
        _mm256_store_si256((__m256i *)(void *)(scales + 32 * i), first);
        _mm256_store_si256((__m256i *)(void *)(scales + 64 + 32 * i), second);
    }
}

static ALWAYS_INLINE void panel_iq3(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                    const struct group_super *x, const struct extent e, const struct codes as,
                                    const float factor)
{
    const __m256 factors = _mm256_set1_ps(factor);
    _Alignas(32) uint8_t scales[128];

    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *super = panel + pair_codes_at(s, PANEL_IQ3_BYTES);
        const uint8_t *scale = panel + pair_scales_at(s, PANEL_IQ3_BYTES);
        struct x_super xs = x_super_at(x, s, e.n);
        const __m256 d[2] = {_mm256_mul_ps(f16_scales(scale, 0), factors),
                             _mm256_mul_ps(f16_scales(scale, 1), factors)};
        __m256i isum[2 * TILE_TOKENS], zeros[8], sub_scale[2];

        read_pair_ahead(panel, s, PANEL_IQ3_BYTES, PANEL_IQ3_CODES, e.n);
        open_scales(scales, super);
        clear_sums(isum, e);
        for (size_t j = 0; j < 8; j++) {
            const uint8_t *codes = super + PANEL_IQ3_CODES + j * PANEL_Q4_BLOCK;
            read_ahead(codes, PANEL_Q4_BLOCK, e.n);
            open_factors(sub_scale, as.most, scales + j * 16, 1, false);
            add_block(isum, e, as, codes, xs.q + j * 8, 64, sub_scale, 1);
        }
        scale_pairs(zeros, 4, scales, false, as.bias);
        take_off(isum, e, zeros, 4, xs.sum_32);
        add_isum(acc, e, isum, d, xs);
    }
}

static ALWAYS_INLINE void panel_iq3_s(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                      const struct group_super *x, const struct extent e)
{
    const struct codes codes = {.kind = TABLE, .most = 31, .table = codebook_iq3_s, .bias = 4};
    panel_iq3(acc, panel, n_cols, x, e, codes, 1.0F);
}
MATMUL_YMM(iq3_s, super, 256)

static ALWAYS_INLINE void panel_iq3_xxs(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                        const struct group_super *x, const struct extent e)
{
    const struct codes codes = {.kind = TABLE, .most = 63, .table = codebook_iq3_xxs, .bias = 5};
    panel_iq3(acc, panel, n_cols, x, e, codes, 0.5F);
}
MATMUL_YMM(iq3_xxs, super, 256)
INIT_YMM(iq3_s, IQ3_S, iq3_s)
INIT_YMM(iq3_xxs, IQ3_XXS, iq3_xxs)
