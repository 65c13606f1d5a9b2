/* Discovery among fakes: a node's discovery, an agent that remembers what it was told, and another node. */
#ifndef TEST_DISCOVERY_RIG_H
#define TEST_DISCOVERY_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "sim/fake_links.h"
#include "swarm/discovery.h"
#include "wire/announcement.h"

#include <stdio.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wunused-function" /* no test needs all helpers */

struct put {
    struct agent_key key;
    uint64_t value_id;
    uint8_t stored[ANNOUNCEMENT_BYTES_MAX];
    size_t n;
};

struct world {
    struct fake_clock clock;
    struct fake_net net;
    struct fake_links self, other;
    struct key_pair pair, other_pair;
    struct roster *roster;
    struct agent agent;
    struct discovery_config config;
    struct discovery *discovery;
    struct finding_list findings;
    uint32_t n_listens, n_gets, n_retracts, n_bootstraps, n_changed;
    struct put puts[8];
    uint32_t n_puts;
};

/* --- an agent that remembers what it was told
 * ----------------------------------------------------------------- */

static void agent_take_bootstrap(void *self, const struct address *address)
{
    assert_true(address->family && address->port);
    ((struct world *)self)->n_bootstraps++;
}

static void agent_take_announce(void *self, const struct agent_key *key, uint64_t value_id, struct bytes stored)
{
    struct world *w = self;
    struct put *put = &w->puts[w->n_puts++ % 8];
    put->key = *key;
    put->value_id = value_id;
    put->n = stored.size;
    assert_true(stored.size <= sizeof put->stored);
    memcpy(put->stored, stored.data, stored.size);
}

static void agent_take_retract(void *self, const struct agent_key *key, uint64_t value_id)
{
    struct world *w = self;
    (void)key;
    assert_true(value_id == announcement_value_id(&w->self.hello.id));
    w->n_retracts++;
}

static void agent_take_listen(void *self, const struct agent_key *key)
{
    (void)key;
    ((struct world *)self)->n_listens++;
}

static void agent_take_get(void *self, const struct agent_key *key)
{
    (void)key;
    ((struct world *)self)->n_gets++;
}

static const struct agent_ops agent_ops = {.bootstrap = agent_take_bootstrap,
                                           .announce = agent_take_announce,
                                           .retract = agent_take_retract,
                                           .listen = agent_take_listen,
                                           .get = agent_take_get};

/* --- the world
 * -------------------------------------------------------------------------------------------------- */

static void fill(void *ctx, struct node_record *own)
{
    (void)ctx;
    (void)own;
}

static void roster_changed(void *ctx, const struct roster_entry *entry)
{
    (void)ctx;
    (void)entry;
}

static void changed(void *ctx)
{
    ((struct world *)ctx)->n_changed++;
}

static void on_up(void *ctx, const struct link_info *info)
{
    struct world *w = ctx;
    roster_on_up(w->roster, &info->hello.id);
    discovery_on_up(w->discovery, info);
}

static void on_down(void *ctx, const struct link_info *last, enum link_fault fault, const char *text)
{
    (void)text;
    roster_on_down(((struct world *)ctx)->roster, last, fault);
}

static void on_frame(void *ctx, const struct node_id *peer, enum frame_kind kind, struct bytes payload)
{
    (void)ctx;
    (void)peer;
    (void)kind;
    (void)payload;
}

static void host(struct discovery_host *out, const char *name, uint16_t port)
{
    snprintf(out->host, sizeof out->host, "%s", name);
    out->port = port;
}

