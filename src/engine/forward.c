#include "engine/forward.h"

#include "base/mem.h"
#include "engine/ops.h"
#include "engine/team.h"

#include <string.h>

#define SCRATCH_BYTES_MAX ((size_t)256 << 20) /* a batch is cut so that it stays below, steps permitting */
#define ROWS_MIN          16                  /* scratch memory is made for at least so many */
#define OUTPUT_ROWS       16                  /* that go through the output matrix at once */
#define ALONE_PRODUCTS    1000000             /* multiplications a layer that are done before a worker wakes */

_Static_assert(OUTPUT_ROWS <= ROWS_MIN, "rows of the output use the buffers of the batch");

struct output_row {
    uint32_t row; /* of those wanted */
    struct batch_span *span;
};

struct forward {
    const struct kernels *kernels;
    enum kv_type kv_type;
    uint32_t n_ctx, n_slots, n_threads;
    struct team *team;
    struct hparams made_for; /* what the buffers fit */
    struct pass_buffers buffers;
    const struct activation_kernels *inputs[PASS_INPUTS_MAX]; /* the kinds there are */
    uint32_t n_inputs;
    size_t bytes;
    bool only_counts;        /* makes no buffers, only adds up what they take */
    float *logits;           /* [OUTPUT_ROWS][n_vocab] */
    uint8_t *sample_scratch; /* for each worker */
    size_t sample_stride;
};

static void find_input_kinds(struct forward *f)
{
    for (uint32_t type = 0; type < TENSOR_TYPE_COUNT; type++) {
        const struct activation_kernels *kind = f->kernels->types[type].activation;
        uint32_t i = 0;
        if (!kind)
            continue;
        while (i < f->n_inputs && f->inputs[i] != kind)
            i++;
        ASSERT(i < PASS_INPUTS_MAX);
        f->inputs[i] = kind;
        f->n_inputs = i == f->n_inputs ? i + 1 : f->n_inputs;
        f->buffers.input_of[type] = (uint8_t)i;
    }
}

struct forward *forward_new(const struct engine_config *config, struct team *team)
{
    struct forward *f = mem_new(sizeof *f);
    f->kernels = config->kernels;
    f->kv_type = config->kv_type;
    f->n_ctx = config->n_ctx;
    f->n_slots = config->n_slots;
    f->team = team;
    f->n_threads = team_n_threads(team);
    find_input_kinds(f);
    return f;
}

/* --- scratch memory ----------------------------------------------------------------------------------------
 */

static void free_buffers(struct forward *f)
{
    struct pass_buffers *b = &f->buffers;
    struct expert_buffers *x = &b->experts;
    void *blocks[] = {b->x,   b->normed, b->product,   b->phases,    b->slices,   b->gated,
                      b->cos, b->sin,    b->cos_local, b->sin_local, b->partials, f->logits};
    void *of_experts[] = {x->scores, x->shares, x->ids, x->rows,        x->first_pair, x->active,
                          x->gate,   x->up,     x->out, x->prepared[0], x->prepared[1]};

    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        mem_free(blocks[i]);
    for (size_t i = 0; i < sizeof of_experts / sizeof *of_experts; i++)
        mem_free(of_experts[i]);
    for (uint32_t i = 0; i < PASS_INPUTS_MAX; i++)
        mem_free(b->prepared[i]);
    mem_free(f->sample_scratch);
    struct pass_buffers empty = {.n_rows = 0};
    memcpy(empty.input_of, b->input_of, sizeof empty.input_of);
    *b = empty;
    f->logits = NULL;
    f->sample_scratch = NULL;
    f->bytes = 0;
}

void forward_free(struct forward *f)
{
    if (!f)
        return;
    free_buffers(f);
    mem_free(f);
}

static void *take(struct forward *f, size_t bytes, bool *ok)
{
    f->bytes += mem_large_bytes(bytes);
    if (f->only_counts)
        return NULL;
    void *block = mem_try_large(bytes ? bytes : 1);
    *ok = *ok && block;
    return block;
}

static float *take_floats(struct forward *f, size_t n_rows, size_t n_cols, bool *ok)
{
    return take(f, n_rows * n_cols * sizeof(float), ok);
}

static void make_inputs(struct forward *f, const struct hparams *hp, uint32_t n_rows, bool *ok)
{
    uint32_t heads = hp->n_heads * hp->head_dim_v, n_cols = hp->n_embd > heads ? hp->n_embd : heads;

    for (uint32_t i = 0; i < f->n_inputs; i++)
        f->buffers.prepared[i] = take(f, f->inputs[i]->bytes(n_cols, n_rows), ok);
}

