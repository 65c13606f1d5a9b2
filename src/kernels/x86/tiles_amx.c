#include "kernels/x86/tiles.h"

#include "kernels/x86/tiles_steps.h"

#include <string.h>

/* --- the walk -------------------------------------------------------------------------------------------- */

/* Some panels times some tokens. The chains, 512 columns of the panels' codes and 128 of the activations stay
 * in the second level cache; while all panels pass over these, the next 128 are fetched. The chains lie
 * together; in the output, whose rows are far apart, they would push each other out. */
#define LOT_PANELS 16 /* a multiple of STEP_PANELS */
struct lot {
    const struct matmul *m;
    const struct tiles_type *type;
    struct lot_range at;
    uint32_t column; /* of what is opened */
    struct opened opened[LOT_PANELS];
    _Alignas(64) float sums[2][SUMS_OF_STEP];
    _Alignas(64) float chains[LOT_PANELS][LOT_TOKENS][PANEL_ROWS];
};

/* Two panels' blocks from `block` of what is opened, by the lot's first group. */
static struct step first_step(struct lot *lot, uint32_t panel, size_t block)
{
    const struct matmul *m = lot->m;
    uint32_t at = (lot->column / 32 + (uint32_t)block) / STEP_BLOCKS;
    struct group_step x = group_step_at(m->activations, m->n_cols / 32, m->n_tokens, lot->at.token / GROUP, at);

    return (struct step){.x = x.x,
                         .x_scale = x.scale,
                         .x_sum = x.scaled_sum,
                         .opened = &lot->opened[panel],
                         .block = block,
                         .chains = lot->chains[panel][0],
                         .sums = lot->sums[0]};
}

/* The next group's, whose products are `sums`. */
static ALWAYS_INLINE struct step next_step(struct step step, const size_t n_blocks, float *sums)
{
    size_t bytes = n_blocks * GROUP_STEP_BLOCK_BYTES;

    step.x += bytes / sizeof *step.x;
    step.x_scale += bytes / sizeof *step.x_scale;
    step.x_sum += bytes / sizeof *step.x_sum;
    step.chains += GROUP * PANEL_ROWS;
    step.sums = sums;
    return step;
}

/* Lines of the next columns' activations that are fetched with each group, so that all are when all panels have
 * passed. */
static uint32_t lines_ahead(const struct lot *lot)
{
    uint32_t n_pairs = (lot->at.n_panels + 1) / STEP_PANELS, lines = STEP_BLOCKS * GROUP_STEP_BLOCK_BYTES / 64;
    return n_pairs < 2 ? 0 : (lines + n_pairs - 1) / n_pairs;
}

/* Two panels times the lot's tokens: STEP_BLOCKS blocks of what is opened. */
static ALWAYS_INLINE void run_pair(struct lot *lot, uint32_t panel, size_t block, const enum block_kind kind)
{
    uint32_t n_groups = (lot->at.token_end - lot->at.token) / GROUP, n_lines = lines_ahead(lot);
    struct step step = first_step(lot, panel, block);
    const char *ahead = (const char *)step.x + (size_t)n_groups * (STEP_BLOCKS * GROUP_STEP_BLOCK_BYTES +
                                                                   panel / STEP_PANELS * n_lines * 64);
    float *other_sums = lot->sums[1];

    run_step(step, step, kind, true, false);
    for (uint32_t g = 1; g < n_groups; g++) {
        float *sums = other_sums;
        other_sums = step.sums;
        struct step next = next_step(step, STEP_BLOCKS, sums);
        for (uint32_t i = 0; i < n_lines; i++, ahead += 64)
            _mm_prefetch(ahead, _MM_HINT_T1);
        run_step(next, step, kind, true, true);
        step = next;
    }
    run_step(step, step, kind, false, true);
}

/* Blocks that are fewer than a step's. */
static ALWAYS_INLINE void run_last_blocks(struct lot *lot, uint32_t panel, size_t block,
                                          const enum block_kind kind)
{
    size_t n_blocks = lot->opened[0].n_blocks - block;
    struct step step = first_step(lot, panel, block);

    for (uint32_t t = lot->at.token; t < lot->at.token_end; t += GROUP) {
        for (size_t i = 0; i < n_blocks * STEP_PANELS; i++)
            run_block(step, i % STEP_PANELS, i / STEP_PANELS, kind);
        step = next_step(step, n_blocks, step.sums);
    }
}

