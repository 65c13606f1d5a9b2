#include "kernels/ref/codebooks.h"
#include "kernels/x86/levels.h"
#include "kernels/x86/matmul_avx512.h"

/* 1 + 2 * scale for blocks 0..7 of sixteen rows. */
static ALWAYS_INLINE void open_scales(uint8_t scales[128], const uint8_t *packed)
{
    const __m512i low = _mm512_set1_epi8(15), one = _mm512_set1_epi8(1);
    __m512i both = _mm512_loadu_si512(packed);
    __m512i first = _mm512_and_si512(both, low), second = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);

    _mm512_store_si512(scales, _mm512_add_epi8(_mm512_add_epi8(first, first), one));
    _mm512_store_si512(scales + 64, _mm512_add_epi8(_mm512_add_epi8(second, second), one));
}

static ALWAYS_INLINE void panel_iq3(struct block_to to, const uint8_t *panel, uint32_t n_cols,
                                    const struct group_int8 *x, const uint32_t n, const int8_t table[16],
                                    const int bias, const float factor)
{
    _Alignas(64) uint8_t scales[128];

    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *super = panel + pair_codes_at(s, PANEL_IQ3_BYTES);
        __m512 d = f16_scales(panel + pair_scales_at(s, PANEL_IQ3_BYTES));
        d = _mm512_mul_ps(d, _mm512_set1_ps(factor));
        read_pair_ahead(panel, s, PANEL_IQ3_BYTES, PANEL_IQ3_CODES, n);
        open_scales(scales, super);
        for (size_t j = 0; j < 8; j++) {
            __m512i w[8];
            read_ahead(super + PANEL_IQ3_CODES + j * PANEL_Q4_BLOCK, PANEL_Q4_BLOCK, n);
            table_codes(w, super + PANEL_IQ3_CODES + j * PANEL_Q4_BLOCK, table, bias);
            block_plain(to, n, w, bias, _mm512_mul_ps(d, signed_bytes(scales + j * 16)),
                        x_block_at(x, s * 8 + j, n));
        }
    }
}

static ALWAYS_INLINE void panel_iq3_s(struct block_to to, const uint8_t *panel, uint32_t n_cols,
                                      const struct group_int8 *x, const uint32_t n)
{
    panel_iq3(to, panel, n_cols, x, n, codebook_iq3_s, 4, 1.0F);
}
MATMUL_AVX512(iq3_s)
MATMUL_AMX(iq3_s, BLOCK_PLAIN)

static ALWAYS_INLINE void panel_iq3_xxs(struct block_to to, const uint8_t *panel, uint32_t n_cols,
                                        const struct group_int8 *x, const uint32_t n)
{
    panel_iq3(to, panel, n_cols, x, n, codebook_iq3_xxs, 5, 0.5F);
}
MATMUL_AVX512(iq3_xxs)
MATMUL_AMX(iq3_xxs, BLOCK_PLAIN)

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
