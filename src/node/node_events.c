/* What the modules and ports tell the node: each event goes to whoever needs it, then everything settles. */
#include "base/log.h"
#include "base/mem.h"
#include "node/node_private.h"

/* --- events of the modules ------------------------------------------------------------------------------- */

void node_on_roster_changed(void *ctx, const struct roster_entry *entry)
{
    struct node *node = ctx;
    timeline_see(node->timeline, clock_ms(node->ports.clock), entry);
    discovery_on_record(node->discovery, entry);
    struct jv *event = jv_object_new();
    jv_set_hex(event, "node", entry->record.id.bytes, NODE_ID_BYTES);
    jv_set_bool(event, "alive", entry->alive);
    node_emit(node, "roster", event);
    jv_free(event);
    node_changed(node);
}

static void on_shards_changed(void *ctx)
{
    struct node *node = ctx;
    roster_touch(node->roster);
    node_changed(node);
}

static void on_shard_loaded(void *ctx, uint32_t id)
{
    struct node *node = ctx;
    roster_touch(node->roster);
    told_loaded(node->told, id);
    node_changed(node);
}

static void on_shard_unloaded(void *ctx, uint32_t id)
{
    struct node *node = ctx;
    told_unloaded(node->told, id);
    roster_touch(node->roster);
    node_changed(node);
}

static void on_need_manifest(void *ctx)
{
    struct node *node = ctx;
    manifests_look(node->manifests);
    node_changed(node);
}

const struct shards_events *node_shards_events(void)
{
    static const struct shards_events events = {.changed = on_shards_changed,
                                                .loaded = on_shard_loaded,
                                                .unloaded = on_shard_unloaded,
                                                .need_manifest = on_need_manifest};
    return &events;
}

static void on_up(void *ctx, const struct link_info *info)
{
    struct node *node = ctx;
    discovery_on_up(node->discovery, info);
    roster_on_up(node->roster, &info->hello.id);
    readiness_on_up(node->readiness, &info->hello.id);
    told_on_up(node->told, &info->hello.id);
    node_changed(node);
}

/* We were refused, or pushed out, because a newer process has our identity. */
static void note_twin(struct node *node, enum link_fault fault)
{
    if (fault == LINK_FAULT_DUPLICATE)
        node->twin_ms = clock_ms(node->ports.clock);
}

/* It has gone and nobody refuses us any more, but what it said is newer than what we say: pass it. */
static void outlive_twin(struct node *node)
{
    uint64_t epoch = roster_outdone_epoch(node->roster), now = clock_ms(node->ports.clock);
    if (epoch != node->twin_epoch) { /* heard of just now: it may live, and we not yet be refused */
        node->twin_epoch = epoch;
        node->twin_ms = now;
    }
    if (!epoch || epoch == UINT64_MAX || now - node->twin_ms < NODE_TWIN_GONE_MS)
        return;
    log_info("a process that had this identity has gone; our record goes on after its own (epoch %llu)",
             (unsigned long long)epoch);
    pipeline_set_epoch(node->pipeline, epoch + 1);
    roster_renew(node->roster, epoch + 1);
}

static void on_down(void *ctx, const struct link_info *last, enum link_fault fault, const char *text)
{
    struct node *node = ctx;
    const struct node_id *peer = &last->hello.id;
    char id[NODE_ID_SHORT_BYTES];
    node_id_short(id, peer);
    log_debug("link to node %s is down: %s: %s", id, link_fault_name(fault), text);
    note_twin(node, fault);
    commands_on_down(node->commands, peer);
    pipeline_on_down(node->pipeline, peer);
    told_on_down(node->told, peer);
    roster_on_down(node->roster, last, fault);
    node_changed(node);
}

static enum status dispatch_frame(struct node *node, const struct node_id *peer, enum frame_kind kind,
                                  struct bytes payload, struct error *err)
{
    switch (kind) {
    case FRAME_RECORD:
    case FRAME_DIGEST:
    case FRAME_WANT:
        return roster_on_frame(node->roster, peer, kind, payload, err);
    case FRAME_COMMAND:
    case FRAME_RESPONSE:
    case FRAME_BLOB:
        return commands_on_frame(node->commands, peer, kind, payload, err);
    case FRAME_PROBED:
        return readiness_on_frame(node->readiness, peer, payload, err);
    case FRAME_STEP:
    case FRAME_TOKENS:
    case FRAME_STEP_FAIL:
    case FRAME_FORGET:
        return pipeline_on_frame(node->pipeline, peer, kind, payload, err);
    default:
        return error_set(err, STATUS_BAD_DATA, "frame '%s' has no place here", frame_rule(kind)->name);
    }
}

