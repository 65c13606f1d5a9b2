#include "node/readiness.h"

#include "base/mem.h"
#include "node/pipeline.h"
#include "node/verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PROBE_RETRY_MS  500
#define PROBE_RESEND_MS 2000
#define PROBE_ROUND_MS  6000 /* peers that pass results on may have an older one for so long */
#define LINKING_MS      2000 /* a node that came less long ago is still being linked */

struct readiness {
    const struct clock *clock;
    const struct links *links;
    const struct roster *roster;
    struct pipeline *pipeline;
    struct readiness_events events;
    void *ctx;
    const struct manifest *manifest;
    struct probe_result last;
    bool has_last, was_ready;
    uint64_t number;
    /* our own probe under way */
    bool running;
    uint64_t sequence, began_us;
    struct probe_result trial;
    uint64_t retry_ms; /* not before */
    struct timer *timer, *resend_timer;
};

static const struct node_id *self_id(const struct readiness *readiness)
{
    return &roster_self(readiness->roster)->record.id;
}

/* Where prompts come in, whose links to the first and the last stage count: here, else at the coordinator,
 * whose probe must come through; zero: nowhere. */
static struct node_id origin(const struct readiness *readiness)
{
    const struct roster_entry *coordinator = roster_coordinator(readiness->roster);
    if (roster_self(readiness->roster)->record.role == ROLE_SERVE)
        return *self_id(readiness);
    return coordinator ? coordinator->record.id : (struct node_id){0};
}

struct node_id readiness_prober(const struct readiness *readiness)
{
    struct node_id nobody = {0};
    const struct roster_entry *coordinator = roster_coordinator(readiness->roster);
    if (coordinator)
        return coordinator->record.id;
    for (size_t i = 0; i < roster_count(readiness->roster); i++) {
        const struct roster_entry *entry = roster_at(readiness->roster, i);
        const struct record_shard *s = record_shard_find(&entry->record, 0);
        if (entry->alive && s && s->state == SHARD_LOADED)
            return entry->record.id;
    }
    return nobody;
}

static void stop_probe(struct readiness *readiness)
{
    pipeline_close(readiness->pipeline, readiness->sequence, &readiness->trial.plan);
    clock_timer_stop(readiness->clock, readiness->timer);
    readiness->running = false;
}

static void send_result(struct readiness *readiness, const struct node_id *only)
{
    struct buffer out;
    buffer_init(&out, 0);
    probe_encode(&out, &readiness->last);
    for (size_t i = 0; i < roster_count(readiness->roster); i++) {
        const struct roster_entry *entry = roster_at(readiness->roster, i);
        if (!entry->is_self && entry->linked && (!only || node_id_equal(only, &entry->record.id)))
            (void)links_send(readiness->links, &entry->record.id, FRAME_PROBED, buffer_view(&out));
    }
    buffer_free(&out);
}

static void note_change(struct readiness *readiness)
{
    readiness->was_ready = readiness_is_ready(readiness);
    readiness->events.changed(readiness->ctx);
}

/* --- our own probe ------------------------------------------------------------------------------------------
 */

/* The trial has come back, or `text` says why not. */
static void end_probe(struct readiness *readiness, int32_t stop_stage, const char *text)
{
    struct probe_result *result = &readiness->trial;
    pipeline_close(readiness->pipeline, readiness->sequence, &result->plan);
    readiness->running = false;
    result->stop_stage = stop_stage;
    snprintf(result->text, sizeof result->text, "%s", text);
    probe_judge(result, readiness->manifest);
    result->took_us = clock_us(readiness->clock) - readiness->began_us;
    result->came_ms = clock_ms(readiness->clock);
    result->number = ++readiness->number;
    readiness->last = *result;
    readiness->has_last = true;
    uint64_t wait_ms = result->right ? PROBE_REPEAT_MS : PROBE_RETRY_MS;
    readiness->retry_ms = result->came_ms + wait_ms;
    clock_timer_set(readiness->clock, readiness->timer, wait_ms);
    send_result(readiness, NULL);
    note_change(readiness);
}

