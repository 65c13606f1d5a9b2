#include "node/pipeline.h"

#include "base/log.h"
#include "base/mem.h"
#include "node/readiness.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SEQUENCES_MAX 4096
#define FORGOTTEN_MAX 1024 /* ended sequences whose late steps are still recognised */

/* A timeline that passes through here, or begins here. */
struct sequence_entry {
    struct sequence_entry *next;
    uint64_t sequence, turn;
    struct node_id origin;
    bool has_listener;
    struct pipeline_listener listener; /* the origin's side */
    struct step_message *ahead;        /* the first node's side: what the next step is made from */
};

struct job { /* one step being computed here */
    struct job *next;
    struct pipeline *pipeline;
    struct step_message message;
    struct engine_step step;
    struct sample_params sample;
    struct token_bias biases[STEP_BIASES_MAX];
    float *hidden_in, *hidden_out;
    uint32_t layer_end; /* of this node's part; a probe goes shard by shard */
    uint32_t queue_us, compute_us;
};

struct pipeline {
    const struct clock *clock;
    const struct links *links;
    struct compute *compute;
    struct node_id self;
    const struct manifest *manifest;
    struct sequence_entry *sequences;
    uint32_t n_sequences, n_jobs;
    struct job *jobs;
    uint64_t forgotten[FORGOTTEN_MAX]; /* ring */
    uint32_t n_forgotten;
};

static void on_computed(struct engine_step *step);

/* --- sequences ------------------------------------------------------------------------------------------- */

static struct sequence_entry *find(const struct pipeline *pipeline, uint64_t sequence)
{
    for (struct sequence_entry *s = pipeline->sequences; s; s = s->next)
        if (s->sequence == sequence)
            return s;
    return NULL;
}

static void forget(struct pipeline *pipeline, uint64_t sequence)
{
    for (struct sequence_entry **at = &pipeline->sequences; *at; at = &(*at)->next) {
        struct sequence_entry *s = *at;
        if (s->sequence != sequence)
            continue;
        *at = s->next;
        pipeline->n_sequences--;
        compute_forget(pipeline->compute, sequence);
        mem_free(s->ahead);
        mem_free(s);
        return;
    }
}

/* Its origin has ended it: steps that are still on their way to us are dropped, so that they do not begin it
 * anew. */
static void end_sequence(struct pipeline *pipeline, uint64_t sequence)
{
    pipeline->forgotten[pipeline->n_forgotten++ % FORGOTTEN_MAX] = sequence;
    forget(pipeline, sequence);
}

static bool has_ended(const struct pipeline *pipeline, uint64_t sequence)
{
    for (uint32_t i = 0; i < FORGOTTEN_MAX; i++)
        if (pipeline->forgotten[i] == sequence)
            return true;
    return false;
}

static struct sequence_entry *find_or_make(struct pipeline *pipeline, uint64_t sequence)
{
    struct sequence_entry *s = find(pipeline, sequence);
    if (s)
        return s;
    if (pipeline->n_sequences == SEQUENCES_MAX) { /* the oldest without a listener goes */
        uint64_t oldest = 0;
        for (s = pipeline->sequences; s; s = s->next)
            if (!s->has_listener)
                oldest = s->sequence;
        if (!oldest)
            return NULL;
        forget(pipeline, oldest);
    }
    s = mem_new(sizeof *s);
    s->sequence = sequence;
    s->next = pipeline->sequences;
    pipeline->sequences = s;
    pipeline->n_sequences++;
    return s;
}

/* --- answers to the origin ------------------------------------------------------------------------------- */

static void deliver_fail(struct pipeline *pipeline, const struct step_fail_message *fail,
                         const struct node_id *by)
{
    struct sequence_entry *s = find(pipeline, fail->sequence);
    if (s && s->has_listener)
        s->listener.on_fail(s->listener.ctx, fail, by);
}

