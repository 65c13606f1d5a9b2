/* Commands that a person gives: which node gets them, what happens there meanwhile, and the outcome (node.h).
 */
#include "base/mem.h"
#include "node/node_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define OPERATOR_TIMEOUT_MS (3600 * 1000)

struct by_hand {
    struct node *node;
    struct node_id target;
    uint32_t shard;
    bool load;
    enum shard_state seen; /* the last one told */
    uint64_t bytes_seen;
    struct jv *steps; /* sentences, for the outcome */
    node_step on_step;
    node_outcome done;
    void *ctx;
};

static void on_node_event(void *ctx, const char *type, const struct jv *event);

/* --- the outcome ----------------------------------------------------------------------------------------- */

/* What the verdict says of this shard there: the code and the way out belong to the failure. */
static void add_finding(struct jv *outcome, struct by_hand *hand)
{
    struct jv *verdict = node_verdict(hand->node);
    const struct jv *findings = jv_get(verdict, "findings"), *best = NULL;
    for (size_t i = 0; i < jv_count(findings); i++) {
        const struct jv *f = jv_at(findings, i);
        struct node_id id;
        bool there = jv_get_hex(f, "node", id.bytes, NODE_ID_BYTES) && node_id_equal(&id, &hand->target);
        if (!best && there && jv_get_int(f, "shard", FINDING_NO_SHARD) == (int64_t)hand->shard)
            best = f;
    }
    jv_set_text(outcome, "code", jv_get_text(best, "code", NULL));
    jv_set_text(outcome, "action", jv_get_text(best, "action", NULL));
    jv_free(verdict);
}

static void finish(struct by_hand *hand, bool ok, const char *error)
{
    struct jv *outcome = jv_object_new();
    bool has_target = !node_id_is_zero(&hand->target);
    jv_set_bool(outcome, "ok", ok);
    jv_set_int(outcome, "shard", hand->shard);
    jv_set(outcome, "node", jv_null_new());
    if (has_target)
        jv_set_hex(outcome, "node", hand->target.bytes, NODE_ID_BYTES);
    jv_set_text(outcome, "error", ok ? NULL : error);
    jv_set(outcome, "steps", hand->steps);
    if (!ok && has_target)
        add_finding(outcome, hand);
    node_unwatch(hand->node, on_node_event, hand);
    hand->done(hand->ctx, outcome);
    mem_free(hand);
}

/* --- what happens meanwhile ------------------------------------------------------------------------------ */