static void on_tokens(void *ctx, const struct tokens_message *tokens)
{
    struct readiness *readiness = ctx;
    struct probe_result *trial = &readiness->trial;
    if (!readiness->running || !readiness->manifest || tokens->plan_hash != trial->plan_hash)
        return;
    trial->n_states = tokens->n_states;
    trial->n_testimonies = tokens->n_testimonies;
    trial->token = tokens->token;
    memcpy(trial->states, tokens->states, tokens->n_states * sizeof *tokens->states);
    memcpy(trial->testimonies, tokens->testimonies, tokens->n_testimonies * sizeof *tokens->testimonies);
    end_probe(readiness, -1, tokens->n_testimonies ? "" : "it came back without a signature");
}

static void on_fail(void *ctx, const struct step_fail_message *fail, const struct node_id *by)
{
    struct readiness *readiness = ctx;
    char text[400], id[NODE_ID_SHORT_BYTES];
    if (!readiness->running || !readiness->manifest)
        return;
    node_id_short(id, by);
    snprintf(text, sizeof text, "node %s could not run its part: %s (%s)", id, step_failure_name(fail->failure),
             fail->text);
    uint32_t n = readiness->trial.plan.n_stages;
    end_probe(readiness, fail->stage < n ? (int32_t)fail->stage : -1, text);
}

static void start_probe(struct readiness *readiness, const struct plan *plan)
{
    static struct step_message step; /* loop thread only; large */
    const struct manifest *manifest = readiness->manifest;
    struct error err;
    struct probe_result *trial = &readiness->trial;
    memset(trial, 0, sizeof *trial);
    trial->plan = *plan;
    trial->prober = *self_id(readiness);
    trial->plan_hash = plan_hash(plan, &manifest->fingerprint);
    for (uint32_t i = 0; i < plan->n_stages; i++)
        trial->epochs[i] = roster_find(readiness->roster, &plan->stages[i].node)->record.epoch;
    trial->sequence = readiness->sequence = crypto_random_u64() | PROBE_SEQUENCE_FLAG;
    readiness->began_us = clock_us(readiness->clock);
    readiness->running = true;

    memset(&step, 0, sizeof step);
    step.sequence = readiness->sequence;
    step.plan_hash = trial->plan_hash;
    step.origin = *self_id(readiness);
    step.flags = STEP_PROBE | STEP_SAMPLE;
    step.plan = *plan;
    step.sampling = (struct step_sampling){.top_p = 1, .repeat_penalty = 1};
    step.n_tokens = manifest->n_probe_tokens;
    memcpy(step.tokens, manifest->probe_tokens, manifest->n_probe_tokens * sizeof step.tokens[0]);
    struct pipeline_listener listener = {.on_tokens = on_tokens, .on_fail = on_fail, .ctx = readiness};
    pipeline_open(readiness->pipeline, readiness->sequence, &listener);
    clock_timer_set(readiness->clock, readiness->timer, PROBE_TIMEOUT_MS);
    if (pipeline_send(readiness->pipeline, &step, &err))
        end_probe(readiness, 0, err.text);
}

static bool same_epochs(const struct readiness *readiness, const struct probe_result *result)
{
    for (uint32_t i = 0; i < result->plan.n_stages; i++) {
        const struct roster_entry *entry = roster_find(readiness->roster, &result->plan.stages[i].node);
        if (!entry || entry->record.epoch != result->epochs[i])
            return false;
    }
    return true;
}

/* The token of a probe whose nodes are not all there any more may be lost with one of them: it is not waited
 * for. */
static void drop_overtaken(struct readiness *readiness)
{
    const struct probe_result *trial = &readiness->trial;
    struct node_id from = origin(readiness);
    uint32_t stage;
    if (readiness->running && readiness->manifest &&
        !plan_holds(&trial->plan, trial->epochs, &from, readiness->roster, readiness->manifest, &stage))
        stop_probe(readiness);
}