static void send_fail(struct pipeline *pipeline, const struct step_message *m, enum step_failure failure,
                      uint32_t have_position, const char *text)
{
    struct step_fail_message fail = {.sequence = m->sequence,
                                     .plan_hash = m->plan_hash,
                                     .turn = m->turn,
                                     .position = m->position,
                                     .stage = m->stage,
                                     .have_position = have_position,
                                     .failure = failure};
    snprintf(fail.text, sizeof fail.text, "%s", text);
    if (node_id_equal(&m->origin, &pipeline->self)) {
        deliver_fail(pipeline, &fail, &pipeline->self);
        return;
    }
    struct buffer out;
    buffer_init(&out, 0);
    step_fail_encode(&out, &fail);
    (void)links_send(pipeline->links, &m->origin, FRAME_STEP_FAIL, buffer_view(&out));
    buffer_free(&out);
}

static void start_step(struct pipeline *pipeline, const struct step_message *m);

/* The first node: starts the next step from the token that the last one drew. */
static void go_ahead(struct pipeline *pipeline, struct sequence_entry *s, const struct tokens_message *tokens)
{
    struct step_message *m = s->ahead;
    if (!m || tokens->turn != s->turn || tokens->n_ahead == 0 || !(tokens->flags & STEP_SAMPLE) ||
        tokens->position != m->position + m->n_tokens)
        return;
    m->position = tokens->position;
    m->n_tokens = 1;
    m->tokens[0] = tokens->token;
    m->n_ahead = tokens->n_ahead - 1;
    m->n_hops = m->n_states = 0;
    start_step(pipeline, m);
}

static void deliver_tokens(struct pipeline *pipeline, const struct tokens_message *tokens)
{
    struct sequence_entry *s = find(pipeline, tokens->sequence);
    if (s && s->has_listener)
        s->listener.on_tokens(s->listener.ctx, tokens);
    s = find(pipeline, tokens->sequence); /* the listener may have closed it */
    if (s)
        go_ahead(pipeline, s, tokens);
}

static void send_tokens(struct pipeline *pipeline, const struct step_message *m,
                        const struct tokens_message *tokens)
{
    const struct node_id *first = &m->plan.stages[0].node;
    bool to_first = tokens->n_ahead > 0 && !node_id_equal(first, &m->origin);
    struct buffer out;
    buffer_init(&out, 0);
    tokens_encode(&out, tokens);
    /* The first node before the origin: it has the next step to start. */
    if (to_first && !node_id_equal(first, &pipeline->self))
        (void)links_send(pipeline->links, first, FRAME_TOKENS, buffer_view(&out));
    if (!node_id_equal(&m->origin, &pipeline->self))
        (void)links_send(pipeline->links, &m->origin, FRAME_TOKENS, buffer_view(&out));
    buffer_free(&out);
    if (node_id_equal(&m->origin, &pipeline->self) || (to_first && node_id_equal(first, &pipeline->self)))
        deliver_tokens(pipeline, tokens);
}

/* --- a step through this node ---------------------------------------------------------------------------- */

static void job_free(struct job *job)
{
    for (struct job **at = &job->pipeline->jobs; *at; at = &(*at)->next)
        if (*at == job) {
            *at = job->next;
            break;
        }
    job->pipeline->n_jobs--;
    mem_free(job->hidden_in);
    mem_free(job->hidden_out);
    mem_free(job);
}

static bool is_last_stage(const struct step_message *m)
{
    return m->stage + 1 == m->plan.n_stages;
}

