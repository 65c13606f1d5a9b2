#include "kernels/x86/panels.h"

#include "kernels/f16.h"
#include "kernels/kernels_private.h"
#include "kernels/ref/blocks.h"

#include <string.h>

/* A type's way into a panel: some columns (a unit) of one row, and back out, 32 at a time. */
typedef void unit_pack(uint8_t *panel, uint32_t unit, uint32_t lane, const uint8_t *row);
typedef void block_unpack(struct block32 *out, const uint8_t *panel, uint32_t block, uint32_t lane);

static uint32_t load_u32(const void *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return v;
}

static void store_u32(uint8_t *at, uint32_t v)
{
    memcpy(at, &v, sizeof v);
}

/* Four bytes of column group `group` of a lane. */
static uint8_t *code_at(uint8_t *codes, uint32_t group, uint32_t lane)
{
    return codes + (size_t)group * 64 + (size_t)lane * 4;
}

static void nibbles_unpack(int8_t q[32], const uint8_t *codes, uint32_t lane)
{
    for (uint32_t i = 0; i < 16; i++) {
        uint8_t both = codes[(size_t)(i / 4) * 64 + (size_t)lane * 4 + i % 4];
        q[i] = (int8_t)(both & 15);
        q[16 + i] = (int8_t)(both >> 4);
    }
}

/* --- Q8_0 ----------------------------------------------------------------------------------------------------
 */

static void pack_q8_0(uint8_t *panel, uint32_t b, uint32_t lane, const uint8_t *row)
{
    const uint8_t *from = row + (size_t)b * 34;
    uint8_t *codes = panel + pair_codes_at(b, PANEL_Q8_BLOCK);

    memcpy(panel + pair_scales_at(b, PANEL_Q8_BLOCK) + (size_t)lane * 2, from, 2);
    for (uint32_t i = 0; i < 8; i++)
        store_u32(code_at(codes, i, lane), load_u32(from + 2 + (size_t)i * 4) ^ 0x80808080U);
}

static void unpack_q8_0(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    const uint8_t *codes = panel + pair_codes_at(b, PANEL_Q8_BLOCK) + (size_t)lane * 4;

    out->scale = f16_to_f32(f16_load(panel + pair_scales_at(b, PANEL_Q8_BLOCK) + (size_t)lane * 2));
    for (uint32_t i = 0; i < 32; i++)
        out->q[i] = (int8_t)(codes[(size_t)(i / 4) * 64 + i % 4] ^ 0x80);
}

/* --- Q4_0 ----------------------------------------------------------------------------------------------------
 */

static void pack_q4_0(uint8_t *panel, uint32_t b, uint32_t lane, const uint8_t *row)
{
    const uint8_t *from = row + (size_t)b * 18;
    uint8_t *codes = panel + pair_codes_at(b, PANEL_Q4_BLOCK);

    memcpy(panel + pair_scales_at(b, PANEL_Q4_BLOCK) + (size_t)lane * 2, from, 2);
    for (uint32_t i = 0; i < 4; i++)
        memcpy(code_at(codes, i, lane), from + 2 + (size_t)i * 4, 4);
}

static void unpack_q4_0(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    out->scale = f16_to_f32(f16_load(panel + pair_scales_at(b, PANEL_Q4_BLOCK) + (size_t)lane * 2));
    nibbles_unpack(out->q, panel + pair_codes_at(b, PANEL_Q4_BLOCK), lane);
    for (uint32_t i = 0; i < 32; i++)
        out->q[i] = (int8_t)(out->q[i] - 8);
}

/* --- Q4_K ----------------------------------------------------------------------------------------------------
 */

static void pack_q4_k(uint8_t *panel, uint32_t s, uint32_t lane, const uint8_t *row)
{
    const uint8_t *from = row + (size_t)s * 144;
    uint8_t *to = panel + (size_t)s * PANEL_Q4K_BYTES;

    memcpy(to + (size_t)lane * 2, from, 2);
    memcpy(to + 32 + (size_t)lane * 2, from + 2, 2);
    for (size_t i = 0; i < 12; i++)
        to[PANEL_Q4K_SCALES + i * 16 + lane] = from[4 + i];
    for (size_t j = 0; j < 8; j++) {
        const uint8_t *qs = from + 16 + j / 2 * 32;
        uint32_t shift = j % 2 * 4;
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t low = load_u32(qs + 4 * (size_t)i) >> shift & 0x0F0F0F0FU;
            uint32_t high = load_u32(qs + 16 + 4 * (size_t)i) >> shift & 0x0F0F0F0FU;
            store_u32(code_at(to + PANEL_Q4K_CODES + j * PANEL_Q4_BLOCK, i, lane), low | high << 4);
        }
    }
}

