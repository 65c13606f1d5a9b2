#include "kernels/panels/groups.h"

#define LOT_BYTES  ((size_t)256 << 10)
#define LOT_PANELS 4 /* at least */

bool groups_ask_ahead = true;

size_t groups_f32_bytes(uint32_t n_cols, uint32_t n_tokens)
{
    return (size_t)n_tokens * n_cols * sizeof(float);
}

void groups_f32_prepare(void *prepared, const float *x, size_t x_stride, const struct activation_part *part,
                        uint32_t group_max)
{
    for (uint32_t t = part->token_first; t < part->token_end; t++) {
        struct group g = group_of(t, part->n_tokens, group_max);
        const float *from = x + t * x_stride;
        float *to = (float *)prepared + (size_t)g.first * part->n_cols + (t - g.first);
        for (size_t k = part->column_first; k < part->column_end; k++)
            to[k * g.size] = *from++;
    }
}

static void lot_matmul(const struct matmul *m, struct tile *tile, uint32_t row, uint32_t group_max,
                       tile_kernel *const kernels[])
{
    for (uint32_t t = 0; t < m->n_tokens; t += tile->group.size) {
        tile->group = group_of(t, m->n_tokens, group_max);
        tile->out = m->out + t * m->out_stride + row;
        kernels[__builtin_ctz(tile->group.size)](tile);
    }
}

void groups_matmul(const struct matmul *m, uint32_t row_first, uint32_t row_end, size_t panel_bytes,
                   uint32_t group_max, tile_kernel *const kernels[])
{
    uint32_t lot_panels = (uint32_t)(LOT_BYTES / panel_bytes);
    struct tile tile = {.panel_bytes = panel_bytes,
                        .n_cols = m->n_cols,
                        .activations = m->activations,
                        .out_stride = m->out_stride};

    lot_panels = lot_panels > LOT_PANELS ? lot_panels / BAND_PANELS * BAND_PANELS : LOT_PANELS;
    ASSERT(row_first % PANEL_ROWS == 0);
    for (uint32_t row = row_first; row < row_end; row += tile.n_panels * PANEL_ROWS) {
        uint32_t n_left = (row_end - row + PANEL_ROWS - 1) / PANEL_ROWS;
        tile.n_panels = n_left < lot_panels ? n_left : lot_panels;
        tile.n_rows = n_left <= lot_panels ? row_end - row : tile.n_panels * PANEL_ROWS;
        tile.panel = (const uint8_t *)m->weights + row / PANEL_ROWS * panel_bytes;
        lot_matmul(m, &tile, row, group_max, kernels);
    }
}
