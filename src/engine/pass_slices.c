/* Products that are used where they arise: a slice, some rows of a matrix times all tokens, stays in a worker's
 * own memory and the second level cache, and what follows is done to it before the next. Whole products of a
 * long prompt would go to memory and come back. */
#include "engine/pass_private.h"

#define SLICE_ROWS_MAX 256 /* as many as are readied together as the next input at most */

size_t pass_slices_floats(const struct hparams *hp, uint32_t n_rows, uint32_t n_workers)
{
    uint32_t widest = hp->n_ff > hp->n_embd ? hp->n_ff : hp->n_embd;
    uint32_t of_worker =
        pass_n_blocks(widest, n_workers * PASS_PARTS_A_WORKER * SLICE_ROWS_MAX) * SLICE_ROWS_MAX;
    size_t floats = 2 * (size_t)pass_min(of_worker, SLICE_ROWS_MAX) * n_rows; /* gate and up */
    return floats > hp->n_embd ? floats : hp->n_embd;                         /* or a row's norm */
}

struct slice_part {
    const struct pass *pass;
    const struct matrix *matrix; /* the first */
    uint32_t rows_a_part;
    float *x;                /* pass_multiply_add */
    const struct gated *ffn; /* pass_gated_input */
    enum gate_act act;
};

static uint32_t least_common_multiple(uint32_t a, uint32_t b)
{
    uint32_t x = a, y = b;
    while (y) {
        uint32_t rest = x % y;
        x = y;
        y = rest;
    }
    return a / x * b;
}

uint32_t pass_gated_panel(const struct pass *pass, const struct matrix *gate, const struct matrix *up)
{
    return least_common_multiple(pass->kernels->types[gate->type].panel_rows,
                                 pass->kernels->types[up->type].panel_rows);
}

/* Rows [first, first + n) times all tokens: out[t * n ...]. */
static void multiply_slice(const struct pass *pass, const struct matrix *m, uint32_t first, uint32_t n,
                           float *out)
{
    const struct type_kernels *type = &pass->kernels->types[m->type];
    struct matrix rows = *m;
    struct matmul job = {.weights =
                             (const char *)m->packed + (first ? type->packed_bytes(first, m->n_cols) : 0),
                         .n_rows = n,
                         .n_cols = m->n_cols,
                         .activations = pass_prepared(pass, m),
                         .n_tokens = pass->n_rows,
                         .out = out,
                         .out_stride = n};

    rows.bias = m->bias ? m->bias + first : NULL;
    type->matmul(&job, 0, n);
    pass_add_bias(pass->kernels, &rows, &job, 0, n);
}

static float *slices_of(const struct pass *pass, uint32_t worker)
{
    return pass->buffers->slices + worker * pass->buffers->slices_stride;
}

/* Every part is as wide as the first, but for the last. */
static uint32_t rows_of_part(const struct slice_part *part, uint32_t index, uint32_t *first)
{
    *first = index * part->rows_a_part;
    return pass_min(part->rows_a_part, part->matrix->n_rows - *first);
}

static void share(struct pass *pass, struct slice_part *part, uint32_t panel,
                  void (*run)(void *arg, uint32_t index, uint32_t worker))
{
    size_t n_most = pass->buffers->slices_stride / 2 / pass->n_rows / panel * panel;
    uint32_t wanted = pass_rows_a_part(pass, part->matrix, panel, pass->n_rows, 1);

    ASSERT(n_most > 0);
    part->rows_a_part = wanted < n_most ? wanted : (uint32_t)n_most;
    crew_share(pass->crew, pass_n_blocks(part->matrix->n_rows, part->rows_a_part), run, part);
}

static void run_add(void *arg, uint32_t index, uint32_t worker)
{
    const struct slice_part *part = arg;
    const struct pass *pass = part->pass;
    uint32_t first, n = rows_of_part(part, index, &first);
    float *slice = slices_of(pass, worker);

    multiply_slice(pass, part->matrix, first, n, slice);
    for (size_t t = 0; t < pass->n_rows; t++)
        pass->kernels->add_scaled(part->x + t * part->matrix->n_rows + first, slice + t * n,
                                  pass->hparams->residual_scale, n);
}

