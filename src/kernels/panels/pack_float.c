/* F32, F16, BF16: bands of rows transposed. */
#include "kernels/panels/pack.h"
#include "kernels/unroll.h"

#define CHUNK 32 /* columns that are written row by row before the next: they stay in the nearest cache */

/* From one row to its lane, column_bytes apart; missing rows (NULL) are zeros. */
static ALWAYS_INLINE void transpose(uint8_t *to, size_t column_bytes, const uint8_t *from, size_t n,
                                    const size_t element_bytes)
{
    if (from) {
        for (size_t k = 0; k < n; k++)
            memcpy(to + k * column_bytes, from + k * element_bytes, element_bytes);
    } else {
        for (size_t k = 0; k < n; k++)
            memset(to + k * column_bytes, 0, element_bytes);
    }
}

static ALWAYS_INLINE void pack_panel(uint8_t *panel, size_t column_bytes, uint32_t n_cols, const uint8_t *rows,
                                     size_t row_bytes, uint32_t n_lanes, const size_t element_bytes)
{
    for (size_t k = 0; k < n_cols; k += CHUNK)
        for (uint32_t lane = 0; lane < PANEL_ROWS; lane++)
            transpose(panel + k * column_bytes + lane * element_bytes, column_bytes,
                      lane < n_lanes ? rows + lane * row_bytes + k * element_bytes : NULL,
                      n_cols - k < CHUNK ? n_cols - k : CHUNK, element_bytes);
}

static ALWAYS_INLINE void pack_elements(const struct pack_job *job, uint32_t n_cols, const size_t element_bytes)
{
    uint32_t n_panels = (job->n_rows + PANEL_ROWS - 1) / PANEL_ROWS;

    ASSERT(job->row_first % BAND_ROWS == 0);
    ASSERT(job->n % BAND_ROWS == 0 || job->row_first + job->n == job->n_rows);
    for (uint32_t done = 0; done < job->n; done += PANEL_ROWS) {
        uint32_t panel = (job->row_first + done) / PANEL_ROWS, n_left = job->n - done;
        pack_panel(job->packed + band_panel_at(panel, job->panel_bytes, element_bytes),
                   band_width(n_panels, panel) * PANEL_ROWS * element_bytes, n_cols,
                   job->rows + done * job->row_bytes, job->row_bytes, n_left < PANEL_ROWS ? n_left : PANEL_ROWS,
                   element_bytes);
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
        uint32_t panel = row / PANEL_ROWS, width = band_width((n_rows + PANEL_ROWS - 1) / PANEL_ROWS, panel);  \
        const uint8_t *at = (const uint8_t *)packed + band_panel_at(panel, panel_bytes(n_cols), bytes);        \
        for (size_t k = 0; k < n_cols; k++)                                                                    \
            out[k] = value_##name(at + (k * width * PANEL_ROWS + row % PANEL_ROWS) * (bytes));                 \
    }

PACK_FLOAT(f32, 4, panel_bytes_f32)
PACK_FLOAT(f16, 2, panel_bytes_f16)
PACK_FLOAT(bf16, 2, panel_bytes_f16)

void kernels_init_float_panels(struct kernels *k)
{
    k->types[TENSOR_TYPE_F32] = PACK_SLOT(f32, BAND_ROWS);
    k->types[TENSOR_TYPE_F16] = PACK_SLOT(f16, BAND_ROWS);
    k->types[TENSOR_TYPE_BF16] = PACK_SLOT(bf16, BAND_ROWS);
}
