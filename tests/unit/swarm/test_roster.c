/* The roster among fakes: what one node says reaches all, also when a push is lost; who is alive follows from
 * links; what another forged or bent is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "sim/fake_links.h"
#include "swarm/roster.h"

#include <stdio.h>
#include <string.h>

#define N_NODES 4

struct node {
    struct world *world;
    struct key_pair pair;
    struct fake_links links;
    struct roster *roster;
    char model[32]; /* what it says in its record */
    uint32_t n_changed;
};

struct world {
    struct fake_clock clock;
    struct fake_net net;
    struct node nodes[N_NODES];
    struct error err; /* of the last frame that was refused */
    enum status refused;
};

static void fill(void *ctx, struct node_record *own)
{
    struct node *node = ctx;
    snprintf(own->model, sizeof own->model, "%s", node->model);
}

static void changed(void *ctx, const struct roster_entry *entry)
{
    struct node *node = ctx;
    (void)entry;
    node->n_changed++;
}

static void on_up(void *ctx, const struct link_info *info)
{
    roster_on_up(((struct node *)ctx)->roster, &info->hello.id);
}

static void on_down(void *ctx, const struct link_info *last, enum link_fault fault, const char *text)
{
    (void)text;
    roster_on_down(((struct node *)ctx)->roster, last, fault);
}

static void on_frame(void *ctx, const struct node_id *peer, enum frame_kind kind, struct bytes payload)
{
    struct node *node = ctx;
    enum status status = roster_on_frame(node->roster, peer, kind, payload, &node->world->err);
    if (status)
        node->world->refused = status;
}

static const struct links_events link_events = {.on_up = on_up, .on_down = on_down, .on_frame = on_frame};
static const struct roster_events roster_events = {.fill = fill, .changed = changed};

static void start(struct node *node, uint64_t epoch)
{
    node->roster =
        roster_new(&node->world->clock.clock, &node->links.links, &node->pair, epoch, &roster_events, node);
}

static int begin(void **state)
{
    struct world *w = mem_new(sizeof *w);
    assert_int_equal(crypto_start(NULL), STATUS_OK);
    fake_clock_init(&w->clock);
    fake_net_init(&w->net, &w->clock);
    for (int i = 0; i < N_NODES; i++) {
        struct node *node = &w->nodes[i];
        struct node_id id;
        node->world = w;
        key_pair_new(&node->pair);
        memcpy(id.bytes, node->pair.public_key.bytes, sizeof id.bytes);
        fake_links_init(&node->links, &w->net, &id, &link_events, node);
        snprintf(node->model, sizeof node->model, "m%d", i);
        start(node, 1);
    }
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < N_NODES; i++)
        w->nodes[i].links.events = NULL;
    fake_clock_run(&w->clock, 100); /* what is on its way lands nowhere */
    for (int i = 0; i < N_NODES; i++)
        roster_free(w->nodes[i].roster);
    fake_clock_free(&w->clock);
    mem_free(w);
    return 0;
}

static void connect_pair(struct world *w, int a, int b)
{
    fake_net_connect(&w->nodes[a].links, &w->nodes[b].links);
}

static void cut(struct world *w, int a, int b)
{
    fake_net_cut(&w->nodes[a].links, &w->nodes[b].links, LINK_FAULT_CLOSED);
}

static const struct node_id *id_of(const struct world *w, int i)
{
    return &w->nodes[i].links.hello.id;
}

/* What node `at` knows of `of`. */
static const struct roster_entry *seen(const struct world *w, int at, int of)
{
    return roster_find(w->nodes[at].roster, id_of(w, of));
}

static bool says(const struct world *w, int at, int of, const char *model)
{
    const struct roster_entry *entry = seen(w, at, of);
    return entry && strcmp(entry->record.model, model) == 0;
}

static void say(struct world *w, int i, const char *model)
{
    snprintf(w->nodes[i].model, sizeof w->nodes[i].model, "%s", model);
    roster_touch(w->nodes[i].roster);
}

/* --- tests -------------------------------------------------------------------------------------------------
 */

