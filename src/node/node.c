/* Composition: what each module tells the others. A change anywhere leads to one settling a few milliseconds
 * later, in which everything looks again, in one order. */
#include "node/node.h"

#include "base/log.h"
#include "base/mem.h"
#include "node/node_private.h"

#include <stdio.h>
#include <string.h>

#define SETTLE_MS     4
#define HOST_LOOK_MS  3000
#define KNOWN_FILE    "peers.json"
#define STOP_GRACE_MS 300
#define KNOWN_MAX     ((size_t)1 << 20)

uint32_t node_n_expected(const struct node *node)
{
    return node->manifest ? node->manifest->n_shards : node->config.n_shards_expected;
}

void node_changed(struct node *node)
{
    if (node->settle_pending)
        return;
    node->settle_pending = true;
    clock_timer_set(node->ports.clock, node->settle_timer, SETTLE_MS);
}

static void on_changed(void *ctx)
{
    node_changed(ctx);
}

/* --- our record ------------------------------------------------------------------------------------------ */

/* 90 % of what is free, and what we have already, shared with the other nodes of this machine. */
static uint64_t memory_budget(const struct node *node, uint64_t used)
{
    if (node->config.memory_budget)
        return node->config.memory_budget;
    uint64_t n = 0;
    for (size_t i = 0; i < roster_count(node->roster); i++) {
        const struct roster_entry *entry = roster_at(node->roster, i);
        n += entry->alive && entry->record.role == ROLE_NODE && !entry->is_self &&
             strcmp(entry->record.boot_id, node->host.boot_id) == 0;
    }
    return used + node->host.ram_free / 10 * 9 / (n + 1);
}

static uint64_t memory_free(void *ctx)
{
    const struct node *node = ctx;
    uint64_t used = node->shards ? shards_memory_used(node->shards) : 0, budget = memory_budget(node, used);
    return budget > used ? budget - used : 0;
}

static void fill_capabilities(struct node *node, struct node_record *r)
{
    const struct node_config *c = &node->config;
    r->n_cores = node->host.n_cores;
    r->n_threads = c->n_threads;
    r->ram_total = node->host.ram_total;
    r->ram_free = node->host.ram_free;
    r->memory_bandwidth = node->host.memory_bandwidth;
    r->memory_used = node->shards ? shards_memory_used(node->shards) : 0;
    r->memory_budget = node->shards ? memory_budget(node, r->memory_used) : 0;
    r->disk_free = node->shards ? shards_disk_free(node->shards) : 0;
    memcpy(r->cpu, node->host.cpu, sizeof r->cpu);
    memcpy(r->boot_id, node->host.boot_id, sizeof r->boot_id);
    r->arithmetic = c->arithmetic;
    r->n_ctx = c->n_ctx;
    r->n_slots = c->n_slots;
    snprintf(r->kv, sizeof r->kv, "%s", c->kv ? c->kv : "f16");
    r->fetch_allowed = c->fetch_allowed;
}

static void on_fill(void *ctx, struct node_record *r)
{
    struct node *node = ctx;
    const struct node_config *c = &node->config;
    r->role = c->role;
    snprintf(r->cluster, sizeof r->cluster, "%s", c->credentials->cluster);
    r->n_addresses = c->n_addresses;
    memcpy(r->addresses, c->addresses, c->n_addresses * sizeof r->addresses[0]);
    r->dht_port = node->dht_port;
    r->torrent_port = node->torrent_port;
    memcpy(r->api, c->api, sizeof r->api);
    fill_capabilities(node, r);
    r->has_manifest = node->manifest != NULL;
    r->has_tokenizer = manifests_tokenizer_path(node->manifests) != NULL;
    r->model[0] = '\0';
    memset(&r->fingerprint, 0, sizeof r->fingerprint);
    memset(&r->split, 0, sizeof r->split);
    if (node->manifest) {
        r->fingerprint = node->manifest->fingerprint;
        r->split = manifest_split(node->manifest);
        snprintf(r->model, sizeof r->model, "%s", node->manifest->name);
    }
    r->n_shards_expected = c->n_shards_expected;
    r->coordinator_heard_ms = node->coordinator_heard_ms;
    if (node->shards) {
        struct engine_load load = node->ports.compute->ops->look(node->ports.compute->self);
        r->n_sequences = load.n_sequences;
        r->n_queued = load.n_queued;
        r->tokens_done = load.tokens_done;
        shards_report(node->shards, r);
    }
    node_explain(node, &r->findings);
    finding_list_cut(&r->findings, RECORD_FINDINGS_MAX);
}

/* --- settling -------------------------------------------------------------------------------------------- */