static void maybe_probe(struct readiness *readiness)
{
    struct plan plan;
    uint32_t gap, stage;
    struct node_id from = origin(readiness), prober = readiness_prober(readiness);
    drop_overtaken(readiness);
    if (readiness->running || !readiness->manifest || !node_id_equal(&prober, self_id(readiness)) ||
        !plan_make(&plan, &gap, readiness->roster, readiness->manifest) ||
        !plan_holds(&plan, NULL, &from, readiness->roster, readiness->manifest, &stage))
        return;
    uint64_t now = clock_ms(readiness->clock), hash = plan_hash(&plan, &readiness->manifest->fingerprint);
    bool same = readiness->has_last && readiness->last.plan_hash == hash &&
                node_id_equal(&readiness->last.prober, self_id(readiness)) &&
                same_epochs(readiness, &readiness->last);
    if (same && now < readiness->retry_ms)
        return;
    start_probe(readiness, &plan);
}

static void on_timer(void *arg)
{
    struct readiness *readiness = arg;
    if (readiness->running) {
        char text[96];
        snprintf(text, sizeof text, "no answer within %.1f s", (double)PROBE_TIMEOUT_MS / 1000);
        readiness->trial.timed_out = true;
        end_probe(readiness, -1, text);
        return;
    }
    readiness_consider(readiness);
}

/* To peers that have no link to the prober: a result proves itself, whoever brings it. */
static void pass_on(struct readiness *readiness)
{
    const struct node_id *prober = &readiness->last.prober;
    for (size_t i = 0; i < roster_count(readiness->roster); i++) {
        const struct roster_entry *entry = roster_at(readiness->roster, i);
        if (!entry->is_self && entry->linked && !node_id_equal(&entry->record.id, prober) &&
            !roster_linked(readiness->roster, &entry->record.id, prober))
            send_result(readiness, &entry->record.id);
    }
}

/* A peer that missed the result, or came to its view later, gets it again. */
static void on_resend(void *arg)
{
    struct readiness *readiness = arg;
    if (readiness->has_last && node_id_equal(&readiness->last.prober, self_id(readiness)))
        send_result(readiness, NULL);
    else if (readiness->has_last && (readiness->last.right || readiness->last.is_wrong))
        pass_on(readiness);
    clock_timer_set(readiness->clock, readiness->resend_timer, PROBE_RESEND_MS);
}

/* --- interface ------------------------------------------------------------------------------------------- */

struct readiness *readiness_new(const struct clock *clock, const struct links *links,
                                const struct roster *roster, struct pipeline *pipeline,
                                const struct readiness_events *events, void *ctx)
{
    struct readiness *readiness = mem_new(sizeof *readiness);
    readiness->clock = clock;
    readiness->links = links;
    readiness->roster = roster;
    readiness->pipeline = pipeline;
    readiness->events = *events;
    readiness->ctx = ctx;
    readiness->timer = clock_timer_new(clock, on_timer, readiness);
    readiness->resend_timer = clock_timer_new(clock, on_resend, readiness);
    clock_timer_set(clock, readiness->resend_timer, PROBE_RESEND_MS);
    return readiness;
}

void readiness_free(struct readiness *readiness)
{
    if (!readiness)
        return;
    clock_timer_free(readiness->clock, readiness->timer);
    clock_timer_free(readiness->clock, readiness->resend_timer);
    mem_free(readiness);
}

void readiness_set_manifest(struct readiness *readiness, const struct manifest *manifest)
{
    if (readiness->running)
        stop_probe(readiness); /* of the model that goes */
    readiness->manifest = manifest;
    readiness->has_last = false;
    readiness_consider(readiness);
}

void readiness_consider(struct readiness *readiness)
{
    maybe_probe(readiness);
    if (readiness_is_ready(readiness) != readiness->was_ready)
        note_change(readiness);
}

void readiness_on_up(struct readiness *readiness, const struct node_id *peer)
{
    if (readiness->has_last && node_id_equal(&readiness->last.prober, self_id(readiness)))
        send_result(readiness, peer);
}

/* What another than the prober passes on counts for what it proves, not for what it says; and not when it is
 * older than what we have. Numbers tell that, but for a prober that was started again. */