static void a_new_roster_knows_itself(void **state)
{
    struct world *w = *state;
    fake_clock_run(&w->clock, 50);
    const struct roster_entry *self = roster_self(w->nodes[0].roster);
    assert_int_equal(roster_count(w->nodes[0].roster), 1);
    assert_true(self->is_self && self->alive && !self->linked);
    assert_true(node_id_equal(&self->record.id, id_of(w, 0)));
    assert_string_equal(self->record.model, "m0");
    assert_int_equal(self->record.epoch, 1);
    assert_true(self->record.version >= 1);
}

static void a_change_is_pushed_at_once(void **state)
{
    struct world *w = *state;
    connect_pair(w, 0, 1);
    fake_clock_run(&w->clock, 100);
    assert_true(says(w, 1, 0, "m0") && says(w, 0, 1, "m1"));
    assert_true(seen(w, 1, 0)->linked && seen(w, 1, 0)->alive);
    say(w, 0, "changed");
    fake_clock_run(&w->clock, ROSTER_PUSH_MS + 5); /* far from the next digest */
    assert_true(says(w, 1, 0, "changed"));
}

static void changes_of_one_moment_travel_together(void **state)
{
    struct world *w = *state;
    connect_pair(w, 0, 1);
    fake_clock_run(&w->clock, 100);
    uint64_t version = roster_self(w->nodes[0].roster)->record.version;
    for (int i = 0; i < 20; i++)
        say(w, 0, "many");
    fake_clock_run(&w->clock, 100);
    assert_int_equal(roster_self(w->nodes[0].roster)->record.version, version + 1);
}

static void digests_heal_a_lost_push(void **state)
{
    struct world *w = *state;
    connect_pair(w, 0, 1);
    fake_clock_run(&w->clock, 100);
    w->nodes[0].links.n_lose = 1;
    w->nodes[0].links.lose_kind = FRAME_RECORD;
    say(w, 0, "lost");
    fake_clock_run(&w->clock, 100);
    assert_int_equal(w->nodes[0].links.n_lose, 0); /* it went, and was lost */
    assert_true(says(w, 1, 0, "m0"));
    fake_clock_run(&w->clock, ROSTER_DIGEST_MS + 100);
    assert_true(says(w, 1, 0, "lost"));
}

static void held_pushes_are_healed_too(void **state)
{
    struct world *w = *state;
    connect_pair(w, 0, 1);
    fake_clock_run(&w->clock, 100);
    roster_hold_pushes(w->nodes[0].roster, true);
    say(w, 0, "held");
    fake_clock_run(&w->clock, 100);
    assert_true(says(w, 1, 0, "m0"));
    fake_clock_run(&w->clock, ROSTER_DIGEST_MS + 100);
    assert_true(says(w, 1, 0, "held"));
}

static void records_pass_through_a_node_between(void **state)
{
    struct world *w = *state;
    connect_pair(w, 0, 1);
    connect_pair(w, 1, 2);
    fake_clock_run(&w->clock, 2 * ROSTER_DIGEST_MS + 200);
    assert_true(says(w, 0, 2, "m2") && says(w, 2, 0, "m0"));
    assert_true(seen(w, 0, 2)->alive && !seen(w, 0, 2)->linked);
    assert_true(roster_linked(w->nodes[0].roster, id_of(w, 1), id_of(w, 2)));
    assert_false(roster_linked(w->nodes[0].roster, id_of(w, 0), id_of(w, 2)));
    assert_true(roster_linked(w->nodes[0].roster, id_of(w, 0), id_of(w, 1)));
    assert_false(roster_linked(w->nodes[0].roster, id_of(w, 0), id_of(w, 3))); /* never heard of */
}

static void alive_is_who_is_linked_or_listed_by_a_linked_peer(void **state)
{
    struct world *w = *state;
    connect_pair(w, 0, 1);
    connect_pair(w, 1, 2);
    connect_pair(w, 0, 2);
    fake_clock_run(&w->clock, ROSTER_DIGEST_MS + 200);
    cut(w, 0, 2); /* others still reach it */
    fake_clock_run(&w->clock, 100);
    assert_true(seen(w, 0, 2)->alive && !seen(w, 0, 2)->linked);
    uint32_t n_changed = w->nodes[0].n_changed;
    cut(w, 1, 2); /* now nobody does; 1 says so in its record */
    fake_clock_run(&w->clock, 100);
    assert_false(seen(w, 0, 2)->alive);
    assert_false(seen(w, 1, 2)->alive);
    assert_true(w->nodes[0].n_changed > n_changed);
    assert_true(says(w, 0, 2, "m2")); /* what it was is still known */
    connect_pair(w, 1, 2);
    fake_clock_run(&w->clock, 100);
    assert_true(seen(w, 0, 2)->alive);
}

