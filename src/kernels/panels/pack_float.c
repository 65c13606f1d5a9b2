/* F32, F16, BF16: sixteen rows transposed. */
#include "kernels/panels/pack.h"
#include "kernels/unroll.h"

#define CHUNK 32 /* columns that are written row by row before the next: they stay in the nearest cache */

static ALWAYS_INLINE void transpose(uint8_t *to, const uint8_t *from, size_t n, const size_t element_bytes)
{
    for (size_t k = 0; k < n; k++)
        memcpy(to + k * PANEL_ROWS * element_bytes, from + k * element_bytes, element_bytes);
}

static ALWAYS_INLINE void pack_elements(const struct pack_job *job, uint32_t n_cols, const size_t element_bytes)
{
    for (uint32_t done = 0, n_lanes; done < job->n; done += n_lanes) {
        const uint8_t *rows;
        uint8_t *panel = pack_open_panel(job, done, &n_lanes, &rows);
        for (size_t k = 0; k < n_cols; k += CHUNK)
            for (uint32_t lane = 0; lane < n_lanes; lane++)
                transpose(panel + (k * PANEL_ROWS + lane) * element_bytes,
                          rows + lane * job->row_bytes + k * element_bytes,
                          n_cols - k < CHUNK ? n_cols - k : CHUNK, element_bytes);
    }
}

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

#define PACK_FLOAT(name, bytes, panel_bytes)                                                                   \
    static size_t packed_bytes_##name(uint32_t n_rows, uint32_t n_cols)                                        \
    {                                                                                                          \
        return ((size_t)n_rows + PANEL_ROWS - 1) / PANEL_ROWS * panel_bytes(n_cols);                           \
    }                                                                                                          \
    static void pack_rows_##name(void *packed, uint32_t n_rows, uint32_t n_cols, uint32_t row_first,           \
                                 uint32_t n, const void *rows)                                                 \
    {                                                                                                          \
        struct pack_job job = {packed, panel_bytes(n_cols),     n_rows, row_first, n,                          \
                               rows,   (size_t)n_cols * (bytes)};                                              \
        pack_elements(&job, n_cols, bytes);                                                                    \
    }                                                                                                          \
    static void row_##name(float *out, const void *packed, uint32_t n_rows, uint32_t n_cols, uint32_t row)     \
    {                                                                                                          \
        const uint8_t *panel = (const uint8_t *)packed + row / PANEL_ROWS * panel_bytes(n_cols);               \
        (void)n_rows;                                                                                          \
        for (size_t k = 0; k < n_cols; k++)                                                                    \
            out[k] = value_##name(panel + (k * PANEL_ROWS + row % PANEL_ROWS) * (bytes));                      \
    }

PACK_FLOAT(f32, 4, panel_bytes_f32)
PACK_FLOAT(f16, 2, panel_bytes_f16)
PACK_FLOAT(bf16, 2, panel_bytes_f16)

void kernels_init_float_panels(struct kernels *k)
{
    k->types[TENSOR_TYPE_F32] = PACK_SLOT(f32);
    k->types[TENSOR_TYPE_F16] = PACK_SLOT(f16);
    k->types[TENSOR_TYPE_BF16] = PACK_SLOT(bf16);
}