static void unpack_q4_k(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    const uint8_t *from = panel + (size_t)(b / 8) * PANEL_Q4K_BYTES;
    uint8_t packed[12], scale, min;

    for (size_t i = 0; i < 12; i++)
        packed[i] = from[PANEL_Q4K_SCALES + i * 16 + lane];
    block32_k_scales(packed, b % 8, &scale, &min);
    out->scale = f16_to_f32(f16_load(from + (size_t)lane * 2)) * (float)scale;
    out->has_min = true;
    out->min = f16_to_f32(f16_load(from + 32 + (size_t)lane * 2)) * (float)min;
    nibbles_unpack(out->q, from + PANEL_Q4K_CODES + (size_t)(b % 8) * PANEL_Q4_BLOCK, lane);
}

/* --- Q6_K ----------------------------------------------------------------------------------------------------
 */

/* Block j of 8: four columns from k of low nibbles, and of the high two bits. */
static uint32_t q6_k_low(const uint8_t *from, uint32_t j, size_t k)
{
    return load_u32(from + (size_t)(j / 4) * 64 + (size_t)(j % 2) * 32 + k) >> (j % 4 / 2 * 4) & 0x0F0F0F0FU;
}

static uint32_t q6_k_high(const uint8_t *from, uint32_t j, size_t k)
{
    return load_u32(from + 128 + (size_t)(j / 4) * 32 + k) >> (j % 4 * 2) & 0x03030303U;
}

static void pack_q6_k(uint8_t *panel, uint32_t s, uint32_t lane, const uint8_t *row)
{
    const uint8_t *from = row + (size_t)s * 210;
    uint8_t *to = panel + pair_codes_at(s, PANEL_Q6K_BYTES);

    memcpy(panel + pair_scales_at(s, PANEL_Q6K_BYTES) + (size_t)lane * 2, from + 208, 2);
    for (size_t i = 0; i < 16; i++)
        to[i * 16 + lane] = from[192 + i];
    for (uint32_t j = 0; j < 8; j++) {
        uint8_t *codes = to + PANEL_Q6K_CODES + (size_t)j * PANEL_Q6K_BLOCK;
        uint32_t first = 0, second = 0;
        for (uint32_t i = 0; i < 4; i++) {
            size_t k = 4 * (size_t)i;
            store_u32(code_at(codes, i, lane), q6_k_low(from, j, k) | q6_k_low(from, j, k + 16) << 4);
            first |= q6_k_high(from, j, k) << (2 * i);
            second |= q6_k_high(from, j, k + 16) << (2 * i);
        }
        store_u32(code_at(codes + PANEL_Q4_BLOCK, 0, lane), first);
        store_u32(code_at(codes + PANEL_Q4_BLOCK, 1, lane), second);
    }
}

static void unpack_q6_k(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    const uint8_t *from = panel + pair_codes_at(b / 8, PANEL_Q6K_BYTES);
    const uint8_t *codes = from + PANEL_Q6K_CODES + (size_t)(b % 8) * PANEL_Q6K_BLOCK;
    const uint8_t *high = codes + PANEL_Q4_BLOCK + (size_t)lane * 4;

    out->scale = f16_to_f32(f16_load(panel + pair_scales_at(b / 8, PANEL_Q6K_BYTES) + (size_t)lane * 2));
    for (size_t i = 0; i < 2; i++)
        out->sub_scale[i] = (int8_t)from[((size_t)(b % 8) * 2 + i) * 16 + lane];
    nibbles_unpack(out->q, codes, lane);
    for (uint32_t i = 0; i < 32; i++) {
        int bits = high[(size_t)(i / 16) * 64 + i % 4] >> (i % 16 / 4 * 2) & 3;
        out->q[i] = (int8_t)((out->q[i] | bits << 4) - 32);
    }
}

/* --- any of them ---------------------------------------------------------------------------------------------
 */

/* Column by column through sixteen rows at once, so that what is written stays in the nearest cache. */
static void pack_units(uint8_t *packed, size_t panel_bytes, uint32_t n_rows, uint32_t n_units, size_t row_bytes,
                       uint32_t row_first, uint32_t n, const uint8_t *rows, unit_pack *pack)
{
    for (uint32_t done = 0; done < n; done += PANEL_ROWS) {
        uint8_t *panel = packed + (row_first + done) / PANEL_ROWS * panel_bytes;
        uint32_t n_lanes = n - done < PANEL_ROWS ? n - done : PANEL_ROWS;

        ASSERT((row_first + done) % PANEL_ROWS == 0);
        ASSERT(n_lanes == PANEL_ROWS || row_first + n == n_rows);
        if (n_lanes < PANEL_ROWS)
            memset(panel, 0, panel_bytes);
        for (uint32_t unit = 0; unit < n_units; unit++)
            for (uint32_t lane = 0; lane < n_lanes; lane++)
                pack(panel, unit, lane, rows + (done + lane) * row_bytes);
    }
}