/* Both may have gone at once: what it said before it fell silent is no proof. */
static void a_silent_witness_vouches_for_nobody_who_was_just_lost(void **state)
{
    struct world *w = *state;
    connect_pair(w, 0, 1);
    connect_pair(w, 1, 2);
    connect_pair(w, 0, 2);
    fake_clock_run(&w->clock, ROSTER_DIGEST_MS + 200);
    w->nodes[1].links.quiet_since_ms = clock_ms(&w->clock.clock);
    fake_clock_run(&w->clock, 500);
    cut(w, 0, 2);
    fake_clock_run(&w->clock, 100);
    assert_true(seen(w, 0, 2)->alive); /* 1 was heard half a second ago */
    fake_clock_run(&w->clock, ROSTER_WITNESS_MS);
    assert_false(seen(w, 0, 2)->alive);
    w->nodes[1].links.quiet_since_ms = 0;
    fake_clock_run(&w->clock, ROSTER_WITNESS_MS);
    assert_true(seen(w, 0, 2)->alive); /* it still says so */
}

/* Node 2 falls silent for nodes 0 and 1, but 1 does not notice: it was stopped, or its link is slow. */
static void a_witness_who_heard_no_more_than_we_did_vouches_for_nobody(void **state)
{
    struct world *w = *state;
    connect_pair(w, 0, 1);
    connect_pair(w, 1, 2);
    connect_pair(w, 0, 2);
    fake_clock_run(&w->clock, ROSTER_DIGEST_MS + 200);
    w->nodes[2].links.quiet_since_ms = clock_ms(&w->clock.clock);
    fake_clock_run(&w->clock, LINK_SILENT_MS);
    fake_net_cut(&w->nodes[0].links, &w->nodes[2].links, LINK_FAULT_SILENT);
    fake_clock_run(&w->clock, 100);
    assert_true(seen(w, 0, 2)->alive); /* 1 may know more, and is being asked */
    fake_clock_run(&w->clock, ROSTER_GRACE_DUMB_MS + ROSTER_GRACE_DUMB_MS / 2);
    assert_false(seen(w, 0, 2)->alive);
    fake_clock_run(&w->clock, 2 * ROSTER_TESTIFY_MS);
    assert_false(seen(w, 0, 2)->alive); /* 1 says so again, and heard nothing since */
    w->nodes[2].links.quiet_since_ms = 0;
    fake_clock_run(&w->clock, 100);
    roster_touch(w->nodes[1].roster);
    fake_clock_run(&w->clock, 100);
    assert_true(seen(w, 0, 2)->alive); /* heard later than we last did */
}

/* Only our own way to it is cut: others say so before the grace ends, and nobody sees it die in between. */
static void who_is_heard_by_others_lives_on_without_a_gap(void **state)
{
    struct world *w = *state;
    static const enum link_fault faults[] = {LINK_FAULT_SILENT, LINK_FAULT_CLOSED};
    connect_pair(w, 0, 1);
    connect_pair(w, 1, 2);
    for (size_t i = 0; i < 2; i++) {
        connect_pair(w, 0, 2);
        fake_clock_run(&w->clock, ROSTER_DIGEST_MS + 200);
        if (faults[i] == LINK_FAULT_SILENT) {
            w->nodes[2].links.quiet_since_ms = clock_ms(&w->clock.clock);
            fake_clock_run(&w->clock, LINK_SILENT_MS);
        }
        fake_net_cut(&w->nodes[0].links, &w->nodes[2].links, faults[i]);
        fake_clock_run(&w->clock, 5);         /* what 0 heard last is old ... */
        w->nodes[2].links.quiet_since_ms = 0; /* ... but 1 hears it now */
        for (uint32_t ms = 0; ms < 2 * ROSTER_TESTIFY_MS; ms += 20) {
            fake_clock_run(&w->clock, 20);
            assert_false(seen(w, 0, 2)->linked);
            assert_true(seen(w, 0, 2)->alive);
        }
    }
}

