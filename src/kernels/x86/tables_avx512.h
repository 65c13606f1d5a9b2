/* tables_avx512 - IQ4_XS and IQ3: nibbles stand for the values of a table, 32 columns have a scale of eight
 * bits. Included by their files only. */
#ifndef KERNELS_X86_TABLES_AVX512_H
#define KERNELS_X86_TABLES_AVX512_H

#include "kernels/x86/supers_avx512.h"

/* A block of 256 columns: what is in a panel, and the table. */
struct table_super {
    const uint8_t *scales; /* [8][row], not among the codes: they would be gone back to */
    const uint8_t *codes;
    __m512 d;
    const int8_t *table;
};

static ALWAYS_INLINE void super_table(__m512 *acc, const struct table_super *of, const uint32_t n,
                                      struct x_super x)
{
    __m512i isum[GROUP_MAX_AVX512];

    clear_sums(isum, n);
    for (size_t j = 0; j < 8; j++) {
        __m512i w[8];
        read_ahead(of->codes + j * PANEL_Q4_BLOCK, PANEL_Q4_BLOCK, n);
        table_codes(w, of->codes + j * PANEL_Q4_BLOCK, of->table, 1 << GROUP_SUM_BIAS, n);
        add_scaled_dots(isum, n, w, 0, 8, wide_signed(of->scales + j * 16), SCALE_32_UNBIAS, x, j);
    }
    add_links(acc, n, isum, of->d, x);
}

static ALWAYS_INLINE void open_table(struct opened_super *to, const struct table_super *of)
{
    for (size_t j = 0; j < 8; j++) {
        __m512i w[8], scale = twice_16(wide_signed(of->scales + j * 16));
        table_codes(w, of->codes + j * PANEL_Q4_BLOCK, of->table, 0, KEEP_OPEN);
        UNROLL(8)
        for (size_t i = 0; i < 8; i++)
            open_two_8(to, j * 8 + i, w[i], scale);
    }
    _mm512_store_ps(to->scale, of->d);
}

#endif
