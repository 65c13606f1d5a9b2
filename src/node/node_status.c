/* What a node shows: status, verdict, watchers. */
#include "base/log.h"
#include "base/mem.h"
#include "node/node_private.h"

#include <stdio.h>
#include <string.h>

struct jv *node_verdict(struct node *node)
{
    node_compute_verdict(node);
    return verdict_to_json(&node->verdict, clock_ms(node->ports.clock));
}

struct jv *node_timeline(struct node *node)
{
    return timeline_to_json(node->timeline);
}

bool node_is_ready(struct node *node)
{
    return readiness_is_ready(node->readiness);
}

int32_t node_ready_eta_s(struct node *node)
{
    node_compute_verdict(node);
    return node->verdict.ready ? 0 : verdict_eta_s(&node->verdict);
}

const struct manifest *node_manifest(struct node *node)
{
    return node->manifest;
}

const char *node_tokenizer_path(struct node *node)
{
    return manifests_tokenizer_path(node->manifests);
}

struct frontdoor *node_frontdoor(struct node *node)
{
    return node->frontdoor;
}

struct links *node_links(struct node *node)
{
    return &node->ports.links;
}

uint32_t node_context(struct node *node)
{
    const struct plan *plan = readiness_plan(node->readiness);
    uint32_t n_ctx = node->config.n_ctx;
    for (uint32_t i = 0; plan && i < plan->n_stages; i++) {
        const struct roster_entry *entry = roster_find(node->roster, &plan->stages[i].node);
        if (entry && entry->record.n_ctx < n_ctx)
            n_ctx = entry->record.n_ctx;
    }
    return n_ctx;
}

void node_set_api(struct node *node, const char *url)
{
    snprintf(node->config.api, sizeof node->config.api, "%s", url);
    roster_touch(node->roster);
}

/* --- status ---------------------------------------------------------------------------------------------- */

static struct jv *holders(const struct node *node, uint32_t shard)
{
    struct jv *array = jv_array_new();
    for (size_t i = 0; i < roster_count(node->roster); i++) {
        const struct roster_entry *entry = roster_at(node->roster, i);
        const struct record_shard *s = record_shard_find(&entry->record, shard);
        char id[NODE_ID_TEXT_BYTES];
        if (!entry->alive || !s || s->state != SHARD_LOADED)
            continue;
        node_id_text(id, &entry->record.id);
        jv_append(array, jv_text_new(id));
    }
    return array;
}

/* The state furthest along among live nodes; FAILED only when nobody is anywhere else. */
static const struct record_shard *furthest(const struct node *node, uint32_t shard)
{
    const struct record_shard *best = NULL;
    for (size_t i = 0; i < roster_count(node->roster); i++) {
        const struct roster_entry *entry = roster_at(node->roster, i);
        const struct record_shard *s = record_shard_find(&entry->record, shard);
        if (!entry->alive || !s)
            continue;
        bool failed = s->state == SHARD_FAILED, best_failed = best && best->state == SHARD_FAILED;
        if (!best || (best_failed && !failed) || (failed == best_failed && s->state > best->state))
            best = s;
    }
    return best;
}

static struct jv *shards_to_json(const struct node *node)
{
    struct jv *array = jv_array_new();
    for (uint32_t i = 0; i < node_n_expected(node); i++) {
        struct jv *json = jv_object_new();
        const struct record_shard *s = furthest(node, i);
        jv_set_int(json, "id", i);
        if (node->manifest) {
            const struct manifest_shard *m = &node->manifest->shards[i];
            jv_set_int(json, "first_layer", m->span.first_layer);
            jv_set_int(json, "end_layer", m->span.end_layer);
            jv_set_int(json, "bytes", (int64_t)m->bytes);
        }
        jv_set_text(json, "state", shard_state_name(s ? s->state : SHARD_ABSENT));
        if (s && s->bytes_total)
            jv_set_real(json, "progress", (double)s->bytes_done / (double)s->bytes_total);
        else
            jv_set(json, "progress", s && s->state == SHARD_LOADED ? jv_real_new(1) : jv_null_new());
        jv_set(json, "holders", holders(node, i));
        jv_append(array, json);
    }
    return array;
}

static struct jv *node_shards_to_json(const struct node *node, const struct roster_entry *entry)
{
    struct jv *array = jv_array_new();
    const struct node_record *r = &entry->record;
    (void)node;
    for (uint32_t i = 0; i < r->n_shards; i++) {
        const struct record_shard *s = &r->shards[i];
        struct jv *json = jv_object_new();
        jv_set_int(json, "id", s->id);
        jv_set_text(json, "state", shard_state_name(s->state));
        jv_set_bool(json, "assigned", s->assigned != ASSIGNED_NOT);
        jv_set_bool(json, "verified", s->verified);
        jv_set_int(json, "bytes_done", (int64_t)s->bytes_done);
        jv_set_int(json, "bytes_total", (int64_t)s->bytes_total);
        jv_set_int(json, "rate", (int64_t)s->rate);
        jv_set(json, "eta_s", s->eta_s < 0 ? jv_null_new() : jv_int_new(s->eta_s));
        if (s->failure)
            jv_set_text(json, "failure", finding_code_name(s->failure));
        jv_append(array, json);
    }
    return array;
}

