#include "node/coordinator.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "node/placement.h"

#include <stdio.h>
#include <string.h>

#define COMMAND_TIMEOUT_MS 10000
#define AGAIN_MIN_MS       1000
#define AGAIN_MAX_MS       30000
#define HISTORY_MAX        8
#define PASSED_OVER_MAX    32
#define TAKEN_TOLD_MS      60000

struct order { /* a shard that a node was told to load */
    struct node_id node;
    bool open;                 /* a command is on its way */
    uint32_t n_sent, n_failed; /* failed: in a row */
    uint64_t again_ms, since_ms;
    char error[256]; /* of the last command; "" */
    struct {
        uint64_t at_ms;
        char text[120];
    } history[HISTORY_MAX]; /* ring, by n_history; of all nodes it was given to */
    uint32_t n_history;
    struct node_id failing; /* who was given the shard and says FAILED; zero: nobody */
    uint64_t failing_ms;
    struct node_id taken_from; /* who was passed over last; zero: nobody */
    char taken_why[160];
    uint64_t taken_ms;
};

struct passed_over {
    struct node_id node;
    uint64_t until_ms;
};

struct coordinator {
    const struct clock *clock;
    struct commands *commands;
    const struct roster *roster;
    coordinator_need need;
    void *ctx;
    const struct manifest *manifest;
    struct order *orders; /* one for each shard */
    struct placement_result *placed;
    uint32_t n_shards;
    uint64_t began_ms; /* when we first could command; 0: not yet */
    struct timer *timer;
    struct placement_node *nodes; /* scratch of the last placement */
    uint32_t n_nodes;
    struct passed_over passed_over[PASSED_OVER_MAX]; /* ring */
    uint32_t n_passed_over;
    struct waiting {
        struct waiting *next;
        struct coordinator *coordinator; /* NULL: gone */
        uint32_t shard;
        struct node_id node;
    } * waiting;
};

static void on_timer(void *arg)
{
    coordinator_consider(arg);
}

struct coordinator *coordinator_new(const struct clock *clock, struct commands *commands,
                                    const struct roster *roster, coordinator_need need, void *ctx)
{
    struct coordinator *c = mem_new(sizeof *c);
    c->clock = clock;
    c->commands = commands;
    c->roster = roster;
    c->need = need;
    c->ctx = ctx;
    c->timer = clock_timer_new(clock, on_timer, c);
    return c;
}

void coordinator_free(struct coordinator *c)
{
    if (!c)
        return;
    for (struct waiting *w = c->waiting; w; w = w->next)
        w->coordinator = NULL;
    clock_timer_free(c->clock, c->timer);
    mem_free(c->orders);
    mem_free(c->placed);
    mem_free(c->nodes);
    mem_free(c);
}

void coordinator_set_manifest(struct coordinator *c, const struct manifest *manifest)
{
    c->manifest = manifest;
    mem_free(c->orders);
    mem_free(c->placed);
    c->n_shards = manifest ? manifest->n_shards : 0;
    c->orders = mem_array(c->n_shards, sizeof *c->orders);
    c->placed = mem_array(c->n_shards, sizeof *c->placed);
}

bool coordinator_commands(const struct coordinator *c)
{
    const struct roster_entry *first = roster_coordinator(c->roster);
    return first && first->is_self;
}

static bool is_explicit(const struct node_record *r)
{
    for (uint32_t i = 0; i < r->n_shards; i++)
        if (r->shards[i].assigned == ASSIGNED_EXPLICIT)
            return true;
    return false;
}

/* --- who is passed over ---------------------------------------------------------------------------------- */

static bool is_passed_over(const struct coordinator *c, const struct node_id *node)
{
    for (uint32_t i = 0; i < PASSED_OVER_MAX; i++)
        if (c->passed_over[i].until_ms > clock_ms(c->clock) && node_id_equal(&c->passed_over[i].node, node))
            return true;
    return false;
}

static bool may_take(const struct coordinator *c, const struct roster_entry *entry)
{
    const struct node_record *r = &entry->record;
    return entry->alive && r->role == ROLE_NODE && !r->draining && r->memory_budget > 0 &&
           r->arithmetic == c->manifest->arithmetic && !is_passed_over(c, &r->id);
}

/* Only while another may take the shard: a node that fails is better than none. */
static bool pass_over(struct coordinator *c, uint32_t shard, const struct node_id *node, const char *why)
{
    bool other = false;
    for (size_t i = 0; i < roster_count(c->roster) && !other; i++) {
        const struct roster_entry *entry = roster_at(c->roster, i);
        other = may_take(c, entry) && !is_explicit(&entry->record) && !node_id_equal(&entry->record.id, node);
    }
    if (!other)
        return false;
    struct order *order = &c->orders[shard];
    c->passed_over[c->n_passed_over++ % PASSED_OVER_MAX] =
        (struct passed_over){.node = *node, .until_ms = clock_ms(c->clock) + COORDINATOR_PASS_OVER_MS};
    order->taken_from = *node;
    order->taken_ms = clock_ms(c->clock);
    snprintf(order->taken_why, sizeof order->taken_why, "%.159s", why);
    return true;
}

