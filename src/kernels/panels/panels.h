/* panels - how weights lie in memory for vectors: sixteen rows side by side, lane i of a vector is row
 * i.
 *
 * Codes are unsigned and lie in 64 byte groups: four consecutive columns of row 0, of row 1, ... row 15, so
 * that one instruction multiplies each row's four bytes with four activations. Nibbles: the low one is column
 * k, the high one column k + 16 of the same block. The last panel's missing rows are zeros. Internal to
 * kernels. */
#ifndef KERNELS_PANELS_PANELS_H
#define KERNELS_PANELS_PANELS_H

#include "kernels/kernels.h"

#define PANEL_ROWS 16

static inline size_t panel_align(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Units of codes that have one f16 scale a row come in pairs: the scales of both (sixteen of each), then their
 * codes. So all lies on 64 byte lines and is read as one stream: with the scales elsewhere decode reached half
 * the speed. */
#define PANEL_SCALE_BYTES 32
static inline size_t pair_scales_at(size_t unit, size_t unit_bytes)
{
    return unit / 2 * (64 + 2 * unit_bytes) + unit % 2 * PANEL_SCALE_BYTES;
}
static inline size_t pair_codes_at(size_t unit, size_t unit_bytes)
{
    return unit / 2 * (64 + 2 * unit_bytes) + 64 + unit % 2 * unit_bytes;
}
static inline size_t pair_bytes(size_t n_units, size_t unit_bytes)
{
    return n_units * unit_bytes + (n_units + 1) / 2 * 64;
}

/* Q8_0: units of 512 bytes of code + 128. Q4_0: of 256 bytes of nibbles. Q5_0: of nibbles and 64 bytes of fifth
 * bits: bit i is of column group i, groups of high nibbles after those of low ones. */
#define PANEL_Q8_BLOCK 512
#define PANEL_Q4_BLOCK 256
#define PANEL_Q5_BLOCK (PANEL_Q4_BLOCK + 64)
static inline size_t panel_bytes_q8_0(uint32_t n_cols)
{
    return pair_bytes(n_cols / 32, PANEL_Q8_BLOCK);
}
static inline size_t panel_bytes_q4_0(uint32_t n_cols)
{
    return pair_bytes(n_cols / 32, PANEL_Q4_BLOCK);
}
static inline size_t panel_bytes_q5_0(uint32_t n_cols)
{
    return pair_bytes(n_cols / 32, PANEL_Q5_BLOCK);
}

/* Q4_1, Q5_1, for each 32 columns: sixteen f16 d, sixteen f16 minima (-m), the codes. */
#define PANEL_MIN_CODES 64
static inline size_t panel_bytes_q4_1(uint32_t n_cols)
{
    return (size_t)(n_cols / 32) * (PANEL_MIN_CODES + PANEL_Q4_BLOCK);
}
static inline size_t panel_bytes_q5_1(uint32_t n_cols)
{
    return (size_t)(n_cols / 32) * (PANEL_MIN_CODES + PANEL_Q5_BLOCK);
}

/* Q2_K, for each 256 columns: sixteen f16 d, sixteen f16 dmin, sixteen bytes of scale and minimum (byte i of
 * all rows together), eight blocks of two bit codes: bits 2i of the first 64 bytes are column group i, of the
 * second group 4 + i. */
#define PANEL_Q2_BLOCK  128
#define PANEL_Q2K_CODES (64 + 256)
#define PANEL_Q2K_BYTES (PANEL_Q2K_CODES + 8 * PANEL_Q2_BLOCK)
static inline size_t panel_bytes_q2_k(uint32_t n_cols)
{
    return (size_t)(n_cols / 256) * PANEL_Q2K_BYTES;
}

/* Q3_K: units of 256 columns: the twelve bytes of packed scales, eight blocks of two bit codes with their third
 * bits behind them, as Q5_0's fifth ones. */
#define PANEL_Q3_BLOCK  (PANEL_Q2_BLOCK + 64)
#define PANEL_Q3K_CODES 192
#define PANEL_Q3K_BYTES (PANEL_Q3K_CODES + 8 * PANEL_Q3_BLOCK)
static inline size_t panel_bytes_q3_k(uint32_t n_cols)
{
    return pair_bytes(n_cols / 256, PANEL_Q3K_BYTES);
}

/* Q4_K, Q5_K, for each 256 columns: sixteen f16 d, sixteen f16 dmin, the twelve bytes of packed scales (byte i
 * of all rows together), eight blocks of codes. */
#define PANEL_Q4K_SCALES 64
#define PANEL_Q4K_CODES  256
#define PANEL_Q4K_BYTES  (PANEL_Q4K_CODES + 8 * PANEL_Q4_BLOCK)
#define PANEL_Q5K_BYTES  (PANEL_Q4K_CODES + 8 * PANEL_Q5_BLOCK)
static inline size_t panel_bytes_q4_k(uint32_t n_cols)
{
    return (size_t)(n_cols / 256) * PANEL_Q4K_BYTES;
}

static inline size_t panel_bytes_q5_k(uint32_t n_cols)
{
    return (size_t)(n_cols / 256) * PANEL_Q5K_BYTES;
}

/* Q6_K: units of 256 columns: sixteen i8 scales (scale i of all rows together), eight blocks of 256 bytes of
 * low nibbles and 128 of high bits: bits 2i of its first half go with group i of low nibbles, of its second
 * half with group i of high nibbles. */
#define PANEL_Q6K_CODES 256
#define PANEL_Q6K_BLOCK (PANEL_Q4_BLOCK + 128)
#define PANEL_Q6K_BYTES (PANEL_Q6K_CODES + 8 * PANEL_Q6K_BLOCK)
static inline size_t panel_bytes_q6_k(uint32_t n_cols)
{
    return pair_bytes(n_cols / 256, PANEL_Q6K_BYTES);
}

/* IQ4_NL: as Q4_0. IQ4_XS: units of 256 columns: eight i8 scales (scale j of all rows together), eight blocks
 * of nibbles. */
#define PANEL_IQ4XS_CODES 128
#define PANEL_IQ4XS_BYTES (PANEL_IQ4XS_CODES + 8 * PANEL_Q4_BLOCK)
static inline size_t panel_bytes_iq4_nl(uint32_t n_cols)
{
    return panel_bytes_q4_0(n_cols);
}
static inline size_t panel_bytes_iq4_xs(uint32_t n_cols)
{
    return pair_bytes(n_cols / 256, PANEL_IQ4XS_BYTES);
}

/* MXFP4: blocks of nibbles in fours behind their exponents, sixteen u8 each. */
static inline size_t four_scales_at(size_t block)
{
    return block / 4 * (64 + 4 * PANEL_Q4_BLOCK) + block % 4 * 16;
}
static inline size_t four_codes_at(size_t block)
{
    return block / 4 * (64 + 4 * PANEL_Q4_BLOCK) + 64 + block % 4 * PANEL_Q4_BLOCK;
}
static inline size_t panel_bytes_mxfp4(uint32_t n_cols)
{
    size_t n_blocks = n_cols / 32;
    return n_blocks * PANEL_Q4_BLOCK + (n_blocks + 3) / 4 * 64;
}

/* IQ3_S, IQ3_XXS: units of 256 columns: scales of four bits (block j low ones, block 4 + j high ones, of all
 * rows together), eight blocks of nibbles: magnitude and sign, looked up. The grids would be a bit a weight
 * smaller, but cost a look-up in memory for four weights. */
#define PANEL_IQ3_CODES 64
#define PANEL_IQ3_BYTES (PANEL_IQ3_CODES + 8 * PANEL_Q4_BLOCK)
static inline size_t panel_bytes_iq3_s(uint32_t n_cols)
{
    return pair_bytes(n_cols / 256, PANEL_IQ3_BYTES);
}
static inline size_t panel_bytes_iq3_xxs(uint32_t n_cols)
{
    return panel_bytes_iq3_s(n_cols);
}

/* TQ1_0, TQ2_0: units of 256 columns: eight blocks of two bit codes, as Q2_K's. */
#define PANEL_TERNARY_BYTES (8 * PANEL_Q2_BLOCK)
static inline size_t panel_bytes_tq2_0(uint32_t n_cols)
{
    return pair_bytes(n_cols / 256, PANEL_TERNARY_BYTES);
}
static inline size_t panel_bytes_tq1_0(uint32_t n_cols)
{
    return panel_bytes_tq2_0(n_cols);
}

/* F32, F16, BF16: panels come in bands of two, a last one may be alone. A band is column by column, sixteen
 * elements of each of its panels: what is multiplied at once, as one chain would be too slow, is read as one
 * stream. On a Zen 4 panels of 24 KB side by side reached 24 GB/s where bands reach 29. */
#define BAND_PANELS 2
#define BAND_ROWS   (BAND_PANELS * PANEL_ROWS)
static inline size_t panel_bytes_f32(uint32_t n_cols)
{
    return (size_t)n_cols * PANEL_ROWS * 4;
}
static inline size_t panel_bytes_f16(uint32_t n_cols)
{
    return panel_align((size_t)n_cols * PANEL_ROWS * 2);
}

/* Panels in the band of one of n_panels. */
static inline uint32_t band_width(uint32_t n_panels, uint32_t panel)
{
    uint32_t n_left = n_panels - panel / BAND_PANELS * BAND_PANELS;
    return n_left < BAND_PANELS ? n_left : BAND_PANELS;
}

/* A panel's first sixteen elements; its next are as many times band_width further on. */
static inline size_t band_panel_at(uint32_t panel, size_t panel_bytes, size_t element_bytes)
{
    return panel / BAND_PANELS * BAND_PANELS * panel_bytes + panel % BAND_PANELS * PANEL_ROWS * element_bytes;
}

#endif