/* The layers of the next submission: all of this node's, or one shard's of a probe. */
static void submit(struct job *job, uint32_t layer_first)
{
    struct step_message *m = &job->message;
    uint32_t end = job->layer_end;
    if ((m->flags & STEP_PROBE) && job->pipeline->manifest) { /* it may have gone between two shards */
        const struct manifest_shard *shard = manifest_shard_of_layer(job->pipeline->manifest, layer_first);
        end = shard && shard->span.end_layer < end ? shard->span.end_layer : end;
    }
    bool samples = is_last_stage(m) && end == job->layer_end && (m->flags & STEP_SAMPLE);
    job->step = (struct engine_step){.sequence = m->sequence,
                                     .position = m->position,
                                     .n_tokens = m->n_tokens,
                                     .tokens = m->tokens,
                                     .layer_first = layer_first,
                                     .layer_end = end,
                                     .hidden_in = layer_first ? job->hidden_in : NULL,
                                     .hidden_out = job->hidden_out,
                                     .sample = samples ? &job->sample : NULL,
                                     .is_probe = (m->flags & STEP_PROBE) != 0,
                                     .done = on_computed,
                                     .owner = job};
    compute_submit(job->pipeline->compute, &job->step);
}

static void fill_sampling(struct job *job)
{
    const struct step_sampling *s = &job->message.sampling;
    job->sample = (struct sample_params){.temperature = s->temperature,
                                         .top_k = s->top_k,
                                         .top_p = s->top_p,
                                         .min_p = s->min_p,
                                         .repeat_penalty = s->repeat_penalty,
                                         .frequency_penalty = s->frequency_penalty,
                                         .presence_penalty = s->presence_penalty,
                                         .repeat_last_n = s->repeat_last_n,
                                         .seed = s->seed,
                                         .n_top = s->n_top,
                                         .biases = job->biases,
                                         .n_biases = s->n_biases};
    for (uint32_t i = 0; i < s->n_biases; i++)
        job->biases[i] = (struct token_bias){.token = s->biases[i].token, .bias = s->biases[i].bias};
}

/* Checks a step against what is here; on a fault the origin is told and false returned. */
static bool check_step(struct pipeline *pipeline, const struct step_message *m, uint32_t n_embd)
{
    char text[160];
    struct error err;
    if (!pipeline->manifest || plan_hash(&m->plan, &pipeline->manifest->fingerprint) != m->plan_hash) {
        send_fail(pipeline, m, STEP_FAIL_STALE, 0, "this node has another model, or none");
        return false;
    }
    if (n_embd == 0) {
        send_fail(pipeline, m, STEP_FAIL_NO_LAYERS, 0, "no shard is loaded here");
        return false;
    }
    if (m->stage && m->n_embd != n_embd) {
        snprintf(text, sizeof text, "hidden states of %u values came, the model has %u", m->n_embd, n_embd);
        send_fail(pipeline, m, STEP_FAIL_BAD_INPUT, 0, text);
        return false;
    }
    if (pipeline->n_jobs >= PIPELINE_STEPS_MAX) {
        send_fail(pipeline, m, STEP_FAIL_NO_SLOT, 0, "too many steps wait here");
        return false;
    }
    struct sample_params params = sample_params_default();
    params.temperature = m->sampling.temperature;
    params.top_p = m->sampling.top_p;
    params.min_p = m->sampling.min_p;
    params.repeat_penalty = m->sampling.repeat_penalty;
    if ((m->flags & STEP_SAMPLE) && sample_params_check(&params, &err)) {
        send_fail(pipeline, m, STEP_FAIL_BAD_INPUT, 0, err.text);
        return false;
    }
    return true;
}