static struct jv *capabilities_to_json(const struct node_record *r)
{
    struct jv *json = jv_object_new();
    bool any = false, all = true;
    for (uint32_t i = 0; i < r->n_shards; i++) {
        any |= r->shards[i].state == SHARD_LOADED;
        all &= r->shards[i].assigned == ASSIGNED_NOT || r->shards[i].state == SHARD_LOADED;
    }
    jv_set_bool(json, "shard_loaded", any && all);
    jv_set_int(json, "cores", r->n_cores);
    jv_set_int(json, "threads", r->n_threads);
    jv_set_text(json, "cpu", r->cpu);
    jv_set_int(json, "ram_total", (int64_t)r->ram_total);
    jv_set_int(json, "ram_free", (int64_t)r->ram_free);
    jv_set_int(json, "memory_budget", (int64_t)r->memory_budget);
    jv_set_int(json, "memory_used", (int64_t)r->memory_used);
    jv_set_int(json, "memory_bandwidth", (int64_t)r->memory_bandwidth);
    jv_set_int(json, "disk_free", (int64_t)r->disk_free);
    jv_set_int(json, "ctx", r->n_ctx);
    jv_set_int(json, "slots", r->n_slots);
    jv_set_text(json, "kv", r->kv);
    jv_set_bool(json, "fetch", r->fetch_allowed);
    return json;
}

static struct jv *entry_to_json(struct node *node, const struct roster_entry *entry)
{
    const struct node_record *r = &entry->record;
    struct link_info info;
    struct jv *json = jv_object_new();
    char address[ADDRESS_TEXT_BYTES] = "";
    bool linked = node->ports.links.ops->info(node->ports.links.self, &r->id, &info);
    if (linked)
        address_text(address, &info.address);
    else if (r->n_addresses)
        address_text(address, &r->addresses[0]);
    jv_set_hex(json, "id", r->id.bytes, NODE_ID_BYTES);
    jv_set_bool(json, "self", entry->is_self);
    jv_set_text(json, "role", node_role_name((enum node_role)r->role));
    jv_set_text(json, "address", address);
    jv_set_text(json, "api", r->api);
    jv_set_int(json, "epoch", (int64_t)r->epoch);
    jv_set_bool(json, "linked", linked);
    jv_set_int(json, "rtt_us", linked ? info.rtt_us : 0);
    jv_set_real(json, "heard_s", (double)(clock_ms(node->ports.clock) - entry->heard_ms) / 1000);
    jv_set(json, "capabilities", capabilities_to_json(r));
    jv_set(json, "shards", node_shards_to_json(node, entry));
    jv_set_int(json, "sequences", r->n_sequences);
    jv_set_int(json, "queued", r->n_queued);
    jv_set_int(json, "tokens_done", (int64_t)r->tokens_done);
    return json;
}

struct jv *node_status(struct node *node)
{
    struct jv *json = jv_object_new(), *nodes = jv_array_new();
    uint32_t n = node_n_expected(node);
    jv_set_text(json, "cluster", node->config.credentials->cluster);
    jv_set_text(json, "model", node->manifest ? node->manifest->name : NULL);
    jv_set_bool(json, "ready", readiness_is_ready(node->readiness));
    jv_set(json, "expected_shards", n ? jv_int_new(n) : jv_null_new());
    jv_set_int(json, "discovered_shards", roster_n_discovered(node->roster, n));
    jv_set_int(json, "loaded_shards", roster_n_loaded(node->roster, n));
    for (size_t i = 0; i < roster_count(node->roster); i++)
        if (roster_at(node->roster, i)->alive && roster_at(node->roster, i)->record.version)
            jv_append(nodes, entry_to_json(node, roster_at(node->roster, i)));
    jv_set(json, "nodes", nodes);
    jv_set(json, "shards", shards_to_json(node));
    const struct plan *plan = readiness_plan(node->readiness);
    jv_set(json, "plan", plan ? plan_to_json(plan) : jv_array_new());
    const struct roster_entry *coordinator = roster_coordinator(node->roster);
    if (coordinator)
        jv_set_hex(json, "coordinator", coordinator->record.id.bytes, NODE_ID_BYTES);
    else
        jv_set(json, "coordinator", jv_null_new());
    return json;
}

/* --- watchers -------------------------------------------------------------------------------------------- */

bool node_watch(struct node *node, node_watcher watcher, void *ctx)
{
    if (node->n_watchers == NODE_WATCHERS_MAX)
        return false;
    node->watchers[node->n_watchers].watcher = watcher;
    node->watchers[node->n_watchers++].ctx = ctx;
    return true;
}

void node_unwatch(struct node *node, node_watcher watcher, void *ctx)
{
    for (uint32_t i = 0; i < node->n_watchers; i++)
        if (node->watchers[i].watcher == watcher && node->watchers[i].ctx == ctx) {
            node->watchers[i] = node->watchers[--node->n_watchers];
            return;
        }
}

void node_emit(struct node *node, const char *type, const struct jv *event)
{
    for (uint32_t i = node->n_watchers; i-- > 0;) /* from the end: a watcher may take itself away */
        if (i < node->n_watchers)
            node->watchers[i].watcher(node->watchers[i].ctx, type, event);
}