void pass_multiply_add(struct pass *pass, const struct matrix *matrix, float *x)
{
    struct slice_part part = {.pass = pass, .matrix = matrix, .x = x};
    share(pass, &part, pass->kernels->types[matrix->type].panel_rows, run_add);
}

void pass_gate(const struct kernels *k, enum gate_act act, float *out, const float *gate, const float *up,
               size_t n)
{
    switch (act) {
    case GATE_SILU:
        k->swiglu(out, gate, up, n);
        break;
    case GATE_GELU:
        k->geglu(out, gate, up, n);
        break;
    case GATE_SILU_LIMITED:
        k->swiglu_limited(out, gate, up, n);
        break;
    }
}

static void run_gated(void *arg, uint32_t index, uint32_t worker)
{
    const struct slice_part *part = arg;
    const struct pass *pass = part->pass;
    const struct matrix *down = &part->ffn->down;
    uint32_t first, n = rows_of_part(part, index, &first), kind = pass->buffers->input_of[down->type];
    size_t n_floats = (size_t)pass->n_rows * n;
    float *gate = slices_of(pass, worker), *up = gate + n_floats;
    struct activation_part columns = {down->n_cols, pass->n_rows, 0, pass->n_rows, first, first + n};

    multiply_slice(pass, &part->ffn->gate, first, n, gate);
    multiply_slice(pass, &part->ffn->up, first, n, up);
    pass_gate(pass->kernels, part->act, gate, gate, up, n_floats);
    pass->kernels->types[down->type].activation->prepare(pass->buffers->prepared_ff[kind], gate, n, &columns);
}

/* --- few rows ----------------------------------------------------------------------------------------------
 *
 * Where many columns are rounded together there may be too few such parts for all workers. A few rows' products
 * are small enough to be kept whole: parts are as small as other matrices', and what they give is readied
 * afterwards. */

static void run_gated_whole(void *arg, uint32_t index, uint32_t worker)
{
    const struct slice_part *part = arg;
    const struct pass *pass = part->pass;
    uint32_t first, n = rows_of_part(part, index, &first);
    float *gate = slices_of(pass, worker), *up = gate + (size_t)pass->n_rows * n;

    multiply_slice(pass, &part->ffn->gate, first, n, gate);
    multiply_slice(pass, &part->ffn->up, first, n, up);
    for (size_t t = 0; t < pass->n_rows; t++)
        pass_gate(pass->kernels, part->act, pass->buffers->gated + t * part->matrix->n_rows + first,
                  gate + t * n, up + t * n, n);
}

static void run_ready(void *arg, uint32_t index, uint32_t worker)
{
    const struct slice_part *part = arg;
    const struct pass *pass = part->pass;
    const struct matrix *down = &part->ffn->down;
    uint32_t n = activation_columns(down->type), first = index * n, kind = pass->buffers->input_of[down->type];
    struct activation_part columns = {down->n_cols, pass->n_rows, 0, pass->n_rows, first, first + n};
    (void)worker;

    pass->kernels->types[down->type].activation->prepare(pass->buffers->prepared_ff[kind],
                                                         pass->buffers->gated + first, down->n_cols, &columns);
}

void pass_gated_input(struct pass *pass, const struct gated *ffn, enum gate_act act)
{
    struct slice_part part = {.pass = pass, .matrix = &ffn->gate, .ffn = ffn, .act = act};
    uint32_t panel = pass_gated_panel(pass, &ffn->gate, &ffn->up), columns = activation_columns(ffn->down.type);
    uint32_t unit = least_common_multiple(panel, columns);
    bool too_few = pass_n_blocks(ffn->gate.n_rows, unit) < pass->n_workers * PASS_PARTS_A_WORKER;

    if (too_few && unit > panel && pass->n_rows <= PASS_GATED_ROWS) {
        share(pass, &part, panel, run_gated_whole);
        crew_share(pass->crew, pass_n_blocks(ffn->down.n_cols, columns), run_ready, &part);
    } else {
        share(pass, &part, unit, run_gated);
    }
    pass->inputs = pass->buffers->prepared_ff;
}