/* A shard that was given to a node and that it cannot load for long, whatever the reason. */
static void watch_failing(struct coordinator *c, uint32_t shard)
{
    struct order *order = &c->orders[shard];
    const struct roster_entry *failing = NULL;
    for (size_t i = 0; i < roster_count(c->roster); i++) {
        const struct roster_entry *entry = roster_at(c->roster, i);
        const struct record_shard *s = record_shard_find(&entry->record, shard);
        if (entry->alive && s && s->assigned == ASSIGNED_BY_COMMAND && s->state == SHARD_FAILED)
            failing = entry;
    }
    uint64_t now = clock_ms(c->clock);
    if (!failing || shard_is_loaded(c->roster, shard)) {
        memset(&order->failing, 0, sizeof order->failing);
        return;
    }
    if (!node_id_equal(&failing->record.id, &order->failing)) {
        order->failing = failing->record.id;
        order->failing_ms = now;
    }
    char why[160];
    snprintf(why, sizeof why, "it could not load the shard for %.0f s: %s",
             (double)(now - order->failing_ms) / 1000,
             finding_code_name(record_shard_find(&failing->record, shard)->failure));
    if (now - order->failing_ms < COORDINATOR_REPLACE_MS)
        clock_timer_set(c->clock, c->timer, COORDINATOR_REPLACE_MS - (now - order->failing_ms));
    else if (!is_passed_over(c, &order->failing))
        pass_over(c, shard, &order->failing, why);
}

static void gather_nodes(struct coordinator *c)
{
    size_t n = roster_count(c->roster);
    mem_free(c->nodes);
    c->nodes = mem_array(n, sizeof *c->nodes);
    c->n_nodes = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        const struct roster_entry *entry = roster_at(c->roster, i);
        const struct node_record *r = &entry->record;
        struct placement_node *node = &c->nodes[i];
        node->id = r->id;
        memcpy(node->boot_id, r->boot_id, sizeof node->boot_id);
        node->memory_budget = r->memory_budget;
        node->machine_ram_free = r->ram_free - r->ram_free / 10;
        node->speed = r->memory_bandwidth;
        node->is_explicit = is_explicit(r);
        node->can_take = may_take(c, entry);
    }
}

/* The live node that a shard is assigned to: explicit before commanded, loaded before not, lower id. -1: none.
 */
static int32_t holder_of(const struct coordinator *c, uint32_t shard)
{
    int32_t best = -1;
    int best_rank = -1;
    for (size_t i = 0; i < roster_count(c->roster); i++) {
        const struct roster_entry *entry = roster_at(c->roster, i);
        const struct record_shard *s = record_shard_find(&entry->record, shard);
        if (!entry->alive || !s || entry->record.draining ||
            (s->assigned == ASSIGNED_NOT && s->state != SHARD_LOADED) ||
            (s->assigned == ASSIGNED_BY_COMMAND && s->state == SHARD_FAILED &&
             is_passed_over(c, &entry->record.id)))
            continue;
        int rank = (s->state == SHARD_LOADED ? 2 : 0) + (s->assigned == ASSIGNED_EXPLICIT ? 1 : 0);
        if (rank > best_rank) {
            best = (int32_t)i;
            best_rank = rank;
        }
    }
    return best;
}

static void place(struct coordinator *c)
{
    struct placement_shard *shards = mem_array(c->n_shards, sizeof *shards);
    gather_nodes(c);
    for (uint32_t i = 0; i < c->n_shards; i++) {
        int32_t holder = holder_of(c, i);
        shards[i].bytes = c->need(c->ctx, i);
        shards[i].pinned = holder >= 0;
        shards[i].node = holder >= 0 ? (uint32_t)holder : 0;
    }
    placement_compute(c->placed, c->nodes, c->n_nodes, shards, c->n_shards);
    mem_free(shards);
}