/* The address at which a peer's torrents are reached: as the link sees it, else as it says. */
static bool source_of(struct node *node, const struct roster_entry *entry, struct shard_source *out)
{
    struct link_info info;
    struct address address = {0};
    const struct node_record *r = &entry->record;
    if (node->ports.links.ops->info(node->ports.links.self, &r->id, &info))
        address = info.address;
    else if (r->n_addresses)
        address = r->addresses[0];
    if (!address.family || !r->torrent_port)
        return false;
    char ip[ADDRESS_TEXT_BYTES];
    address_ip_text(ip, &address);
    out->node = r->id;
    out->port = r->torrent_port;
    snprintf(out->ip, sizeof out->ip, "%.45s", ip);
    return true;
}

static void set_sources(struct node *node, uint32_t shard)
{
    struct shard_source sources[64];
    uint32_t n = 0, n_asked = 0;
    for (size_t i = 0; i < roster_count(node->roster) && n < 64; i++) {
        const struct roster_entry *entry = roster_at(node->roster, i);
        const struct record_shard *s = record_shard_find(&entry->record, shard);
        if (entry->is_self || !entry->alive)
            continue;
        n_asked += entry->record.role != ROLE_ENTRY;
        if (!s || !(s->verified || s->state == SHARD_FETCHING) || !source_of(node, entry, &sources[n]))
            continue;
        sources[n++].is_complete = s->verified;
    }
    shards_set_sources(node->shards, shard, sources, n, n_asked);
}

static void set_members(struct node *node)
{
    struct address members[ROSTER_NODES_MAX];
    uint32_t n = 0;
    for (size_t i = 0; i < roster_count(node->roster); i++) {
        struct link_info info;
        const struct roster_entry *entry = roster_at(node->roster, i);
        if (entry->is_self || !entry->alive)
            continue;
        if (node->ports.links.ops->info(node->ports.links.self, &entry->record.id, &info))
            members[n++] = info.address;
        else if (entry->record.n_addresses)
            members[n++] = entry->record.addresses[0];
    }
    if (node->ports.agent)
        agent_torrent_members(node->ports.agent, members, n);
}

static void settle_shards(struct node *node)
{
    uint32_t claimed[NODE_SHARDS_MAX], n_claimed = 0, n = node_n_expected(node);
    uint32_t end = n ? n : NODE_SHARDS_MAX;
    if (!node->shards)
        return;
    for (uint32_t shard = 0; shard < end; shard++) {
        if (shards_is_assigned(node->shards, shard) || shards_is_loaded(node->shards, shard))
            claimed[n_claimed++] = shard;
        if (node->manifest && shards_is_assigned(node->shards, shard) && !shards_is_loaded(node->shards, shard))
            set_sources(node, shard);
    }
    discovery_set_shards(node->discovery, claimed, n_claimed, n);
}

static void settle_manifest(struct node *node)
{
    const struct manifest *manifest = manifests_current(node->manifests);
    bool has_tokenizer = manifests_tokenizer_path(node->manifests) != NULL;
    if (manifest == node->manifest && has_tokenizer == node->has_tokenizer)
        return;
    node->has_tokenizer = has_tokenizer;
    if (manifest != node->manifest) {
        node->manifest = manifest;
        timeline_add(node->timeline, clock_ms(node->ports.clock), &node->self, -1, "manifest");
        if (manifest)
            timeline_own_stage(node->timeline, clock_ms(node->ports.clock), "manifest", TIMELINE_FOUND_MS);
        if (node->shards)
            shards_set_manifest(node->shards, manifest);
        pipeline_set_manifest(node->pipeline, manifest);
        readiness_set_manifest(node->readiness, manifest);
        if (node->coordinator)
            coordinator_set_manifest(node->coordinator, manifest);
    }
    roster_touch(node->roster);
}

static void join(struct node *node);

static void settle_timeline(struct node *node, uint32_t n)
{
    uint64_t now = clock_ms(node->ports.clock), loaded_ms;
    timeline_progress(node->timeline, now, n && roster_n_discovered(node->roster, n) == n,
                      n && roster_n_loaded(node->roster, n) == n, node->verdict.ready);
    for (uint32_t i = 0; node->shards && i < n; i++)
        if (told_is_known(node->told, i, &loaded_ms))
            timeline_stage(node->timeline, now, &node->self, (int32_t)i, "told", loaded_ms, TIMELINE_TOLD_MS);
}

static void on_settle(void *arg)
{
    struct node *node = arg;
    node->settle_pending = false;
    if (node->stopping || !node->started)
        return;
    settle_manifest(node);
    if (!node->joined && manifests_settled(node->manifests) && (!node->shards || shards_settled(node->shards)))
        join(node);
    settle_shards(node);
    set_members(node);
    uint32_t n = node_n_expected(node);
    discovery_set_complete(node->discovery, n && roster_n_discovered(node->roster, n) == n);
    manifests_consider(node->manifests);
    if (node->coordinator)
        coordinator_consider(node->coordinator);
    readiness_consider(node->readiness);
    node_compute_verdict(node);
    settle_timeline(node, n);
    node_note_verdict(node);
    if (node->frontdoor)
        frontdoor_consider(node->frontdoor);
}

