#include "node/frontdoor.h"

#include "base/mem.h"
#include "model/manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CTX_STEP            256   /* contexts that we propose are whole ones of these */
#define TOKEN_DEADLINE_MS   15000 /* without any sign of progress a step is sent again */
#define RECOVER_DEADLINE_MS 30000 /* for the swarm to be ready again */
#define SLOT_RETRY_MS       200
#define ATTEMPTS_MAX        5 /* in a row, without progress */

enum phase { PHASE_QUEUED, PHASE_RUNNING, PHASE_BROKEN };

struct generation {
    struct generation *next;
    struct frontdoor *frontdoor;
    enum phase phase;
    struct generate_events events;
    void *ctx;
    uint32_t *tokens;                   /* prompt, then what was generated */
    uint32_t n_prompt, n_tokens, n_end; /* n_end: where it must stop */
    struct sample_params sample;
    struct token_bias *biases;
    uint64_t sequence, turn, plan_hash;
    struct plan plan;
    uint64_t epochs[STEP_STAGES_MAX]; /* of its nodes, when it was proven */
    bool has_plan;
    uint32_t n_sent, n_passed; /* positions sent, and through the last node */
    uint32_t n_attempts;
    uint64_t deadline_ms;
    bool in_event, ended; /* on_token is running; cancelled or ended meanwhile */
    struct error why;     /* the last trouble */
};

struct refused { /* requests of one kind, until none came for FRONTDOOR_TOLD_MS */
    uint32_t n;
    uint64_t first_ms, last_ms;
};

struct frontdoor {
    const struct clock *clock;
    struct pipeline *pipeline;
    struct readiness *readiness;
    struct node_id self;
    uint32_t n_slots;
    struct generation *generations; /* oldest first */
    struct timer *timer;
    struct refused queue_full, too_long;
    uint64_t crowded_ms;     /* since when somebody waits all the time; 0: nobody does */
    uint32_t longest, n_ctx; /* of the last request that was too long: its tokens, the context */
};

static void note_refused(const struct frontdoor *frontdoor, struct refused *refused)
{
    uint64_t now = clock_ms(frontdoor->clock);
    if (!refused->n || now - refused->last_ms >= FRONTDOOR_TOLD_MS)
        *refused = (struct refused){.first_ms = now};
    refused->n++;
    refused->last_ms = now;
}

static void note_crowd(struct frontdoor *frontdoor)
{
    if (!frontdoor_n_waiting(frontdoor))
        frontdoor->crowded_ms = 0;
    else if (!frontdoor->crowded_ms)
        frontdoor->crowded_ms = clock_ms(frontdoor->clock);
}

static void on_timer(void *arg);
static void drive(struct generation *g);

static void arm(struct frontdoor *frontdoor)
{
    uint64_t first = UINT64_MAX, now = clock_ms(frontdoor->clock);
    for (const struct generation *g = frontdoor->generations; g; g = g->next)
        if (g->phase != PHASE_QUEUED && g->deadline_ms < first)
            first = g->deadline_ms;
    if (first != UINT64_MAX)
        clock_timer_set(frontdoor->clock, frontdoor->timer, first > now ? first - now : 0);
}

static void set_deadline(struct generation *g, uint64_t delay_ms)
{
    g->deadline_ms = clock_ms(g->frontdoor->clock) + delay_ms;
    arm(g->frontdoor);
}

static void unlink_generation(struct generation *g)
{
    for (struct generation **at = &g->frontdoor->generations; *at; at = &(*at)->next)
        if (*at == g) {
            *at = g->next;
            return;
        }
}

static void generation_free(struct generation *g)
{
    if (g->has_plan)
        pipeline_close(g->frontdoor->pipeline, g->sequence, &g->plan);
    unlink_generation(g);
    if (g->in_event) { /* its caller still looks at it, and frees it then */
        g->ended = true;
        return;
    }
    mem_free(g->tokens);
    mem_free(g->biases);
    mem_free(g);
}

static void start_queued(struct frontdoor *frontdoor)
{
    for (struct generation *g = frontdoor->generations; g; g = g->next) {
        if (frontdoor_n_running(frontdoor) >= frontdoor->n_slots || !readiness_plan(frontdoor->readiness))
            break;
        if (g->phase != PHASE_QUEUED)
            continue;
        g->phase = PHASE_BROKEN; /* without a plan yet: drive() finds one */
        drive(g);
        g = frontdoor->generations; /* the list may have changed */
        if (!g)
            break;
    }
    note_crowd(frontdoor);
}

