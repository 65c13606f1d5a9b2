/* One node's shards among fakes: a model of four shards of about 500 MB, three other agents. */
#ifndef TEST_SHARDS_WORLD_H
#define TEST_SHARDS_WORLD_H

#include "base/mem.h"
#include "node/shards.h"
#include "sim/fake_agent.h"
#include "sim/fake_compute.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#pragma GCC diagnostic ignored "-Wunused-function" /* no test needs all helpers */

#define N_SHARDS    4
#define SHARD_BYTES 500000000
#define DIR         "models_cache/shards"

struct world {
    struct fake_clock clock;
    struct fake_disk disk, their_disk;
    struct fake_compute compute;
    struct fake_torrents wire;
    struct fake_agent agent, others[3];
    struct manifest *manifest;
    struct shards *shards;
    uint64_t memory_free;
    uint32_t n_changed, n_loaded, n_unloaded, n_asked_manifest;
    struct {
        uint32_t n;
        enum status status;
        char text[640];
    } done;
};

static const struct clock *clock_of(struct world *w)
{
    return &w->clock.clock;
}

static struct sha256 hash_of(const char *what, uint32_t id)
{
    char text[64];
    snprintf(text, sizeof text, "%s %u", what, id);
    return sha256_of(text, strlen(text));
}

static struct fake_content content_of(uint32_t id)
{
    struct fake_content content = {
        .sha256 = hash_of("shard", id), .self_test = hash_of("self-test", id), .bytes = SHARD_BYTES + id};
    content.header = (struct shard_file){.bytes = content.bytes,
                                         .is_shard = true,
                                         .id = id,
                                         .count = N_SHARDS,
                                         .span = {.first_layer = 2 * id, .end_layer = 2 * id + 2},
                                         .fingerprint = hash_of("model", 0)};
    return content;
}

static struct agent_key torrent_key(uint32_t id)
{
    struct agent_key key;
    struct sha256 hash = hash_of("shard", id);
    memcpy(key.bytes, hash.bytes, sizeof key.bytes);
    return key;
}

static struct fake_content content_of_torrent(void *ctx, const struct agent_key *key)
{
    (void)ctx;
    for (uint32_t id = 0; id < N_SHARDS; id++) {
        struct agent_key mine = torrent_key(id);
        if (memcmp(&mine, key, sizeof mine) == 0)
            return content_of(id);
    }
    fail_msg("a torrent of no shard");
    return (struct fake_content){0};
}

static struct manifest *make_manifest(void)
{
    struct manifest *m = manifest_new(N_SHARDS);
    snprintf(m->name, sizeof m->name, "tiny");
    m->n_layers = 2 * N_SHARDS;
    m->fingerprint = hash_of("model", 0);
    for (uint32_t id = 0; id < N_SHARDS; id++) {
        struct manifest_shard *s = &m->shards[id];
        struct fake_content content = content_of(id);
        s->id = id;
        snprintf(s->file, sizeof s->file, "shard-%u.gguf", id);
        s->bytes = content.bytes;
        s->sha256 = content.sha256;
        s->self_test = content.self_test;
        s->span = content.header.span;
        s->piece_bytes = 1 << 29;
        s->n_pieces = 1;
        s->pieces = mem_array(1, sizeof *s->pieces);
    }
    return m;
}

static void on_changed(void *ctx)
{
    ((struct world *)ctx)->n_changed++;
}

static void on_loaded(void *ctx, uint32_t id)
{
    struct world *w = ctx;
    assert_true(shards_is_loaded(w->shards, id));
    w->n_loaded++;
}

static void on_unloaded(void *ctx, uint32_t id)
{
    struct world *w = ctx;
    assert_false(shards_is_loaded(w->shards, id));
    w->n_unloaded++;
}

static void on_need_manifest(void *ctx)
{
    ((struct world *)ctx)->n_asked_manifest++;
}

static uint64_t memory_free_of(void *ctx)
{
    struct world *w = ctx;
    uint64_t used = shards_memory_used(w->shards);
    return w->memory_free > used ? w->memory_free - used : 0;
}

static void on_torrent(void *ctx, const struct agent_torrent_status *status)
{
    shards_on_torrent(((struct world *)ctx)->shards, status);
}

static void on_torrent_peer(void *ctx, const struct agent_torrent_peer *peer)
{
    shards_on_torrent_peer(((struct world *)ctx)->shards, peer);
}

static void on_torrent_error(void *ctx, const struct agent_key *id, const char *text)
{
    shards_on_torrent_error(((struct world *)ctx)->shards, id, text);
}

static void on_done(void *ctx, uint32_t id, enum status status, const char *text)
{
    struct world *w = ctx;
    (void)id;
    w->done.n++;
    w->done.status = status;
    snprintf(w->done.text, sizeof w->done.text, "%s", text);
}

struct world_options {
    uint32_t ids[N_SHARDS + 1], n_ids;
    bool no_fetch, print_lines, no_manifest;
};

/* The world without files; world_start makes the shards. */
static struct world *world_new(void)
{
    static const struct agent_events events = {
        .on_torrent = on_torrent, .on_torrent_peer = on_torrent_peer, .on_torrent_error = on_torrent_error};
    struct world *w = mem_new(sizeof *w);
    fake_clock_init(&w->clock);
    fake_disk_init(&w->disk, &w->clock);
    fake_disk_init(&w->their_disk, &w->clock);
    fake_compute_init(&w->compute, &w->clock, &w->disk);
    fake_agent_init(&w->agent, &w->clock, &w->disk, &w->wire, "192.0.2.1", 7401);
    w->agent.events = &events;
    w->agent.ctx = w;
    w->agent.content_of = content_of_torrent;
    for (uint16_t i = 0; i < 3; i++) {
        char ip[46];
        snprintf(ip, sizeof ip, "192.0.2.%d", 2 + i);
        fake_agent_init(&w->others[i], &w->clock, &w->their_disk, &w->wire, ip, 7401);
    }
    w->manifest = make_manifest();
    w->memory_free = (uint64_t)64 << 30;
    return w;
}