/* Takes a copy of the message. m->hidden is read now. */
static void start_step(struct pipeline *pipeline, const struct step_message *m)
{
    uint32_t n_embd = pipeline->compute->ops->look(pipeline->compute->self).n_embd;
    if (!check_step(pipeline, m, n_embd))
        return;
    struct sequence_entry *s = find_or_make(pipeline, m->sequence);
    if (!s) {
        send_fail(pipeline, m, STEP_FAIL_NO_SLOT, 0, "too many sequences begin here");
        return;
    }
    if (m->turn < s->turn)
        return; /* a newer replay is under way */
    s->turn = m->turn;
    s->origin = m->origin;
    if (m->stage == 0 && m->n_ahead > 0 && m != s->ahead) {
        mem_free(s->ahead);
        s->ahead = mem_copy(m, sizeof *m);
        s->ahead->hidden = (struct bytes){0};
    }

    struct job *job = mem_new(sizeof *job);
    job->pipeline = pipeline;
    job->message = *m;
    job->next = pipeline->jobs;
    pipeline->jobs = job;
    pipeline->n_jobs++;
    size_t hidden_bytes = (size_t)m->n_tokens * n_embd * sizeof(float);
    job->hidden_in = mem_try_array(hidden_bytes, 1, hidden_bytes);
    job->hidden_out = mem_try_array(hidden_bytes, 1, hidden_bytes);
    if (!job->hidden_in || !job->hidden_out) { /* peers say how many steps wait here */
        job_free(job);
        send_fail(pipeline, m, STEP_FAIL_NO_MEMORY, 0, "no memory for the hidden states");
        return;
    }
    if (m->stage) /* f32, little-endian on every machine we run on */
        memcpy(job->hidden_in, m->hidden.data, hidden_bytes);
    job->message.n_embd = n_embd;
    job->message.hidden = (struct bytes){0};
    job->layer_end = m->plan.stages[m->stage].layer_end;
    fill_sampling(job);
    submit(job, m->plan.stages[m->stage].layer_first);
}

static enum step_failure failure_of(enum step_result result)
{
    switch (result) {
    case STEP_KV_MISS:
        return STEP_FAIL_KV_MISS;
    case STEP_NO_LAYERS:
        return STEP_FAIL_NO_LAYERS;
    case STEP_FULL:
        return STEP_FAIL_FULL;
    case STEP_NO_SLOT:
        return STEP_FAIL_NO_SLOT;
    case STEP_BAD_INPUT:
        return STEP_FAIL_BAD_INPUT;
    case STEP_NO_MEMORY:
        return STEP_FAIL_NO_MEMORY;
    default:
        return STEP_FAIL_STALE;
    }
}

static void forward(struct job *job)
{
    struct pipeline *pipeline = job->pipeline;
    struct step_message *m = &job->message;
    size_t hidden_bytes = (size_t)m->n_tokens * m->n_embd * sizeof(float);
    m->stage++;
    m->hidden = bytes_of(job->hidden_out, hidden_bytes);
    const struct node_id *next = &m->plan.stages[m->stage].node;
    if (node_id_equal(next, &pipeline->self)) {
        start_step(pipeline, m);
        return;
    }
    struct buffer out;
    buffer_init(&out, 0);
    step_encode(&out, m);
    if (links_send(pipeline->links, next, FRAME_STEP, buffer_view(&out))) {
        char text[96], id[NODE_ID_SHORT_BYTES];
        node_id_short(id, next);
        snprintf(text, sizeof text, "no link to the next node, %s", id);
        m->stage--;
        send_fail(pipeline, m, STEP_FAIL_NO_LINK, 0, text);
    }
    buffer_free(&out);
}

static void finish_last(struct job *job)
{
    const struct step_message *m = &job->message;
    static struct tokens_message tokens; /* loop thread only; large */
    tokens = (struct tokens_message){.sequence = m->sequence,
                                     .plan_hash = m->plan_hash,
                                     .turn = m->turn,
                                     .flags = m->flags,
                                     .position = m->position + m->n_tokens,
                                     .n_ahead = m->n_ahead,
                                     .n_states = m->n_states,
                                     .n_hops = m->n_hops};
    memcpy(tokens.states, m->states, m->n_states * sizeof *m->states);
    memcpy(tokens.hops, m->hops, m->n_hops * sizeof *m->hops);
    if (m->flags & STEP_SAMPLE) {
        const struct sampled *sampled = &job->step.sampled;
        tokens.token = sampled->token;
        tokens.log_probability = sampled->log_probability;
        tokens.n_top = sampled->n_top;
        memcpy(tokens.top_tokens, sampled->top_tokens, sizeof tokens.top_tokens);
        memcpy(tokens.top_log_probabilities, sampled->top_log_probabilities,
               sizeof tokens.top_log_probabilities);
    }
    struct pipeline *pipeline = job->pipeline;
    struct step_message copy = *m;
    job_free(job); /* before anything that may start another */
    struct tokens_message own = tokens;
    send_tokens(pipeline, &copy, &own);
}

