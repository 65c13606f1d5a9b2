/* pack - from rows as a file has them to panels, and back: what the families' files share. Plain C, for both
 * levels.
 *
 * A family's file says how one row's part of a unit (some columns) goes into a panel, and how 32 columns come
 * out again. Internal to kernels. */
#ifndef KERNELS_X86_PACK_H
#define KERNELS_X86_PACK_H

#include "kernels/f16.h"
#include "kernels/ref/blocks.h"
#include "kernels/x86/levels.h"
#include "kernels/x86/panels.h"

#include <string.h>

typedef void unit_pack(uint8_t *panel, uint32_t unit, uint32_t lane, const uint8_t *row);
typedef void block_unpack(struct block32 *out, const uint8_t *panel, uint32_t block, uint32_t lane);

struct pack_job {
    uint8_t *packed;
    size_t panel_bytes;
    uint32_t n_rows, row_first, n;
    const uint8_t *rows;
    size_t row_bytes;
};
/* All units of n rows; missing rows of the last panel become zeros. */
void pack_units(const struct pack_job *job, uint32_t n_units, unit_pack *pack);
/* The job's part in one panel: its lanes, and the first lane's row. Zeroes a panel that is not full. */
uint8_t *pack_open_panel(const struct pack_job *job, uint32_t rows_done, uint32_t *n_lanes,
                         const uint8_t **rows);

void pack_row(float *out, const uint8_t *packed, size_t panel_bytes, uint32_t n_blocks, uint32_t row,
              block_unpack *unpack);

static inline uint32_t load_u32(const void *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return v;
}

static inline void store_u32(uint8_t *at, uint32_t v)
{
    memcpy(at, &v, sizeof v);
}

/* Four bytes of column group `group` of a lane. */
static inline uint8_t *code_at(uint8_t *codes, uint32_t group, uint32_t lane)
{
    return codes + (size_t)group * 64 + (size_t)lane * 4;
}

/* Sixteen bytes of nibbles as most types have them: low ones are columns 0..15, high ones 16..31. */
static inline void nibbles_pack(uint8_t *codes, uint32_t lane, const uint8_t *qs)
{
    for (uint32_t i = 0; i < 4; i++)
        memcpy(code_at(codes, i, lane), qs + (size_t)i * 4, 4);
}

static inline void nibbles_unpack(int8_t q[32], const uint8_t *codes, uint32_t lane)
{
    for (uint32_t i = 0; i < 16; i++) {
        uint8_t both = codes[(size_t)(i / 4) * 64 + (size_t)lane * 4 + i % 4];
        q[i] = (int8_t)(both & 15);
        q[16 + i] = (int8_t)(both >> 4);
    }
}

static inline void table_unpack(int8_t q[32], const uint8_t *codes, uint32_t lane, const int8_t table[16])
{
    nibbles_unpack(q, codes, lane);
    for (uint32_t i = 0; i < 32; i++)
        q[i] = table[q[i]];
}

/* { f16 d; f16 m } of a block whose values are d * q + m: the minimum that panels hold is -m. */
static inline void scale_and_min_pack(uint8_t *to, uint32_t lane, const uint8_t *from)
{
    uint16_t min = f16_load(from + 2) ^ 0x8000U;
    memcpy(to + (size_t)lane * 2, from, 2);
    memcpy(to + PANEL_SCALE_BYTES + (size_t)lane * 2, &min, 2);
}

static inline void scale_and_min_unpack(struct block32 *out, const uint8_t *from, uint32_t lane)
{
    out->scale = f16_to_f32(f16_load(from + (size_t)lane * 2));
    out->has_min = true;
    out->min = f16_to_f32(f16_load(from + PANEL_SCALE_BYTES + (size_t)lane * 2));
}

/* Bit i of `bits` is the fifth bit of column i; the panel's 64 bytes of them. */
static inline void fifth_bits_pack(uint8_t *codes, uint32_t lane, uint32_t bits)
{
    uint32_t high = 0;
    for (uint32_t i = 0; i < 8; i++) { /* four bits of a column group to four bytes */
        uint32_t spread = (bits >> (4 * i) & 15) * 0x00204081U & 0x01010101U;
        high |= spread << i;
    }
    store_u32(code_at(codes, 0, lane), high);
}

/* Exchanges what a holds under mask << shift with what b holds under mask: with two fields of `shift` bits in
 * each, a takes both first ones and b both second ones. */
static inline void exchange_fields(uint32_t *a, uint32_t *b, uint32_t shift, uint32_t mask)
{
    uint32_t differ = (*a >> shift ^ *b) & mask;
    *b ^= differ;
    *a ^= differ << shift;
}

/* The high bits of eight blocks, bit j of 32 bytes block j's, to where each block has them. */
static inline void high_bits_pack(uint8_t *codes, size_t block_bytes, uint32_t lane, const uint8_t *bytes)
{
    static const uint32_t masks[] = {0x55555555U, 0x33333333U, 0x0F0F0F0FU};
    uint32_t w[8];

    for (uint32_t i = 0; i < 8; i++)
        w[i] = load_u32(bytes + 4 * (size_t)i);
    for (uint32_t round = 0; round < 3; round++) /* eight by eight bits, transposed in each byte */
        for (uint32_t i = 0; i < 8; i++)
            if (!(i >> round & 1))
                exchange_fields(&w[i], &w[i + (1U << round)], 1U << round, masks[round]);
    for (uint32_t j = 0; j < 8; j++)
        store_u32(code_at(codes + j * block_bytes, 0, lane), w[j]);
}