static void row_of_panel(float *out, const uint8_t *packed, size_t panel_bytes, uint32_t n_blocks, uint32_t row,
                         block_unpack *unpack)
{
    for (uint32_t b = 0; b < n_blocks; b++) {
        struct block32 w = {.sub_scale = {1, 1}, .sub_min = {1, 1}};
        unpack(&w, packed + row / PANEL_ROWS * panel_bytes, b, row % PANEL_ROWS);
        block32_values(out + (size_t)b * 32, &w);
    }
}

#define PANEL_TYPE(name, unit_elements, unit_bytes)                                                            \
    static size_t packed_bytes_##name(uint32_t n_rows, uint32_t n_cols)                                        \
    {                                                                                                          \
        return ((size_t)n_rows + PANEL_ROWS - 1) / PANEL_ROWS * panel_bytes_##name(n_cols);                    \
    }                                                                                                          \
    static void pack_rows_##name(void *packed, uint32_t n_rows, uint32_t n_cols, uint32_t row_first,           \
                                 uint32_t n, const void *rows)                                                 \
    {                                                                                                          \
        uint32_t n_units = n_cols / (unit_elements);                                                           \
        pack_units(packed, panel_bytes_##name(n_cols), n_rows, n_units, (size_t)n_units *(unit_bytes),         \
                   row_first, n, rows, pack_##name);                                                           \
    }

#define PANEL_BLOCK_ROW(name)                                                                                  \
    static void row_##name(float *out, const void *packed, uint32_t n_rows, uint32_t n_cols, uint32_t row)     \
    {                                                                                                          \
        (void)n_rows;                                                                                          \
        row_of_panel(out, packed, panel_bytes_##name(n_cols), n_cols / 32, row, unpack_##name);                \
    }

PANEL_TYPE(q8_0, 32, 34)
PANEL_BLOCK_ROW(q8_0)
PANEL_TYPE(q4_0, 32, 18)
PANEL_BLOCK_ROW(q4_0)
PANEL_TYPE(q4_k, 256, 144)
PANEL_BLOCK_ROW(q4_k)
PANEL_TYPE(q6_k, 256, 210)
PANEL_BLOCK_ROW(q6_k)

/* --- F32, F16, BF16 ------------------------------------------------------------------------------------------
 */

#define panel_bytes_bf16 panel_bytes_f16

static void pack_f32(uint8_t *panel, uint32_t k, uint32_t lane, const uint8_t *row)
{
    memcpy(panel + (size_t)k * 64 + (size_t)lane * 4, row + (size_t)k * 4, 4);
}

static void pack_f16(uint8_t *panel, uint32_t k, uint32_t lane, const uint8_t *row)
{
    memcpy(panel + (size_t)k * 32 + (size_t)lane * 2, row + (size_t)k * 2, 2);
}
#define pack_bf16 pack_f16

static float value_f32(const uint8_t *at)
{
    float f;
    memcpy(&f, at, sizeof f);
    return f;
}

static float value_f16(const uint8_t *at)
{
    return f16_to_f32(f16_load(at));
}

static float value_bf16(const uint8_t *at)
{
    return bf16_to_f32(f16_load(at));
}

#define PANEL_FLOAT_ROW(name, bytes)                                                                           \
    static void row_##name(float *out, const void *packed, uint32_t n_rows, uint32_t n_cols, uint32_t row)     \
    {                                                                                                          \
        const uint8_t *panel = (const uint8_t *)packed + row / PANEL_ROWS * panel_bytes_##name(n_cols);        \
        (void)n_rows;                                                                                          \
        for (size_t k = 0; k < n_cols; k++)                                                                    \
            out[k] = value_##name(panel + (k * PANEL_ROWS + row % PANEL_ROWS) * (bytes));                      \
    }

PANEL_TYPE(f32, 1, 4)
PANEL_FLOAT_ROW(f32, 4)
PANEL_TYPE(f16, 1, 2)
PANEL_FLOAT_ROW(f16, 2)
PANEL_TYPE(bf16, 1, 2)
PANEL_FLOAT_ROW(bf16, 2)

#define PANEL_SLOT(name)                                                                                       \
    (struct type_kernels)                                                                                      \
    {                                                                                                          \
        .panel_rows = PANEL_ROWS, .packed_bytes = packed_bytes_##name, .pack = pack_rows_##name,               \
        .row = row_##name                                                                                      \
    }

void panels_init(struct kernels *k)
{
    k->types[TENSOR_TYPE_F32] = PANEL_SLOT(f32);
    k->types[TENSOR_TYPE_F16] = PANEL_SLOT(f16);
    k->types[TENSOR_TYPE_BF16] = PANEL_SLOT(bf16);
    k->types[TENSOR_TYPE_Q8_0] = PANEL_SLOT(q8_0);
    k->types[TENSOR_TYPE_Q4_0] = PANEL_SLOT(q4_0);
    k->types[TENSOR_TYPE_Q4_K] = PANEL_SLOT(q4_k);
    k->types[TENSOR_TYPE_Q6_K] = PANEL_SLOT(q6_k);
}