static void end(struct generation *g, enum finish finish)
{
    struct frontdoor *frontdoor = g->frontdoor;
    struct generate_events events = g->events;
    struct error why = g->why;
    void *ctx = g->ctx;
    generation_free(g);
    events.on_end(ctx, finish, finish == FINISH_FAILED ? &why : NULL);
    start_queued(frontdoor);
}

/* --- sending --------------------------------------------------------------------------------------------- */

static void copy_sampling(struct step_sampling *out, const struct generation *g)
{
    const struct sample_params *s = &g->sample;
    *out = (struct step_sampling){.temperature = s->temperature,
                                  .top_p = s->top_p,
                                  .min_p = s->min_p,
                                  .repeat_penalty = s->repeat_penalty,
                                  .frequency_penalty = s->frequency_penalty,
                                  .presence_penalty = s->presence_penalty,
                                  .top_k = s->top_k,
                                  .repeat_last_n = s->repeat_last_n,
                                  .n_top = s->n_top,
                                  .seed = s->seed,
                                  .n_biases = s->n_biases};
    for (uint32_t i = 0; i < s->n_biases; i++)
        out->biases[i] = (struct step_bias){.token = g->biases[i].token, .bias = g->biases[i].bias};
}

static enum status send_chunk(struct generation *g, struct error *err)
{
    static struct step_message step; /* loop thread only; large */
    uint32_t n = g->n_tokens - g->n_sent < FRONTDOOR_CHUNK ? g->n_tokens - g->n_sent : FRONTDOOR_CHUNK;
    bool is_last = g->n_sent + n == g->n_tokens;
    step.sequence = g->sequence;
    step.plan_hash = g->plan_hash;
    step.turn = g->turn;
    step.origin = g->frontdoor->self;
    step.flags = is_last ? STEP_SAMPLE : 0;
    step.stage = 0;
    step.position = g->n_sent;
    step.n_tokens = n;
    step.n_ahead = is_last ? g->n_end - g->n_tokens - 1 : 0;
    step.plan = g->plan;
    if (is_last)
        copy_sampling(&step.sampling, g);
    memcpy(step.tokens, g->tokens + g->n_sent, n * sizeof *g->tokens);
    step.n_embd = step.n_states = step.n_testimonies = step.n_hops = 0;
    step.hidden = (struct bytes){0};
    enum status status = pipeline_send(g->frontdoor->pipeline, &step, err);
    if (!status)
        g->n_sent += n;
    return status;
}

static void break_off(struct generation *g)
{
    if (g->phase == PHASE_RUNNING)
        g->phase = PHASE_BROKEN;
    if (++g->n_attempts > ATTEMPTS_MAX) {
        end(g, FINISH_FAILED);
        return;
    }
    set_deadline(g, RECOVER_DEADLINE_MS);
}

/* Chunks under way: enough that every node of the plan has one, no more, so that others run between them. */
static void send_more(struct generation *g)
{
    uint32_t window = (g->plan.n_stages + 1) * FRONTDOOR_CHUNK;
    while (g->n_sent < g->n_tokens && g->n_sent - g->n_passed < window)
        if (send_chunk(g, &g->why)) {
            break_off(g);
            return;
        }
}

static void on_tokens(void *ctx, const struct tokens_message *message);
static void on_fail(void *ctx, const struct step_fail_message *fail, const struct node_id *by);

/* A node that was started anew has to be proven again, whatever it answers meanwhile. */
static bool plan_of_holds(const struct generation *g)
{
    return readiness_plan_holds(g->frontdoor->readiness, &g->plan, g->epochs);
}

/* Sends everything from `position` on along the plan, as a new turn. */
static void replay(struct generation *g, uint32_t position)
{
    struct frontdoor *frontdoor = g->frontdoor;
    struct pipeline_listener listener = {.on_tokens = on_tokens, .on_fail = on_fail, .ctx = g};
    if (!g->has_plan)
        pipeline_open(frontdoor->pipeline, g->sequence, &listener);
    g->has_plan = true;
    g->plan_hash = plan_hash(&g->plan, &readiness_manifest(frontdoor->readiness)->fingerprint);
    g->turn++;
    g->phase = PHASE_RUNNING;
    g->n_sent = g->n_passed = position;
    set_deadline(g, TOKEN_DEADLINE_MS);
    send_more(g);
}

