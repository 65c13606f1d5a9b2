/* One node's roster and the others it hears of: their records are signed by keys of their own and fed in. */
#ifndef TEST_SWARM_RIG_H
#define TEST_SWARM_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "model/manifest.h"
#include "sim/fake_links.h"
#include "swarm/roster.h"

#include <stdio.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wunused-function" /* no test needs all helpers */

#define RIG_NODES 8 /* the first is this process */

struct rig {
    struct fake_clock clock;
    struct fake_net net;
    struct fake_links links[RIG_NODES];
    struct key_pair pairs[RIG_NODES];
    struct node_record says[RIG_NODES]; /* what each will publish */
    struct roster *roster;
    struct manifest *manifest;
};

static void rig_fill(void *ctx, struct node_record *own)
{
    struct rig *rig = ctx;
    struct node_record copy;
    record_copy(&copy, &rig->says[0]);
    copy.id = own->id;
    copy.epoch = own->epoch;
    copy.version = own->version;
    record_free(own);
    *own = copy;
}

static void rig_changed(void *ctx, const struct roster_entry *entry)
{
    (void)ctx;
    (void)entry;
}

static void rig_on_up(void *ctx, const struct link_info *info)
{
    roster_on_up(((struct rig *)ctx)->roster, &info->hello.id);
}

static void rig_on_down(void *ctx, const struct link_info *last, enum link_fault fault, const char *text)
{
    (void)text;
    roster_on_down(((struct rig *)ctx)->roster, last, fault);
}

static void rig_on_frame(void *ctx, const struct node_id *peer, enum frame_kind kind, struct bytes payload)
{
    (void)ctx;
    (void)peer;
    (void)kind;
    (void)payload;
}

static struct sha256 rig_hash(const char *what)
{
    return sha256_of(what, strlen(what));
}

static void rig_new(struct rig *rig, uint32_t n_shards)
{
    static const struct links_events link_events = {
        .on_up = rig_on_up, .on_down = rig_on_down, .on_frame = rig_on_frame};
    static const struct roster_events events = {.fill = rig_fill, .changed = rig_changed};
    memset(rig, 0, sizeof *rig);
    assert_int_equal(crypto_start(NULL), STATUS_OK);
    fake_clock_init(&rig->clock);
    fake_net_init(&rig->net, &rig->clock);
    for (int i = 0; i < RIG_NODES; i++) {
        struct node_record *r = &rig->says[i];
        memcpy(r->kv, "f16", 4);
        key_pair_new(&rig->pairs[i]);
        memcpy(r->id.bytes, rig->pairs[i].public_key.bytes, NODE_ID_BYTES);
        r->epoch = 1;
        r->role = ROLE_NODE;
        r->arithmetic = 1;
        r->has_manifest = true;
        r->fingerprint = rig_hash("model");
        snprintf(r->model, sizeof r->model, "model");
        fake_links_init(&rig->links[i], &rig->net, &r->id, i ? NULL : &link_events, rig);
    }
    rig->manifest = manifest_new(n_shards);
    snprintf(rig->manifest->name, sizeof rig->manifest->name, "model");
    rig->manifest->fingerprint = rig_hash("model");
    rig->manifest->arithmetic = 1;
    rig->manifest->n_layers = 2 * n_shards;
    rig->manifest->n_shards = n_shards;
    for (uint32_t i = 0; i < n_shards; i++) {
        rig->manifest->shards[i].id = i;
        rig->manifest->shards[i].span = (struct span){.first_layer = 2 * i, .end_layer = 2 * i + 2};
    }
    rig->roster = roster_new(&rig->clock.clock, &rig->links[0].links, &rig->pairs[0], 1, &events, rig);
    fake_clock_run(&rig->clock, 50);
}

static void rig_free(struct rig *rig)
{
    rig->links[0].events = NULL;
    fake_clock_run(&rig->clock, 100);
    roster_free(rig->roster);
    manifest_free(rig->manifest);
    for (int i = 0; i < RIG_NODES; i++)
        record_free(&rig->says[i]);
    fake_clock_free(&rig->clock);
}

static const struct node_id *rig_id(const struct rig *rig, int i)
{
    return &rig->links[i].hello.id;
}

static const struct roster_entry *rig_entry(const struct rig *rig, int i)
{
    return roster_find(rig->roster, rig_id(rig, i));
}

/* Node i says that a shard of it is so; ascending ids. The caller publishes. */
static struct record_shard *rig_shard(struct rig *rig, int i, uint32_t id, enum shard_state state)
{
    struct node_record *r = &rig->says[i];
    for (uint32_t k = 0; k < r->n_shards; k++)
        if (r->shards[k].id == id) {
            r->shards[k].state = state;
            return &r->shards[k];
        }
    r->shards = mem_resize(r->shards, r->n_shards + 1, sizeof *r->shards);
    r->shards[r->n_shards] =
        (struct record_shard){.id = id, .state = state, .assigned = ASSIGNED_EXPLICIT, .eta_s = -1};
    return &r->shards[r->n_shards++];
}

/* Node i says that it has a link to node k; rtt_us 0: not measured. */
static void rig_link(struct rig *rig, int i, int k, uint32_t rtt_us)
{
    struct node_record *r = &rig->says[i];
    r->links = mem_resize(r->links, r->n_links + 1, sizeof *r->links);
    r->links[r->n_links++] = (struct record_link){.peer = *rig_id(rig, k), .rtt_us = rtt_us};
}

/* What node i says reaches the roster. */
static void rig_publish(struct rig *rig, int i)
{
    struct buffer b;
    struct error err = {0};
    if (i == 0) {
        roster_touch(rig->roster);
        fake_clock_run(&rig->clock, 50);
        return;
    }
    rig->says[i].version++;
    rig->says[i].now_ms = clock_ms(&rig->clock.clock);
    buffer_init(&b, 0);
    record_sign(&b, &rig->says[i], &rig->pairs[i]);
    enum status status = roster_on_frame(rig->roster, rig_id(rig, i), FRAME_RECORD, buffer_view(&b), &err);
    if (status)
        fail_msg("%s", err.text);
    buffer_free(&b);
}

static void rig_up(struct rig *rig, int i)
{
    fake_net_connect(&rig->links[0], &rig->links[i]);
    fake_clock_run(&rig->clock, 20);
}

static void rig_down(struct rig *rig, int i)
{
    fake_net_cut(&rig->links[0], &rig->links[i], LINK_FAULT_CLOSED);
    fake_clock_run(&rig->clock, 20);
}

/* Node i is here and has loaded these shards. */
static void rig_holder(struct rig *rig, int i, uint32_t first, uint32_t end)
{
    for (uint32_t id = first; id < end; id++)
        rig_shard(rig, i, id, SHARD_LOADED);
    if (i)
        rig_up(rig, i);
    rig_publish(rig, i);
}

#endif
