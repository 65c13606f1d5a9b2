#include "kernels/x86/k_pairs_avx512.h"
#include "kernels/x86/levels.h"

/* Codes are values and 1. */
static ALWAYS_INLINE void panel_tq2_0(__m512 *acc, const uint8_t *panel, uint32_t n_cols,
                                      const struct group_super *x, const uint32_t n)
{
    const __m512i ones = _mm512_set1_epi16(1), scale_pairs[4] = {ones, ones, ones, ones};

    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *codes = panel + pair_codes_at(s, PANEL_TERNARY_BYTES);
        struct x_super block = x_super_at(x, s, n);
        __m512 d = f16_scales(panel + pair_scales_at(s, PANEL_TERNARY_BYTES));
        __m512i isum[GROUP_MAX_AVX512];
        read_pair_ahead(panel, s, PANEL_TERNARY_BYTES, 0, n);
        clear_sums(isum, n);
        for (size_t j = 0; j < 8; j++) {
            __m512i w[8];
            read_ahead(codes + j * PANEL_Q2_BLOCK, PANEL_Q2_BLOCK, n);
            two_bits(w, codes + j * PANEL_Q2_BLOCK);
            add_products(isum, n, w, block, j);
        }
        take_off_bias(isum, n, scale_pairs, 4, 0, block);
        add_links(acc, n, isum, d, block);
    }
}

static void open_tq2_0(struct opened_super *to, const uint8_t *panel, size_t s)
{
    const uint8_t *codes = panel + pair_codes_at(s, PANEL_TERNARY_BYTES);

    for (size_t j = 0; j < 8; j++) {
        __m512i w[8];
        two_bits(w, codes + j * PANEL_Q2_BLOCK);
        UNROLL(8)
        for (size_t i = 0; i < 8; i++)
            _mm512_store_si512(to->codes[0][j * 8 + i], _mm512_sub_epi8(w[i], _mm512_set1_epi8(1)));
    }
    _mm512_store_ps(to->scale, f16_scales(panel + pair_scales_at(s, PANEL_TERNARY_BYTES)));
}
SUPERS_AVX512(tq2_0, SUPER_ONE)

void kernels_init_tq1_0_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_TQ1_0].matmul = matmul_tq2_0;
}

void kernels_init_tq1_0_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_TQ1_0].matmul = matmul_tq2_0_amx;
}

void kernels_init_tq2_0_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_TQ2_0].matmul = matmul_tq2_0;
}

void kernels_init_tq2_0_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_TQ2_0].matmul = matmul_tq2_0_amx;
}