static void the_dead_are_forgotten_after_their_time(void **state)
{
    struct world *w = *state;
    connect_pair(w, 0, 1);
    fake_clock_run(&w->clock, 100);
    cut(w, 0, 1);
    fake_clock_run(&w->clock, ROSTER_FORGET_MS - 2 * ROSTER_DIGEST_MS);
    assert_non_null(seen(w, 0, 1));
    fake_clock_run(&w->clock, 4 * ROSTER_DIGEST_MS);
    assert_null(seen(w, 0, 1));
    assert_int_equal(roster_count(w->nodes[0].roster), 1);
    connect_pair(w, 0, 1); /* and may come again */
    fake_clock_run(&w->clock, 100);
    assert_true(says(w, 0, 1, "m1"));
}

static void a_restart_counts_from_a_higher_epoch(void **state)
{
    struct world *w = *state;
    connect_pair(w, 0, 1);
    fake_clock_run(&w->clock, 100);
    for (int i = 0; i < 5; i++) {
        say(w, 0, i % 2 ? "odd" : "even");
        fake_clock_run(&w->clock, 50);
    }
    uint64_t version = seen(w, 1, 0)->record.version;
    cut(w, 0, 1);
    fake_clock_run(&w->clock, 100);
    roster_free(w->nodes[0].roster);
    snprintf(w->nodes[0].model, sizeof w->nodes[0].model, "again");
    start(&w->nodes[0], 2);
    connect_pair(w, 0, 1);
    fake_clock_run(&w->clock, 100);
    assert_true(says(w, 1, 0, "again"));
    assert_true(seen(w, 1, 0)->record.version < version);
}

/* A process with our identity that was started later has come and gone: its record is newer than ours. */
static void who_outlives_a_twin_goes_on_after_its_record(void **state)
{
    struct world *w = *state;
    struct roster *first = w->nodes[0].roster;
    fake_clock_run(&w->clock, 100);
    assert_int_equal(roster_outdone_epoch(first), 0);
    snprintf(w->nodes[0].model, sizeof w->nodes[0].model, "twin");
    start(&w->nodes[0], 5);
    connect_pair(w, 0, 1);
    fake_clock_run(&w->clock, 100);
    cut(w, 0, 1);
    fake_clock_run(&w->clock, 100);
    roster_free(w->nodes[0].roster);

    w->nodes[0].roster = first;
    w->nodes[0].links.hello.epoch = 1;
    say(w, 0, "first");
    connect_pair(w, 0, 1);
    fake_clock_run(&w->clock, 3 * ROSTER_DIGEST_MS);
    assert_false(seen(w, 1, 0)->alive); /* the twin's links and shards count for nothing */
    assert_true(says(w, 1, 0, "twin")); /* an older record changes nothing */
    assert_int_equal(roster_outdone_epoch(first), 5);
    connect_pair(w, 0, 2); /* 2 had no link with the twin, and hears of it later */
    fake_clock_run(&w->clock, 3 * ROSTER_DIGEST_MS);
    assert_true(says(w, 2, 0, "first") && seen(w, 2, 0)->alive);
    connect_pair(w, 1, 2);
    fake_clock_run(&w->clock, 100);
    assert_true(says(w, 2, 0, "twin"));
    assert_false(seen(w, 2, 0)->alive);
    roster_renew(first, 6);
    fake_clock_run(&w->clock, 100);
    assert_true(says(w, 2, 0, "first") && seen(w, 2, 0)->alive);
    assert_true(says(w, 1, 0, "first"));
    assert_true(seen(w, 1, 0)->alive);
    assert_int_equal(seen(w, 1, 0)->record.epoch, 6);
    assert_int_equal(roster_outdone_epoch(first), 0);
}

static uint32_t told_rtt(const struct world *w, int at, int of)
{
    const struct node_record *r = &seen(w, at, of)->record;
    return r->n_links ? r->links[0].rtt_us : UINT32_MAX;
}