static void note_state(struct job *job)
{
    struct step_message *m = &job->message;
    if ((m->flags & STEP_PROBE) && m->n_states < STEP_STAGES_MAX)
        m->states[m->n_states++] = sha256_of(job->hidden_out, (size_t)m->n_tokens * m->n_embd * sizeof(float));
}

/* Thread: loop; the compute port brings results there. */
static void on_computed(struct engine_step *step)
{
    struct job *job = step->owner;
    struct pipeline *pipeline = job->pipeline;
    struct step_message *m = &job->message;
    const struct sequence_entry *s = find(pipeline, m->sequence);
    if (!s || s->turn != m->turn) { /* ended or replayed meanwhile */
        if (!s)
            compute_forget(pipeline->compute, m->sequence); /* the step may have begun it anew */
        job_free(job);
        return;
    }
    if (step->result != STEP_OK) {
        send_fail(pipeline, m, failure_of(step->result), step->have_position, step_result_name(step->result));
        job_free(job);
        return;
    }
    job->queue_us += (uint32_t)step->waited_us;
    job->compute_us += (uint32_t)step->computed_us;
    note_state(job);
    if (step->layer_end < job->layer_end) { /* a probe's next shard */
        float *swap = job->hidden_in;
        job->hidden_in = job->hidden_out;
        job->hidden_out = swap;
        submit(job, step->layer_end);
        return;
    }
    if (m->n_hops < STEP_STAGES_MAX)
        m->hops[m->n_hops++] = (struct step_hop){.queue_us = job->queue_us, .compute_us = job->compute_us};
    if (is_last_stage(m)) {
        finish_last(job);
        return;
    }
    forward(job);
    job_free(job);
}

/* --- frames ---------------------------------------------------------------------------------------------- */

/* The step's stage is ours, and it comes from whom the plan has before it. */
static enum status check_place(const struct pipeline *pipeline, const struct node_id *peer,
                               const struct step_message *m, struct error *err)
{
    const struct node_id *before = m->stage ? &m->plan.stages[m->stage - 1].node : &m->origin;
    if (!node_id_equal(&m->plan.stages[m->stage].node, &pipeline->self))
        return error_set(err, STATUS_BAD_DATA, "step for stage %u, which is another node's", m->stage);
    if (!node_id_equal(before, peer))
        return error_set(err, STATUS_BAD_DATA, "step for stage %u from a node that is not before it", m->stage);
    return STATUS_OK;
}

static enum status take_step(struct pipeline *pipeline, const struct node_id *peer, struct bytes payload,
                             struct error *err)
{
    struct step_message *m = mem_new(sizeof *m);
    enum status status = step_decode(m, payload, err);
    if (!status)
        status = check_place(pipeline, peer, m, err);
    if (!status && !has_ended(pipeline, m->sequence))
        start_step(pipeline, m);
    mem_free(m);
    return status;
}

static enum status take_tokens(struct pipeline *pipeline, struct bytes payload, struct error *err)
{
    struct tokens_message *tokens = mem_new(sizeof *tokens);
    enum status status = tokens_decode(tokens, payload, err);
    if (!status)
        deliver_tokens(pipeline, tokens);
    mem_free(tokens);
    return status;
}

