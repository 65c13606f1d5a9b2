/* tiles_unit - AMX's unit: eight tiles of 16 rows of 64 bytes. Included by the files that use it only.
 *
 * Source: Intel 64 and IA-32 Architectures SDM, volume 1, chapter 18. */
#ifndef KERNELS_X86_TILES_UNIT_H
#define KERNELS_X86_TILES_UNIT_H

#include "kernels/unroll.h"
#include "kernels/x86/groups.h"

#include <immintrin.h>

#define GROUP        GROUP_MAX_AVX512 /* tokens of a tile */
#define SUMS_OF_TILE (GROUP * PANEL_ROWS)
#define LOT_TOKENS   512 /* that pass at once at most */

/* So many of n_left tokens, whole groups, that what is left for the last lot is not small. */
static inline uint32_t tokens_of_lot(uint32_t n_left)
{
    uint32_t n_lots = (n_left + LOT_TOKENS - 1) / LOT_TOKENS;
    return (n_left / GROUP + n_lots - 1) / n_lots * GROUP;
}

/* To compilers the tile instructions read nothing but an address: what lies there has to be written before. */
static ALWAYS_INLINE void published(const void *memory)
{
    __asm__ volatile("" ::"r"(memory) : "memory");
}

static inline void configure_tiles(void)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};

    for (int i = 0; i < 8; i++) {
        config.rows[i] = GROUP;
        config.row_bytes[i] = 64;
    }
    published(&config);
    _tile_loadconfig(&config);
}

/* What compilers have for tiles takes a register for each address, of which there are too few in long steps. */
#define TILE_LOAD(op, tile, at, bytes_behind)                                                                  \
    __asm__ volatile(op " %c1(%0,%2,1), %%tmm" #tile ::"r"(at), "i"(bytes_behind), "r"(64L))
#define TILE_STORE(sums, i, tile)                                                                              \
    __asm__ volatile("tilestored %%tmm" #tile ", %c1(%0,%2,1)" ::"r"(sums), "i"((i)*SUMS_OF_TILE * 4),         \
                     "r"(64L)                                                                                  \
                     : "memory")

/* --- lots ------------------------------------------------------------------------------------------------ */

/* Some panels by some tokens that pass at once, whole groups; zeroed before the first. */
struct lot_range {
    uint32_t row, n_panels, token, token_end;
};

/* The lot behind `at`, of lot_panels panels at most. False: there is none. */
static inline bool next_lot(struct lot_range *at, uint32_t row_first, uint32_t row_end, uint32_t n_tokens,
                            uint32_t lot_panels)
{
    at->row += at->n_panels * PANEL_ROWS;
    if (!at->token_end || at->row >= row_end) {
        at->row = row_first;
        at->token = at->token_end;
        if (at->token >= n_tokens)
            return false;
        at->token_end = at->token + tokens_of_lot(n_tokens - at->token);
    }
    uint32_t n_left = (row_end - at->row + PANEL_ROWS - 1) / PANEL_ROWS;
    at->n_panels = n_left < lot_panels ? n_left : lot_panels;
    return true;
}

/* A lot's chains, [panel][token][row], to the product. Tokens' results are far apart: asks for those of some
 * tokens later. */
#define STORE_AHEAD 6
static inline void store_lot(const struct matmul *m, const struct lot_range *at, uint32_t row_end,
                             const float *chains, size_t panel_stride)
{
    for (uint32_t t = at->token; t < at->token_end; t++)
        for (uint32_t p = 0; p < at->n_panels; p++) {
            uint32_t row = at->row + p * PANEL_ROWS, n = row_end - row;
            float *out = m->out + t * m->out_stride + row;
            __mmask16 lanes = (__mmask16)(n >= PANEL_ROWS ? 0xFFFFU : (1U << n) - 1);
            _mm512_mask_storeu_ps(out, lanes,
                                  _mm512_load_ps(chains + p * panel_stride + (t - at->token) * PANEL_ROWS));
            __builtin_prefetch((const void *)((uintptr_t)out + STORE_AHEAD * m->out_stride * sizeof *out), 1);
        }
}

/* The tokens behind whole groups, whose activations lie prepared_bytes behind those of the groups: by AVX-512's
 * matmul. */
static inline void multiply_rest(const struct matmul *m, uint32_t row_first, uint32_t row_end,
                                 size_t prepared_bytes,
                                 void (*matmul)(const struct matmul *, uint32_t, uint32_t))
{
    uint32_t n_done = group_steps_tokens(m->n_tokens);
    struct matmul rest = *m;

    if (n_done == m->n_tokens)
        return;
    rest.activations = (const char *)m->activations + prepared_bytes;
    rest.n_tokens -= n_done;
    rest.out += n_done * m->out_stride;
    matmul(&rest, row_first, row_end);
}

#endif
