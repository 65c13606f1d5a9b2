#include "engine/pass.h"

#include "engine/pass_private.h"
#include "kernels/rope.h"

#include <math.h>
#include <string.h>

#define PARTS_A_WORKER    4     /* of a matrix */
#define PART_PRODUCTS_MIN 16384 /* multiplications that make a part of a matrix worth it */

const struct layer_weights *pass_layer(const struct pass *pass, uint32_t layer)
{
    return weights_layer(pass->batch->parts[pass->batch->part_of_layer[layer]], layer);
}

/* Exponents all ones: infinite or NaN. */
static bool is_finite(const float *x, size_t n)
{
    uint32_t found = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        found |= (bits & 0x7f800000U) == 0x7f800000U;
    }
    return !found;
}

/* --- begin and end -----------------------------------------------------------------------------------------
 */

static void embed(const struct pass *pass, float *x, uint32_t token)
{
    const struct matrix *m = weights_embedding(pass->batch->embedding);
    float scale = pass->hparams->embd_scale;

    pass->kernels->types[m->type].row(x, m->packed, m->n_rows, m->n_cols, token);
    for (uint32_t i = 0; scale != 1.0F && i < m->n_cols; i++)
        x[i] *= scale;
}

/* Probes are in their original context everywhere, whatever this engine's is. */
static void turn_angles(const struct pass *pass, const struct batch_span *span, uint32_t row)
{
    const struct batch *batch = pass->batch;
    const struct pass_buffers *b = pass->buffers;
    const struct rope_tables *rope = weights_rope(batch->parts[batch->part_of_layer[batch->layer_first]]);
    uint32_t n_pairs = pass->hparams->n_rot / 2, position = batch->positions[row];
    bool is_beyond = !span->sequence->is_probe && pass->n_ctx > pass->hparams->rope_ctx_orig;
    size_t at = (size_t)row * n_pairs;

    rope_angles(b->cos + at, b->sin + at, is_beyond ? rope->beyond : rope->within, n_pairs, position,
                rope->magnitude);
    if (b->cos_local)
        rope_angles(b->cos_local + at, b->sin_local + at, rope->local, n_pairs, position, 1.0F);
}

static void begin_row(const struct pass *pass, uint32_t row)
{
    const struct batch *batch = pass->batch;
    const struct pass_buffers *b = pass->buffers;
    uint32_t n_embd = pass->hparams->n_embd;
    const struct batch_span *span = &batch->spans[batch->span_of_row[row]];
    float *x = b->x + (size_t)row * n_embd;

    if (batch->layer_first == 0)
        embed(pass, x, batch->tokens[row]);
    else
        memcpy(x, span->step->hidden_in + (size_t)(row - span->first_row) * n_embd, n_embd * sizeof *x);
    if (!is_finite(x, n_embd)) {
        pass->batch->spans[batch->span_of_row[row]].is_bad = true;
        memset(x, 0, n_embd * sizeof *x); /* nothing that spreads */
    }
    turn_angles(pass, span, row);
}

static void end_row(const struct pass *pass, uint32_t row)
{
    struct batch_span *span = &pass->batch->spans[pass->batch->span_of_row[row]];
    uint32_t n_embd = pass->hparams->n_embd;
    const float *x = pass->buffers->x + (size_t)row * n_embd;

    if (!is_finite(x, n_embd))
        span->is_bad = true;
    if (span->step->hidden_out)
        memcpy(span->step->hidden_out + (size_t)(row - span->first_row) * n_embd, x, n_embd * sizeof *x);
}

struct rows_part {
    const struct pass *pass;
    void (*row)(const struct pass *pass, uint32_t row);
};

static void run_rows(void *arg, uint32_t index, uint32_t worker)
{
    const struct rows_part *part = arg;
    uint32_t first = index * PASS_ROWS_A_PART, end = pass_min(first + PASS_ROWS_A_PART, part->pass->n_rows);
    (void)worker;
    for (uint32_t row = first; row < end; row++)
        part->row(part->pass, row);
}

void pass_each_row(struct pass *pass, void (*row)(const struct pass *pass, uint32_t row))
{
    struct rows_part part = {.pass = pass, .row = row};
    crew_share(pass->crew, pass_n_blocks(pass->n_rows, PASS_ROWS_A_PART), run_rows, &part);
}

void pass_begin(struct pass *pass)
{
    pass_each_row(pass, begin_row);
}

void pass_end(struct pass *pass)
{
    pass_each_row(pass, end_row);
}