static void tell(struct by_hand *hand, const char *kind, const struct record_shard *s, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void tell(struct by_hand *hand, const char *kind, const struct record_shard *s, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (strcmp(kind, "PROGRESS") != 0)
        jv_append(hand->steps, jv_text_new(text));
    if (!hand->on_step)
        return;
    struct jv *step = jv_object_new();
    jv_set_text(step, "step", kind);
    jv_set_text(step, "text", text);
    jv_set_int(step, "shard", hand->shard);
    jv_set_hex(step, "node", hand->target.bytes, NODE_ID_BYTES);
    jv_set_text(step, "state", s ? shard_state_name(s->state) : NULL);
    if (s && s->bytes_total) {
        jv_set_int(step, "bytes_done", (int64_t)s->bytes_done);
        jv_set_int(step, "bytes_total", (int64_t)s->bytes_total);
        jv_set_int(step, "rate", (int64_t)s->rate);
        jv_set(step, "eta_s", s->eta_s < 0 ? jv_null_new() : jv_int_new(s->eta_s));
    }
    hand->on_step(hand->ctx, step);
    jv_free(step);
}

/* Each state that the node's record shows, once; between them how far it is. */
static void look(struct by_hand *hand)
{
    const struct roster_entry *entry = roster_find(hand->node->roster, &hand->target);
    const struct record_shard *s = entry ? record_shard_find(&entry->record, hand->shard) : NULL;
    char id[NODE_ID_SHORT_BYTES];
    node_id_short(id, &hand->target);
    if (!s)
        return;
    if (s->state != hand->seen) {
        hand->seen = s->state;
        hand->bytes_seen = s->bytes_done;
        if (s->state == SHARD_FAILED)
            tell(hand, "STATE", s, "shard %u is FAILED on node %s: %s", hand->shard, id,
                 finding_code_name(s->failure));
        else
            tell(hand, "STATE", s, "shard %u is %s on node %s", hand->shard, shard_state_name(s->state), id);
    } else if (s->bytes_total && s->bytes_done != hand->bytes_seen) {
        hand->bytes_seen = s->bytes_done;
        tell(hand, "PROGRESS", s, "shard %u is %s on node %s: %.1f of %.1f MB", hand->shard,
             shard_state_name(s->state), id, (double)s->bytes_done / 1e6, (double)s->bytes_total / 1e6);
    }
}

static void on_node_event(void *ctx, const char *type, const struct jv *event)
{
    struct by_hand *hand = ctx;
    struct node_id id;
    if (strcmp(type, "roster") == 0 && jv_get_hex(event, "node", id.bytes, NODE_ID_BYTES) &&
        node_id_equal(&id, &hand->target))
        look(hand);
}

static void on_answer(void *ctx, const struct command_answer *answer)
{
    struct by_hand *hand = ctx;
    enum shard_state state;
    struct record_shard s = {.id = hand->shard};
    const char *name = jv_get_text(answer->result, "state", "");
    char id[NODE_ID_SHORT_BYTES];
    node_id_short(id, &hand->target);
    /* The record may be some milliseconds behind the answer. */
    if (shard_state_parse(&state, name) && state != hand->seen) {
        s.state = hand->seen = state;
        tell(hand, "STATE", &s, "shard %u is %s on node %s", hand->shard, name, id);
    }
    finish(hand, answer->status == STATUS_OK, answer->error);
}

/* --- who gets it ----------------------------------------------------------------------------------------- */

/* The node assigned the shard; else the one that placement chooses, else the one with most room. */
static const struct roster_entry *choose_target(struct node *node, uint32_t shard, bool load)
{
    const struct roster_entry *best = NULL;
    uint64_t best_room = 0;
    for (size_t i = 0; i < roster_count(node->roster); i++) {
        const struct roster_entry *entry = roster_at(node->roster, i);
        const struct record_shard *s = record_shard_find(&entry->record, shard);
        if (entry->alive && s && (s->assigned != ASSIGNED_NOT || s->state == SHARD_LOADED))
            return entry;
    }
    if (!load)
        return NULL;
    for (size_t i = 0; i < roster_count(node->roster); i++) {
        const struct roster_entry *entry = roster_at(node->roster, i);
        const struct node_record *r = &entry->record;
        uint64_t room = r->memory_budget > r->memory_used ? r->memory_budget - r->memory_used : 0;
        if (entry->alive && r->role == ROLE_NODE && room > best_room) {
            best = entry;
            best_room = room;
        }
    }
    return best;
}

static void by_hand(struct by_hand *hand, const char *target)
{
    struct error err;
    const struct roster_entry *entry = NULL;
    char id[NODE_ID_SHORT_BYTES];
    const char *command = hand->load ? "LOAD_SHARD" : "UNLOAD_SHARD";
    if (target && roster_find_prefix(hand->node->roster, target, &entry, &err)) {
        finish(hand, false, err.text);
        return;
    }
    if (!target)
        entry = choose_target(hand->node, hand->shard, hand->load);
    if (!entry) {
        char text[160];
        snprintf(text, sizeof text,
                 hand->load ? "no live node can take shard %u; start one with `shoal node`"
                            : "no live node has shard %u or is assigned it",
                 hand->shard);
        finish(hand, false, text);
        return;
    }
    hand->target = entry->record.id;
    node_id_short(id, &hand->target);
    const struct record_shard *s = record_shard_find(&entry->record, hand->shard);
    hand->seen = s ? s->state : SHARD_ABSENT;
    struct record_shard absent = {.id = hand->shard, .eta_s = -1};
    tell(hand, "SENT", s ? s : &absent, "%s sent to node %s, where shard %u is %s", command, id, hand->shard,
         shard_state_name(hand->seen));
    struct jv *params = jv_object_new();
    jv_set_int(params, "shard_id", hand->shard);
    jv_set_bool(params, "wait", true);
    (void)node_watch(hand->node, on_node_event, hand); /* too many watch: then only the outcome is told */
    commands_call(hand->node->commands, &hand->target, command, params, OPERATOR_TIMEOUT_MS, on_answer, hand);
}

static void begin(struct node *node, bool load, uint32_t shard, const char *target, node_step on_step,
                  node_outcome done, void *ctx)
{
    struct by_hand *hand = mem_new(sizeof *hand);
    *hand = (struct by_hand){.node = node,
                             .shard = shard,
                             .load = load,
                             .steps = jv_array_new(),
                             .on_step = on_step,
                             .done = done,
                             .ctx = ctx};
    by_hand(hand, target);
}

void node_load_shard(struct node *node, uint32_t shard, const char *target, node_step on_step,
                     node_outcome done, void *ctx)
{
    begin(node, true, shard, target, on_step, done, ctx);
}

void node_unload_shard(struct node *node, uint32_t shard, const char *target, node_step on_step,
                       node_outcome done, void *ctx)
{
    begin(node, false, shard, target, on_step, done, ctx);
}

void node_drain(struct node *node, const char *target, node_outcome done, void *ctx)
{
    struct by_hand *hand = mem_new(sizeof *hand);
    *hand = (struct by_hand){.node = node, .done = done, .ctx = ctx, .steps = jv_array_new()};
    (void)target;
    finish(hand, false, "drain is not in this version (" SHOAL_VERSION "); stop the node with Ctrl-C instead");
}
