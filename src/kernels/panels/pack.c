#include "kernels/panels/pack.h"

/* The job's part in one panel: its lanes, and the first lane's row. Zeroes a panel that is not full. */
static uint8_t *open_panel(const struct pack_job *job, uint32_t rows_done, uint32_t *n_lanes,
                           const uint8_t **rows)
{
    uint8_t *panel = job->packed + (job->row_first + rows_done) / PANEL_ROWS * job->panel_bytes;

    *n_lanes = job->n - rows_done < PANEL_ROWS ? job->n - rows_done : PANEL_ROWS;
    *rows = job->rows + rows_done * job->row_bytes;
    ASSERT((job->row_first + rows_done) % PANEL_ROWS == 0);
    ASSERT(*n_lanes == PANEL_ROWS || job->row_first + job->n == job->n_rows);
    if (*n_lanes < PANEL_ROWS)
        memset(panel, 0, job->panel_bytes);
    return panel;
}

/* Unit by unit through sixteen rows at once, so that what is written stays in the nearest cache. */
void pack_units(const struct pack_job *job, uint32_t n_units, unit_pack *pack)
{
    for (uint32_t done = 0, n_lanes; done < job->n; done += n_lanes) {
        const uint8_t *rows;
        uint8_t *panel = open_panel(job, done, &n_lanes, &rows);
        for (uint32_t unit = 0; unit < n_units; unit++)
            for (uint32_t lane = 0; lane < n_lanes; lane++)
                pack(panel, unit, lane, rows + lane * job->row_bytes);
    }
}

void pack_row(float *out, const uint8_t *packed, size_t panel_bytes, uint32_t n_blocks, uint32_t row,
              block_unpack *unpack)
{
    for (uint32_t b = 0; b < n_blocks; b++) {
        struct block32 w = block32_plain();
        unpack(&w, packed + row / PANEL_ROWS * panel_bytes, b, row % PANEL_ROWS);
        block32_values(out + (size_t)b * 32, &w);
    }
}