static void on_frame(void *ctx, const struct node_id *peer, enum frame_kind kind, struct bytes payload)
{
    struct node *node = ctx;
    struct error err;
    if (node->stopping)
        return;
    if (!dispatch_frame(node, peer, kind, payload, &err)) {
        if (kind == FRAME_RECORD)
            outlive_twin(node);
        return;
    }
    char id[NODE_ID_SHORT_BYTES];
    node_id_short(id, peer);
    log_warn("node %s broke the rules and its link is closed: %s", id, err.text);
    node->ports.links.ops->drop(node->ports.links.self, peer, LINK_FAULT_BROKE_RULES, err.text);
}

static void on_failed(void *ctx, const struct link_attempt *attempt)
{
    struct node *node = ctx;
    if (!attempt->inbound)
        note_twin(node, attempt->fault);
    discovery_on_failed(node->discovery, attempt);
    node_changed(node);
}

const struct links_events *node_links_events(void)
{
    static const struct links_events events = {
        .on_up = on_up, .on_down = on_down, .on_frame = on_frame, .on_failed = on_failed};
    return &events;
}

/* --- the agent --- */

static void on_agent_ready(void *ctx, uint16_t dht_port, uint16_t torrent_port)
{
    struct node *node = ctx;
    node->dht_port = dht_port;
    node->torrent_port = torrent_port;
    discovery_on_agent_ready(node->discovery);
    roster_touch(node->roster);
    node_changed(node);
}

static void on_value(void *ctx, const struct agent_key *key, uint64_t value_id, struct bytes stored)
{
    struct node *node = ctx;
    (void)key;
    (void)value_id;
    discovery_on_value(node->discovery, stored);
}

static void on_announced(void *ctx, const struct agent_key *key, uint64_t value_id, bool ok, uint32_t n_acked)
{
    struct node *node = ctx;
    (void)key;
    (void)value_id;
    discovery_on_announced(node->discovery, ok, n_acked);
    if (ok && n_acked && !node->was_announced)
        timeline_own_stage(node->timeline, clock_ms(node->ports.clock), "announced", TIMELINE_ANNOUNCE_MS);
    node->was_announced |= ok && n_acked;
}

static void on_dht(void *ctx, const struct agent_dht *dht)
{
    struct node *node = ctx;
    discovery_on_dht(node->discovery, dht->n_good, dht->n_short + dht->n_bad_mac);
}

static void on_torrent(void *ctx, const struct agent_torrent_status *status)
{
    struct node *node = ctx;
    if (node->shards)
        shards_on_torrent(node->shards, status);
}

static void on_torrent_peer(void *ctx, const struct agent_torrent_peer *peer)
{
    struct node *node = ctx;
    if (node->shards)
        shards_on_torrent_peer(node->shards, peer);
}

static void on_torrent_error(void *ctx, const struct agent_key *id, const char *text)
{
    struct node *node = ctx;
    if (node->shards)
        shards_on_torrent_error(node->shards, id, text);
}

static void on_crashed(void *ctx, const char *why, uint32_t restart_in_ms, uint32_t n_crashes)
{
    struct node *node = ctx;
    log_warn("the agent (DHT and BitTorrent) ended: %s; started again in %u ms", why, restart_in_ms);
    discovery_on_crashed(node->discovery, why, restart_in_ms, n_crashes);
    node_changed(node);
}

static void on_agent_error(void *ctx, const char *about, const char *text)
{
    (void)ctx;
    log_warn("agent: %s: %s", about, text);
}

const struct agent_events *node_agent_events(void)
{
    static const struct agent_events events = {.on_ready = on_agent_ready,
                                               .on_value = on_value,
                                               .on_announced = on_announced,
                                               .on_dht = on_dht,
                                               .on_torrent = on_torrent,
                                               .on_torrent_peer = on_torrent_peer,
                                               .on_torrent_error = on_torrent_error,
                                               .on_crashed = on_crashed,
                                               .on_error = on_agent_error};
    return &events;
}
