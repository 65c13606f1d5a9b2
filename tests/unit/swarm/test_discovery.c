/* Discovery among fakes: whom it dials and announces to, what it believes, and what it says when it fails. */
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

static void on_down(void *ctx, const struct node_id *peer, enum link_fault fault, const char *text)
{
    (void)fault;
    (void)text;
    roster_on_down(((struct world *)ctx)->roster, peer);
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

/* What the other node puts into the DHT. */
static void other_announces(struct world *w, struct buffer *out, const char *cluster,
                            const char *const *addresses, uint32_t n, int64_t age_ms)
{
    int64_t now = clock_wall_ms(&w->clock.clock) - age_ms;
    struct announcement a = {.id = w->other.hello.id,
                             .epoch = 1,
                             .sequence = 7,
                             .issued_ms = now,
                             .expires_ms = now + 600000,
                             .role = ROLE_NODE,
                             .n_addresses = n};
    snprintf(a.cluster, sizeof a.cluster, "%s", cluster);
    for (uint32_t i = 0; i < n; i++)
        assert_true(address_parse(&a.addresses[i], addresses[i]));
    buffer_init(out, ANNOUNCEMENT_BYTES_MAX);
    announcement_seal(out, &a, &w->other_pair, &w->config.keys.announce);
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

/* --- joining
 * ---------------------------------------------------------------------------------------------------- */

static void nothing_happens_before_joining(void **state)
{
    struct world *w = *state;
    const uint32_t shards[] = {1};
    const char *const addresses[] = {"192.0.2.5:7405"};
    discovery_on_agent_ready(w->discovery);
    discovery_set_shards(w->discovery, NULL, 0, 4);
    discovery_set_shards(w->discovery, shards, 1, 4);
    hear(w, "test", addresses, 1, 0);
    fake_clock_run(&w->clock, 10000);
    assert_int_equal(w->self.n_wanted, 0);
    assert_int_equal(w->n_puts + w->n_listens + w->n_gets, 0);
}

static void joining_dials_announces_and_listens(void **state)
{
    struct world *w = *state;
    const uint32_t shards[] = {2, 3};
    uint8_t key[ANNOUNCEMENT_KEY_BYTES];
    discovery_set_shards(w->discovery, shards, 2, 4);
    join(w);
    assert_int_equal(w->self.n_wanted, 2);
    assert_string_equal(w->self.wanted[0].host, "entry.example");
    assert_int_equal(w->self.wanted[0].port, 7400);
    assert_string_equal(w->self.wanted[1].host, "192.0.2.3");
    assert_true(w->n_listens >= 1);
    announcement_member_key(key, &w->config.keys.lookup, "test");
    assert_true(has_key(w, key));
    for (uint32_t i = 2; i <= 3; i++) {
        announcement_shard_key(key, &w->config.keys.lookup, "test", i);
        assert_true(has_key(w, key));
    }
    announcement_shard_key(key, &w->config.keys.lookup, "test", 1);
    assert_false(has_key(w, key));
    struct announcement a;
    assert_int_equal(announcement_open(&a, bytes_of(w->puts[0].stored, w->puts[0].n), &w->config.keys.announce,
                                       clock_wall_ms(&w->clock.clock), NULL),
                     STATUS_OK);
    assert_true(node_id_equal(&a.id, &w->self.hello.id) &&
                address_equal(&a.addresses[0], &w->config.addresses[0]));
    assert_string_equal(a.cluster, "test");
}

static void announcements_are_renewed_with_a_higher_sequence(void **state)
{
    struct world *w = *state;
    struct announcement first, second;
    join(w);
    struct put before = w->puts[0];
    w->n_puts = 0;
    w->clock.wall_offset_ms -= 3600000; /* the wall clock goes back an hour */
    fake_clock_run(&w->clock, 60100);
    assert_int_equal(w->n_puts, 1);
    int64_t wall = clock_wall_ms(&w->clock.clock);
    assert_int_equal(announcement_open(&second, bytes_of(w->puts[0].stored, w->puts[0].n),
                                       &w->config.keys.announce, wall, NULL),
                     STATUS_OK);
    assert_int_equal(announcement_open(&first, bytes_of(before.stored, before.n), &w->config.keys.announce,
                                       wall + 3600000, NULL),
                     STATUS_OK);
    assert_true(second.sequence > first.sequence);
}

static void new_shards_are_announced_at_once(void **state)
{
    struct world *w = *state;
    const uint32_t shards[] = {5};
    uint8_t key[ANNOUNCEMENT_KEY_BYTES];
    join(w);
    w->n_puts = 0;
    discovery_set_shards(w->discovery, shards, 1, 8);
    announcement_shard_key(key, &w->config.keys.lookup, "test", 5);
    assert_true(has_key(w, key));
    w->n_puts = 0;
    discovery_set_shards(w->discovery, shards, 1, 8); /* no news */
    assert_int_equal(w->n_puts, 0);
}

static void it_asks_often_until_complete(void **state)
{
    struct world *w = *state;
    join(w);
    fake_clock_run(&w->clock, 20000);
    assert_in_range(w->n_gets, 9, 12); /* each 2 s */
    discovery_set_complete(w->discovery, true);
    fake_clock_run(&w->clock, DISCOVERY_ASK_MS);
    w->n_gets = 0;
    fake_clock_run(&w->clock, 60000);
    assert_in_range(w->n_gets, 5, 7); /* each 10 s */
}

static void leaving_retracts_and_is_silent(void **state)
{
    struct world *w = *state;
    const uint32_t shards[] = {2, 3};
    const char *const addresses[] = {"192.0.2.5:7405"};
    discovery_set_shards(w->discovery, shards, 2, 4);
    join(w);
    discovery_leave(w->discovery);
    assert_int_equal(w->n_retracts, 3);
    w->n_gets = w->n_puts = 0;
    fake_clock_run(&w->clock, 200000);
    hear(w, "test", addresses, 1, 0);
    assert_int_equal(w->n_gets + w->n_puts, 0);
    assert_null(other_wanted(w));
}

/* --- believing
 * -------------------------------------------------------------------------------------------------- */

static void an_announced_node_is_dialed(void **state)
{
    struct world *w = *state;
    const char *const addresses[] = {"192.0.2.5:7405", "[2001:db8::5]:7405"};
    join(w);
    hear(w, "test", addresses, 2, 0);
    assert_non_null(other_wanted(w));
    assert_int_equal(other_wanted(w)->n, 2);
    assert_int_equal(other_wanted(w)->addresses[0].port, 7405);
}

static void what_is_not_for_us_is_not_believed(void **state)
{
    struct world *w = *state;
    const char *const addresses[] = {"192.0.2.5:7405"};
    struct buffer b;
    join(w);
    hear(w, "another", addresses, 1, 0);            /* another cluster */
    hear(w, "test", addresses, 1, 600000 + 121000); /* expired */
    hear(w, "test", addresses, 1, -121000);         /* of the future */
    other_announces(w, &b, "test", addresses, 1, 0);
    b.data[b.size / 2] ^= 1; /* bent */
    discovery_on_value(w->discovery, buffer_view(&b));
    b.data[b.size / 2] ^= 1;
    b.data[0] ^= 1; /* a higher sequence outside than inside */
    discovery_on_value(w->discovery, buffer_view(&b));
    discovery_on_value(w->discovery, (struct bytes){0});
    buffer_free(&b);
    assert_null(other_wanted(w));
    discovery_on_value(w->discovery, bytes_of(w->puts[0].stored, w->puts[0].n)); /* our own */
    assert_null(fake_links_wanted(&w->self, &w->self.hello.id));
}

static void addresses_that_nobody_can_dial_are_left_out(void **state)
{
    struct world *w = *state;
    const char *const none[] = {"0.0.0.0:7405", "224.0.0.1:7405", "255.255.255.255:7405",
                                "192.0.2.5:0",  "[::]:7405",      "[ff02::1]:7405"};
    const char *const mixed[] = {"127.0.0.1:7405", "0.0.0.0:1", "192.0.2.5:7405"};
    join(w);
    hear(w, "test", none, 6, 0);
    assert_null(other_wanted(w));
    hear(w, "test", mixed, 3, 0); /* we do not listen on loopback, so that one is another machine's */
    assert_non_null(other_wanted(w));
    assert_int_equal(other_wanted(w)->n, 1);
    assert_int_equal(other_wanted(w)->addresses[0].ip[0], 192);
}

static void linked_peers_are_a_way_into_the_dht(void **state)
{
    struct world *w = *state;
    join(w);
    fake_net_connect(&w->self, &w->other);
    fake_clock_run(&w->clock, 10);
    assert_int_equal(w->n_bootstraps, 1);
    discovery_on_agent_ready(w->discovery); /* the agent was started again and knows nobody */
    assert_int_equal(w->n_bootstraps, 2);
}

/* --- known peers
 * ------------------------------------------------------------------------------------------------ */

static void known_peers_survive_a_restart(void **state)
{
    struct world *w = *state;
    join(w);
    fake_net_connect(&w->self, &w->other);
    fake_clock_run(&w->clock, 10);
    char *text = discovery_known_text(w->discovery);
    discovery_free(w->discovery);
    w->self.n_wanted = 0;
    w->discovery = discovery_new(&w->clock.clock, &w->self.links, &w->agent, w->roster, &w->config, changed, w);
    discovery_take_known(w->discovery, bytes_of_text(text));
    assert_null(other_wanted(w)); /* not before joining */
    discovery_join(w->discovery);
    assert_non_null(other_wanted(w));
    assert_true(address_equal(&other_wanted(w)->addresses[0], &w->other.address));
    mem_free(text);
}

static void a_damaged_list_of_known_peers_is_only_a_lost_hint(void **state)
{
    static const char *const texts[] = {
        "", "{", "5", "[]", "[5]", "[{\"id\":\"xy\",\"addresses\":[\"192.0.2.1:1\"]}]", "[{\"addresses\":{}}]"};
    struct world *w = *state;
    discovery_join(w->discovery);
    w->self.n_wanted = 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        discovery_take_known(w->discovery, bytes_of_text(texts[i]));
    assert_int_equal(w->self.n_wanted, 0);
}

/* --- what it says
 * ------------------------------------------------------------------------------------------------ */

static struct link_attempt attempt_at(const char *to, uint16_t port, enum link_step step, enum link_fault fault)
{
    struct link_attempt a = {
        .step = step, .fault = fault, .text = "it failed", .n_attempts = 3, .retry_in_ms = 1000};
    snprintf(a.host, sizeof a.host, "%s", to);
    assert_true(address_parse_ip(&a.address, "192.0.2.77", port));
    return a;
}

/* The first finding, or NULL; `list` is emptied before. */
static const struct finding *explain(const struct world *w, struct finding_list *list)
{
    finding_list_free(list);
    discovery_explain(w->discovery, list);
    return list->n ? &list->items[0] : NULL;
}

static void failures_are_findings(void **state)
{
    static const struct {
        const char *host;
        enum link_step step;
        enum link_fault fault;
        enum finding_code code; /* NONE: nothing to say */
    } rows[] = {
        {"entry.example", LINK_STEP_RESOLVE, LINK_FAULT_UNREACHABLE, FINDING_BOOTSTRAP_UNREACHABLE},
        {"entry.example", LINK_STEP_CONNECT, LINK_FAULT_UNREACHABLE, FINDING_BOOTSTRAP_UNREACHABLE},
        {"entry.example", LINK_STEP_HANDSHAKE, LINK_FAULT_NOT_SWARM, FINDING_BOOTSTRAP_NOT_A_SWARM_NODE},
        {"entry.example", LINK_STEP_HANDSHAKE, LINK_FAULT_WRONG_KEY, FINDING_KEY_MISMATCH},
        {"entry.example", LINK_STEP_PROTOCOL, LINK_FAULT_VERSION, FINDING_PROTOCOL_VERSION_MISMATCH},
        {"entry.example", LINK_STEP_PROTOCOL, LINK_FAULT_CLUSTER, FINDING_CLUSTER_MISMATCH},
        {"peer.example", LINK_STEP_HANDSHAKE, LINK_FAULT_WRONG_KEY, FINDING_KEY_MISMATCH},
        {"peer.example", LINK_STEP_IDENTITY, LINK_FAULT_DUPLICATE, FINDING_IDENTITY_CONFLICT},
        {"peer.example", LINK_STEP_CONNECT, LINK_FAULT_UNREACHABLE, FINDING_NONE}, /* the roster's to say */
        {"entry.example", LINK_STEP_IDENTITY, LINK_FAULT_SELF, FINDING_NONE},
    };
    struct world *w = *state;
    struct finding_list list = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct link_attempt a = attempt_at(rows[i].host, 7400, rows[i].step, rows[i].fault);
        discovery_on_failed(w->discovery, &a);
        const struct finding *f = explain(w, &list);
        if (rows[i].code == FINDING_NONE) {
            if (f)
                fail_msg("row %zu: %s", i, f->cause);
        } else {
            assert_non_null(f);
            assert_string_equal(finding_code_name(f->code), finding_code_name(rows[i].code));
            assert_int_equal(f->severity, SEVERITY_BLOCKER); /* we are alone */
            assert_true(strstr(f->cause, rows[i].host) && strstr(f->cause, "it failed") &&
                        strstr(f->cause, "3 attempts") && f->action[0]);
            assert_string_equal(jv_get_text(f->evidence, "step", ""), link_step_name(rows[i].step));
        }
        fake_clock_run(&w->clock, 60000); /* it grows stale */
        assert_null(explain(w, &list));
    }
    finding_list_free(&list);
}

static void seen_by_others_it_is_a_warning(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    struct link_attempt a = attempt_at("entry.example", 7400, LINK_STEP_CONNECT, LINK_FAULT_UNREACHABLE);
    fake_net_connect(&w->self, &w->other);
    fake_clock_run(&w->clock, 100);
    discovery_on_failed(w->discovery, &a);
    const struct finding *f = explain(w, &list);
    assert_int_equal(f->code, FINDING_BOOTSTRAP_UNREACHABLE);
    assert_int_equal(f->severity, SEVERITY_WARNING);
    finding_list_free(&list);
}

static void who_knocks_with_a_wrong_key_is_told_by_address(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    struct link_attempt a = attempt_at("", 50000, LINK_STEP_HANDSHAKE, LINK_FAULT_WRONG_KEY);
    a.inbound = true;
    for (uint16_t i = 0; i < 3; i++) { /* from another port each time: one finding */
        a.address.port = (uint16_t)(50000 + i);
        discovery_on_failed(w->discovery, &a);
    }
    const struct finding *f = explain(w, &list);
    assert_int_equal(list.n, 1);
    assert_int_equal(f->code, FINDING_KEY_MISMATCH);
    assert_true(node_id_is_zero(&f->node));
    assert_int_equal(f->severity, SEVERITY_WARNING);
    assert_non_null(strstr(f->cause, "192.0.2.77"));
    assert_null(strstr(f->cause, "5000"));
    finding_list_free(&list);
}

static void a_link_that_comes_up_ends_its_failure(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    struct link_attempt a = attempt_at("entry.example", 7400, LINK_STEP_CONNECT, LINK_FAULT_UNREACHABLE);
    a.address = w->other.address;
    discovery_on_failed(w->discovery, &a);
    assert_non_null(explain(w, &list));
    fake_net_connect(&w->self, &w->other);
    fake_clock_run(&w->clock, 100);
    assert_null(explain(w, &list));
    finding_list_free(&list);
}

static void failures_of_a_thousand_addresses_stay_bounded(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    for (uint32_t i = 0; i < 1000; i++) {
        struct link_attempt a = attempt_at("", 7400, LINK_STEP_HANDSHAKE, LINK_FAULT_WRONG_KEY);
        a.inbound = true;
        a.address.ip[2] = (uint8_t)(i >> 8);
        a.address.ip[3] = (uint8_t)i;
        discovery_on_failed(w->discovery, &a);
        fake_clock_run(&w->clock, 1);
    }
    explain(w, &list);
    assert_in_range(list.n, 1, 64);
    bool has_last = false;
    for (uint32_t i = 0; i < list.n; i++)
        has_last |= strstr(list.items[i].cause, "192.0.3.231") != NULL;
    assert_true(has_last);
    finding_list_free(&list);
}

static void the_agents_end_is_a_warning(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    join(w);
    discovery_on_crashed(w->discovery, "signal 11 (Segmentation fault)", 4000, 2);
    const struct finding *f = explain(w, &list);
    assert_int_equal(f->code, FINDING_AGENT_CRASHED);
    assert_int_equal(f->severity, SEVERITY_WARNING);
    assert_true(strstr(f->cause, "signal 11") && strstr(f->cause, "2 times") && strstr(f->cause, "4.0 s"));
    assert_in_range(f->eta_s, 4, 5);
    discovery_on_agent_ready(w->discovery);
    assert_null(explain(w, &list));
    finding_list_free(&list);
}

static void an_announcement_that_nobody_holds_is_told(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    join(w);
    discovery_on_announced(w->discovery, true, 0);
    fake_clock_run(&w->clock, 6000);
    assert_null(explain(w, &list)); /* alone, nobody could */
    fake_net_connect(&w->self, &w->other);
    fake_clock_run(&w->clock, 100);
    const struct finding *f = explain(w, &list);
    assert_int_equal(f->code, FINDING_ANNOUNCE_UNACKNOWLEDGED);
    discovery_on_announced(w->discovery, true, 3);
    assert_null(explain(w, &list));
    finding_list_free(&list);
}

static void clocks_that_differ_are_told(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    w->other.skew_ms = 61000;
    fake_net_connect(&w->self, &w->other);
    fake_clock_run(&w->clock, 100);
    const struct finding *f = explain(w, &list);
    assert_int_equal(f->code, FINDING_CLOCK_SKEW);
    assert_true(node_id_equal(&f->node, &w->other.hello.id));
    assert_non_null(strstr(f->cause, "61 s ahead of ours"));
    w->other.skew_ms = -90000;
    assert_non_null(strstr(explain(w, &list)->cause, "90 s behind ours"));
    w->other.skew_ms = 59000;
    assert_null(explain(w, &list));
    finding_list_free(&list);
}

static void refused_datagrams_are_counted(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    discovery_on_dht(w->discovery, 3, 17);
    const struct finding *f = explain(w, &list);
    assert_int_equal(f->code, FINDING_SECURITY_REFUSED);
    assert_int_equal(f->severity, SEVERITY_INFO);
    assert_int_equal(jv_get_int(f->evidence, "datagrams", 0), 17);
    finding_list_free(&list);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        T(nothing_happens_before_joining),
        T(joining_dials_announces_and_listens),
        T(announcements_are_renewed_with_a_higher_sequence),
        T(new_shards_are_announced_at_once),
        T(it_asks_often_until_complete),
        T(leaving_retracts_and_is_silent),
        T(an_announced_node_is_dialed),
        T(what_is_not_for_us_is_not_believed),
        T(addresses_that_nobody_can_dial_are_left_out),
        T(linked_peers_are_a_way_into_the_dht),
        T(known_peers_survive_a_restart),
        T(a_damaged_list_of_known_peers_is_only_a_lost_hint),
        T(failures_are_findings),
        T(seen_by_others_it_is_a_warning),
        T(who_knocks_with_a_wrong_key_is_told_by_address),
        T(a_link_that_comes_up_ends_its_failure),
        T(failures_of_a_thousand_addresses_stay_bounded),
        T(the_agents_end_is_a_warning),
        T(an_announcement_that_nobody_holds_is_told),
        T(clocks_that_differ_are_told),
        T(refused_datagrams_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
