/* tiles - quantised matrices at AMX: the int8 unit multiplies 16 tokens by 16 rows by a block of 32 columns.
 *
 * Panels and activations are those of AVX-512: a group's values of one block are the left operand as they lie,
 * the opened codes of one block the right one. A type's AVX-512 file opens its blocks (matmul_avx512.h); sums
 * are joined to the chains of rule 1 here, in the same order, so the bits are the same. Fewer tokens than a
 * group are left to AVX-512. Internal to kernels.
 * Source: Intel 64 and IA-32 Architectures SDM, volume 1, chapter 18 (TILECFG, TDPBSSD). */
#ifndef KERNELS_X86_TILES_H
#define KERNELS_X86_TILES_H

#include "kernels/panels/panels.h"

/* 512 columns: what every layout of panels can be cut at. */
#define OPENED_BLOCKS  16
#define OPENED_COLUMNS (OPENED_BLOCKS * 32)

/* How the sums of a block become a link of the chain. */
enum block_kind {
    BLOCK_PLAIN, /* acc = fma(isum, scale * x_scale, acc) */
    BLOCK_MIN,   /* then acc = fma(-min, x_scale * x_sum, acc) */
    BLOCK_HALVES /* isum of two halves with factors of their own */
};

/* Some blocks of a panel. */
struct opened {
    uint32_t n_blocks;
    _Alignas(64) int8_t codes[OPENED_BLOCKS][512]; /* signed: what made them unsigned is taken off */
    _Alignas(64) float scale[OPENED_BLOCKS][PANEL_ROWS];
    _Alignas(64) float more[OPENED_BLOCKS][2][PANEL_ROWS]; /* min in the first; or the halves' factors */
};

struct tiles_type {
    enum block_kind kind;
    void (*open)(struct opened *to, const uint8_t *panel, uint32_t n_cols);
    size_t (*panel_bytes)(uint32_t n_cols);
    void (*rest)(const struct matmul *m, uint32_t row_first, uint32_t row_end); /* AVX-512's */
};

void tiles_matmul(const struct matmul *m, uint32_t row_first, uint32_t row_end, const struct tiles_type *type);

#endif