static void a_slow_first_round_trip_is_told_once_the_link_has_had_its_time(void **state)
{
    struct world *w = *state;
    w->nodes[0].links.rtt_us = 70000;
    connect_pair(w, 0, 1);
    fake_clock_run(&w->clock, 2500);
    assert_int_equal(told_rtt(w, 1, 0), 0);
    fake_clock_run(&w->clock, 3000);
    assert_int_equal(told_rtt(w, 1, 0), 70000);
    connect_pair(w, 2, 3);
    fake_clock_run(&w->clock, 200);
    assert_int_equal(told_rtt(w, 3, 2), 100); /* a quick one at once */
}

/* A record of node `of`, signed by `by`. */
static void signed_record(struct world *w, struct buffer *out, int of, int by, uint64_t version)
{
    struct node_record r;
    record_init(&r);
    r.id = *id_of(w, of);
    r.epoch = 1;
    r.version = version;
    r.role = ROLE_NODE;
    snprintf(r.model, sizeof r.model, "forged");
    buffer_init(out, 0);
    record_sign(out, &r, &w->nodes[by].pair);
    record_free(&r);
}

static enum status feed(struct world *w, enum frame_kind kind, struct bytes payload)
{
    return roster_on_frame(w->nodes[0].roster, id_of(w, 1), kind, payload, &w->err);
}

static void a_forged_record_is_refused(void **state)
{
    struct world *w = *state;
    struct buffer b;
    connect_pair(w, 0, 1);
    fake_clock_run(&w->clock, 100);
    signed_record(w, &b, 1, 2, 1000); /* node 2 speaks for node 1 */
    assert_int_equal(feed(w, FRAME_RECORD, buffer_view(&b)), STATUS_REFUSED);
    assert_non_null(strstr(w->err.text, "signature"));
    assert_true(says(w, 0, 1, "m1"));
    buffer_free(&b);

    signed_record(w, &b, 1, 1, 1000); /* its own, with one bit changed */
    b.data[b.size - 20] ^= 1;
    assert_int_not_equal(feed(w, FRAME_RECORD, buffer_view(&b)), STATUS_OK);
    assert_true(says(w, 0, 1, "m1"));
    b.data[b.size - 20] ^= 1;
    assert_int_equal(feed(w, FRAME_RECORD, buffer_view(&b)), STATUS_OK);
    assert_true(says(w, 0, 1, "forged"));
    buffer_free(&b);
}

static void nobody_tells_a_node_of_itself(void **state)
{
    struct world *w = *state;
    struct buffer b;
    fake_clock_run(&w->clock, 50);
    signed_record(w, &b, 0, 0, 1000); /* signed by its own key: another process has it, or a replay */
    assert_int_equal(feed(w, FRAME_RECORD, buffer_view(&b)), STATUS_OK);
    assert_string_equal(roster_self(w->nodes[0].roster)->record.model, "m0");
    buffer_free(&b);
}

static void an_older_record_changes_nothing(void **state)
{
    struct world *w = *state;
    struct buffer old;
    connect_pair(w, 0, 1);
    fake_clock_run(&w->clock, 100);
    signed_record(w, &old, 1, 1, 0);
    assert_int_equal(feed(w, FRAME_RECORD, buffer_view(&old)), STATUS_OK);
    assert_true(says(w, 0, 1, "m1"));
    buffer_free(&old);
}

static void bad_lengths_break_the_rules(void **state)
{
    static const uint8_t junk[100] = {1};
    struct world *w = *state;
    assert_int_equal(feed(w, FRAME_DIGEST, bytes_of(junk, 47)), STATUS_BAD_DATA);
    assert_int_equal(feed(w, FRAME_DIGEST, bytes_of(junk, 49)), STATUS_BAD_DATA);
    assert_int_equal(feed(w, FRAME_WANT, bytes_of(junk, 31)), STATUS_BAD_DATA);
    assert_int_equal(feed(w, FRAME_WANT, bytes_of(junk, 33)), STATUS_BAD_DATA);
    assert_int_equal(feed(w, FRAME_RECORD, bytes_of(junk, 63)), STATUS_BAD_DATA);
    assert_int_equal(feed(w, FRAME_RECORD, bytes_of(junk, 100)), STATUS_BAD_DATA);
    assert_int_equal(feed(w, FRAME_DIGEST, bytes_of(junk, 0)), STATUS_OK);
    assert_int_equal(feed(w, FRAME_WANT, bytes_of(junk, 32)), STATUS_OK); /* of somebody nobody knows */
    assert_int_equal(roster_count(w->nodes[0].roster), 1);
}

