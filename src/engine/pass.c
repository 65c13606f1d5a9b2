#include "engine/pass.h"

#include "engine/pass_private.h"
#include "kernels/rope.h"

#include <math.h>
#include <string.h>

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
    uint32_t n_pairs = pass->hparams->n_rot / 2, position = pass->rows->positions[row];
    bool is_beyond = !span->sequence->is_probe && pass->n_ctx > pass->hparams->rope_ctx_orig;
    size_t at = (size_t)row * n_pairs;

    rope_angles(b->cos + at, b->sin + at, is_beyond ? rope->beyond : rope->within, n_pairs, position,
                rope->magnitude);
    if (b->cos_local)
        rope_angles(b->cos_local + at, b->sin_local + at, rope->local, n_pairs, position, 1.0F);
}

static void begin_row(const struct pass *pass, uint32_t row)
{
    const struct pass_buffers *b = pass->buffers;
    uint32_t n_embd = pass->hparams->n_embd;
    struct batch_span *span = &pass->batch->spans[pass->rows->span[row]];
    size_t of_step = pass->rows->of_step[row];
    float *x = b->x + (size_t)row * n_embd;

    if (pass->batch->layer_first == 0)
        embed(pass, x, span->step->tokens[of_step]);
    else
        memcpy(x, span->step->hidden_in + of_step * n_embd, n_embd * sizeof *x);
    if (!is_finite(x, n_embd)) {
        span->is_bad = true;
        memset(x, 0, n_embd * sizeof *x); /* nothing that spreads */
    }
    turn_angles(pass, span, row);
}

static void end_row(const struct pass *pass, uint32_t row)
{
    struct batch_span *span = &pass->batch->spans[pass->rows->span[row]];
    size_t n_embd = pass->hparams->n_embd;
    const float *x = pass->buffers->x + row * n_embd;

    if (!is_finite(x, n_embd))
        span->is_bad = true;
    if (span->step->hidden_out)
        memcpy(span->step->hidden_out + pass->rows->of_step[row] * n_embd, x, n_embd * sizeof *x);
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

void *pass_prepared(const struct pass *pass, const struct matrix *matrix)
{
    return pass->inputs[pass->buffers->input_of[matrix->type]];
}

/* x[t * x_stride] is the input of token t. */
static void prepare(const struct input_part *part, const float *x, size_t x_stride,
                    const struct activation_part *tokens)
{
    const struct pass *pass = part->pass;

    for (uint32_t i = 0; i < part->n_matrices; i++) {
        void *prepared = pass_prepared(pass, part->matrices[i]);
        bool is_done = false; /* for an earlier matrix of the same kind */
        for (uint32_t k = 0; k < i; k++)
            is_done = is_done || pass_prepared(pass, part->matrices[k]) == prepared;
        if (!is_done)
            pass->kernels->types[part->matrices[i]->type].activation->prepare(prepared, x, x_stride, tokens);
    }
}

static void run_input(void *arg, uint32_t index, uint32_t worker)
{
    const struct input_part *part = arg;
    const struct pass *pass = part->pass;
    const struct pass_buffers *b = pass->buffers;
    uint32_t first = index * PASS_ROWS_A_PART, end = pass_min(first + PASS_ROWS_A_PART, pass->n_rows);

    if (!part->norm) {
        struct activation_part tokens = activation_tokens(part->n_cols, pass->n_rows, first, end);
        prepare(part, part->x, part->n_cols, &tokens);
    }
    for (uint32_t row = first; part->norm && row < end; row++) {
        struct activation_part token = activation_tokens(part->n_cols, pass->n_rows, row, row + 1);
        size_t at = (size_t)row * part->n_cols;
        float *normed = b->normed ? b->normed + at : b->slices + worker * b->slices_stride;
        pass->kernels->rms_norm(normed, part->x + at, part->norm, part->n_cols, pass->hparams->norm_eps);
        prepare(part, normed, 0, &token);
    }
}

void pass_input(struct pass *pass, const float *x, const float *norm, uint32_t n_cols,
                const struct matrix *const *matrices, uint32_t n_matrices)
{
    struct input_part part = {pass, x, norm, n_cols, matrices, n_matrices};
    pass->inputs = pass->buffers->prepared;
    crew_share(pass->crew, pass_n_blocks(pass->n_rows, PASS_ROWS_A_PART), run_input, &part);
}

/* --- matrices ----------------------------------------------------------------------------------------------
 */

#define PRODUCTS_MAX 3

struct multiply_part {
    const struct pass *pass;
    const struct product *products;
    uint32_t rows_a_part[PRODUCTS_MAX], end_part[PRODUCTS_MAX]; /* parts are numbered through */
};

void pass_add_bias(const struct kernels *kernels, const struct matrix *m, const struct matmul *product,
                   uint32_t first, uint32_t end)
{
    for (uint32_t t = 0; m->bias && t < product->n_tokens; t++) {
        float *at = product->out + t * product->out_stride + first;
        kernels->add(at, at, m->bias + first, end - first);
    }
}

static void run_multiply(void *arg, uint32_t index, uint32_t worker)
{
    const struct multiply_part *part = arg;
    const struct pass *pass = part->pass;
    uint32_t i = 0;
    (void)worker;

    while (index >= part->end_part[i])
        i++;
    index -= i ? part->end_part[i - 1] : 0;
    const struct matrix *m = part->products[i].matrix;
    uint32_t step = part->rows_a_part[i], first = index * step;
    uint32_t end = m->n_rows - first < step ? m->n_rows : first + step;
    struct matmul job = {.weights = m->packed,
                         .n_rows = m->n_rows,
                         .n_cols = m->n_cols,
                         .activations = pass_prepared(pass, m),
                         .n_tokens = pass->n_rows,
                         .out = part->products[i].out,
                         .out_stride = m->n_rows};
    pass->kernels->types[m->type].matmul(&job, first, end);
    pass_add_bias(pass->kernels, m, &job, first, end);
}

/* Whole panels; enough parts for all workers unless they would be too small. */
uint32_t pass_rows_a_part(const struct pass *pass, const struct matrix *m, uint32_t panel, uint32_t n_tokens,
                          uint32_t n_matrices)
{
    uint32_t n_panels = pass_n_blocks(m->n_rows, panel);
    uint64_t n_parts = pass_n_blocks(pass->n_workers * PASS_PARTS_A_WORKER, n_matrices);
    uint32_t wanted = pass_n_blocks(n_panels, (uint32_t)n_parts);
    uint64_t products = (uint64_t)panel * m->n_cols * n_tokens;
    uint64_t least = PART_PRODUCTS_MIN / products + 1;
    return panel * (wanted < least ? (uint32_t)least : wanted);
}

void pass_multiply(struct pass *pass, const struct product *products, uint32_t n_products)
{
    struct multiply_part part = {.pass = pass, .products = products};
    uint32_t n_parts = 0;

    ASSERT(n_products > 0 && n_products <= PRODUCTS_MAX);
    for (uint32_t i = 0; i < n_products; i++) {
        const struct matrix *m = products[i].matrix;
        uint32_t panel = pass->kernels->types[m->type].panel_rows;
        part.rows_a_part[i] = pass_rows_a_part(pass, m, panel, pass->n_rows, 1);
        n_parts += pass_n_blocks(m->n_rows, part.rows_a_part[i]);
        part.end_part[i] = n_parts;
    }
    crew_share(pass->crew, n_parts, run_multiply, &part);
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