/* --- life ------------------------------------------------------------------------------------------------ */

static void on_report_time(void *arg)
{
    struct node *node = arg;
    node_print_report(node);
    clock_timer_set(node->ports.clock, node->report_timer, (uint64_t)node->config.status_interval_s * 1000);
}

/* What we last said of our load is not so any more. */
static bool load_changed(const struct node *node)
{
    const struct node_record *said = &roster_self(node->roster)->record;
    if (!node->shards)
        return false;
    struct engine_load load = node->ports.compute->ops->look(node->ports.compute->self);
    return load.n_sequences != said->n_sequences || load.n_queued != said->n_queued;
}

static void on_host_time(void *arg)
{
    struct node *node = arg;
    struct node_host before = node->host;
    node->ports.look_at_host(&node->host);
    uint64_t change = before.ram_free > node->host.ram_free ? before.ram_free - node->host.ram_free
                                                            : node->host.ram_free - before.ram_free;
    if (change > node->host.ram_total / 50 || load_changed(node) || node_findings_are_old(node))
        roster_touch(node->roster);
    node_changed(node); /* waits grow long: findings change with time */
    clock_timer_set(node->ports.clock, node->host_timer, HOST_LOOK_MS / 3);
}

static void on_known_read(void *ctx, enum status status, struct bytes content, const struct error *err)
{
    struct node *node = ctx;
    (void)err;
    if (!status)
        discovery_take_known(node->discovery, content);
}

static void join(struct node *node)
{
    if (node->joined)
        return;
    node->joined = true;
    timeline_add(node->timeline, clock_ms(node->ports.clock), &node->self, -1, "joining");
    timeline_own_stage(node->timeline, clock_ms(node->ports.clock), "joined", TIMELINE_JOINED_MS);
    if (node->shards)
        shards_joined(node->shards);
    discovery_join(node->discovery);
    node_changed(node);
}

static void on_join_time(void *arg)
{
    join(arg); /* local shards take longer: join without them */
}

static void make_discovery(struct node *node)
{
    const struct node_config *c = &node->config;
    struct discovery_config config = {.pair = c->pair,
                                      .keys = node->keys,
                                      .epoch = c->epoch,
                                      .role = c->role,
                                      .n_addresses = c->n_addresses,
                                      .n_entries = c->n_entries,
                                      .n_peers = c->n_peers,
                                      .refresh_s = c->refresh_interval_s};
    snprintf(config.cluster, sizeof config.cluster, "%s", c->credentials->cluster);
    memcpy(config.addresses, c->addresses, sizeof config.addresses);
    memcpy(config.entries, c->entries, sizeof config.entries);
    memcpy(config.peers, c->peers, sizeof config.peers);
    node->discovery = discovery_new(node->ports.clock, &node->ports.links, node->ports.agent, node->roster,
                                    &config, on_changed, node);
}

static void make_shards(struct node *node)
{
    const struct node_config *c = &node->config;
    if (!node->ports.compute || c->role == ROLE_ENTRY)
        return;
    struct shards_config config = {.self = node->self,
                                   .dir = c->shards_dir,
                                   .place = c->shards_place,
                                   .fetch_allowed = c->fetch_allowed,
                                   .ids = c->shard_ids,
                                   .n_ids = c->n_shard_ids,
                                   .n_expected = c->n_shards_expected,
                                   .print_lines = c->print_lines,
                                   .seed = c->epoch,
                                   .memory_free = memory_free};
    memcpy(config.salt, node->keys.torrent.bytes, sizeof config.salt);
    shards_create(&node->shards, &config, node->ports.clock, node->ports.disk, node->ports.compute,
                  node->ports.agent, node_shards_events(), node);
}

static uint64_t need_of_shard(void *ctx, uint32_t id)
{
    const struct node *node = ctx;
    return node->manifest ? node->manifest->shards[id].bytes + node->manifest->shards[id].bytes / 8 : 0;
}

