#include "base/mem.h"
#include "node/pipeline_private.h"

#include <stdio.h>
#include <string.h>

/* --- answers to the origin ------------------------------------------------------------------------------- */

static void deliver_fail(struct pipeline *pipeline, const struct step_fail_message *fail,
                         const struct node_id *by)
{
    struct sequence_entry *s = pipeline_find(pipeline, fail->sequence);
    if (s && s->has_listener)
        s->listener.on_fail(s->listener.ctx, fail, by);
}

void pipeline_send_fail(struct pipeline *pipeline, const struct step_message *m, enum step_failure failure,
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
    m->n_hops = m->n_states = m->n_testimonies = 0;
    pipeline_start_step(pipeline, m);
}

static void deliver_tokens(struct pipeline *pipeline, const struct tokens_message *tokens)
{
    struct sequence_entry *s = pipeline_find(pipeline, tokens->sequence);
    if (s && s->has_listener)
        s->listener.on_tokens(s->listener.ctx, tokens);
    s = pipeline_find(pipeline, tokens->sequence); /* the listener may have closed it */
    if (s)
        go_ahead(pipeline, s, tokens);
}

void pipeline_send_tokens(struct pipeline *pipeline, const struct step_message *m,
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
    if (!status && !pipeline_has_ended(pipeline, m->sequence))
        pipeline_start_step(pipeline, m);
    mem_free(m);
    return status;
}

/* Tokens come from the last node of the plan that the sequence goes along, to its origin and to its first node.
 * What comes for a sequence that has ended is late and not a fault. */
static enum status take_tokens(struct pipeline *pipeline, const struct node_id *peer, struct bytes payload,
                               struct error *err)
{
    struct tokens_message *tokens = mem_new(sizeof *tokens);
    enum status status = tokens_decode(tokens, payload, err);
    const struct sequence_entry *s = status ? NULL : pipeline_find(pipeline, tokens->sequence);
    const struct plan *plan = !s ? NULL : s->has_listener ? &s->plan : s->ahead ? &s->ahead->plan : NULL;
    if (plan && plan->n_stages && tokens->turn == s->turn) {
        if (node_id_equal(&plan->stages[plan->n_stages - 1].node, peer))
            deliver_tokens(pipeline, tokens);
        else
            status = error_set(err, STATUS_BAD_DATA, "tokens of a sequence whose plan ends on another node");
    }
    mem_free(tokens);
    return status;
}

/* Only a node of the plan can say that its part of it failed. */
static enum status take_fail(struct pipeline *pipeline, const struct node_id *peer, struct bytes payload,
                             struct error *err)
{
    struct step_fail_message fail;
    enum status status = step_fail_decode(&fail, payload, err);
    const struct sequence_entry *s = status ? NULL : pipeline_find(pipeline, fail.sequence);
    if (!s || !s->has_listener || fail.turn != s->turn)
        return status;
    if (fail.stage >= s->plan.n_stages || !node_id_equal(&s->plan.stages[fail.stage].node, peer))
        return error_set(err, STATUS_BAD_DATA, "failure of stage %u, which is another node's", fail.stage);
    deliver_fail(pipeline, &fail, peer);
    return STATUS_OK;
}

enum status pipeline_on_frame(struct pipeline *pipeline, const struct node_id *peer, enum frame_kind kind,
                              struct bytes payload, struct error *err)
{
    uint64_t sequences[FORGET_MAX];
    size_t n;
    enum status status;
    switch (kind) {
    case FRAME_STEP:
        return take_step(pipeline, peer, payload, err);
    case FRAME_TOKENS:
        return take_tokens(pipeline, peer, payload, err);
    case FRAME_STEP_FAIL:
        return take_fail(pipeline, peer, payload, err);
    case FRAME_FORGET:
        status = forget_decode(sequences, &n, payload, err);
        for (size_t i = 0; !status && i < n; i++) {
            const struct sequence_entry *s = pipeline_find(pipeline, sequences[i]);
            if (!s || node_id_equal(&s->origin, peer)) /* only its own origin ends a sequence */
                pipeline_end(pipeline, sequences[i]);
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
            pipeline_drop(pipeline, sequence);
    }
}

/* --- interface ------------------------------------------------------------------------------------------- */

struct pipeline *pipeline_new(const struct clock *clock, const struct links *links, struct compute *compute,
                              const struct key_pair *pair, uint64_t epoch)
{
    struct pipeline *pipeline = mem_new(sizeof *pipeline);
    pipeline->clock = clock;
    pipeline->links = links;
    pipeline->compute = compute;
    pipeline->pair = pair;
    pipeline->epoch = epoch;
    memcpy(pipeline->self.bytes, pair->public_key.bytes, NODE_ID_BYTES);
    return pipeline;
}

/* The compute port must have stopped: it brings no result any more. */
void pipeline_set_epoch(struct pipeline *pipeline, uint64_t epoch)
{
    pipeline->epoch = epoch;
}

void pipeline_free(struct pipeline *pipeline)
{
    if (!pipeline)
        return;
    while (pipeline->sequences)
        pipeline_drop(pipeline, pipeline->sequences->sequence);
    pipeline_drop_jobs(pipeline);
    mem_free(pipeline);
}

void pipeline_set_manifest(struct pipeline *pipeline, const struct manifest *manifest)
{
    pipeline->manifest = manifest;
}

void pipeline_open(struct pipeline *pipeline, uint64_t sequence, const struct pipeline_listener *listener)
{
    struct sequence_entry *s = pipeline_find_or_make(pipeline, sequence, &pipeline->self);
    ASSERT(s); /* origins are bounded by the front door */
    s->has_listener = true;
    s->listener = *listener;
}

enum status pipeline_send(struct pipeline *pipeline, const struct step_message *step, struct error *err)
{
    const struct node_id *first = &step->plan.stages[0].node;
    struct sequence_entry *s = pipeline_find(pipeline, step->sequence);
    if (s && s->plan_hash != step->plan_hash) {
        s->plan = step->plan;
        s->plan_hash = step->plan_hash;
    }
    if (s) /* answers of older turns are dropped from now on */
        s->turn = step->turn;
    if (node_id_equal(first, &pipeline->self)) {
        pipeline_start_step(pipeline, step);
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
    pipeline_end(pipeline, sequence);
}
