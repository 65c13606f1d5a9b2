#include "node/plan.h"

#include <string.h>

static bool holds_loaded(const struct roster_entry *entry, uint32_t shard)
{
    const struct record_shard *s = record_shard_find(&entry->record, shard);
    return s && s->state == SHARD_LOADED;
}

/* How many shards from `first` on this node could run in one stage. */
static uint32_t run_length(const struct roster_entry *entry, uint32_t first, const struct manifest *manifest)
{
    uint32_t n = 0;
    while (first + n < manifest->n_shards && holds_loaded(entry, first + n))
        n++;
    return n;
}

static bool may_serve(const struct roster *roster, const struct roster_entry *entry,
                      const struct manifest *manifest)
{
    return record_same_split(&entry->record, &roster_self(roster)->record) && entry->alive &&
           !entry->record.draining && entry->record.arithmetic == manifest->arithmetic;
}

/* Smallest known round trip between two nodes; a large number where none is known. */
static uint32_t round_trip_us(const struct roster *roster, const struct node_id *a, const struct node_id *b)
{
    const struct roster_entry *entries[2] = {roster_find(roster, a), roster_find(roster, b)};
    const struct node_id *others[2] = {b, a};
    uint32_t best = UINT32_MAX;
    for (int side = 0; side < 2; side++)
        for (uint32_t i = 0; entries[side] && i < entries[side]->record.n_links; i++) {
            const struct record_link *link = &entries[side]->record.links[i];
            if (node_id_equal(&link->peer, others[side]) && link->rtt_us && link->rtt_us < best)
                best = link->rtt_us;
        }
    return best;
}

/* The stage that begins at `shard`: longest run, then linked to the one before and nearest to it, then lower
 * id. Nearness counts in steps of a millisecond, so that jitter does not turn plans over. */
static const struct roster_entry *choose(const struct roster *roster, const struct manifest *manifest,
                                         uint32_t shard, const struct node_id *before, const char *kv,
                                         uint32_t *out_length)
{
    const struct roster_entry *best = NULL;
    uint32_t best_length = 0, best_ms = UINT32_MAX;
    bool best_linked = false;
    for (size_t i = 0; i < roster_count(roster); i++) {
        const struct roster_entry *entry = roster_at(roster, i);
        if (!may_serve(roster, entry, manifest) || (kv && strcmp(entry->record.kv, kv) != 0))
            continue;
        uint32_t length = run_length(entry, shard, manifest);
        if (!length)
            continue;
        bool linked = !before || roster_linked(roster, before, &entry->record.id);
        uint32_t ms = before ? round_trip_us(roster, before, &entry->record.id) / 1000 : 0;
        bool better = !best || linked > best_linked || (linked == best_linked && length > best_length) ||
                      (linked == best_linked && length == best_length && ms < best_ms);
        if (!better)
            continue;
        best = entry;
        best_length = length;
        best_linked = linked;
        best_ms = ms;
    }
    *out_length = best_length;
    return best;
}

bool plan_make(struct plan *out, uint32_t *out_gap, const struct roster *roster,
               const struct manifest *manifest)
{
    out->n_stages = 0;
    const struct node_id *before = NULL;
    const char *kv = NULL;
    for (uint32_t shard = 0; shard < manifest->n_shards;) {
        uint32_t length;
        const struct roster_entry *entry = choose(roster, manifest, shard, before, kv, &length);
        if (!entry || out->n_stages == STEP_STAGES_MAX) {
            *out_gap = shard;
            return false;
        }
        struct plan_stage *stage = &out->stages[out->n_stages++];
        stage->node = entry->record.id;
        stage->layer_first = manifest->shards[shard].span.first_layer;
        stage->layer_end = manifest->shards[shard + length - 1].span.end_layer;
        kv = entry->record.kv;
        before = &entry->record.id;
        shard += length;
    }
    return true;
}

static bool stage_holds(const struct plan_stage *stage, const uint64_t *epoch, const struct roster *roster,
                        const struct manifest *manifest)
{
    const struct roster_entry *entry = roster_find(roster, &stage->node);
    if (!entry || !may_serve(roster, entry, manifest) || (epoch && entry->record.epoch != *epoch))
        return false;
    if (entry->is_self && roster_outdone_epoch(roster))
        return false; /* a later process has our identity, or had: nobody believes us now */
    for (uint32_t layer = stage->layer_first; layer < stage->layer_end;) {
        const struct manifest_shard *shard = manifest_shard_of_layer(manifest, layer);
        if (!shard || !holds_loaded(entry, shard->id))
            return false;
        layer = shard->span.end_layer;
    }
    return true;
}

static bool linked_or_same(const struct roster *roster, const struct node_id *a, const struct node_id *b)
{
    return node_id_equal(a, b) || roster_linked(roster, a, b);
}

bool plan_holds(const struct plan *plan, const uint64_t *epochs, const struct node_id *origin,
                const struct roster *roster, const struct manifest *manifest, uint32_t *out_stage)
{
    uint32_t n = plan->n_stages;
    if (n == 0 || plan->stages[n - 1].layer_end != manifest->n_layers) {
        *out_stage = 0;
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        *out_stage = i;
        const struct node_id *id = &plan->stages[i].node, *next = &plan->stages[(i + 1) % n].node;
        if (!stage_holds(&plan->stages[i], epochs ? &epochs[i] : NULL, roster, manifest) ||
            !linked_or_same(roster, id, next))
            return false;
        if (!node_id_is_zero(origin) && (i == 0 || i == n - 1) && !linked_or_same(roster, origin, id))
            return false;
    }
    return true;
}

struct jv *plan_to_json(const struct plan *plan)
{
    struct jv *array = jv_array_new();
    for (uint32_t i = 0; i < plan->n_stages; i++) {
        struct jv *stage = jv_object_new();
        jv_set_hex(stage, "node", plan->stages[i].node.bytes, NODE_ID_BYTES);
        jv_set_int(stage, "first_layer", plan->stages[i].layer_first);
        jv_set_int(stage, "end_layer", plan->stages[i].layer_end);
        jv_append(array, stage);
    }
    return array;
}

enum status plan_from_json(struct plan *out, const struct jv *json, struct error *err)
{
    size_t n = jv_count(json);
    struct plan plan = {0};
    uint32_t layer = 0;
    if (!jv_is_array(json) || n == 0 || n > STEP_STAGES_MAX)
        return error_set(err, STATUS_BAD_DATA, "plan: %zu stages", n);
    for (size_t i = 0; i < n; i++) {
        struct plan_stage *stage = &plan.stages[plan.n_stages++];
        const struct jv *row = jv_at(json, i);
        int64_t first = jv_get_int(row, "first_layer", -1), end = jv_get_int(row, "end_layer", -1);
        if (!jv_get_hex(row, "node", stage->node.bytes, NODE_ID_BYTES) || first != (int64_t)layer ||
            end <= first || end > MODEL_LAYERS_MAX)
            return error_set(err, STATUS_BAD_DATA, "plan: bad stage %zu", i);
        stage->layer_first = (uint32_t)first;
        stage->layer_end = layer = (uint32_t)end;
    }
    *out = plan;
    return STATUS_OK;
}