/* Attention is over when an FFN begins, and a layer's `down` reads one kind of input. */
static void make_phases(struct forward *f, const struct hparams *hp, uint32_t n_rows, bool *ok)
{
    struct pass_buffers *b = &f->buffers;
    bool in_place = hp->head_dim_v == hp->head_dim_k;
    size_t q = (size_t)n_rows * hp->n_heads * hp->head_dim_k,
           k = (size_t)n_rows * hp->n_kv_heads * hp->head_dim_k,
           v = (size_t)n_rows * hp->n_kv_heads * hp->head_dim_v,
           attended = in_place ? 0 : (size_t)n_rows * hp->n_heads * hp->head_dim_v;
    size_t bytes = (q + k + v + attended) * sizeof(float);

    for (uint32_t i = 0; i < f->n_inputs && !hp->n_experts; i++) {
        size_t of_ff = f->inputs[i]->bytes(hp->n_ff, n_rows);
        bytes = bytes > of_ff ? bytes : of_ff;
    }
    b->phases = take(f, bytes, ok);
    if (!b->phases)
        return;
    b->q = b->phases;
    b->k = b->q + q;
    b->v = b->k + k;
    b->attended = in_place ? b->q : b->v + v;
    for (uint32_t i = 0; i < f->n_inputs && !hp->n_experts; i++)
        b->prepared_ff[i] = b->phases;
}

static void make_expert_buffers(struct forward *f, const struct hparams *hp, uint32_t n_rows, bool *ok)
{
    struct expert_buffers *x = &f->buffers.experts;
    uint32_t n_pairs = n_rows * hp->n_experts_used;

    x->scores = take_floats(f, n_rows, hp->n_experts, ok);
    x->shares = take_floats(f, n_pairs, 1, ok);
    x->ids = take(f, n_pairs * sizeof *x->ids, ok);
    x->rows = take(f, n_pairs * sizeof *x->rows, ok);
    x->first_pair = take(f, (hp->n_experts + 1) * sizeof *x->first_pair, ok);
    x->active = take(f, hp->n_experts * sizeof *x->active, ok);
    x->gate = take_floats(f, n_pairs, hp->n_ff, ok);
    x->up = take_floats(f, n_pairs, hp->n_ff, ok);
    x->out = take_floats(f, n_pairs, hp->n_embd, ok);
    x->prepared_bytes = 0;
    for (uint32_t i = 0; i < f->n_inputs; i++) {
        uint32_t n_cols = hp->n_embd > hp->n_ff ? hp->n_embd : hp->n_ff;
        size_t bytes = experts_prepared_bytes(f->inputs[i], n_cols, n_pairs, hp->n_experts);
        x->prepared_bytes = bytes > x->prepared_bytes ? bytes : x->prepared_bytes;
    }
    for (int i = 0; i < 2; i++)
        x->prepared[i] = take(f, x->prepared_bytes, ok);
}

static bool make_buffers(struct forward *f, const struct hparams *hp, uint32_t n_rows)
{
    struct pass_buffers *b = &f->buffers;
    bool ok = true;

    free_buffers(f);
    b->x = take_floats(f, n_rows, hp->n_embd, &ok);
    b->product = take_floats(f, n_rows, hp->n_embd, &ok);
    make_phases(f, hp, n_rows, &ok);
    if (hp->n_experts) {
        b->normed = take_floats(f, n_rows, hp->n_embd, &ok);
        make_expert_buffers(f, hp, n_rows, &ok);
    } else {
        b->gated = take_floats(f, PASS_GATED_ROWS, hp->n_ff, &ok);
    }
    b->cos = take_floats(f, n_rows, hp->n_rot / 2, &ok);
    b->sin = take_floats(f, n_rows, hp->n_rot / 2, &ok);
    if (hp->rope_freq_base_local > 0) {
        b->cos_local = take_floats(f, n_rows, hp->n_rot / 2, &ok);
        b->sin_local = take_floats(f, n_rows, hp->n_rot / 2, &ok);
    }
    make_inputs(f, hp, n_rows, &ok);
    b->slices_stride = (pass_slices_floats(hp, n_rows, f->n_threads) + 15) / 16 * 16;
    b->slices = take_floats(f, f->n_threads, b->slices_stride, &ok);
    b->partials_stride = (pass_partials_floats(hp) + 15) / 16 * 16;
    b->partials = take_floats(f, f->n_threads, b->partials_stride, &ok);
    b->n_rows = ok ? n_rows : 0;
    f->made_for = *hp;
    return ok;
}

