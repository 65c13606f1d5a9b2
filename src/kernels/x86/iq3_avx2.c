#include "kernels/ref/codebooks.h"
#include "kernels/x86/levels.h"
#include "kernels/x86/matmul_avx2.h"

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
                                    const struct group_int8 *x, const struct extent e, const int8_t table[16],
                                    const int bias, const float factor)
{
    _Alignas(32) uint8_t scales[128];

    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *super = panel + pair_codes_at(s, PANEL_IQ3_BYTES);
        const uint8_t *d = panel + pair_scales_at(s, PANEL_IQ3_BYTES);
        read_pair_ahead(panel, s, PANEL_IQ3_BYTES, PANEL_IQ3_CODES, e.n);
        open_scales(scales, super);
        for (size_t j = 0; j < 8; j++) {
            const uint8_t *codes = super + PANEL_IQ3_CODES + j * PANEL_Q4_BLOCK;
            struct x_block xb = x_block_at(x, s * 8 + j, e.n);
            __m256i isum[4];
            __m256 scale[2];
            read_ahead(codes, PANEL_Q4_BLOCK, e.n);
            small_table_dots(isum, e, codes, xb.q, table, bias);
            UNROLL(2)
            for (uint32_t h = 0; h < e.n_halves; h++) {
                __m256 whole = _mm256_mul_ps(f16_scales(d, e.half + h), _mm256_set1_ps(factor));
                scale[h] = _mm256_mul_ps(whole, signed_bytes(scales + j * 16 + 8 * (e.half + h)));
            }
            add_plain(acc, e, isum, bias, scale, xb);
        }
    }
}

static ALWAYS_INLINE void panel_iq3_s(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                      const struct group_int8 *x, const struct extent e)
{
    panel_iq3(acc, panel, n_cols, x, e, codebook_iq3_s, 4, 1.0F);
}
MATMUL_AVX2(iq3_s)

static ALWAYS_INLINE void panel_iq3_xxs(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                        const struct group_int8 *x, const struct extent e)
{
    panel_iq3(acc, panel, n_cols, x, e, codebook_iq3_xxs, 5, 0.5F);
}
MATMUL_AVX2(iq3_xxs)

void kernels_init_iq3_s_avx2(struct kernels *k)
{
    k->types[TENSOR_TYPE_IQ3_S].matmul = matmul_iq3_s;
}

void kernels_init_iq3_xxs_avx2(struct kernels *k)
{
    k->types[TENSOR_TYPE_IQ3_XXS].matmul = matmul_iq3_xxs;
}