static inline void high_bits_unpack(int8_t q[32], const uint8_t *codes, uint32_t lane, uint32_t shift)
{
    for (uint32_t i = 0; i < 32; i++)
        q[i] = (int8_t)(q[i] | (codes[(size_t)lane * 4 + i % 4] >> (i / 4) & 1) << shift);
}

/* The two bit codes of four blocks, bits 2j of 32 bytes block j's. */
static inline void two_bits_pack(uint8_t *codes, size_t block_bytes, uint32_t lane, const uint8_t *qs)
{
    for (uint32_t half = 0; half < 2; half++) {
        uint32_t w[4];
        for (uint32_t i = 0; i < 4; i++)
            w[i] = load_u32(qs + 16 * (size_t)half + 4 * (size_t)i);
        exchange_fields(&w[0], &w[1], 2, 0x33333333U);
        exchange_fields(&w[2], &w[3], 2, 0x33333333U);
        exchange_fields(&w[0], &w[2], 4, 0x0F0F0F0FU);
        exchange_fields(&w[1], &w[3], 4, 0x0F0F0F0FU);
        for (uint32_t j = 0; j < 4; j++)
            store_u32(code_at(codes + j * block_bytes, half, lane), w[j]);
    }
}

static inline void two_bits_unpack(int8_t q[32], const uint8_t *codes, uint32_t lane)
{
    for (uint32_t i = 0; i < 32; i++)
        q[i] = (int8_t)(codes[(size_t)(i / 16) * 64 + (size_t)lane * 4 + i % 4] >> (i % 16 / 4 * 2) & 3);
}

/* What stands before the codes of Q4_K and Q5_K: d, dmin, scales. */
static inline void k_mins_pack(uint8_t *to, uint32_t lane, const uint8_t *from)
{
    memcpy(to + (size_t)lane * 2, from, 2);
    memcpy(to + PANEL_SCALE_BYTES + (size_t)lane * 2, from + 2, 2);
    for (size_t i = 0; i < 12; i++)
        to[PANEL_Q4K_SCALES + i * 16 + lane] = from[4 + i];
}

static inline void k_mins_unpack(struct block32 *out, const uint8_t *from, uint32_t j, uint32_t lane)
{
    uint8_t packed[12], scale, min;

    for (size_t i = 0; i < 12; i++)
        packed[i] = from[PANEL_Q4K_SCALES + i * 16 + lane];
    block32_k_scales(packed, j, &scale, &min);
    out->scale = f16_to_f32(f16_load(from + (size_t)lane * 2)) * (float)scale;
    out->has_min = true;
    out->min = f16_to_f32(f16_load(from + PANEL_SCALE_BYTES + (size_t)lane * 2)) * (float)min;
}

/* The nibbles of two blocks, the low ones of 32 bytes the first's. */
static inline void two_nibbles_pack(uint8_t *codes, uint8_t *second, uint32_t lane, const uint8_t *qs)
{
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t a = load_u32(qs + 4 * (size_t)i), b = load_u32(qs + 16 + 4 * (size_t)i);
        exchange_fields(&a, &b, 4, 0x0F0F0F0FU);
        store_u32(code_at(codes, i, lane), a);
        store_u32(code_at(second, i, lane), b);
    }
}

/* The slots of a quantised type, from pack_NAME, unpack_NAME and panel_bytes_NAME. */
#define PACK_TYPE(name, unit_elements, unit_bytes)                                                             \
    static size_t packed_bytes_##name(uint32_t n_rows, uint32_t n_cols)                                        \
    {                                                                                                          \
        return ((size_t)n_rows + PANEL_ROWS - 1) / PANEL_ROWS * panel_bytes_##name(n_cols);                    \
    }                                                                                                          \
    static void pack_rows_##name(void *packed, uint32_t n_rows, uint32_t n_cols, uint32_t row_first,           \
                                 uint32_t n, const void *rows)                                                 \
    {                                                                                                          \
        uint32_t n_units = n_cols / (unit_elements);                                                           \
        struct pack_job job = {packed, panel_bytes_##name(n_cols),    n_rows, row_first, n,                    \
                               rows,   (size_t)n_units * (unit_bytes)};                                        \
        pack_units(&job, n_units, pack_##name);                                                                \
    }                                                                                                          \
    static void row_##name(float *out, const void *packed, uint32_t n_rows, uint32_t n_cols, uint32_t row)     \
    {                                                                                                          \
        (void)n_rows;                                                                                          \
        pack_row(out, packed, panel_bytes_##name(n_cols), n_cols / 32, row, unpack_##name);                    \
    }

#define PACK_SLOT(name)                                                                                        \
    (struct type_kernels)                                                                                      \
    {                                                                                                          \
        .panel_rows = PANEL_ROWS, .packed_bytes = packed_bytes_##name, .pack = pack_rows_##name,               \
        .row = row_##name                                                                                      \
    }

#endif
