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
    struct super super = {.as = as, .n_scales = 1, .is_signed = false, .code_bytes = PANEL_Q4_BLOCK};
    _Alignas(32) uint8_t scales[128];

    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *block = panel + pair_codes_at(s, PANEL_IQ3_BYTES);
        read_pair_ahead(panel, s, PANEL_IQ3_BYTES, PANEL_IQ3_CODES, e.n);
        open_scales(scales, block);
        super.codes = block + PANEL_IQ3_CODES;
        super.scales = scales;
        super_scale(&super, panel + pair_scales_at(s, PANEL_IQ3_BYTES));
        for (int h = 0; h < 2; h++)
            super.d[h] = _mm256_mul_ps(super.d[h], _mm256_set1_ps(factor));
        super_plain(acc, e, &super, as.bias, x_super_at(x, s, e.n));
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