static bool counts_passed_on(const struct readiness *readiness, const struct probe_result *result)
{
    const struct probe_result *last = &readiness->last;
    if (!result->right && !(result->is_wrong && same_epochs(readiness, result)))
        return false;
    return !readiness->has_last || !node_id_equal(&last->prober, &result->prober) ||
           result->number > last->number || !same_epochs(readiness, last) ||
           clock_ms(readiness->clock) - last->came_ms >= PROBE_ROUND_MS;
}

enum status readiness_on_frame(struct readiness *readiness, const struct node_id *peer, struct bytes payload,
                               struct error *err)
{
    static struct probe_result result; /* loop thread only; large */
    if (!readiness->manifest)
        return STATUS_OK;
    enum status status = probe_decode(&result, payload, err);
    if (status)
        return status;
    struct node_id prober = readiness_prober(readiness);
    if (!node_id_equal(&prober, &result.prober))
        return STATUS_OK; /* not its turn, as we see it; it sends again when it is */
    /* By its random sequence, not its number: a prober that was started again counts from 1 anew. */
    if (readiness->has_last && node_id_equal(&readiness->last.prober, &prober) &&
        result.sequence == readiness->last.sequence)
        return STATUS_OK;
    probe_judge(&result, readiness->manifest);
    if (!node_id_equal(&prober, peer) && !counts_passed_on(readiness, &result))
        return STATUS_OK;
    result.came_ms = clock_ms(readiness->clock);
    readiness->last = result;
    readiness->has_last = true;
    note_change(readiness);
    return STATUS_OK;
}

bool readiness_is_ready(const struct readiness *readiness)
{
    uint32_t stage;
    struct node_id from = origin(readiness);
    return readiness->manifest && readiness->has_last && readiness->last.right &&
           plan_holds(&readiness->last.plan, readiness->last.epochs, &from, readiness->roster,
                      readiness->manifest, &stage);
}

const struct plan *readiness_plan(const struct readiness *readiness)
{
    return readiness_is_ready(readiness) ? &readiness->last.plan : NULL;
}

/* The last probe has shown that a node of this plan computes wrongly. */
static bool is_shown_wrong(const struct readiness *readiness, const struct plan *plan)
{
    const struct probe_result *last = &readiness->last;
    if (!readiness->has_last || !last->is_wrong || last->wrong_stage < 0)
        return false;
    for (uint32_t i = 0; i < plan->n_stages; i++)
        if (node_id_equal(&plan->stages[i].node, &last->plan.stages[last->wrong_stage].node))
            return true;
    return false;
}

bool readiness_plan_holds(const struct readiness *readiness, const struct plan *plan, const uint64_t *epochs)
{
    uint32_t stage;
    struct node_id from = origin(readiness);
    return readiness->manifest && !is_shown_wrong(readiness, plan) &&
           plan_holds(plan, epochs, &from, readiness->roster, readiness->manifest, &stage);
}

const struct manifest *readiness_manifest(const struct readiness *readiness)
{
    return readiness->manifest;
}

const struct probe_result *readiness_last(const struct readiness *readiness)
{
    return readiness->has_last ? &readiness->last : NULL;
}

bool readiness_probe_running(const struct readiness *readiness, uint64_t *out_since_ms)
{
    *out_since_ms = readiness->began_us / 1000;
    return readiness->running;
}

/* --- diagnosis ----------------------------------------------------------------------------------------------
 */

/* A link that is missing: between stages, or between them and `from`, where prompts come in or a probe begins:
 * where prompts come in here, it is another's probe that must come through. */
static bool lacks_link(const struct readiness *readiness, const struct plan *plan, struct node_id *from,
                       uint32_t *stage)
{
    const struct roster_entry *coordinator = roster_coordinator(readiness->roster);
    *from = origin(readiness);
    if (!plan_holds(plan, NULL, from, readiness->roster, readiness->manifest, stage))
        return true;
    if (!coordinator || node_id_equal(from, &coordinator->record.id))
        return false;
    *from = coordinator->record.id;
    return !plan_holds(plan, NULL, from, readiness->roster, readiness->manifest, stage);
}