/* Asks for a fourth of what is opened of two panels after this. */
static void fetch_codes(const struct lot *lot, uint32_t panel, size_t block)
{
    const struct tiles_type *type = lot->type;
    uint32_t column = lot->column + OPENED_COLUMNS, row = lot->at.row;
    size_t part = type->panel_bytes(OPENED_COLUMNS) / OPENED_BLOCKS * STEP_BLOCKS;
    size_t panel_bytes = type->panel_bytes(lot->m->n_cols);

    if (column >= lot->m->n_cols) { /* the next lot's; behind the last one is no harm */
        row += LOT_PANELS * PANEL_ROWS;
        column = 0;
    }
    uintptr_t at = (uintptr_t)lot->m->weights + (row / PANEL_ROWS + panel) * panel_bytes +
                   type->panel_bytes(column) + block / STEP_BLOCKS * part;
    for (size_t p = 0; p < STEP_PANELS; p++)
        for (size_t i = 0; i < part; i += 64)
            _mm_prefetch((const char *)(at + p * panel_bytes + i), _MM_HINT_T1);
}

static ALWAYS_INLINE void run_opened(struct lot *lot, const enum block_kind kind)
{
    for (size_t b = 0; b < lot->opened[0].n_blocks; b += STEP_BLOCKS)
        for (uint32_t p = 0; p < lot->at.n_panels; p += STEP_PANELS) {
            fetch_codes(lot, p, b);
            if (lot->opened[0].n_blocks - b < STEP_BLOCKS)
                run_last_blocks(lot, p, b, kind);
            else
                run_pair(lot, p, b, kind);
        }
}

static void run_opened_plain(struct lot *lot)
{
    run_opened(lot, BLOCK_PLAIN);
}
static void run_opened_min(struct lot *lot)
{
    run_opened(lot, BLOCK_MIN);
}

static void run_columns(struct lot *lot)
{
    static void (*const run[])(struct lot *) = {run_opened_plain, run_opened_min};
    const struct tiles_type *type = lot->type;
    uint32_t n_left = lot->m->n_cols - lot->column, n_cols = n_left < OPENED_COLUMNS ? n_left : OPENED_COLUMNS;
    size_t panel_bytes = type->panel_bytes(lot->m->n_cols);
    const uint8_t *panel = (const uint8_t *)lot->m->weights + lot->at.row / PANEL_ROWS * panel_bytes +
                           type->panel_bytes(lot->column);

    for (uint32_t p = 0; p < lot->at.n_panels + lot->at.n_panels % STEP_PANELS; p++) {
        lot->opened[p].n_blocks = 0; /* an odd last panel twice, for chains that nobody wants */
        type->open(&lot->opened[p], panel + (p < lot->at.n_panels ? p : p - 1) * panel_bytes, n_cols);
    }
    published(lot->opened);
    run[type->kind](lot);
}

static void run_lot(struct lot *lot)
{
    for (uint32_t p = 0; p < lot->at.n_panels + lot->at.n_panels % STEP_PANELS; p++)
        memset(lot->chains[p], 0, (lot->at.token_end - lot->at.token) * sizeof lot->chains[p][0]);
    for (lot->column = 0; lot->column < lot->m->n_cols; lot->column += OPENED_COLUMNS)
        run_columns(lot);
}

static void run_lots(const struct matmul *m, uint32_t row_first, uint32_t row_end,
                     const struct tiles_type *type)
{
    struct lot lot;

    lot.m = m;
    lot.type = type;
    lot.at = (struct lot_range){0};
    configure_tiles();
    while (next_lot(&lot.at, row_first, row_end, group_steps_tokens(m->n_tokens), LOT_PANELS)) {
        run_lot(&lot);
        store_lot(m, &lot.at, row_end, lot.chains[0][0], CHAINS_OF_PANEL);
    }
    _tile_release();
}

void tiles_matmul(const struct matmul *m, uint32_t row_first, uint32_t row_end, const struct tiles_type *type)
{
    if (group_steps_tokens(m->n_tokens))
        run_lots(m, row_first, row_end, type);
    multiply_rest(m, row_first, row_end, group_steps_bytes(m->n_cols / 32, m->n_tokens), type->rest);
}