static void note_answer(struct coordinator *c, uint32_t shard, const struct node_id *node,
                        const struct command_answer *answer)
{
    struct order *order = &c->orders[shard];
    uint64_t now = clock_ms(c->clock),
             delay = (uint64_t)AGAIN_MIN_MS << (order->n_sent < 6 ? order->n_sent : 6);
    if (!node_id_equal(&order->node, node))
        return; /* it was given to another meanwhile */
    delay = delay < AGAIN_MAX_MS ? delay : AGAIN_MAX_MS;
    delay -=
        rand_mix(shard, order->n_sent) % (delay / 4); /* commands that failed together do not go together */
    order->open = false;
    order->again_ms = now + delay;
    clock_timer_set(c->clock, c->timer, delay);
    if (!answer->status) {
        order->error[0] = '\0';
        order->n_failed = 0;
        return;
    }
    if (!order->n_failed++)
        order->since_ms = now;
    snprintf(order->error, sizeof order->error, "%.255s", answer->error);
    char id[NODE_ID_SHORT_BYTES];
    node_id_short(id, node);
    uint32_t at = order->n_history++ % HISTORY_MAX;
    order->history[at].at_ms = now;
    snprintf(order->history[at].text, sizeof order->history[at].text, "node %s: %.100s", id, answer->error);
    if (order->n_failed >= COORDINATOR_ATTEMPTS_MAX && pass_over(c, shard, node, order->error))
        clock_timer_set(c->clock, c->timer, 0);
}

static void on_answer(void *ctx, const struct command_answer *answer)
{
    struct waiting *waiting = ctx;
    struct coordinator *c = waiting->coordinator;
    if (c) {
        for (struct waiting **at = &c->waiting; *at; at = &(*at)->next)
            if (*at == waiting) {
                *at = waiting->next;
                break;
            }
        if (waiting->shard < c->n_shards) {
            note_answer(c, waiting->shard, &waiting->node, answer);
        }
    }
    mem_free(waiting);
}

static void command(struct coordinator *c, uint32_t shard, const struct node_id *node)
{
    struct order *order = &c->orders[shard];
    if (!node_id_equal(&order->node, node)) { /* the history is the shard's */
        order->node = *node;
        order->open = false;
        order->n_sent = order->n_failed = 0;
        order->again_ms = 0;
        order->error[0] = '\0';
    }
    if (order->open || clock_ms(c->clock) < order->again_ms)
        return;
    order->open = true;
    order->n_sent++;
    struct jv *params = jv_object_new();
    jv_set_int(params, "shard_id", shard);
    jv_set_bool(params, "wait", false);
    struct waiting *waiting = mem_new(sizeof *waiting);
    *waiting = (struct waiting){.next = c->waiting, .coordinator = c, .shard = shard, .node = *node};
    c->waiting = waiting;
    commands_call(c->commands, node, "LOAD_SHARD", params, COMMAND_TIMEOUT_MS, on_answer, waiting);
}

/* Not LOADED, and not on the way by itself because a command came already. */
static bool needs_command(const struct coordinator *c, uint32_t shard, const struct roster_entry *entry)
{
    const struct record_shard *s = record_shard_find(&entry->record, shard);
    (void)c;
    return !s || (s->state != SHARD_LOADED && s->state != SHARD_LOADING && s->state != SHARD_FETCHING &&
                  s->state != SHARD_VERIFYING && s->state != SHARD_UNLOADING);
}

void coordinator_consider(struct coordinator *c)
{
    uint64_t now = clock_ms(c->clock);
    if (!c->manifest || !coordinator_commands(c))
        return;
    if (!c->began_ms) {
        c->began_ms = now;
        clock_timer_set(c->clock, c->timer, COORDINATOR_SETTLE_MS);
    }
    for (uint32_t i = 0; i < c->n_shards; i++)
        watch_failing(c, i);
    place(c);
    if (now - c->began_ms < COORDINATOR_SETTLE_MS)
        return;
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < c->n_shards; i++) {
        if (c->placed[i].node < 0)
            continue;
        const struct roster_entry *entry = roster_find(c->roster, &c->nodes[c->placed[i].node].id);
        if (!entry || !entry->alive || !needs_command(c, i, entry))
            continue;
        command(c, i, &entry->record.id);
        if (!c->orders[i].open && c->orders[i].again_ms < next)
            next = c->orders[i].again_ms;
    }
    if (next != UINT64_MAX)
        clock_timer_set(c->clock, c->timer, next > now ? next - now : 1);
}

struct node_id coordinator_place(const struct coordinator *c, uint32_t shard)
{
    struct node_id nobody = {0};
    if (shard >= c->n_shards || !c->nodes || c->placed[shard].node < 0)
        return nobody;
    return c->nodes[c->placed[shard].node].id;
}

