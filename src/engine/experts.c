#include "engine/experts.h"

#include "engine/ops.h"
#include "engine/pass_private.h"

#include <string.h>

#define NO_EXPERT UINT32_MAX

static uint32_t n_used(const struct pass *pass)
{
    return pass->hparams->n_experts_used;
}

/* How many experts may have pairs: between operations nobody may read how many have (engine/team.h). */
static uint32_t n_active_max(const struct pass *pass)
{
    uint64_t n_pairs = (uint64_t)pass->n_rows * n_used(pass);
    return n_pairs < pass->hparams->n_experts ? (uint32_t)n_pairs : pass->hparams->n_experts;
}

static uint32_t n_pairs_of(const struct expert_buffers *x, uint32_t expert)
{
    return x->first_pair[expert + 1] - x->first_pair[expert];
}

/* --- who takes what ----------------------------------------------------------------------------------------
 */

/* Those of the n largest scores, by ascending id; of equals the lower id. */
static void choose(uint32_t *ids, uint32_t n, const float *scores, uint32_t n_experts)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t best = NO_EXPERT, at = i;
        for (uint32_t e = 0; e < n_experts; e++) {
            bool is_taken = false;
            for (uint32_t k = 0; k < i; k++)
                is_taken = is_taken || ids[k] == e;
            if (!is_taken && (best == NO_EXPERT || scores[e] > scores[best]))
                best = e;
        }
        for (; at > 0 && ids[at - 1] > best; at--)
            ids[at] = ids[at - 1];
        ids[at] = best;
    }
}

static void route_row_of_all(const struct pass *pass, uint32_t row)
{
    const struct expert_buffers *x = &pass->buffers->experts;
    uint32_t n_experts = pass->hparams->n_experts, n = n_used(pass);
    float *probabilities = x->scores + (size_t)row * n_experts, *shares = x->shares + (size_t)row * n;
    uint32_t *ids = x->ids + (size_t)row * n;
    float sum = 0;

    pass->kernels->softmax(probabilities, n_experts);
    choose(ids, n, probabilities, n_experts);
    for (uint32_t i = 0; i < n; i++)
        sum += probabilities[ids[i]];
    for (uint32_t i = 0; i < n; i++)
        shares[i] = probabilities[ids[i]] / sum;
}

static void route_row_of_taken(const struct pass *pass, uint32_t row)
{
    const struct expert_buffers *x = &pass->buffers->experts;
    uint32_t n_experts = pass->hparams->n_experts, n = n_used(pass);
    const float *scores = x->scores + (size_t)row * n_experts;
    float *shares = x->shares + (size_t)row * n;
    uint32_t *ids = x->ids + (size_t)row * n;

    choose(ids, n, scores, n_experts);
    for (uint32_t i = 0; i < n; i++)
        shares[i] = scores[ids[i]];
    pass->kernels->softmax(shares, n);
}

/* Numbers the pairs by expert. In one part: it only counts. */
static void gather(void *arg, uint32_t index, uint32_t worker)
{
    const struct pass *pass = arg;
    const struct expert_buffers *x = &pass->buffers->experts;
    uint32_t n_experts = pass->hparams->n_experts, n_pairs = pass->n_rows * n_used(pass), n_active = 0;
    (void)index;
    (void)worker;

    memset(x->first_pair, 0, (n_experts + 1) * sizeof *x->first_pair);
    for (uint32_t i = 0; i < n_pairs; i++)
        x->first_pair[x->ids[i] + 1]++;
    for (uint32_t e = 0; e < n_experts; e++) {
        x->active[e] = NO_EXPERT;
        if (x->first_pair[e + 1])
            x->active[n_active++] = e;
        x->first_pair[e + 1] += x->first_pair[e];
    }
    for (uint32_t i = 0; i < n_pairs; i++) { /* first_pair[e] runs through e's pairs, and is put back below */
        uint32_t pair = x->first_pair[x->ids[i]]++;
        x->rows[pair] = i / n_used(pass);
        x->ids[i] = pair;
    }
    memmove(x->first_pair + 1, x->first_pair, n_experts * sizeof *x->first_pair);
    x->first_pair[0] = 0;
}

/* --- inputs of their matrices ------------------------------------------------------------------------------
 */

static const struct activation_kernels *kind_of(const struct pass *pass, const struct matrix *matrix)
{
    return pass->kernels->types[matrix->type].activation;
}