static void world_start(struct world *w, const struct world_options *options)
{
    static const struct shards_events events = {
        .changed = on_changed, .loaded = on_loaded, .unloaded = on_unloaded, .need_manifest = on_need_manifest};
    struct shards_config config = {.dir = DIR,
                                   .fetch_allowed = !options->no_fetch,
                                   .ids = options->ids,
                                   .n_ids = options->n_ids,
                                   .print_lines = options->print_lines,
                                   .seed = 1,
                                   .memory_free = memory_free_of};
    config.self.bytes[0] = 0xaa;
    shards_create(&w->shards, &config, &w->clock.clock, &w->disk.disk, &w->compute.compute, &w->agent.agent,
                  &events, w);
    if (!options->no_manifest)
        shards_set_manifest(w->shards, w->manifest);
    shards_start(w->shards);
}

/* As most tests need it: shard 0 is ours. */
static struct world *world_with_shard_0(void)
{
    struct world *w = world_new();
    world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1});
    return w;
}

static void world_free(struct world *w)
{
    shards_free(w->shards);
    fake_agent_free(&w->agent);
    for (int i = 0; i < 3; i++)
        fake_agent_free(&w->others[i]);
    fake_compute_free(&w->compute);
    fake_disk_free(&w->disk);
    fake_disk_free(&w->their_disk);
    fake_clock_free(&w->clock);
    manifest_free(w->manifest);
    mem_free(w);
}

static void pass(struct world *w, uint64_t ms)
{
    fake_clock_run(&w->clock, ms);
}

static void put(struct world *w, const char *name, const struct fake_content *content)
{
    char path[300];
    snprintf(path, sizeof path, DIR "/%s", name);
    fake_disk_put(&w->disk, path, content);
}

static void put_shard(struct world *w, uint32_t id)
{
    char name[64];
    struct fake_content content = content_of(id);
    snprintf(name, sizeof name, "shard-%u.gguf", id);
    put(w, name, &content);
}

static enum shard_state state_of(struct world *w, uint32_t id)
{
    struct record_shard shard;
    return shards_state(w->shards, id, &shard) ? shard.state : SHARD_ABSENT;
}

static bool is_verified(struct world *w, uint32_t id)
{
    struct record_shard shard;
    return shards_state(w->shards, id, &shard) && shard.verified;
}

/* The other agents 0..n-1 have shard `id` and say so. */
static void give_sources(struct world *w, uint32_t id, const int *which, uint32_t n)
{
    struct shard_source sources[3] = {0};
    for (uint32_t i = 0; i < n; i++) {
        struct fake_agent *other = &w->others[which[i]];
        struct agent_key key = torrent_key(id);
        if (!fake_agent_find(other, &key))
            fake_agent_seed(other, &key);
        sources[i].node.bytes[0] = (uint8_t)(0xb0 + which[i]);
        snprintf(sources[i].ip, sizeof sources[i].ip, "%s", other->ip);
        sources[i].port = other->port;
        sources[i].is_complete = true;
    }
    shards_set_sources(w->shards, id, sources, n, 3);
}

/* The finding of this code and shard; its list lives until the next call. NULL: none. */
static const struct finding *finding_of(struct world *w, enum finding_code code, int32_t shard)
{
    static struct finding_list list;
    finding_list_free(&list);
    if (!w)
        return NULL;
    shards_explain(w->shards, &list);
    for (uint32_t i = 0; i < list.n; i++)
        if (list.items[i].code == code && list.items[i].shard == shard)
            return &list.items[i];
    return NULL;
}

static uint32_t n_findings(struct world *w, enum severity severity)
{
    struct finding_list list = {0};
    uint32_t n = 0;
    shards_explain(w->shards, &list);
    for (uint32_t i = 0; i < list.n; i++)
        n += list.items[i].severity == severity;
    finding_list_free(&list);
    return n;
}

/* The only blocker has this code, and its cause this text in it. */
static const struct finding *check_blocker(struct world *w, enum finding_code code, const char *text)
{
    const struct finding *f = finding_of(w, code, 0);
    if (!f)
        fail_msg("no %s", finding_code_name(code));
    assert_int_equal(f->severity, SEVERITY_BLOCKER);
    assert_int_equal(f->node.bytes[0], 0xaa);
    if (!strstr(f->cause, text))
        fail_msg("'%s' is not in: %s", text, f->cause);
    assert_non_null(f->action);
    assert_true(*f->action);
    assert_int_equal(n_findings(w, SEVERITY_BLOCKER), 1);
    return finding_of(w, code, 0);
}

static void check_loaded(struct world *w, uint32_t id)
{
    char text[128];
    if (!shards_is_loaded(w->shards, id)) {
        snprintf(text, sizeof text, "shard %u is %s", id, shard_state_name(state_of(w, id)));
        fail_msg("%s", text);
    }
    assert_int_equal(state_of(w, id), SHARD_LOADED);
    assert_true(w->compute.held[id].is_entered);
}

#endif
