#include "sim/sim_check.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define REQUEST_LATE_MS 180000

uint32_t checks_bound_ms(enum family family)
{
    (void)family;
    return 75000; /* what failed is tried again after 60 s at the latest (node/shards), then loaded and probed
                   */
}

void checks_init(struct checks *checks, struct scenario *scenario, struct totals *totals)
{
    memset(checks, 0, sizeof *checks);
    checks->scenario = scenario;
    checks->totals = totals;
    checks->rng = rng_seeded(rand_mix(scenario->world.seed, 7));
}

static bool is_up(const struct machine *m)
{
    return m->state == MACHINE_RUNS && !m->node->stopping;
}

/* --- I1 -------------------------------------------------------------------------------------------------- */

static struct machine *machine_of(const struct world *w, const struct node_id *id)
{
    for (uint32_t i = 0; i < w->n; i++)
        if (node_id_equal(&w->machines[i]->id, id))
            return w->machines[i];
    return NULL;
}

static bool is_open(const struct world *w, uint32_t a, uint32_t b)
{
    return !w->net.paths[a][b].is_cut && !w->net.paths[b][a].is_cut;
}

/* Machines that news from `from` can come to, over whoever runs and has its key. */
static uint64_t reachable(const struct world *w, uint32_t from)
{
    uint64_t seen = (uint64_t)1 << from, before = 0;
    while (seen != before) {
        before = seen;
        for (uint32_t a = 0; a < w->n; a++)
            for (uint32_t b = 0; (seen >> a & 1) && b < w->n; b++)
                if (w->machines[b]->state == MACHINE_RUNS && is_open(w, a, b) &&
                    w->machines[a]->has_wrong_key == w->machines[b]->has_wrong_key)
                    seen |= (uint64_t)1 << b;
    }
    return seen;
}

static bool stage_is_true(const struct world *w, const struct plan_stage *stage)
{
    const struct machine *m = machine_of(w, &stage->node);
    if (!m || m->state != MACHINE_RUNS || m->is_bad)
        return false;
    for (uint32_t layer = stage->layer_first; layer < stage->layer_end; layer += 2)
        if (!machine_computes(m, layer / 2))
            return false;
    return true;
}

static bool could_carry(const struct machine *observer, const struct plan *plan)
{
    const struct world *w = observer->world;
    uint64_t seen = reachable(w, observer->index);
    for (uint32_t i = 0; i < plan->n_stages; i++) {
        const struct machine *a = machine_of(w, &plan->stages[i].node);
        const struct machine *b = machine_of(w, &plan->stages[(i + 1) % plan->n_stages].node);
        if (!stage_is_true(w, &plan->stages[i]) || !b || !(seen >> a->index & 1) ||
            !is_open(w, a->index, b->index))
            return false;
    }
    return true;
}

static uint64_t grace_ms(const struct scenario *s)
{
    uint64_t ms = GRACE_MS;
    for (uint32_t i = 0; i < s->n_faults; i++)
        if (s->faults[i].kind == FAULT_SLOW && s->faults[i].is_active)
            ms += 2 * 350; /* news takes as long over this link */
    return ms;
}

static void check_ready(struct checks *checks, struct machine *m)
{
    struct scenario *s = checks->scenario;
    uint64_t now = world_ms(&s->world);
    const struct plan *plan = readiness_plan(m->node->readiness);
    const char *says = plan ? "ready" : *m->node->said_code ? m->node->said_code : "not ready";
    if (strncmp(says, m->said, sizeof m->said - 1) != 0) {
        snprintf(m->said, sizeof m->said, "%.79s", says);
        world_note(&s->world, "%s says %s", m->name, says);
    }
    if (!plan || could_carry(m, plan)) {
        m->false_ready_ms = 0;
        return;
    }
    if (!m->false_ready_ms)
        m->false_ready_ms = now;
    uint64_t since = m->false_ready_ms > m->changed_ms ? m->false_ready_ms : m->changed_ms;
    if (now - since > grace_ms(s))
        world_fail(&s->world, "I1", "%s says ready for %.2f s although its plan could not carry a token",
                   m->name, (double)(now - since) / 1000);
}

/* --- I3 -------------------------------------------------------------------------------------------------- */

static bool matches(const struct scenario *s, const struct expected *e, const struct finding *f)
{
    return e->code == f->code && (e->shard < 0 || e->shard == f->shard) &&
           (e->machine < 0 || node_id_is_zero(&f->node) ||
            node_id_equal(&s->world.machines[e->machine]->id, &f->node));
}