static void explain_links(const struct readiness *readiness, const struct plan *plan, struct node_id from,
                          uint32_t stage, struct finding_list *out)
{
    const struct node_id *a = &plan->stages[stage].node, *b = &plan->stages[(stage + 1) % plan->n_stages].node;
    if (!node_id_is_zero(&from) && (node_id_equal(a, b) || roster_linked(readiness->roster, a, b)))
        b = &from; /* those two are linked: it is the front door that lacks a link */
    char x[NODE_ID_SHORT_BYTES], y[NODE_ID_SHORT_BYTES];
    node_id_short(x, a);
    node_id_short(y, b);
    const struct roster_entry *entry = roster_find(readiness->roster, b),
                              *other = roster_find(readiness->roster, a);
    uint64_t now = clock_ms(readiness->clock);
    if (now - entry->changed_ms < LINKING_MS || now - other->changed_ms < LINKING_MS) {
        struct finding *soon =
            finding_add(out, FINDING_PROBE_FAILED, FINDING_NO_SHARD, NULL,
                        "the probe waits for nodes %s and %s to link; one came just now", x, y);
        if (soon)
            soon->eta_s = 1;
        finding_set_action(soon, "shoal status");
        return;
    }
    struct finding *f =
        finding_add(out, FINDING_PEER_UNREACHABLE, FINDING_NO_SHARD, b,
                    "node %s has no link to node %s, and the plan needs one; both are alive", x, y);
    if (f && entry && entry->record.n_addresses) {
        char address[ADDRESS_TEXT_BYTES];
        address_text(address, &entry->record.addresses[0]);
        jv_set_text(finding_evidence(f), "address", address);
        finding_set_action(f, "shoal doctor --node %s", address);
    }
}

static void explain_wrong(const struct readiness *readiness, struct finding_list *out)
{
    const struct probe_result *last = &readiness->last;
    const struct node_id *node = last->wrong_stage >= 0 ? &last->plan.stages[last->wrong_stage].node : NULL;
    char id[NODE_ID_SHORT_BYTES] = "?";
    if (node)
        node_id_short(id, node);
    const char *form = !node            ? "the probe token did not come back%.0s: %s"
                       : last->is_wrong ? "node %s computes wrongly: %s"
                                        : "the probe token stopped at node %s: %s";
    struct finding *f = finding_add(out, last->is_wrong ? FINDING_PROBE_WRONG : FINDING_PROBE_FAILED,
                                    FINDING_NO_SHARD, node, form, id, last->text);
    if (f) {
        f->since_ms = last->came_ms;
        finding_set_action(f, "shoal status");
    }
}

static void explain_pending(const struct readiness *readiness, const struct plan *plan,
                            struct finding_list *out)
{
    struct node_id prober = readiness_prober(readiness);
    char id[NODE_ID_SHORT_BYTES];
    node_id_short(id, &prober);
    struct finding *f = finding_add(
        out, FINDING_PROBE_FAILED, FINDING_NO_SHARD, NULL,
        "the probe token of node %s has not yet come through the %u nodes of the plan", id, plan->n_stages);
    if (f) {
        f->eta_s = 1;
        finding_set_action(f, "shoal status");
    }
}

void readiness_explain(const struct readiness *readiness, struct finding_list *out)
{
    struct plan plan;
    uint32_t gap, stage;
    struct node_id from;
    if (!readiness->manifest || readiness_is_ready(readiness) ||
        !plan_make(&plan, &gap, readiness->roster, readiness->manifest))
        return;
    if (lacks_link(readiness, &plan, &from, &stage))
        explain_links(readiness, &plan, from, stage, out);
    else if (readiness->has_last && !readiness->last.right &&
             readiness->last.plan_hash == plan_hash(&plan, &readiness->manifest->fingerprint))
        explain_wrong(readiness, out);
    else
        explain_pending(readiness, &plan, out);
}