static bool make_output_buffers(struct forward *f, const struct hparams *hp)
{
    bool ok = true;
    if (f->logits)
        return true;
    f->sample_stride = (sampler_scratch_bytes(hp->n_vocab) + 63) / 64 * 64;
    f->logits = take_floats(f, OUTPUT_ROWS, hp->n_vocab, &ok);
    f->sample_scratch = take(f, f->n_threads * f->sample_stride, &ok);
    return ok;
}

static bool fit_buffers(struct forward *f, const struct batch *batch, bool has_output)
{
    const struct hparams *hp = batch->hparams;
    uint32_t n_rows = ROWS_MIN;
    bool ok = true;

    while (n_rows < batch->all.n)
        n_rows *= 2;
    uint32_t most = forward_rows_max(hp, f->n_slots);
    n_rows = n_rows > most ? most : n_rows;
    if (n_rows > f->buffers.n_rows || !hparams_equal(hp, &f->made_for))
        ok = make_buffers(f, hp, n_rows);
    if (ok && has_output)
        ok = make_output_buffers(f, hp);
    if (!ok)
        free_buffers(f);
    return ok;
}

/* What one row takes, about: every kind of prepared input as if it were f32. */
static size_t row_bytes(const struct hparams *hp)
{
    size_t heads = (size_t)hp->n_heads * (hp->head_dim_k + hp->head_dim_v);
    size_t kv_heads = (size_t)hp->n_kv_heads * (hp->head_dim_k + hp->head_dim_v);
    size_t widest = hp->n_ff > hp->n_embd ? hp->n_ff : hp->n_embd;
    size_t ffn = 2 * (size_t)hp->n_ff, floats;
    if (hp->n_experts)
        ffn =
            hp->n_embd + hp->n_experts + hp->n_experts_used * (2 * (size_t)hp->n_ff + hp->n_embd + 2 * widest);
    widest = hp->n_embd > heads ? hp->n_embd : heads;
    floats = 2 * (size_t)hp->n_embd + heads + kv_heads + ffn + 2 * hp->n_rot + 2 * widest;
    return sizeof(float) * floats;
}

uint32_t forward_rows_max(const struct hparams *hp, uint32_t n_slots)
{
    size_t n = SCRATCH_BYTES_MAX / row_bytes(hp), of_slots = (size_t)n_slots * ENGINE_STEP_TOKENS_MAX;
    n = n < of_slots ? n : of_slots;
    return n < ENGINE_STEP_TOKENS_MAX    ? ENGINE_STEP_TOKENS_MAX
           : n > ENGINE_BATCH_TOKENS_MAX ? ENGINE_BATCH_TOKENS_MAX
                                         : (uint32_t)n;
}

size_t forward_scratch_bytes(const struct forward *f)
{
    return f->bytes;
}

size_t forward_scratch_bytes_max(const struct engine_config *config, const struct hparams *hp)
{
    struct forward f = {.kernels = config->kernels, .n_threads = config->n_threads, .only_counts = true};
    find_input_kinds(&f);
    make_buffers(&f, hp, forward_rows_max(hp, config->n_slots));
    make_output_buffers(&f, hp);
    return f.bytes;
}

struct kv_shape forward_kv_shape(const struct hparams *hparams, enum kv_type kv_type, uint32_t n_layers,
                                 uint32_t n_ctx)
{
    struct kv_layout layout = pass_kv_layout(hparams, kv_type);
    return (struct kv_shape){.n_layers = n_layers, .n_ctx = n_ctx, .tile_bytes = kv_tile_bytes(&layout)};
}

/* --- layers ------------------------------------------------------------------------------------------------
 */

static struct pass pass_new(struct forward *f, struct crew *crew, struct batch *batch,
                            const struct batch_rows *rows, uint32_t n_rows)
{
    return (struct pass){.crew = crew,
                         .kernels = f->kernels,
                         .hparams = batch->hparams,
                         .batch = batch,
                         .buffers = &f->buffers,
                         .rows = rows,
                         .n_rows = n_rows,
                         .n_workers = team_n_threads(f->team),
                         .kv_type = f->kv_type,
                         .n_ctx = f->n_ctx};
}

struct forward_job {
    struct forward *forward;
    struct batch *batch;
    const struct output_row *rows; /* of one turn through the output */
    uint32_t n_rows;
};

static void run_layers(struct crew *crew, void *arg)
{
    struct forward_job *job = arg;
    struct pass pass = pass_new(job->forward, crew, job->batch, &job->batch->all, job->batch->all.n);

    pass_begin(&pass);
    arch_layer_fn run_layer = arch_layer(pass.hparams->arch);
    for (uint32_t layer = job->batch->layer_first; layer < job->batch->layer_end; layer++)
        run_layer(&pass, pass_layer(&pass, layer), layer);
    pass_end(&pass);
}

