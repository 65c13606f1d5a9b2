/* tiles - types of 32 columns a block at AMX: its unit multiplies 16 tokens by 16 rows by a block.
 *
 * Values and codes are whole numbers of at most eight bits, which bf16 holds exactly, and sums stay below 2^24,
 * so that the unit's f32 sums are exact in whatever order it adds: they need no conversion, which int8 would,
 * and the unit takes as long for either. A type's AVX-512 file opens its blocks (matmul_avx512.h); sums are
 * joined to the chains of rule 1 here, in the same order, so the bits are the same. Few tokens (groups.h) are
 * left to AVX-512. Internal to kernels.
 *
 * Source: Intel 64 and IA-32 Architectures SDM, volume 1, chapter 18 (TILECFG, TDPBF16PS). */
#ifndef KERNELS_X86_TILES_H
#define KERNELS_X86_TILES_H

#include "kernels/panels/panels.h"

/* 512 columns: what every layout of panels can be cut at. */
#define OPENED_BLOCKS  16
#define OPENED_COLUMNS (OPENED_BLOCKS * 32)

/* How the sums of a block become a link of the chain. */
enum block_kind {
    BLOCK_PLAIN, /* acc = fma(isum, scale * x_scale, acc) */
    BLOCK_MIN    /* then acc = fma(-min, x_scale * x_sum, acc) */
};

/* Some blocks of a panel. */
struct opened {
    uint32_t n_blocks;
    _Alignas(64) uint16_t codes[OPENED_BLOCKS][512]; /* bf16 [column pair][row][2] */
    _Alignas(64) float scale[OPENED_BLOCKS][PANEL_ROWS];
    _Alignas(64) float min[OPENED_BLOCKS][PANEL_ROWS];
};

struct tiles_type {
    enum block_kind kind;
    void (*open)(struct opened *to, const uint8_t *panel, uint32_t n_cols);
    size_t (*panel_bytes)(uint32_t n_cols);
    void (*rest)(const struct matmul *m, uint32_t row_first, uint32_t row_end); /* AVX-512's */
};

void tiles_matmul(const struct matmul *m, uint32_t row_first, uint32_t row_end, const struct tiles_type *type);

#endif