static void check_name(struct checks *checks, struct machine *m)
{
    struct scenario *s = checks->scenario;
    struct expected expected[SIM_EXPECTED_MAX];
    node_compute_verdict(m->node);
    const struct verdict *verdict = &m->node->verdict;
    const struct finding *first = verdict_first(verdict);
    if (verdict->ready) {
        if (first)
            world_fail(&s->world, "I3", "%s is ready and names %s: %s", m->name, finding_code_name(first->code),
                       first->cause);
        return;
    }
    uint32_t n = scenario_expected(s, m, expected);
    checks->totals->n_names_checked++;
    if (!first) {
        world_fail(&s->world, "I3", "%s is not ready and names no blocker", m->name);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        if (matches(s, &expected[i], first))
            return;
    char id[NODE_ID_SHORT_BYTES] = "-";
    const struct machine *about = machine_of(&s->world, &first->node);
    if (!node_id_is_zero(&first->node))
        node_id_short(id, &first->node);
    world_fail(&s->world, "I3", "%s names %s (shard %d, node %s): %s; no active fault is like that", m->name,
               finding_code_name(first->code), first->shard, about ? about->name : id, first->cause);
}

static bool any_active(const struct scenario *s)
{
    for (uint32_t i = 0; i < s->n_faults; i++)
        if (s->faults[i].is_active)
            return true;
    return false;
}

static bool has_settled(const struct scenario *s)
{
    uint64_t now = world_ms(&s->world);
    if (!any_active(s) || now - s->changed_ms < SETTLED_MS)
        return false;
    for (uint32_t i = 0; i < s->world.n; i++)
        if (s->world.machines[i]->state != MACHINE_OFF && now - s->world.machines[i]->changed_ms < SETTLED_MS)
            return false;
    return true;
}

/* --- I5, I6 ---------------------------------------------------------------------------------------------- */

static void check_numbers(struct checks *checks, struct machine *m)
{
    struct world *w = &checks->scenario->world;
    const struct node_record *own = &roster_self(m->node->roster)->record;
    bool back = own->epoch < m->epoch_seen || (own->epoch == m->epoch_seen && own->version < m->version_seen);
    if (back)
        world_fail(w, "I6", "%s: its record went from %llu.%llu back to %llu.%llu", m->name,
                   (unsigned long long)m->epoch_seen, (unsigned long long)m->version_seen,
                   (unsigned long long)own->epoch, (unsigned long long)own->version);
    if (m->agent->went_back)
        world_fail(w, "I6", "%s: an announcement has a lower number than an earlier one (highest %llu)",
                   m->name, (unsigned long long)m->agent->highest);
    m->epoch_seen = own->epoch;
    m->version_seen = own->version;
}

static void check_sizes(struct checks *checks, struct machine *m)
{
    const struct scenario *s = checks->scenario;
    struct world *w = &checks->scenario->world;
    uint32_t n = w->n, n_shards = w->model.n_shards, n_peers = n + s->n_lies;
    struct {
        const char *what;
        uint64_t is, most;
    } tables[] = {
        {"roster", roster_count(m->node->roster), n},
        {"dialers", m->end->n_dialers, n_peers + 2},
        {"frames on their way", m->end->n_flying, 100 * (uint64_t)n + 200 * REQUESTS_MAX},
        {"timers and posts", m->clock.n_timers - m->end->n_flying, 60 + 60 * (uint64_t)n + 20 * n_shards + 2 * n_peers},
        {"keys announced", m->agent->n_announced, n_shards + 1},
        {"findings", m->node->verdict.findings.n, 20 + 8 * (uint64_t)n_shards * n + 4 * n_peers},
        {"sequences kept", m->compute ? fake_compute_n_kept(m->compute) : 0,
         (uint64_t)n_shards * (4 + REQUESTS_MAX) * n},
        {"files", fake_disk_n_files(&m->disk), 40 + 4 * (uint64_t)n_shards},
    };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (tables[i].is > tables[i].most)
            world_fail(w, "I5", "%s: %llu %s, more than %llu for %u nodes and %u shards", m->name,
                       (unsigned long long)tables[i].is, tables[i].what, (unsigned long long)tables[i].most, n,
                       n_shards);
}

/* --- sweeps ---------------------------------------------------------------------------------------------- */

void checks_of_machine(struct checks *checks, struct machine *m)
{
    if (!is_up(m))
        return;
    check_ready(checks, m);
    check_numbers(checks, m);
}

void checks_sweep(struct checks *checks)
{
    struct scenario *s = checks->scenario;
    bool settled = has_settled(s);
    for (uint32_t i = 0; i < s->world.n; i++) {
        struct machine *m = s->world.machines[i];
        if (!is_up(m))
            continue;
        check_ready(checks, m);
        check_sizes(checks, m);
        if (settled)
            check_name(checks, m);
    }
}

bool checks_all_ready(const struct checks *checks)
{
    const struct world *w = &checks->scenario->world;
    for (uint32_t i = 0; i < w->n; i++)
        if (!is_up(w->machines[i]) || !readiness_is_ready(w->machines[i]->node->readiness))
            return false;
    return true;
}

/* Ready, and nothing has happened for long: nobody may name a blocker, nor, where nothing ever happened, warn.
 */
void checks_at_rest(struct checks *checks)
{
    struct scenario *s = checks->scenario;
    for (uint32_t i = 0; i < s->world.n; i++) {
        struct machine *m = s->world.machines[i];
        node_compute_verdict(m->node);
        const struct finding_list *list = &m->node->verdict.findings;
        for (uint32_t k = 0; k < list->n; k++)
            if (list->items[k].severity == SEVERITY_BLOCKER ||
                (list->items[k].severity == SEVERITY_WARNING && s->family == FAMILY_START))
                world_fail(&s->world, "I3", "at rest %s still names %s: %s", m->name,
                           finding_code_name(list->items[k].code), list->items[k].cause);
    }
}

/* --- I4 -------------------------------------------------------------------------------------------------- */

static bool on_token(void *ctx, uint32_t token, const struct tokens_message *message)
{
    struct request *r = ctx;
    struct world *w = &r->checks->scenario->world;
    uint32_t right = sim_model_next(&w->model, r->tokens, r->n);
    (void)message;
    r->checks->totals->n_tokens++;
    if (!r->is_open || r->n >= r->n_prompt + r->n_max) {
        world_fail(w, "I4", "a token came after the end of a request");
        return false;
    }
    if (token != right)
        world_fail(w, "I4", "token %u of an answer is %u, undisturbed it is %u", r->n - r->n_prompt, token,
                   right);
    r->tokens[r->n++] = token;
    return true;
}

static void on_end(void *ctx, enum finish finish, const struct error *err)
{
    struct request *r = ctx;
    struct world *w = &r->checks->scenario->world;
    if (!r->is_open)
        world_fail(w, "I4", "a request ended twice");
    r->is_open = false;
    world_note(w, "%s: a request ends after %u of %u tokens: %s", r->at->name, r->n - r->n_prompt, r->n_max,
               finish == FINISH_FAILED ? err->text : "complete");
    if (finish == FINISH_FAILED)
        r->checks->totals->n_failed++;
    else
        r->checks->totals->n_answered++;
    if (finish == FINISH_FAILED && !err->text[0])
        world_fail(w, "I4", "a request failed without a word");
    if (finish == FINISH_LENGTH && r->n != r->n_prompt + r->n_max)
        world_fail(w, "I4", "an answer of %u tokens ended as complete after %u", r->n_max, r->n - r->n_prompt);
}

void checks_forget(struct checks *checks)
{
    for (int i = 0; i < REQUESTS_MAX; i++) {
        struct request *r = &checks->requests[i];
        if (r->is_open && (r->at->state == MACHINE_OFF || r->at->epoch != r->epoch)) {
            r->is_open = false;
            checks->totals->n_dropped++;
        }
        if (r->is_open && world_ms(&checks->scenario->world) - r->began_ms > REQUEST_LATE_MS)
            world_fail(&checks->scenario->world, "I4", "a request has neither ended nor failed for %d s",
                       REQUEST_LATE_MS / 1000);
    }
}

static struct machine *some_serve(struct checks *checks)
{
    const struct world *w = &checks->scenario->world;
    uint32_t first = (uint32_t)rng_below(&checks->rng, w->n);
    for (uint32_t i = 0; i < w->n; i++) {
        struct machine *m = w->machines[(first + i) % w->n];
        if (m->role == ROLE_SERVE && is_up(m))
            return m;
    }
    return NULL;
}

void checks_request(struct checks *checks)
{
    static const struct generate_events events = {.on_token = on_token, .on_end = on_end};
    uint64_t now = world_ms(&checks->scenario->world);
    struct machine *m = some_serve(checks);
    struct request *r = NULL;
    struct error err;
    for (int i = 0; i < REQUESTS_MAX && !r; i++)
        r = checks->requests[i].is_open ? NULL : &checks->requests[i];
    if (!m || !r || now - checks->requested_ms < 700)
        return;
    checks->requested_ms = now;
    *r = (struct request){.checks = checks, .at = m, .epoch = m->epoch, .began_ms = now};
    r->n_prompt = r->n = 1 + (uint32_t)rng_below(&checks->rng, 20);
    r->n_max = 1 + (uint32_t)rng_below(&checks->rng, REQUEST_TOKENS - r->n_prompt - 1);
    for (uint32_t i = 0; i < r->n; i++)
        r->tokens[i] = (uint32_t)rng_below(&checks->rng, FAKE_N_VOCAB);
    struct generate_params params = {.prompt = r->tokens,
                                     .n_prompt = r->n_prompt,
                                     .n_max = r->n_max,
                                     .n_ctx = 4096,
                                     .sample = sample_params_default()};
    if (frontdoor_generate(node_frontdoor(m->node), &r->generation, &params, &events, r, &err))
        return; /* not ready */
    r->is_open = true;
    checks->totals->n_requests++;
}

bool checks_request_open(const struct checks *checks)
{
    for (int i = 0; i < REQUESTS_MAX; i++)
        if (checks->requests[i].is_open)
            return true;
    return false;
}