/* The same from the beginning along the plan that is proven now. False: none is. */
static bool start_over(struct generation *g)
{
    const struct plan *plan = readiness_plan(g->frontdoor->readiness);
    if (!plan)
        return false;
    g->plan = *plan;
    memcpy(g->epochs, readiness_last(g->frontdoor->readiness)->epochs, sizeof g->epochs);
    replay(g, 0);
    return true;
}

static void drive(struct generation *g)
{
    if (g->phase == PHASE_BROKEN && start_over(g))
        return;
    if (g->phase == PHASE_BROKEN && !g->deadline_ms)
        set_deadline(g, RECOVER_DEADLINE_MS);
}

/* --- what comes back -----------------------------------------------------------------------------------------
 */

static void take_token(struct generation *g, const struct tokens_message *message)
{
    g->tokens[g->n_tokens++] = message->token;
    g->in_event = true;
    bool go_on = g->events.on_token(g->ctx, message->token, message);
    g->in_event = false;
    if (g->ended) { /* cancelled from within */
        generation_free(g);
        return;
    }
    if (!go_on) {
        end(g, FINISH_STOPPED);
    } else if (g->n_tokens == g->n_end) {
        end(g, FINISH_LENGTH);
    } else if (message->n_ahead == 0) {
        g->n_sent = g->n_tokens - 1;
        send_more(g);
    } else {
        g->n_sent = g->n_tokens; /* the first node has sent it on */
    }
}

static void on_tokens(void *ctx, const struct tokens_message *message)
{
    struct generation *g = ctx;
    if (g->phase != PHASE_RUNNING || message->turn != g->turn || message->plan_hash != g->plan_hash)
        return;
    g->n_attempts = 0;
    set_deadline(g, TOKEN_DEADLINE_MS);
    if (!(message->flags & STEP_SAMPLE)) {
        if (message->position > g->n_passed && message->position <= g->n_sent)
            g->n_passed = message->position;
        send_more(g);
        return;
    }
    if (message->position != g->n_tokens)
        return; /* a token of this position was taken already */
    g->n_passed = g->n_tokens;
    take_token(g, message);
}

static void on_fail(void *ctx, const struct step_fail_message *fail, const struct node_id *by)
{
    struct generation *g = ctx;
    if (g->phase != PHASE_RUNNING || fail->turn != g->turn)
        return;
    char id[NODE_ID_SHORT_BYTES];
    node_id_short(id, by);
    uint32_t stage = fail->stage < g->plan.n_stages ? fail->stage : 0;
    error_set(&g->why, STATUS_NETWORK, "node %s (layers %u to %u) could not run a step: %s: %s", id,
              g->plan.stages[stage].layer_first, g->plan.stages[stage].layer_end - 1,
              step_failure_name(fail->failure), fail->text);
    switch (fail->failure) {
    case STEP_FAIL_KV_MISS:
        if (++g->n_attempts > ATTEMPTS_MAX)
            end(g, FINISH_FAILED);
        else if (!plan_of_holds(g))
            break_off(g);
        else
            replay(g, fail->have_position < g->n_tokens ? fail->have_position : 0);
        break;
    case STEP_FAIL_NO_SLOT: /* others will end; ask again soon */
        g->phase = PHASE_BROKEN;
        set_deadline(g, SLOT_RETRY_MS);
        break;
    case STEP_FAIL_FULL:
    case STEP_FAIL_BAD_INPUT:
    case STEP_FAIL_NO_MEMORY:
        g->why.status = fail->failure == STEP_FAIL_FULL ? STATUS_LIMIT : STATUS_BAD_DATA;
        if (fail->failure == STEP_FAIL_FULL)
            frontdoor_note_too_long(g->frontdoor, g->n_tokens, g->n_tokens);
        end(g, FINISH_FAILED);
        break;
    default:
        break_off(g);
        break;
    }
}

static void on_late(struct generation *g)
{
    if (g->phase == PHASE_RUNNING) {
        error_set(&g->why, STATUS_TIMEOUT, "no token came within %d s from the %u nodes of the plan",
                  TOKEN_DEADLINE_MS / 1000, g->plan.n_stages);
        break_off(g);
    } else if (!start_over(g)) {
        if (!g->why.status)
            error_set(&g->why, STATUS_BUSY, "the swarm was not ready for %d s; `shoal doctor` says why",
                      RECOVER_DEADLINE_MS / 1000);
        end(g, FINISH_FAILED);
    }
}

