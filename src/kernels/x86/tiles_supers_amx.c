#include "kernels/x86/tiles_supers.h"

#include "kernels/x86/tiles_supers_steps.h"

#include <string.h>

/* Some panels times some tokens. The chains, a block of the panels' codes and of the activations stay in the
 * second level cache; while all panels pass over these, the next are fetched. */
#define LOT_PANELS 16 /* a multiple of STEP_PANELS */
struct lot {
    const struct matmul *m;
    const struct supers_type *type;
    struct lot_range at;
    size_t super; /* that is opened */
    struct opened_super opened[LOT_PANELS];
    _Alignas(64) int32_t sums[2][STEP_SUM_TILES * SUMS_OF_TILE];
    _Alignas(64) float chains[LOT_PANELS][LOT_TOKENS + GROUP][PANEL_ROWS];
};

/* --- steps ----------------------------------------------------------------------------------------------- */

/* An odd last panel is taken twice, for chains that nobody wants. */
static uint32_t n_opened(const struct lot *lot)
{
    return lot->at.n_panels + lot->at.n_panels % STEP_PANELS;
}

static uint32_t n_groups_of(const struct lot *lot)
{
    return (lot->at.token_end - lot->at.token) / GROUP;
}

static ALWAYS_INLINE const int8_t *x_at(const struct lot *lot, uint32_t group, size_t super)
{
    return group_super_tile_at(lot->m->activations, lot->m->n_tokens, lot->at.token / GROUP + group, super).q;
}

static ALWAYS_INLINE struct step step_at(struct lot *lot, size_t panel, uint32_t group)
{
    return (struct step){.x = group_super_tile_at(lot->m->activations, lot->m->n_tokens,
                                                  lot->at.token / GROUP + group, lot->super)
                                  .q,
                         .opened = &lot->opened[panel],
                         .chains = lot->chains[panel][(size_t)group * GROUP],
                         .sums = lot->sums[group % 2]};
}

/* Adds what the sums happen to hold to chains that nobody wants. */
static ALWAYS_INLINE struct step no_step(struct lot *lot, size_t sums)
{
    struct step step = step_at(lot, 0, 0);
    step.chains = lot->chains[0][LOT_TOKENS];
    step.sums = lot->sums[sums];
    return step;
}

/* The lines of the next block's activations that are fetched with each step, so that all are when all panels
 * have passed. */
static size_t lines_ahead(const struct lot *lot)
{
    size_t n_pairs = n_opened(lot) / STEP_PANELS;
    return (GROUP_SUPER_TILE_BYTES / 64 + n_pairs - 1) / n_pairs;
}

static ALWAYS_INLINE void run_super(struct lot *lot, const enum super_kind kind)
{
    uint32_t n_groups = n_groups_of(lot);
    size_t n_lines = lines_ahead(lot);
    const char *ahead = (const char *)x_at(lot, 0, lot->super + 1);

    for (size_t panel = 0; panel < n_opened(lot); panel += STEP_PANELS) {
        struct step old = no_step(lot, 0), before = no_step(lot, 1);
        for (uint32_t group = 0; group < n_groups; group++) {
            struct step to = step_at(lot, panel, group);
            for (size_t i = 0; i < n_lines; i++, ahead += 64)
                _mm_prefetch(ahead, _MM_HINT_T1);
            run_step(to, before, old, kind, true);
            old = before;
            before = to;
        }
        run_step(before, before, old, kind, false);
        run_step(before, before, before, kind, false);
    }
}

static void run_one(struct lot *lot)
{
    run_super(lot, SUPER_ONE);
}
static void run_one_min(struct lot *lot)
{
    run_super(lot, SUPER_ONE_MIN);
}
static void run_two_3(struct lot *lot)
{
    run_super(lot, SUPER_TWO_3);
}
static void run_two_8(struct lot *lot)
{
    run_super(lot, SUPER_TWO_8);
}

/* --- the walk -------------------------------------------------------------------------------------------- */

static void open_panels(struct lot *lot)
{
    size_t panel_bytes = lot->type->panel_bytes(lot->m->n_cols);
    const uint8_t *panel = (const uint8_t *)lot->m->weights + lot->at.row / PANEL_ROWS * panel_bytes;

    for (uint32_t p = 0; p < n_opened(lot); p++)
        lot->type->open(&lot->opened[p], panel + (p < lot->at.n_panels ? p : p - 1) * panel_bytes, lot->super);
    published(lot->opened);
}

static void run_lot(struct lot *lot)
{
    static void (*const run[])(struct lot *) = {run_one, run_one_min, run_two_3, run_two_8};
    size_t n_tokens = lot->at.token_end - lot->at.token;

    for (uint32_t p = 0; p < n_opened(lot); p++)
        memset(lot->chains[p], 0, n_tokens * sizeof lot->chains[p][0]);
    for (uint32_t p = 0; p < 2; p++)
        memset(lot->chains[p][LOT_TOKENS], 0, GROUP * sizeof lot->chains[p][0]);
    for (lot->super = 0; lot->super < lot->m->n_cols / 256; lot->super++) {
        open_panels(lot);
        run[lot->type->kind](lot);
    }
}

static void run_lots(const struct matmul *m, uint32_t row_first, uint32_t row_end,
                     const struct supers_type *type)
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

void tiles_supers_matmul(const struct matmul *m, uint32_t row_first, uint32_t row_end,
                         const struct supers_type *type)
{
    if (group_steps_tokens(m->n_tokens))
        run_lots(m, row_first, row_end, type);
    multiply_rest(m, row_first, row_end, group_super_tiles_bytes(m->n_cols / 256, m->n_tokens), type->rest);
}