static void a_prefix_finds_the_only_one(void **state)
{
    struct world *w = *state;
    const struct roster_entry *found = NULL;
    char text[NODE_ID_TEXT_BYTES];
    connect_pair(w, 0, 1);
    fake_clock_run(&w->clock, 100);
    const struct roster *roster = w->nodes[0].roster;
    node_id_text(text, id_of(w, 1));
    assert_int_equal(roster_find_prefix(roster, text, &found, &w->err), STATUS_OK);
    assert_ptr_equal(found, seen(w, 0, 1));
    text[NODE_ID_SHORT_BYTES - 1] = '\0';
    assert_int_equal(roster_find_prefix(roster, text, &found, &w->err), STATUS_OK);
    assert_ptr_equal(found, seen(w, 0, 1));
    text[3] = '\0'; /* too few digits to be sure */
    assert_int_equal(roster_find_prefix(roster, text, &found, &w->err), STATUS_NOT_FOUND);
    assert_int_equal(roster_find_prefix(roster, "zzzz", &found, &w->err), STATUS_NOT_FOUND);
    assert_non_null(strstr(w->err.text, "zzzz"));
    assert_int_equal(roster_find_prefix(roster, "", &found, &w->err), STATUS_NOT_FOUND);
}

static void a_prefix_of_two_is_not_enough(void **state)
{
    struct world *w = *state;
    const struct roster_entry *found = NULL;
    fake_clock_run(&w->clock, 50);
    for (uint8_t i = 0; i < 2; i++) { /* peers with ids made up: 1234 5600..., 1234 5601... */
        struct node_id id = {{0x12, 0x34, 0x56, i}};
        roster_on_up(w->nodes[0].roster, &id);
    }
    assert_int_equal(roster_find_prefix(w->nodes[0].roster, "1234", &found, &w->err), STATUS_BAD_USAGE);
    assert_non_null(strstr(w->err.text, "more digits"));
    assert_int_equal(roster_find_prefix(w->nodes[0].roster, "12345601", &found, &w->err), STATUS_OK);
    assert_int_equal(found->record.id.bytes[3], 1);
}

static void all_agree_in_a_chain(void **state)
{
    struct world *w = *state;
    for (int i = 0; i + 1 < N_NODES; i++)
        connect_pair(w, i, i + 1);
    fake_clock_run(&w->clock, N_NODES * ROSTER_DIGEST_MS + 200);
    for (int at = 0; at < N_NODES; at++) {
        assert_int_equal(roster_count(w->nodes[at].roster), N_NODES);
        for (size_t i = 1; i < N_NODES; i++)
            assert_true(node_id_compare(&roster_at(w->nodes[at].roster, i - 1)->record.id,
                                        &roster_at(w->nodes[at].roster, i)->record.id) < 0);
    }
    assert_int_equal(w->refused, STATUS_OK);
}

static void a_change_passes_along_a_chain_at_once(void **state)
{
    struct world *w = *state;
    for (int i = 0; i + 1 < N_NODES; i++)
        connect_pair(w, i, i + 1);
    fake_clock_run(&w->clock, N_NODES * ROSTER_DIGEST_MS + 200);
    uint32_t n_sent = w->nodes[1].links.n_sent[FRAME_RECORD];
    say(w, 0, "far");
    fake_clock_run(&w->clock, ROSTER_PUSH_MS + 10); /* far from the next digest */
    assert_true(says(w, N_NODES - 1, 0, "far"));
    assert_int_equal(w->nodes[1].links.n_sent[FRAME_RECORD], n_sent + 1); /* passed on once */
}