static size_t aligned(size_t bytes)
{
    return (bytes + KERNELS_ALIGNMENT - 1) / KERNELS_ALIGNMENT * KERNELS_ALIGNMENT;
}

size_t experts_prepared_bytes(const struct activation_kernels *kind, uint32_t n_cols, uint32_t n_pairs,
                              uint32_t n_experts)
{
    size_t n_active = n_pairs < n_experts ? n_pairs : n_experts;
    return aligned(kind->bytes(n_cols, n_pairs)) + n_active * aligned(kind->bytes(n_cols, 1));
}

/* Where the input of the active expert at `index` lies: behind those of the ones before it. */
static uint8_t *prepared_at(const struct pass *pass, uint8_t *prepared, const struct matrix *matrix,
                            uint32_t index)
{
    const struct expert_buffers *x = &pass->buffers->experts;
    size_t at = 0, end = 0;
    for (uint32_t i = 0; i <= index; i++) {
        at = end;
        end += aligned(kind_of(pass, matrix)->bytes(matrix->n_cols, n_pairs_of(x, x->active[i])));
    }
    ASSERT(end <= x->prepared_bytes);
    return prepared + at;
}

struct expert_part {
    const struct pass *pass;
    const struct gated *experts;
    enum gate_act act;
    uint32_t rows_a_part, parts_an_expert;
};

static uint32_t input_of_up(const struct pass *pass, const struct gated *expert)
{
    return kind_of(pass, &expert->gate) != kind_of(pass, &expert->up);
}

static void prepare(const struct pass *pass, uint8_t *into, const struct matrix *matrix, uint32_t index,
                    const float *(*input)(const struct pass *pass, uint32_t pair))
{
    const struct expert_buffers *x = &pass->buffers->experts;
    uint32_t expert = x->active[index], first = x->first_pair[expert], n = n_pairs_of(x, expert);
    uint8_t *prepared = prepared_at(pass, into, matrix, index);

    for (uint32_t t = 0; t < n; t++) {
        struct activation_part part = activation_tokens(matrix->n_cols, n, t, t + 1);
        kind_of(pass, matrix)->prepare(prepared, input(pass, first + t), 0, &part); /* x + t * 0 */
    }
}

static const float *normed_row(const struct pass *pass, uint32_t pair)
{
    return pass->buffers->normed + (size_t)pass->buffers->experts.rows[pair] * pass->hparams->n_embd;
}

static const float *gate_row(const struct pass *pass, uint32_t pair)
{
    return pass->buffers->experts.gate + (size_t)pair * pass->hparams->n_ff;
}

static void prepare_gate_up(void *arg, uint32_t index, uint32_t worker)
{
    const struct expert_part *part = arg;
    const struct expert_buffers *x = &part->pass->buffers->experts;
    (void)worker;

    if (x->active[index] == NO_EXPERT)
        return;
    const struct gated *expert = &part->experts[x->active[index]];
    prepare(part->pass, x->prepared[0], &expert->gate, index, normed_row);
    if (input_of_up(part->pass, expert))
        prepare(part->pass, x->prepared[1], &expert->up, index, normed_row);
}

static void prepare_down(void *arg, uint32_t index, uint32_t worker)
{
    const struct expert_part *part = arg;
    const struct expert_buffers *x = &part->pass->buffers->experts;
    (void)worker;

    if (x->active[index] != NO_EXPERT)
        prepare(part->pass, x->prepared[0], &part->experts[x->active[index]].down, index, gate_row);
}

/* --- their matrices ----------------------------------------------------------------------------------------
 */

static void multiply(const struct pass *pass, const struct matrix *m, uint8_t *prepared, uint32_t index,
                     float *out, uint32_t first, uint32_t end)
{
    const struct expert_buffers *x = &pass->buffers->experts;
    uint32_t expert = x->active[index];
    struct matmul job = {.weights = m->packed,
                         .n_rows = m->n_rows,
                         .n_cols = m->n_cols,
                         .activations = prepared_at(pass, prepared, m, index),
                         .n_tokens = n_pairs_of(x, expert),
                         .out = out + (size_t)x->first_pair[expert] * m->n_rows,
                         .out_stride = m->n_rows};
    pass->kernels->types[m->type].matmul(&job, first, end);
    pass_add_bias(pass->kernels, m, &job, first, end);
}