static void on_timer(void *arg)
{
    struct frontdoor *frontdoor = arg;
    start_queued(frontdoor);
    uint64_t now = clock_ms(frontdoor->clock);
    for (struct generation *g = frontdoor->generations; g;) {
        if (g->phase == PHASE_QUEUED || g->deadline_ms > now) {
            g = g->next;
            continue;
        }
        g->deadline_ms = now + RECOVER_DEADLINE_MS;
        on_late(g);
        g = frontdoor->generations; /* may have ended */
    }
    arm(frontdoor);
}

/* --- interface ------------------------------------------------------------------------------------------- */

struct frontdoor *frontdoor_new(const struct clock *clock, struct pipeline *pipeline,
                                struct readiness *readiness, uint32_t n_slots, const struct node_id *self)
{
    struct frontdoor *frontdoor = mem_new(sizeof *frontdoor);
    frontdoor->clock = clock;
    frontdoor->pipeline = pipeline;
    frontdoor->readiness = readiness;
    frontdoor->n_slots = n_slots;
    frontdoor->self = *self;
    frontdoor->timer = clock_timer_new(clock, on_timer, frontdoor);
    return frontdoor;
}

void frontdoor_free(struct frontdoor *frontdoor)
{
    if (!frontdoor)
        return;
    while (frontdoor->generations)
        generation_free(frontdoor->generations);
    clock_timer_free(frontdoor->clock, frontdoor->timer);
    mem_free(frontdoor);
}

static struct generation *generation_new(struct frontdoor *frontdoor, const struct generate_params *params,
                                         const struct generate_events *events, void *ctx)
{
    struct generation *g = mem_new(sizeof *g);
    g->frontdoor = frontdoor;
    g->events = *events;
    g->ctx = ctx;
    g->n_prompt = g->n_tokens = params->n_prompt;
    g->n_end = params->n_prompt + params->n_max;
    g->tokens = mem_array(g->n_end, sizeof *g->tokens);
    memcpy(g->tokens, params->prompt, params->n_prompt * sizeof *g->tokens);
    g->sample = params->sample;
    g->biases = mem_copy(params->sample.biases, params->sample.n_biases * sizeof *g->biases);
    g->sample.biases = g->biases;
    g->sequence = crypto_random_u64() & ~PROBE_SEQUENCE_FLAG;
    g->sequence += g->sequence == 0;
    struct generation **at = &frontdoor->generations;
    while (*at)
        at = &(*at)->next;
    *at = g;
    return g;
}

enum status frontdoor_generate(struct frontdoor *frontdoor, struct generation **out,
                               const struct generate_params *params, const struct generate_events *events,
                               void *ctx, struct error *err)
{
    ASSERT(params->n_prompt >= 1 && params->n_max >= 1);
    if (!readiness_is_ready(frontdoor->readiness))
        return error_set(err, STATUS_BUSY, "the swarm is not ready; `shoal doctor` says why");
    if ((uint64_t)params->n_prompt + params->n_max > params->n_ctx) {
        frontdoor_note_too_long(frontdoor, params->n_prompt + params->n_max, params->n_ctx);
        return error_set(err, STATUS_BAD_USAGE, "%u tokens of prompt and %u to generate pass the context of %u",
                         params->n_prompt, params->n_max, params->n_ctx);
    }
    if (frontdoor_n_waiting(frontdoor) >= FRONTDOOR_QUEUE_MAX) {
        note_refused(frontdoor, &frontdoor->queue_full);
        return error_set(err, STATUS_LIMIT, "%u requests run and %d wait already; try again in a second",
                         frontdoor_n_running(frontdoor), FRONTDOOR_QUEUE_MAX);
    }
    *out = generation_new(frontdoor, params, events, ctx);
    /* Started from the timer, so that no event comes from within. */
    clock_timer_set(frontdoor->clock, frontdoor->timer, 0);
    return STATUS_OK;
}

void frontdoor_cancel(struct frontdoor *frontdoor, struct generation *generation)
{
    generation_free(generation);
    start_queued(frontdoor);
}

void frontdoor_consider(struct frontdoor *frontdoor)
{
    for (struct generation *g = frontdoor->generations; g; g = g->next) {
        if (g->phase == PHASE_RUNNING && !plan_of_holds(g)) {
            error_set(&g->why, STATUS_NETWORK, "a node of the plan was lost in mid-answer");
            g->phase = PHASE_BROKEN;
            set_deadline(g, RECOVER_DEADLINE_MS);
        }
        if (g->phase == PHASE_BROKEN && readiness_plan(frontdoor->readiness))
            g->deadline_ms = 0; /* driven from the timer: it may end, and the list change */
    }
    arm(frontdoor);
    clock_timer_set(frontdoor->clock, frontdoor->timer, 0);
}