/* --- inputs of matrices ------------------------------------------------------------------------------------
 */

struct input_part {
    const struct pass *pass;
    const float *x, *norm;
    uint32_t n_cols;
    const struct matrix *const *matrices;
    uint32_t n_matrices;
};

static void *prepared_for(const struct pass *pass, const struct matrix *matrix)
{
    return pass->buffers->prepared[pass->buffers->input_of[matrix->type]];
}

static void run_input(void *arg, uint32_t index, uint32_t worker)
{
    const struct input_part *part = arg;
    const struct pass *pass = part->pass;
    uint32_t n_rows = pass->n_rows, n_cols = part->n_cols;
    uint32_t first = index * PASS_ROWS_A_PART, end = pass_min(first + PASS_ROWS_A_PART, n_rows);
    const float *x = part->x;
    (void)worker;

    if (part->norm) {
        float *normed = pass->buffers->normed;
        for (uint32_t row = first; row < end; row++)
            pass->kernels->rms_norm(normed + (size_t)row * n_cols, x + (size_t)row * n_cols, part->norm, n_cols,
                                    pass->hparams->norm_eps);
        x = normed;
    }
    for (uint32_t i = 0; i < part->n_matrices; i++) {
        void *prepared = prepared_for(pass, part->matrices[i]);
        bool is_done = false; /* for an earlier matrix of the same kind */
        for (uint32_t k = 0; k < i; k++)
            is_done = is_done || prepared_for(pass, part->matrices[k]) == prepared;
        if (!is_done)
            pass->kernels->types[part->matrices[i]->type].activation->prepare(prepared, x, n_cols, n_cols,
                                                                              n_rows, first, end);
    }
}

void pass_input(struct pass *pass, const float *x, const float *norm, uint32_t n_cols,
                const struct matrix *const *matrices, uint32_t n_matrices)
{
    struct input_part part = {pass, x, norm, n_cols, matrices, n_matrices};
    crew_share(pass->crew, pass_n_blocks(pass->n_rows, PASS_ROWS_A_PART), run_input, &part);
}

/* --- matrices ----------------------------------------------------------------------------------------------
 */

enum after { AFTER_NOTHING, AFTER_ADD, AFTER_GATE };

#define PRODUCTS_MAX 3

struct multiply_part {
    const struct pass *pass;
    struct product products[PRODUCTS_MAX];
    uint32_t n_products;
    uint32_t rows_a_part[PRODUCTS_MAX], end_part[PRODUCTS_MAX]; /* parts are numbered through */
    enum after after;
    float *x;          /* AFTER_ADD */
    enum gate_act act; /* AFTER_GATE */
};

void pass_add_bias(const struct kernels *kernels, const struct matrix *m, float *out, uint32_t n_tokens,
                   uint32_t first, uint32_t end)
{
    for (uint32_t t = 0; m->bias && t < n_tokens; t++) {
        float *at = out + (size_t)t * m->n_rows + first;
        kernels->add(at, at, m->bias + first, end - first);
    }
}