static void explain_unplaced(const struct coordinator *c, uint32_t shard, struct finding_list *out)
{
    const struct placement_result *p = &c->placed[shard];
    struct finding *f;
    if (p->problem == PLACEMENT_NO_MEMORY) {
        f = finding_add(out, FINDING_NOT_ENOUGH_MEMORY, shard, NULL,
                        "shard %u needs %.1f MB of memory, the node with most room has %.1f MB left", shard,
                        (double)p->needed / 1e6, (double)p->free_best / 1e6);
        if (f) {
            jv_set_int(finding_evidence(f), "needed", (int64_t)p->needed);
            jv_set_int(finding_evidence(f), "free", (int64_t)p->free_best);
        }
        finding_set_action(f,
                           "shoal node # on a machine with %.1f MB to spare; or fewer --slots, a shorter --ctx",
                           (double)p->needed / 1e6);
    } else {
        bool any = false, any_explicit = false;
        for (uint32_t i = 0; i < c->n_nodes; i++) {
            any |= c->nodes[i].can_take;
            any_explicit |= c->nodes[i].can_take && c->nodes[i].is_explicit;
        }
        if (any && any_explicit)
            return; /* every node has explicit shards: the verdict says that nobody claims this one */
        uint32_t n_alive = 0;
        for (size_t i = 0; i < roster_count(c->roster); i++)
            n_alive += roster_at(c->roster, i)->alive;
        f = finding_add(out, FINDING_NO_NODE_FOR_SHARD, shard, NULL,
                        "no node that may take shard %u is here: %u live processes are known, none is a node "
                        "without shards of its own",
                        shard, n_alive);
        finding_set_action(f, "shoal node");
    }
}

static struct jv *history_of(const struct coordinator *c, const struct order *order)
{
    struct jv *list = jv_array_new();
    uint64_t now = clock_ms(c->clock);
    for (uint32_t i = order->n_history > HISTORY_MAX ? order->n_history - HISTORY_MAX : 0; i < order->n_history;
         i++) {
        char text[160];
        snprintf(text, sizeof text, "%.0f s ago: %s",
                 (double)(now - order->history[i % HISTORY_MAX].at_ms) / 1000,
                 order->history[i % HISTORY_MAX].text);
        jv_append(list, jv_text_new(text));
    }
    return list;
}

static void explain_failed(const struct coordinator *c, uint32_t shard, struct finding_list *out)
{
    const struct order *order = &c->orders[shard];
    uint64_t now = clock_ms(c->clock);
    char id[NODE_ID_SHORT_BYTES];
    node_id_short(id, &order->node);
    struct finding *f = finding_add(out, FINDING_WAITING_FOR_LOAD_SHARD, shard, &order->node,
                                    "node %s was told to load shard %u %u times; the last command failed: %s",
                                    id, shard, order->n_sent, order->error);
    if (!f)
        return;
    f->since_ms = order->since_ms;
    struct jv *evidence = finding_evidence(f);
    jv_set_int(evidence, "attempts", order->n_sent);
    if (!order->open && order->again_ms > now)
        jv_set_real(evidence, "retry_in_s", (double)(order->again_ms - now) / 1000);
    jv_set(evidence, "history", history_of(c, order));
    finding_set_action(f, "shoal load %u --node %s", shard, id);
}

/* What was done by itself; told until the shard is LOADED, and a minute longer. */
static void explain_taken(const struct coordinator *c, uint32_t shard, struct finding_list *out)
{
    const struct order *order = &c->orders[shard];
    uint64_t now = clock_ms(c->clock);
    if (node_id_is_zero(&order->taken_from) || now - order->taken_ms >= TAKEN_TOLD_MS)
        return;
    char from[NODE_ID_SHORT_BYTES], to[16] = "another node";
    node_id_short(from, &order->taken_from);
    if (c->placed[shard].node >= 0)
        node_id_short(to, &c->nodes[c->placed[shard].node].id);
    struct finding *f = finding_add(out, FINDING_WAITING_FOR_LOAD_SHARD, shard, &order->taken_from,
                                    "shard %u was taken from node %s and given to %s %.0f s ago: %s", shard,
                                    from, to, (double)(now - order->taken_ms) / 1000, order->taken_why);
    if (!f)
        return;
    f->severity = SEVERITY_INFO;
    f->since_ms = order->taken_ms;
    jv_set(finding_evidence(f), "history", history_of(c, order));
    finding_set_action(f, "shoal status");
}

void coordinator_explain(const struct coordinator *c, struct finding_list *out)
{
    if (!c->manifest || !coordinator_commands(c) || !c->began_ms || !c->nodes)
        return;
    for (uint32_t i = 0; i < c->n_shards; i++) {
        explain_taken(c, i, out);
        if (c->placed[i].node < 0) {
            if (!shard_is_loaded(c->roster, i) && clock_ms(c->clock) - c->began_ms > 2 * COORDINATOR_SETTLE_MS)
                explain_unplaced(c, i, out);
            continue;
        }
        if (c->orders[i].error[0] && !shard_is_loaded(c->roster, i) && !shard_is_discovered(c->roster, i))
            explain_failed(c, i, out);
    }
}
