#include "kernels/ref/codebooks.h"
#include "kernels/x86/levels.h"
#include "kernels/x86/tables_avx512.h"

static ALWAYS_INLINE void codes_iq4_nl(__m512i w[8], const uint8_t *at, const uint32_t n)
{
    table_codes(w, at, codebook_iq4, 1 << 7, n);
}
PANEL_OF_PAIRS(iq4_nl, PANEL_Q4_BLOCK, 7)
MATMUL_AVX512(iq4_nl)
MATMUL_AMX(iq4_nl, BLOCK_PLAIN)

/* Copies the scales into `scales`. */
static ALWAYS_INLINE struct table_super iq4_xs_at(uint8_t scales[128], const uint8_t *panel, size_t s)
{
    const uint8_t *super = panel + pair_codes_at(s, PANEL_IQ4XS_BYTES);
    __m512 d = f16_scales(panel + pair_scales_at(s, PANEL_IQ4XS_BYTES));

    load_lines(scales, super, 2);
    return (struct table_super){scales, super + PANEL_IQ4XS_CODES, d, codebook_iq4};
}

static ALWAYS_INLINE void panel_iq4_xs(__m512 *acc, const uint8_t *panel, uint32_t n_cols,
                                       const struct group_super *x, const uint32_t n)
{
    for (size_t s = 0; s < n_cols / 256; s++) {
        _Alignas(64) uint8_t scales[128];
        struct table_super super = iq4_xs_at(scales, panel, s);
        read_pair_ahead(panel, s, PANEL_IQ4XS_BYTES, PANEL_IQ4XS_CODES, n);
        super_table(acc, &super, n, x_super_at(x, s, n));
    }
}

static void open_iq4_xs(struct opened_super *to, const uint8_t *panel, size_t s)
{
    _Alignas(64) uint8_t scales[128];
    struct table_super super = iq4_xs_at(scales, panel, s);
    open_table(to, &super);
}
SUPERS_AVX512(iq4_xs, SUPER_TWO_8)

void kernels_init_iq4_nl_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_IQ4_NL].matmul = matmul_iq4_nl;
}

void kernels_init_iq4_nl_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_IQ4_NL].matmul = matmul_iq4_nl_amx;
}

void kernels_init_iq4_xs_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_IQ4_XS].matmul = matmul_iq4_xs;
}

void kernels_init_iq4_xs_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_IQ4_XS].matmul = matmul_iq4_xs_amx;
}
