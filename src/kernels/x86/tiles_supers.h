/* tiles_supers - types of 256 columns a block at AMX: 16 tokens by 16 rows by a block.
 *
 * Codes times their whole scales are numbers of up to 13 bits, kept as one or two parts of eight: the unit's
 * whole-number sums of a block are all of rule 1's isum. Minima are multiplied in bf16, with sums of sixteen
 * activations in two parts, exact in f32 (below 2^24). A type's AVX-512 file opens its blocks. Few tokens
 * (groups.h) are left to AVX-512. Internal to kernels.
 *
 * Source: Intel 64 and IA-32 Architectures SDM, volume 1, chapter 18 (TDPBSSD, TDPBSUD, TDPBF16PS). */
#ifndef KERNELS_X86_TILES_SUPERS_H
#define KERNELS_X86_TILES_SUPERS_H

#include "kernels/panels/panels.h"

/* What codes[] are. isum is the sum of the first part's products and 2^3 or 2^8 of the second's. */
enum super_kind {
    SUPER_ONE,     /* one signed part */
    SUPER_ONE_MIN, /* and minima */
    SUPER_TWO_3,   /* both unsigned, with minima */
    SUPER_TWO_8,   /* the first unsigned, the second signed */
};

/* A block of a panel. */
struct opened_super {
    _Alignas(64) uint8_t codes[2][64][64];     /* [part][columns by four][row][4] */
    _Alignas(64) uint32_t min[16][PANEL_ROWS]; /* of each 16 columns, as bf16 twice */
    _Alignas(64) float scale[PANEL_ROWS];
    _Alignas(64) float min_scale[PANEL_ROWS];
};

struct supers_type {
    enum super_kind kind;
    void (*open)(struct opened_super *to, const uint8_t *panel, size_t s); /* block s of the panel */
    size_t (*panel_bytes)(uint32_t n_cols);
    void (*rest)(const struct matmul *m, uint32_t row_first, uint32_t row_end); /* AVX-512's */
};

void tiles_supers_matmul(const struct matmul *m, uint32_t row_first, uint32_t row_end,
                         const struct supers_type *type);

#endif