static int begin(void **state)
{
    static const struct links_events link_events = {.on_up = on_up, .on_down = on_down, .on_frame = on_frame};
    static const struct roster_events events = {.fill = fill, .changed = roster_changed};
    struct world *w = mem_new(sizeof *w);
    struct node_id id;
    assert_int_equal(crypto_start(NULL), STATUS_OK);
    fake_clock_init(&w->clock);
    fake_net_init(&w->net, &w->clock);
    key_pair_new(&w->pair);
    key_pair_new(&w->other_pair);
    memcpy(id.bytes, w->pair.public_key.bytes, sizeof id.bytes);
    fake_links_init(&w->self, &w->net, &id, &link_events, w);
    memcpy(id.bytes, w->other_pair.public_key.bytes, sizeof id.bytes);
    fake_links_init(&w->other, &w->net, &id, NULL, NULL);
    w->roster = roster_new(&w->clock.clock, &w->self.links, &w->pair, 1, &events, w);
    w->agent = (struct agent){.ops = &agent_ops, .self = w};
    w->config = (struct discovery_config){.pair = &w->pair, .epoch = 1, .role = ROLE_NODE, .refresh_s = 60};
    snprintf(w->config.cluster, sizeof w->config.cluster, "test");
    w->config.keys.announce.bytes[0] = 1;
    w->config.keys.lookup.bytes[0] = 2;
    assert_true(address_parse(&w->config.addresses[0], "192.0.2.9:7409"));
    w->config.n_addresses = 1;
    host(&w->config.entries[0], "entry.example", 7400);
    w->config.n_entries = 1;
    host(&w->config.peers[0], "192.0.2.3", 7403);
    w->config.n_peers = 1;
    w->discovery = discovery_new(&w->clock.clock, &w->self.links, &w->agent, w->roster, &w->config, changed, w);
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    w->self.events = NULL;
    fake_clock_run(&w->clock, 100);
    finding_list_free(&w->findings);
    discovery_free(w->discovery);
    roster_free(w->roster);
    fake_clock_free(&w->clock);
    mem_free(w);
    return 0;
}

static void join(struct world *w)
{
    discovery_on_agent_ready(w->discovery);
    discovery_join(w->discovery);
}

/* What somebody puts into the DHT. */
static void seal_of(struct world *w, struct buffer *out, const struct key_pair *pair, uint64_t sequence,
                    const char *cluster, const char *const *addresses, uint32_t n, int64_t age_ms)
{
    int64_t now = clock_wall_ms(&w->clock.clock) - age_ms;
    struct announcement a = {.epoch = 1,
                             .sequence = sequence,
                             .issued_ms = now,
                             .expires_ms = now + 600000,
                             .role = ROLE_NODE,
                             .n_addresses = n};
    memcpy(a.id.bytes, pair->public_key.bytes, sizeof a.id.bytes);
    snprintf(a.cluster, sizeof a.cluster, "%s", cluster);
    for (uint32_t i = 0; i < n; i++)
        assert_true(address_parse(&a.addresses[i], addresses[i]));
    buffer_init(out, ANNOUNCEMENT_BYTES_MAX);
    announcement_seal(out, &a, pair, &w->config.keys.announce);
}

static void other_announces(struct world *w, struct buffer *out, const char *cluster,
                            const char *const *addresses, uint32_t n, int64_t age_ms)
{
    seal_of(w, out, &w->other_pair, 7, cluster, addresses, n, age_ms);
}

static void hear_of(struct world *w, const struct key_pair *pair, uint64_t sequence, const char *address)
{
    struct buffer b;
    seal_of(w, &b, pair, sequence, "test", &address, 1, 0);
    discovery_on_value(w->discovery, buffer_view(&b));
    buffer_free(&b);
}

static const struct fake_wanted *wanted(const struct world *w, const struct key_pair *pair)
{
    struct node_id id;
    memcpy(id.bytes, pair->public_key.bytes, sizeof id.bytes);
    return fake_links_wanted(&w->self, &id);
}

static void hear(struct world *w, const char *cluster, const char *const *addresses, uint32_t n, int64_t age_ms)
{
    struct buffer b;
    other_announces(w, &b, cluster, addresses, n, age_ms);
    discovery_on_value(w->discovery, buffer_view(&b));
    buffer_free(&b);
}

static const struct fake_wanted *other_wanted(const struct world *w)
{
    return fake_links_wanted(&w->self, &w->other.hello.id);
}

static bool has_key(const struct world *w, const uint8_t key[ANNOUNCEMENT_KEY_BYTES])
{
    for (uint32_t i = 0; i < w->n_puts && i < 8; i++)
        if (memcmp(w->puts[i].key.bytes, key, ANNOUNCEMENT_KEY_BYTES) == 0)
            return true;
    return false;
}

/* The finding with this code, or NULL; lent until the next call. */
static const struct finding *says(struct world *w, enum finding_code code)
{
    finding_list_free(&w->findings);
    discovery_explain(w->discovery, &w->findings);
    for (uint32_t i = 0; i < w->findings.n; i++)
        if (w->findings.items[i].code == code)
            return &w->findings.items[i];
    return NULL;
}

#endif