uint32_t frontdoor_n_running(const struct frontdoor *frontdoor)
{
    uint32_t n = 0;
    for (const struct generation *g = frontdoor->generations; g; g = g->next)
        n += g->phase != PHASE_QUEUED;
    return n;
}

uint32_t frontdoor_n_waiting(const struct frontdoor *frontdoor)
{
    uint32_t n = 0;
    for (const struct generation *g = frontdoor->generations; g; g = g->next)
        n += g->phase == PHASE_QUEUED;
    return n;
}

/* --- diagnosis ------------------------------------------------------------------------------------------- */

void frontdoor_note_too_long(struct frontdoor *frontdoor, uint32_t n_tokens, uint32_t n_ctx)
{
    note_refused(frontdoor, &frontdoor->too_long);
    frontdoor->longest = n_tokens;
    frontdoor->n_ctx = n_ctx;
}

static bool is_told(const struct frontdoor *frontdoor, const struct refused *refused)
{
    return refused->n && clock_ms(frontdoor->clock) - refused->last_ms < FRONTDOOR_TOLD_MS;
}

/* `enough`: of what the command asks for, so that what was refused would have had its place. */
static void fill_refused(struct finding *f, const struct refused *refused, const char *command, uint32_t enough)
{
    if (!f)
        return;
    f->severity = SEVERITY_WARNING;
    f->since_ms = refused->first_ms;
    jv_set_int(finding_evidence(f), "refused", refused->n);
    finding_set_action(f, "%s %u # in place of the one that runs, and the same at each node: it costs memory",
                       command, enough);
}

void frontdoor_explain(const struct frontdoor *frontdoor, struct finding_list *out)
{
    const struct refused *full = &frontdoor->queue_full;
    uint64_t now = clock_ms(frontdoor->clock);
    uint32_t n_running = frontdoor_n_running(frontdoor), n_waiting = frontdoor_n_waiting(frontdoor);
    bool is_refusing = is_told(frontdoor, full);
    bool is_crowded = frontdoor->crowded_ms && now - frontdoor->crowded_ms >= FRONTDOOR_CROWDED_MS &&
                      n_running >= frontdoor->n_slots;
    if (is_refusing || is_crowded) {
        struct finding *f =
            is_refusing
                ? finding_add(
                      out, FINDING_OVERLOADED, FINDING_NO_SHARD, &frontdoor->self,
                      "%u requests were refused, the last %.0f s ago: %u of %u slots are busy, and %u of "
                      "%d places in the queue are taken",
                      full->n, (double)(now - full->last_ms) / 1000, n_running, frontdoor->n_slots, n_waiting,
                      FRONTDOOR_QUEUE_MAX)
                : finding_add(
                      out, FINDING_OVERLOADED, FINDING_NO_SHARD, &frontdoor->self,
                      "requests have been waiting for %.0f s: all %u slots are busy, and %u of %d places "
                      "in the queue are taken",
                      (double)(now - frontdoor->crowded_ms) / 1000, frontdoor->n_slots, n_waiting,
                      FRONTDOOR_QUEUE_MAX);
        fill_refused(f, full, "shoal serve --slots", 2 * frontdoor->n_slots);
        if (f) {
            f->since_ms = frontdoor->crowded_ms ? frontdoor->crowded_ms : full->first_ms;
            jv_set_int(finding_evidence(f), "slots", frontdoor->n_slots);
            jv_set_int(finding_evidence(f), "running", n_running);
            jv_set_int(finding_evidence(f), "waiting", n_waiting);
        }
    }
    if (is_told(frontdoor, &frontdoor->too_long)) {
        struct finding *f =
            finding_add(out, FINDING_CONTEXT_FULL, FINDING_NO_SHARD, &frontdoor->self,
                        "%u requests were refused because they pass the context; the last has %u "
                        "tokens, the nodes of the plan take %u",
                        frontdoor->too_long.n, frontdoor->longest, frontdoor->n_ctx);
        fill_refused(f, &frontdoor->too_long, "shoal node --ctx",
                     (frontdoor->longest / CTX_STEP + 1) * CTX_STEP);
        if (f)
            jv_set_int(finding_evidence(f), "ctx", frontdoor->n_ctx);
    }
}