/* A record of a new identity, brought by node `via` to node 0. */
static void throw_away(struct world *w, int via)
{
    static struct node_record r; /* large */
    struct key_pair pair;
    struct buffer b;
    struct error err;
    key_pair_new(&pair);
    r = (struct node_record){.epoch = 1, .version = 1, .role = ROLE_NODE};
    memcpy(r.id.bytes, pair.public_key.bytes, sizeof r.id.bytes);
    buffer_init(&b, 0);
    record_sign(&b, &r, &pair);
    assert_int_equal(roster_on_frame(w->nodes[0].roster, id_of(w, via), FRAME_RECORD, buffer_view(&b), &err),
                     STATUS_OK);
    buffer_free(&b);
}

static void a_flood_of_identities_displaces_nobody_who_is_linked(void **state)
{
    struct world *w = *state;
    connect_pair(w, 0, 1); /* who floods */
    connect_pair(w, 0, 2);
    connect_pair(w, 2, 3); /* 3 is known by 2 only */
    fake_clock_run(&w->clock, 2 * ROSTER_DIGEST_MS + 200);
    assert_true(says(w, 0, 3, "m3"));
    for (int i = 0; i < ROSTER_NODES_MAX + 200; i++)
        throw_away(w, 1);
    assert_int_equal(roster_count(w->nodes[0].roster), ROSTER_NODES_MAX);
    for (int i = 1; i < N_NODES; i++)
        assert_true(seen(w, 0, i) && seen(w, 0, i)->alive);
    /* An honest newcomer finds room, by itself or by another peer. */
    throw_away(w, 2);
    assert_int_equal(roster_count(w->nodes[0].roster), ROSTER_NODES_MAX);
    cut(w, 2, 3);
    cut(w, 0, 2);
    connect_pair(w, 0, 3);
    fake_clock_run(&w->clock, 100);
    assert_true(seen(w, 0, 3) && seen(w, 0, 3)->linked);
}

static void fill_too_much(void *ctx, struct node_record *own)
{
    fill(ctx, own);
    for (int i = 0; i < RECORD_FINDINGS_MAX; i++) {
        struct finding *f = finding_add(&own->findings, FINDING_DISK_FULL, i, NULL, "finding %d", i);
        char text[2001] = {0};
        memset(text, 'x', sizeof text - 1);
        jv_set_text(finding_evidence(f), "text", text);
    }
}

static void a_record_that_is_too_long_loses_evidence_and_is_published(void **state)
{
    static const struct roster_events too_much = {.fill = fill_too_much, .changed = changed};
    struct world *w = *state;
    struct node *node = &w->nodes[0];
    roster_free(node->roster);
    node->roster = roster_new(&w->clock.clock, &node->links.links, &node->pair, 2, &too_much, node);
    connect_pair(w, 0, 1);
    fake_clock_run(&w->clock, 100);
    assert_true(says(w, 1, 0, "m0"));
    assert_int_equal(seen(w, 1, 0)->record.findings.n, RECORD_FINDINGS_MAX);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        T(a_new_roster_knows_itself),
        T(a_change_is_pushed_at_once),
        T(changes_of_one_moment_travel_together),
        T(digests_heal_a_lost_push),
        T(held_pushes_are_healed_too),
        T(records_pass_through_a_node_between),
        T(alive_is_who_is_linked_or_listed_by_a_linked_peer),
        T(a_silent_witness_vouches_for_nobody_who_was_just_lost),
        T(a_witness_who_heard_no_more_than_we_did_vouches_for_nobody),
        T(who_is_heard_by_others_lives_on_without_a_gap),
        T(the_dead_are_forgotten_after_their_time),
        T(a_restart_counts_from_a_higher_epoch),
        T(who_outlives_a_twin_goes_on_after_its_record),
        T(a_slow_first_round_trip_is_told_once_the_link_has_had_its_time),
        T(a_forged_record_is_refused),
        T(nobody_tells_a_node_of_itself),
        T(an_older_record_changes_nothing),
        T(bad_lengths_break_the_rules),
        T(a_prefix_finds_the_only_one),
        T(a_prefix_of_two_is_not_enough),
        T(all_agree_in_a_chain),
        T(a_change_passes_along_a_chain_at_once),
        T(a_flood_of_identities_displaces_nobody_who_is_linked),
        T(a_record_that_is_too_long_loses_evidence_and_is_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
