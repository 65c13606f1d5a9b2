/* pack - from rows as a file has them to panels, and back: what the families' files share. Plain C, for all
 * levels.
 *
 * A family's file says how one row's part of a unit (some columns) goes into a panel, and how 32 columns come
 * out again. Internal to kernels. */
#ifndef KERNELS_PANELS_PACK_H
#define KERNELS_PANELS_PACK_H

#include "kernels/f16.h"
#include "kernels/panels/panels.h"
#include "kernels/panels/types.h"
#include "kernels/ref/blocks.h"

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

#define PACK_SLOT(name, rows)                                                                                  \
    (struct type_kernels)                                                                                      \
    {                                                                                                          \
        .panel_rows = rows, .packed_bytes = packed_bytes_##name, .pack = pack_rows_##name, .row = row_##name   \
    }

#endif
