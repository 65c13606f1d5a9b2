/* matmul_avx512 - what the families of quantised types share at AVX-512 with VNNI: 16 rows by up to 16 tokens.
 *
 * A family's file unpacks a block of 32 columns into eight vectors of unsigned codes and calls one of the
 * functions here for its tokens; or for none, and the block is kept open for AMX (tiles.h). Included by those
 * files only. */
#ifndef KERNELS_X86_MATMUL_AVX512_H
#define KERNELS_X86_MATMUL_AVX512_H

#include "kernels/kernels_private.h"
#include "kernels/x86/blocks_avx512.h"
#include "kernels/x86/codes_avx512.h"

static ALWAYS_INLINE void store_tile(const struct tile *tile, uint32_t panel, const __m512 *acc,
                                     const uint32_t n)
{
    uint32_t row = panel * PANEL_ROWS, n_left = tile->n_rows - row;
    __mmask16 lanes = (__mmask16)(n_left >= PANEL_ROWS ? 0xFFFFU : (1U << n_left) - 1);
    UNROLL(16)
    for (uint32_t t = 0; t < n; t++)
        _mm512_mask_storeu_ps(tile->out + t * tile->out_stride + row, lanes, acc[t]);
}

/* From panel_NAME(to, panel, n_cols, activations, n), one panel times n tokens, the functions for each n and
 * the slot matmul_NAME. */
#define MATMUL_TILE_512(name, n, group_kind, block_columns, to)                                                \
    static void tile_##name##_##n(const struct tile *tile)                                                     \
    {                                                                                                          \
        struct group_kind x = group_kind##_at(tile->activations, tile->n_cols / (block_columns), tile->group); \
        for (uint32_t p = 0; p < tile->n_panels; p++) {                                                        \
            __m512 acc[n];                                                                                     \
            UNROLL(16)                                                                                         \
            for (int t = 0; t < (n); t++)                                                                      \
                acc[t] = _mm512_setzero_ps();                                                                  \
            panel_##name(to, tile->panel + p * tile->panel_bytes, tile->n_cols, &x, n);                        \
            store_tile(tile, p, acc, n);                                                                       \
        }                                                                                                      \
    }
#define MATMUL_OF_TILES(name, group_kind, block_columns, to)                                                   \
    MATMUL_TILE_512(name, 1, group_kind, block_columns, to)                                                    \
    MATMUL_TILE_512(name, 2, group_kind, block_columns, to)                                                    \
    MATMUL_TILE_512(name, 4, group_kind, block_columns, to)                                                    \
    MATMUL_TILE_512(name, 8, group_kind, block_columns, to)                                                    \
    MATMUL_TILE_512(name, 16, group_kind, block_columns, to)                                                   \
    static void matmul_##name(const struct matmul *m, uint32_t row_first, uint32_t row_end)                    \
    {                                                                                                          \
        static tile_kernel *const kernels[] = {tile_##name##_1, tile_##name##_2, tile_##name##_4,              \
                                               tile_##name##_8, tile_##name##_16};                             \
        groups_matmul(m, row_first, row_end, panel_bytes_##name(m->n_cols), GROUP_MAX_AVX512, kernels);        \
    }
#define MATMUL_AVX512(name) MATMUL_OF_TILES(name, group_int8, 32, (struct block_to){.acc = acc})

/* panel_NAME for blocks of 32 columns in pairs (panels.h), whose codes codes_NAME(w, at, n) opens; they are
 * 2^bias more than values. Both scales come from one load, so that lines are asked for as they lie: 4 % of
 * decode. */
#define PANEL_OF_PAIRS(name, block_bytes, bias)                                                                \
    static ALWAYS_INLINE void panel_##name(struct block_to to, const uint8_t *panel, uint32_t n_cols,          \
                                           const struct group_int8 *x, const uint32_t n)                       \
    {                                                                                                          \
        uint32_t n_blocks = n_cols / 32;                                                                       \
        for (size_t b = 0; b < n_blocks; b += 2) {                                                             \
            const uint8_t *at = panel + pair_scales_at(b, block_bytes);                                        \
            __m512i w[8], scales = load_line(at);                                                              \
            read_ahead(at, 64 + (block_bytes), n);                                                             \
            codes_##name(w, at + 64, n);                                                                       \
            block_plain(to, n, w, bias, first_scales(scales), x_block_at(x, b, n));                            \
            if (b + 1 == n_blocks)                                                                             \
                break;                                                                                         \
            read_ahead(at + 64 + (block_bytes), block_bytes, n);                                               \
            codes_##name(w, at + 64 + (block_bytes), n);                                                       \
            block_plain(to, n, w, bias, second_scales(scales), x_block_at(x, b + 1, n));                       \
        }                                                                                                      \
    }

/* The same at AMX, for panels whose blocks can be opened; behind MATMUL_AVX512(name). */
#define MATMUL_AMX(name, block_kind)                                                                           \
    static void open_##name(struct opened *to, const uint8_t *panel, uint32_t n_cols)                          \
    {                                                                                                          \
        const struct group_int8 none = {0};                                                                    \
        panel_##name((struct block_to){.opened = to}, panel, n_cols, &none, KEEP_OPEN);                        \
    }                                                                                                          \
    static void matmul_##name##_amx(const struct matmul *m, uint32_t row_first, uint32_t row_end)              \
    {                                                                                                          \
        static const struct tiles_type type = {block_kind, open_##name, panel_bytes_##name, matmul_##name};    \
        tiles_matmul(m, row_first, row_end, &type);                                                            \
    }

#endif
