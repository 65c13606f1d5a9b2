#include "kernels/ref/codebooks.h"
#include "kernels/x86/levels.h"
#include "kernels/x86/tables_avx512.h"

/* 1 + 2 * scale for blocks 0..7 of sixteen rows. */
static ALWAYS_INLINE void open_scales(uint8_t scales[128], const uint8_t *packed)
{
    const __m512i low = _mm512_set1_epi8(15), one = _mm512_set1_epi8(1);
    __m512i both = _mm512_loadu_si512(packed);
    __m512i first = _mm512_and_si512(both, low), second = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);

    _mm512_store_si512(scales, _mm512_add_epi8(_mm512_add_epi8(first, first), one));
    _mm512_store_si512(scales + 64, _mm512_add_epi8(_mm512_add_epi8(second, second), one));
}

/* Opens the scales into `scales`. */
static ALWAYS_INLINE struct table_super iq3_at(uint8_t scales[128], const uint8_t *panel, size_t s,
                                               const int8_t table[16], const float factor)
{
    const uint8_t *super = panel + pair_codes_at(s, PANEL_IQ3_BYTES);
    __m512 d = f16_scales(panel + pair_scales_at(s, PANEL_IQ3_BYTES));

    open_scales(scales, super);
    return (struct table_super){scales, super + PANEL_IQ3_CODES, _mm512_mul_ps(d, _mm512_set1_ps(factor)),
                                table};
}

#define IQ3_TYPE(name, factor)                                                                                 \
    static ALWAYS_INLINE void panel_##name(__m512 *acc, const uint8_t *panel, uint32_t n_cols,                 \
                                           const struct group_super *x, const uint32_t n)                      \
    {                                                                                                          \
        for (size_t s = 0; s < n_cols / 256; s++) {                                                            \
            _Alignas(64) uint8_t scales[128];                                                                  \
            struct table_super super = iq3_at(scales, panel, s, codebook_##name, factor);                      \
            read_pair_ahead(panel, s, PANEL_IQ3_BYTES, PANEL_IQ3_CODES, n);                                    \
            super_table(acc, &super, n, x_super_at(x, s, n));                                                  \
        }                                                                                                      \
    }                                                                                                          \
    static void open_##name(struct opened_super *to, const uint8_t *panel, size_t s)                           \
    {                                                                                                          \
        _Alignas(64) uint8_t scales[128];                                                                      \
        struct table_super super = iq3_at(scales, panel, s, codebook_##name, factor);                          \
        open_table(to, &super);                                                                                \
    }                                                                                                          \
    SUPERS_AVX512(name, SUPER_TWO_8)

IQ3_TYPE(iq3_s, 1.0F)
IQ3_TYPE(iq3_xxs, 0.5F)

void kernels_init_iq3_s_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_IQ3_S].matmul = matmul_iq3_s;
}

void kernels_init_iq3_s_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_IQ3_S].matmul = matmul_iq3_s_amx;
}

void kernels_init_iq3_xxs_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_IQ3_XXS].matmul = matmul_iq3_xxs;
}

void kernels_init_iq3_xxs_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_IQ3_XXS].matmul = matmul_iq3_xxs_amx;
}