static bool is_small(const struct hparams *hp, uint32_t n_rows)
{
    uint64_t heads = (uint64_t)(hp->n_heads + hp->n_kv_heads) * (hp->head_dim_k + hp->head_dim_v);
    uint64_t n_ffn = hp->n_experts ? hp->n_experts_used : 1;
    return n_rows * hp->n_embd * (heads + 3 * n_ffn * hp->n_ff) < ALONE_PRODUCTS;
}

/* --- output ------------------------------------------------------------------------------------------------
 */

static void gather_row(void *arg, uint32_t index, uint32_t worker)
{
    const struct forward_job *job = arg;
    const struct pass_buffers *b = &job->forward->buffers;
    size_t n_embd = job->batch->hparams->n_embd;
    (void)worker;
    memcpy(b->product + index * n_embd, b->x + job->rows[index].row * n_embd, n_embd * sizeof(float));
}

static void finish_logits(const struct forward *f, const struct hparams *hp, float *logits)
{
    if (hp->final_softcap != 0)
        f->kernels->softcap(logits, hp->final_softcap, hp->n_vocab);
    for (uint32_t i = 0; hp->logit_scale != 1.0F && i < hp->n_vocab; i++)
        logits[i] *= hp->logit_scale;
}

static void use_logits(void *arg, uint32_t index, uint32_t worker)
{
    const struct forward_job *job = arg;
    const struct forward *f = job->forward;
    const struct output_row *row = &job->rows[index];
    struct engine_step *step = row->span->step;
    uint32_t n_vocab = job->batch->hparams->n_vocab, of_step = job->batch->wanted.of_step[row->row];
    float *logits = f->logits + (size_t)index * n_vocab;

    finish_logits(f, job->batch->hparams, logits);
    if (step->logits_out)
        memcpy(step->logits_out + (size_t)of_step * n_vocab, logits, n_vocab * sizeof *logits);
    if (step->sample && of_step + 1 == step->n_tokens) {
        uint32_t next = step->position + step->n_tokens;
        sampler_draw(&step->sampled, f->kernels, step->sample, logits, n_vocab, next,
                     row->span->sequence->tokens, next, f->sample_scratch + worker * f->sample_stride);
    }
}

static void run_output(struct crew *crew, void *arg)
{
    struct forward_job *job = arg;
    struct forward *f = job->forward;
    struct pass pass = pass_new(f, crew, job->batch, &job->batch->wanted, job->n_rows);
    const struct matrix *output[] = {weights_output(job->batch->output)};
    struct product logits = {output[0], f->logits};

    crew_share(crew, job->n_rows, gather_row, job);
    pass_input(&pass, f->buffers.product, weights_output_norm(job->batch->output), pass.hparams->n_embd, output,
               1);
    pass_multiply(&pass, &logits, 1);
    crew_share(crew, job->n_rows, use_logits, job);
}

/* Rows whose logits are wanted: all of a step with logits_out, else the last where a token is to be drawn.
 * Continues at *row, fills at most OUTPUT_ROWS. */
static uint32_t next_output_rows(struct output_row *out, struct batch *batch, uint32_t *row)
{
    uint32_t n = 0;
    for (; *row < batch->wanted.n && n < OUTPUT_ROWS; ++*row) {
        struct batch_span *span = &batch->spans[batch->wanted.span[*row]];
        const struct engine_step *step = span->step;
        bool is_last = batch->wanted.of_step[*row] + 1U == step->n_tokens;
        if (!span->is_bad && (step->logits_out || (step->sample && is_last)))
            out[n++] = (struct output_row){*row, span};
    }
    return n;
}

static bool wants_output(const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->n_spans; i++)
        if (batch->spans[i].step->logits_out || batch->spans[i].step->sample)
            return true;
    return false;
}

bool forward_run(struct forward *f, struct batch *batch)
{
    struct output_row rows[OUTPUT_ROWS];
    struct forward_job job = {.forward = f, .batch = batch, .rows = rows};
    bool has_output = wants_output(batch), alone = is_small(batch->hparams, batch->all.n);
    uint32_t row = 0;

    if (!fit_buffers(f, batch, has_output))
        return false;
    team_run(f->team, run_layers, &job, alone);
    while (has_output && (job.n_rows = next_output_rows(rows, batch, &row))) {
        alone = (uint64_t)job.n_rows * batch->hparams->n_embd * batch->hparams->n_vocab < ALONE_PRODUCTS;
        team_run(f->team, run_output, &job, alone);
    }
    return true;
}
