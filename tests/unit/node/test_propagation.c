/* What one node knows is on all within two seconds: rosters and verdicts of eight nodes over links without
 * sockets, on a virtual clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "model/manifest.h"
#include "node/verdict.h"
#include "sim/fake_links.h"

#include <stdio.h>
#include <string.h>

#define N_NODES   8
#define WITHIN_MS 2000

struct node {
    struct world *world;
    struct key_pair pair;
    struct fake_links links;
    struct roster *roster;
    struct finding_list knows;
};

struct world {
    struct fake_clock clock;
    struct fake_net net;
    struct node nodes[N_NODES];
    struct manifest *manifest;
};

static void fill(void *ctx, struct node_record *own)
{
    struct node *node = ctx;
    own->role = ROLE_NODE;
    own->has_manifest = true;
    own->fingerprint = node->world->manifest->fingerprint;
    mem_free(own->shards);
    own->shards = mem_array(1, sizeof *own->shards);
    own->n_shards = 1;
    own->shards[0] = (struct record_shard){.id = (uint32_t)(node - node->world->nodes),
                                           .state = node->knows.n ? SHARD_FAILED : SHARD_LOADED,
                                           .assigned = ASSIGNED_EXPLICIT,
                                           .eta_s = -1};
    for (uint32_t i = 0; i < node->knows.n; i++)
        finding_list_append(&own->findings, &node->knows.items[i]);
}

static void changed(void *ctx, const struct roster_entry *entry)
{
    (void)ctx;
    (void)entry;
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
    struct error err = {0};
    if (roster_on_frame(((struct node *)ctx)->roster, peer, kind, payload, &err))
        fail_msg("%s", err.text);
}

static int begin(void **state)
{
    static const struct links_events link_events = {.on_up = on_up, .on_down = on_down, .on_frame = on_frame};
    static const struct roster_events roster_events = {.fill = fill, .changed = changed};
    struct world *w = mem_new(sizeof *w);
    assert_int_equal(crypto_start(NULL), STATUS_OK);
    fake_clock_init(&w->clock);
    fake_net_init(&w->net, &w->clock);
    w->manifest = manifest_new(N_NODES);
    w->manifest->n_shards = N_NODES;
    w->manifest->n_layers = N_NODES;
    w->manifest->fingerprint = sha256_of("m", 1);
    for (int i = 0; i < N_NODES; i++) {
        struct node *node = &w->nodes[i];
        struct node_id id;
        node->world = w;
        key_pair_new(&node->pair);
        memcpy(id.bytes, node->pair.public_key.bytes, sizeof id.bytes);
        fake_links_init(&node->links, &w->net, &id, &link_events, node);
        node->roster = roster_new(&w->clock.clock, &node->links.links, &node->pair, 1, &roster_events, node);
    }
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < N_NODES; i++)
        w->nodes[i].links.events = NULL;
    fake_clock_run(&w->clock, 100);
    for (int i = 0; i < N_NODES; i++) {
        roster_free(w->nodes[i].roster);
        finding_list_free(&w->nodes[i].knows);
    }
    manifest_free(w->manifest);
    fake_clock_free(&w->clock);
    mem_free(w);
    return 0;
}

/* All with all, but the pairs that `is_apart` names. */
static void mesh(struct world *w, bool (*is_apart)(int a, int b))
{
    for (int a = 0; a < N_NODES; a++)
        for (int b = a + 1; b < N_NODES; b++)
            if (!is_apart || !is_apart(a, b))
                fake_net_connect(&w->nodes[a].links, &w->nodes[b].links);
    fake_clock_run(&w->clock, 2 * ROSTER_DIGEST_MS + 500);
}

static bool first_and_last(int a, int b)
{
    return a == 0 && b == N_NODES - 1;
}

/* The first blocker as node `at` sees it is this one of node `of`. */
static bool is_first_at(const struct world *w, int at, int of, enum finding_code code)
{
    struct verdict verdict;
    struct verdict_view view = {.now_ms = clock_ms(&w->clock.clock),
                                .roster = w->nodes[at].roster,
                                .manifest = w->manifest,
                                .n_shards_expected = N_NODES};
    verdict_compute(&verdict, &view);
    const struct finding *first = verdict_first(&verdict);
    bool is = code == FINDING_NONE ? first == NULL
                                   : first && first->code == code && first->shard == of &&
                                         node_id_equal(&first->node, &w->nodes[of].links.hello.id);
    verdict_free(&verdict);
    return is;
}