struct node *node_new(const struct node_config *config, const struct node_ports *ports)
{
    static const struct roster_events roster_events = {.fill = on_fill, .changed = node_on_roster_changed};
    static const struct readiness_events readiness_events = {.changed = on_changed};
    struct node *node = mem_new(sizeof *node);
    node->config = *config;
    node->ports = *ports;
    node->config.shard_ids = mem_copy(config->shard_ids, config->n_shard_ids * sizeof *config->shard_ids);
    node->started_ms = clock_ms(ports->clock);
    credentials_derive(&node->keys, config->credentials);
    memcpy(node->self.bytes, config->pair->public_key.bytes, sizeof node->self.bytes);
    ports->look_at_host(&node->host);
    node->settle_timer = clock_timer_new(ports->clock, on_settle, node);
    node->report_timer = clock_timer_new(ports->clock, on_report_time, node);
    node->host_timer = clock_timer_new(ports->clock, on_host_time, node);
    node->join_timer = clock_timer_new(ports->clock, on_join_time, node);
    node->timeline = timeline_new(node->started_ms, &node->self);
    node->memory = verdict_memory_new();
    node->log = verdict_log_new();
    node->roster =
        roster_new(ports->clock, &node->ports.links, config->pair, config->epoch, &roster_events, node);
    node->commands = commands_new(ports->clock, &node->ports.links, &node->self);
    struct manifests_config manifests = {.shards_dir = config->shards_dir,
                                         .shards_place = config->shards_place,
                                         .state_dir = config->state_dir,
                                         .owner = config->credentials->owner,
                                         .arithmetic = config->arithmetic};
    node->manifests =
        manifests_new(ports->clock, ports->disk, node->commands, node->roster, &manifests, on_changed, node);
    node->told = told_new(ports->clock, node->commands, node->roster, config->print_lines);
    node->pipeline =
        pipeline_new(ports->clock, &node->ports.links, ports->compute, config->pair, config->epoch);
    node->readiness =
        readiness_new(ports->clock, &node->ports.links, node->roster, node->pipeline, &readiness_events, node);
    make_discovery(node);
    make_shards(node);
    if (config->role == ROLE_SERVE) {
        node->frontdoor =
            frontdoor_new(ports->clock, node->pipeline, node->readiness, config->n_slots, &node->self);
        node->coordinator = coordinator_new(ports->clock, node->commands, node->roster, need_of_shard, node);
    }
    node_handle_commands(node);
    return node;
}

void node_start(struct node *node)
{
    node->started = true;
    char *known = mem_format("%s/%s", node->config.state_dir, KNOWN_FILE);
    (void)node->ports.disk->ops->read(node->ports.disk->self, known, KNOWN_MAX, on_known_read, node);
    mem_free(known);
    manifests_start(node->manifests);
    if (node->shards)
        shards_start(node->shards);
    clock_timer_set(node->ports.clock, node->join_timer, SHARDS_SETTLE_MS);
    clock_timer_set(node->ports.clock, node->report_timer, (uint64_t)node->config.status_interval_s * 1000);
    clock_timer_set(node->ports.clock, node->host_timer, HOST_LOOK_MS / 3);
    node_changed(node);
}

static void on_stop_time(void *arg)
{
    struct node *node = arg;
    node->on_stopped(node->stopped_ctx);
}

static void on_known_written(void *ctx, enum status status, const struct error *err)
{
    (void)ctx;
    if (status)
        log_warn("the list of known peers cannot be kept: %s", err->text);
}

void node_stop(struct node *node, void (*on_stopped)(void *ctx), void *ctx)
{
    if (node->stopping)
        return;
    node->stopping = true;
    node->on_stopped = on_stopped;
    node->stopped_ctx = ctx;
    discovery_leave(node->discovery);
    char *text = discovery_known_text(node->discovery),
         *path = mem_format("%s/%s", node->config.state_dir, KNOWN_FILE);
    (void)node->ports.disk->ops->write(node->ports.disk->self, path, bytes_of_text(text), on_known_written,
                                       node);
    mem_free(path);
    mem_free(text);
    node->stop_timer = clock_timer_new(node->ports.clock, on_stop_time, node);
    clock_timer_set(node->ports.clock, node->stop_timer, STOP_GRACE_MS);
}

void node_free(struct node *node)
{
    if (!node)
        return;
    const struct clock *clock = node->ports.clock;
    frontdoor_free(node->frontdoor);
    coordinator_free(node->coordinator);
    readiness_free(node->readiness);
    shards_free(node->shards);
    commands_free(node->commands);
    told_free(node->told);
    manifests_free(node->manifests);
    pipeline_free(node->pipeline);
    discovery_free(node->discovery);
    roster_free(node->roster);
    clock_timer_free(clock, node->settle_timer);
    clock_timer_free(clock, node->report_timer);
    clock_timer_free(clock, node->host_timer);
    clock_timer_free(clock, node->join_timer);
    clock_timer_free(clock, node->stop_timer);
    timeline_free(node->timeline);
    verdict_memory_free(node->memory);
    verdict_log_free(node->log);
    verdict_free(&node->verdict);
    for (uint32_t i = 0; i < node->n_own_findings; i++) {
        mem_free(node->own_findings[i].cause);
        mem_free(node->own_findings[i].action);
    }
    crypto_wipe(&node->keys, sizeof node->keys);
    mem_free(node->config.shard_ids);
    mem_free(node);
}