static void multiply_gate_up(void *arg, uint32_t index, uint32_t worker)
{
    const struct expert_part *part = arg;
    const struct pass *pass = part->pass;
    const struct expert_buffers *x = &pass->buffers->experts;
    uint32_t at = index / part->parts_an_expert, first = index % part->parts_an_expert * part->rows_a_part;
    uint32_t expert = x->active[at], n_ff = pass->hparams->n_ff;
    uint32_t end = n_ff - first < part->rows_a_part ? n_ff : first + part->rows_a_part;
    (void)worker;

    if (expert == NO_EXPERT)
        return;
    const struct gated *e = &part->experts[expert];
    multiply(pass, &e->gate, x->prepared[0], at, x->gate, first, end);
    multiply(pass, &e->up, x->prepared[input_of_up(pass, e)], at, x->up, first, end);
    for (uint32_t pair = x->first_pair[expert]; pair < x->first_pair[expert + 1]; pair++) {
        float *gate = x->gate + (size_t)pair * n_ff + first;
        pass_gate(pass->kernels, part->act, gate, gate, x->up + (size_t)pair * n_ff + first, end - first);
    }
}

static void multiply_down(void *arg, uint32_t index, uint32_t worker)
{
    const struct expert_part *part = arg;
    const struct expert_buffers *x = &part->pass->buffers->experts;
    uint32_t at = index / part->parts_an_expert, first = index % part->parts_an_expert * part->rows_a_part;
    uint32_t n_embd = part->pass->hparams->n_embd;
    uint32_t end = n_embd - first < part->rows_a_part ? n_embd : first + part->rows_a_part;
    (void)worker;

    if (x->active[at] != NO_EXPERT)
        multiply(part->pass, &part->experts[x->active[at]].down, x->prepared[0], at, x->out, first, end);
}

static void share(struct pass *pass, struct expert_part *part, const struct matrix *m, uint32_t panel,
                  void (*run)(void *arg, uint32_t index, uint32_t worker))
{
    uint32_t n_active = n_active_max(pass), n_tokens = pass->n_rows * n_used(pass) / n_active;

    part->rows_a_part = pass_rows_a_part(pass, m, panel, n_tokens, n_active);
    part->parts_an_expert = pass_n_blocks(m->n_rows, part->rows_a_part);
    crew_share(pass->crew, n_active * part->parts_an_expert, run, part);
}

/* --- all ---------------------------------------------------------------------------------------------------
 */

static void add_row(const struct pass *pass, uint32_t row)
{
    const struct expert_buffers *x = &pass->buffers->experts;
    uint32_t n_embd = pass->hparams->n_embd;
    float *sum = pass->buffers->product + (size_t)row * n_embd;

    memset(sum, 0, n_embd * sizeof *sum);
    for (size_t i = 0, at = (size_t)row * n_used(pass); i < n_used(pass); i++)
        pass->kernels->add_scaled(sum, x->out + (size_t)x->ids[at + i] * n_embd, x->shares[at + i], n_embd);
    pass->kernels->add_scaled(pass->buffers->x + (size_t)row * n_embd, sum, pass->hparams->residual_scale,
                              n_embd);
}

void ops_experts_add(struct pass *pass, const struct layer_weights *w, const float *norm, enum gate_act act,
                     enum expert_shares shares)
{
    const struct pass_buffers *b = pass->buffers;
    const struct matrix *router[] = {&w->router};
    const struct product scores = {&w->router, b->experts.scores};
    const struct gated *first = &w->experts[0]; /* all have the same types and shapes */
    struct expert_part part = {.pass = pass, .experts = w->experts, .act = act};

    pass_input(pass, b->x, norm, pass->hparams->n_embd, router, 1);
    pass_multiply(pass, &scores, 1);
    pass_each_row(pass, shares == EXPERTS_OF_ALL ? route_row_of_all : route_row_of_taken);
    crew_share(pass->crew, 1, gather, pass);
    crew_share(pass->crew, n_active_max(pass), prepare_gate_up, &part);
    share(pass, &part, &first->gate, pass_gated_panel(pass, &first->gate, &first->up), multiply_gate_up);
    crew_share(pass->crew, n_active_max(pass), prepare_down, &part);
    share(pass, &part, &first->down, pass->kernels->types[first->down.type].panel_rows, multiply_down);
    pass_each_row(pass, add_row);
}