static void multiply_rows(const struct multiply_part *part, const struct product *product, uint32_t first,
                          uint32_t end)
{
    const struct matrix *m = product->matrix;
    struct matmul job = {.weights = m->packed,
                         .n_rows = m->n_rows,
                         .n_cols = m->n_cols,
                         .activations = prepared_for(part->pass, m),
                         .n_tokens = part->pass->n_rows,
                         .out = product->out,
                         .out_stride = m->n_rows};
    part->pass->kernels->types[m->type].matmul(&job, first, end);
    pass_add_bias(part->pass->kernels, m, product->out, part->pass->n_rows, first, end);
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

/* What follows the product on the same rows, while they are in the cache. */
static void finish_rows(const struct multiply_part *part, uint32_t first, uint32_t end)
{
    const struct kernels *k = part->pass->kernels;
    size_t stride = part->products[0].matrix->n_rows, n = end - first;

    for (uint32_t t = 0; t < part->pass->n_rows; t++) {
        size_t at = t * stride + first;
        float *out = part->products[0].out + at;
        if (part->after == AFTER_ADD)
            k->add_scaled(part->x + at, out, part->pass->hparams->residual_scale, n);
        else
            pass_gate(k, part->act, out, out, part->products[1].out + at, n);
    }
}

static void run_multiply(void *arg, uint32_t index, uint32_t worker)
{
    const struct multiply_part *part = arg;
    uint32_t i = 0;
    (void)worker;

    while (index >= part->end_part[i])
        i++;
    index -= i ? part->end_part[i - 1] : 0;
    uint32_t n_rows = part->products[i].matrix->n_rows, step = part->rows_a_part[i];
    uint32_t first = index * step, end = n_rows - first < step ? n_rows : first + step;
    multiply_rows(part, &part->products[i], first, end);
    if (part->after == AFTER_GATE)
        multiply_rows(part, &part->products[1], first, end);
    if (part->after != AFTER_NOTHING)
        finish_rows(part, first, end);
}

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

/* Whole panels; enough parts for all workers unless they would be too small. */
uint32_t pass_rows_a_part(const struct pass *pass, const struct matrix *m, uint32_t panel, uint32_t n_tokens,
                          uint32_t n_matrices)
{
    uint32_t n_panels = pass_n_blocks(m->n_rows, panel);
    uint64_t n_parts = pass_n_blocks(pass->n_workers * PARTS_A_WORKER, n_matrices);
    uint32_t wanted = pass_n_blocks(n_panels, (uint32_t)n_parts);
    uint64_t products = (uint64_t)panel * m->n_cols * n_tokens;
    uint64_t least = PART_PRODUCTS_MIN / products + 1;
    return panel * (wanted < least ? (uint32_t)least : wanted);
}

uint32_t pass_gated_panel(const struct pass *pass, const struct matrix *gate, const struct matrix *up)
{
    return least_common_multiple(pass->kernels->types[gate->type].panel_rows,
                                 pass->kernels->types[up->type].panel_rows);
}

static void multiply(struct pass *pass, struct multiply_part *part)
{
    uint32_t n_parts = 0, n_cut = part->after == AFTER_GATE ? 1 : part->n_products;

    part->pass = pass;
    for (uint32_t i = 0; i < n_cut; i++) {
        const struct matrix *m = part->products[i].matrix;
        uint32_t panel = part->after == AFTER_GATE ? pass_gated_panel(pass, m, part->products[1].matrix)
                                                   : pass->kernels->types[m->type].panel_rows;
        part->rows_a_part[i] = pass_rows_a_part(pass, m, panel, pass->n_rows, 1);
        n_parts += pass_n_blocks(m->n_rows, part->rows_a_part[i]);
        part->end_part[i] = n_parts;
    }
    crew_share(pass->crew, n_parts, run_multiply, part);
}

void pass_multiply(struct pass *pass, const struct product *products, uint32_t n_products)
{
    struct multiply_part part = {.n_products = n_products, .after = AFTER_NOTHING};
    ASSERT(n_products > 0 && n_products <= PRODUCTS_MAX);
    memcpy(part.products, products, n_products * sizeof *products);
    multiply(pass, &part);
}

void pass_multiply_add(struct pass *pass, const struct matrix *matrix, float *x)
{
    struct multiply_part part = {
        .products = {{matrix, pass->buffers->product}}, .n_products = 1, .after = AFTER_ADD, .x = x};
    multiply(pass, &part);
}

void pass_multiply_gated(struct pass *pass, const struct matrix *gate, const struct matrix *up,
                         enum gate_act act)
{
    struct multiply_part part = {.products = {{gate, pass->buffers->gate}, {up, pass->buffers->up}},
                                 .n_products = 2,
                                 .after = AFTER_GATE,
                                 .act = act};
    multiply(pass, &part);
}

/* --- norms behind matrices ---------------------------------------------------------------------------------
 */

struct norm_part {
    const struct pass *pass;
    const float *norm;
};

static void run_norm_add(void *arg, uint32_t index, uint32_t worker)
{
    const struct norm_part *part = arg;
    const struct pass *pass = part->pass;
    uint32_t n_embd = pass->hparams->n_embd;
    uint32_t first = index * PASS_ROWS_A_PART, end = pass_min(first + PASS_ROWS_A_PART, pass->n_rows);
    (void)worker;

    for (uint32_t row = first; row < end; row++) {
        float *y = pass->buffers->product + (size_t)row * n_embd;
        pass->kernels->rms_norm(y, y, part->norm, n_embd, pass->hparams->norm_eps);
        pass->kernels->add_scaled(pass->buffers->x + (size_t)row * n_embd, y, pass->hparams->residual_scale,
                                  n_embd);
    }
}

void pass_norm_add(struct pass *pass, const float *norm)
{
    struct norm_part part = {pass, norm};
    crew_share(pass->crew, pass_n_blocks(pass->n_rows, PASS_ROWS_A_PART), run_norm_add, &part);
}