enum status pipeline_on_frame(struct pipeline *pipeline, const struct node_id *peer, enum frame_kind kind,
                              struct bytes payload, struct error *err)
{
    struct step_fail_message fail;
    uint64_t sequences[FORGET_MAX];
    size_t n;
    enum status status;
    switch (kind) {
    case FRAME_STEP:
        return take_step(pipeline, peer, payload, err);
    case FRAME_TOKENS:
        return take_tokens(pipeline, payload, err);
    case FRAME_STEP_FAIL:
        status = step_fail_decode(&fail, payload, err);
        if (!status)
            deliver_fail(pipeline, &fail, peer);
        return status;
    case FRAME_FORGET:
        status = forget_decode(sequences, &n, payload, err);
        for (size_t i = 0; !status && i < n; i++) {
            const struct sequence_entry *s = find(pipeline, sequences[i]);
            if (!s || node_id_equal(&s->origin, peer)) /* only its own origin ends a sequence */
                end_sequence(pipeline, sequences[i]);
        }
        return status;
    default:
        assert_failed("a frame that is the pipeline's", __FILE__, __LINE__);
    }
}

void pipeline_on_down(struct pipeline *pipeline, const struct node_id *peer)
{
    for (struct sequence_entry *s = pipeline->sequences; s;) {
        uint64_t sequence = s->sequence;
        bool orphan = !s->has_listener && node_id_equal(&s->origin, peer);
        s = s->next;
        if (orphan)
            forget(pipeline, sequence);
    }
}

/* --- interface ------------------------------------------------------------------------------------------- */

struct pipeline *pipeline_new(const struct clock *clock, const struct links *links, struct compute *compute,
                              const struct node_id *self)
{
    struct pipeline *pipeline = mem_new(sizeof *pipeline);
    pipeline->clock = clock;
    pipeline->links = links;
    pipeline->compute = compute;
    pipeline->self = *self;
    return pipeline;
}

/* The compute port must have stopped: it brings no result any more. */
void pipeline_free(struct pipeline *pipeline)
{
    if (!pipeline)
        return;
    while (pipeline->sequences)
        forget(pipeline, pipeline->sequences->sequence);
    while (pipeline->jobs)
        job_free(pipeline->jobs);
    mem_free(pipeline);
}

void pipeline_set_manifest(struct pipeline *pipeline, const struct manifest *manifest)
{
    pipeline->manifest = manifest;
}

void pipeline_open(struct pipeline *pipeline, uint64_t sequence, const struct pipeline_listener *listener)
{
    struct sequence_entry *s = find_or_make(pipeline, sequence);
    ASSERT(s); /* origins are bounded by the front door */
    s->has_listener = true;
    s->listener = *listener;
    s->origin = pipeline->self;
}

enum status pipeline_send(struct pipeline *pipeline, const struct step_message *step, struct error *err)
{
    const struct node_id *first = &step->plan.stages[0].node;
    if (node_id_equal(first, &pipeline->self)) {
        start_step(pipeline, step);
        return STATUS_OK;
    }
    struct buffer out;
    buffer_init(&out, 0);
    step_encode(&out, step);
    enum status status = links_send(pipeline->links, first, FRAME_STEP, buffer_view(&out));
    buffer_free(&out);
    if (status) {
        char id[NODE_ID_SHORT_BYTES];
        node_id_short(id, first);
        return error_set(err, STATUS_NETWORK, "no link to node %s, the first of the plan", id);
    }
    return STATUS_OK;
}

void pipeline_close(struct pipeline *pipeline, uint64_t sequence, const struct plan *plan)
{
    struct buffer out;
    buffer_init(&out, 0);
    forget_encode(&out, &sequence, 1);
    for (uint32_t i = 0; i < plan->n_stages; i++)
        if (!node_id_equal(&plan->stages[i].node, &pipeline->self))
            (void)links_send(pipeline->links, &plan->stages[i].node, FRAME_FORGET, buffer_view(&out));
    buffer_free(&out);
    end_sequence(pipeline, sequence);
}
