#include "base/mem.h"
#include "node/pipeline_private.h"
#include "node/probe.h"

#include <stdio.h>
#include <string.h>

static void on_computed(struct engine_step *step);

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
        pipeline_send_fail(pipeline, m, STEP_FAIL_STALE, 0, "this node has another model, or none");
        return false;
    }
    if (n_embd == 0) {
        pipeline_send_fail(pipeline, m, STEP_FAIL_NO_LAYERS, 0, "no shard is loaded here");
        return false;
    }
    if (m->stage && m->n_embd != n_embd) {
        snprintf(text, sizeof text, "hidden states of %u values came, the model has %u", m->n_embd, n_embd);
        pipeline_send_fail(pipeline, m, STEP_FAIL_BAD_INPUT, 0, text);
        return false;
    }
    if (pipeline->n_jobs >= PIPELINE_STEPS_MAX) {
        pipeline_send_fail(pipeline, m, STEP_FAIL_NO_SLOT, 0, "too many steps wait here");
        return false;
    }
    struct sample_params params = sample_params_default();
    params.temperature = m->sampling.temperature;
    params.top_p = m->sampling.top_p;
    params.min_p = m->sampling.min_p;
    params.repeat_penalty = m->sampling.repeat_penalty;
    if ((m->flags & STEP_SAMPLE) && sample_params_check(&params, &err)) {
        pipeline_send_fail(pipeline, m, STEP_FAIL_BAD_INPUT, 0, err.text);
        return false;
    }
    return true;
}

void pipeline_start_step(struct pipeline *pipeline, const struct step_message *m)
{
    uint32_t n_embd = pipeline->compute->ops->look(pipeline->compute->self).n_embd;
    if (!check_step(pipeline, m, n_embd))
        return;
    struct sequence_entry *s = pipeline_find_or_make(pipeline, m->sequence, &m->origin);
    if (!s) {
        pipeline_send_fail(pipeline, m, STEP_FAIL_NO_SLOT, 0, "too many sequences begin here");
        return;
    }
    if (m->turn < s->turn || !node_id_equal(&s->origin, &m->origin))
        return; /* a newer replay is under way; or it is another's: a member must not reach into it */
    s->turn = m->turn;
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
    if (pipeline->n_jobs++ == 0)
        pipeline->moved_ms = clock_ms(pipeline->clock);
    size_t hidden_bytes = (size_t)m->n_tokens * n_embd * sizeof(float);
    job->hidden_in = mem_try_array(hidden_bytes, 1, hidden_bytes);
    bool is_read = !is_last_stage(m) || (m->flags & STEP_PROBE); /* by the next node, or for the states' hash */
    if (is_read)
        job->hidden_out = mem_try_array(hidden_bytes, 1, hidden_bytes);
    if (!job->hidden_in || (is_read && !job->hidden_out)) { /* peers say how many steps wait here */
        job_free(job);
        pipeline_send_fail(pipeline, m, STEP_FAIL_NO_MEMORY, 0, "no memory for the hidden states");
        return;
    }
    if (m->stage) /* f32, little-endian on every machine we run on */
        memcpy(job->hidden_in, m->hidden.data, hidden_bytes);
    job->message.n_embd = n_embd;
    job->message.hidden = (struct bytes){0};
    job->layer_end = m->plan.stages[m->stage].layer_end;
    job->first_state = m->n_states;
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
        pipeline_start_step(pipeline, m);
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
        pipeline_send_fail(pipeline, m, STEP_FAIL_NO_LINK, 0, text);
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
                                     .n_testimonies = m->n_testimonies,
                                     .n_hops = m->n_hops};
    memcpy(tokens.states, m->states, m->n_states * sizeof *m->states);
    memcpy(tokens.testimonies, m->testimonies, m->n_testimonies * sizeof *m->testimonies);
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
    pipeline_send_tokens(pipeline, &copy, &own);
}

static void note_state(struct job *job)
{
    struct step_message *m = &job->message;
    if ((m->flags & STEP_PROBE) && m->n_states < STEP_STAGES_MAX)
        m->states[m->n_states++] = sha256_of(job->hidden_out, (size_t)m->n_tokens * m->n_embd * sizeof(float));
}

/* This node's word for the states it has just computed. */
static void sign_states(struct job *job)
{
    struct step_message *m = &job->message;
    if (!(m->flags & STEP_PROBE) || m->n_testimonies >= STEP_STAGES_MAX)
        return;
    struct probe_statement statement = {.plan_hash = m->plan_hash,
                                        .sequence = m->sequence,
                                        .epoch = job->pipeline->epoch,
                                        .stage = m->stage,
                                        .first_state = job->first_state,
                                        .end_state = m->n_states,
                                        .token = is_last_stage(m) ? job->step.sampled.token : 0};
    m->testimonies[m->n_testimonies++] = probe_sign(job->pipeline->pair, &statement, m->states);
}

/* Thread: loop; the compute port brings results there. */
static void on_computed(struct engine_step *step)
{
    struct job *job = step->owner;
    struct pipeline *pipeline = job->pipeline;
    struct step_message *m = &job->message;
    const struct sequence_entry *s = pipeline_find(pipeline, m->sequence);
    pipeline->moved_ms = clock_ms(pipeline->clock);
    if (!s || s->turn != m->turn) { /* ended or replayed meanwhile */
        if (!s)
            compute_forget(pipeline->compute, m->sequence); /* the step may have begun it anew */
        job_free(job);
        return;
    }
    if (step->result != STEP_OK) {
        pipeline_send_fail(pipeline, m, failure_of(step->result), step->have_position,
                           step_result_name(step->result));
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
    sign_states(job);
    if (m->n_hops < STEP_STAGES_MAX)
        m->hops[m->n_hops++] = (struct step_hop){.queue_us = job->queue_us, .compute_us = job->compute_us};
    if (is_last_stage(m)) {
        finish_last(job);
        return;
    }
    forward(job);
    job_free(job);
}

void pipeline_drop_jobs(struct pipeline *pipeline)
{
    while (pipeline->jobs)
        job_free(pipeline->jobs);
}

/* A probe has few tokens, so it is told sooner; a long prompt on a slow machine may take its time. */
void pipeline_explain(const struct pipeline *pipeline, struct finding_list *out)
{
    uint64_t quiet_ms = clock_ms(pipeline->clock) - pipeline->moved_ms;
    bool has_probe = false;
    for (const struct job *job = pipeline->jobs; job; job = job->next)
        has_probe |= (job->message.flags & STEP_PROBE) != 0;
    if (!pipeline->jobs || quiet_ms < (has_probe ? PIPELINE_PROBE_STALLED_MS : PIPELINE_STALLED_MS))
        return;
    char id[NODE_ID_SHORT_BYTES];
    node_id_short(id, &pipeline->self);
    struct finding *f =
        finding_add(out, FINDING_NODE_STALLED, FINDING_NO_SHARD, &pipeline->self,
                    "node %s is alive, but none of %u steps that it computes has come back for %.1f s", id,
                    pipeline->n_jobs, (double)quiet_ms / 1000);
    if (!f)
        return;
    f->severity = has_probe ? SEVERITY_BLOCKER : SEVERITY_WARNING;
    f->since_ms = pipeline->moved_ms;
    jv_set_int(finding_evidence(f), "steps", pipeline->n_jobs);
    finding_set_action(f, "shoal status # then start node %s again", id);
}