/* Virtual ms until every node has it as its first blocker; at most 10 s. */
static uint64_t until_all_know(struct world *w, int of, enum finding_code code)
{
    for (uint64_t ms = 0; ms <= 10000; ms++) {
        bool all = true;
        for (int i = 0; i < N_NODES && all; i++)
            all = is_first_at(w, i, of, code);
        if (all)
            return ms;
        fake_clock_run(&w->clock, 1);
    }
    return UINT64_MAX;
}

static void comes_up(struct world *w, int i, enum finding_code code)
{
    struct node *node = &w->nodes[i];
    struct finding *f = finding_add(&node->knows, code, i, &node->links.hello.id, "node %d cannot", i);
    f->since_ms = clock_ms(&w->clock.clock);
    roster_touch(node->roster);
}

static void is_mended(struct world *w, int i)
{
    finding_list_free(&w->nodes[i].knows);
    roster_touch(w->nodes[i].roster);
}

static void check_both_ways(struct world *w, const char *how, uint64_t limit_ms)
{
    assert_true(is_first_at(w, N_NODES - 1, 0, FINDING_NONE));
    comes_up(w, 0, FINDING_DISK_FULL);
    uint64_t there = until_all_know(w, 0, FINDING_DISK_FULL);
    is_mended(w, 0);
    uint64_t gone = until_all_know(w, 0, FINDING_NONE);
    print_message("%s: on all after %llu ms, gone after %llu ms\n", how, (unsigned long long)there,
                  (unsigned long long)gone);
    assert_true(there <= limit_ms && gone <= limit_ms);
}

static void all_hear_at_once_in_a_mesh(void **state)
{
    mesh(*state, NULL);
    check_both_ways(*state, "full mesh", 50);
}

static void who_has_no_link_with_it_hears_at_once_too(void **state)
{
    mesh(*state, first_and_last);
    check_both_ways(*state, "one pair without a link", 50);
}

static void with_slow_links_too(void **state)
{
    struct world *w = *state;
    mesh(w, first_and_last);
    w->net.delay_ms = 300;
    check_both_ways(w, "300 ms each way", WITHIN_MS);
}

static void a_lost_push_is_healed_in_time(void **state)
{
    struct world *w = *state;
    mesh(w, NULL);
    w->nodes[0].links.n_lose = N_NODES - 1;
    w->nodes[0].links.lose_kind = FRAME_RECORD;
    comes_up(w, 0, FINDING_SELF_TEST_FAILED);
    uint64_t ms = until_all_know(w, 0, FINDING_SELF_TEST_FAILED);
    print_message("all pushes lost: on all after %llu ms\n", (unsigned long long)ms);
    assert_int_equal(w->nodes[0].links.n_lose, 0);
    assert_true(ms <= WITHIN_MS + 50); /* one exchange of digests */
}

static void two_faults_are_named_by_all_each_once(void **state)
{
    struct world *w = *state;
    mesh(w, NULL);
    comes_up(w, 2, FINDING_DISK_FULL);
    comes_up(w, 5, FINDING_SHARD_FILE_INVALID);
    fake_clock_run(&w->clock, 100);
    for (int at = 0; at < N_NODES; at++) {
        struct verdict verdict;
        struct verdict_view view = {.now_ms = clock_ms(&w->clock.clock),
                                    .roster = w->nodes[at].roster,
                                    .manifest = w->manifest,
                                    .n_shards_expected = N_NODES};
        verdict_compute(&verdict, &view);
        assert_int_equal(verdict.findings.n, 2);
        assert_int_equal(verdict.findings.items[0].code, FINDING_DISK_FULL);
        assert_int_equal(verdict.findings.items[1].code, FINDING_SHARD_FILE_INVALID);
        verdict_free(&verdict);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        T(all_hear_at_once_in_a_mesh),    T(who_has_no_link_with_it_hears_at_once_too), T(with_slow_links_too),
        T(a_lost_push_is_healed_in_time), T(two_faults_are_named_by_all_each_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
