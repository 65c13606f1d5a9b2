/* The coordinator: who is told to load what, how often, and what becomes of a shard whose node fails. */
#include "swarm_rig.h"

#include "node/coordinator.h"

#define N_SHARDS 2

struct world {
    struct rig rig;
    struct commands *commands; /* of this process, which coordinates */
    struct coordinator *coordinator;
    struct finding_list findings;
};

static uint64_t need(void *ctx, uint32_t id)
{
    (void)ctx;
    (void)id;
    return 1000;
}

static void an_idle_node(struct world *w, int i)
{
    w->rig.says[i].memory_budget = 1000000;
    w->rig.says[i].ram_free = 1000000;
    snprintf(w->rig.says[i].boot_id, sizeof w->rig.says[i].boot_id, "machine %d", i);
    rig_up(&w->rig, i);
    rig_publish(&w->rig, i);
}

static int begin(void **state)
{
    struct world *w = mem_new(sizeof *w);
    rig_new(&w->rig, N_SHARDS);
    w->rig.says[0].role = ROLE_SERVE;
    rig_publish(&w->rig, 0);
    w->commands = commands_new(&w->rig.clock.clock, &w->rig.links[0].links, rig_id(&w->rig, 0));
    w->coordinator = coordinator_new(&w->rig.clock.clock, w->commands, w->rig.roster, need, w);
    coordinator_set_manifest(w->coordinator, w->rig.manifest);
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    finding_list_free(&w->findings);
    coordinator_free(w->coordinator);
    commands_free(w->commands);
    rig_free(&w->rig);
    mem_free(w);
    return 0;
}

/* Lets it look once a second, as its node does. */
static void run(struct world *w, uint32_t seconds)
{
    for (uint32_t i = 0; i < seconds; i++) {
        coordinator_consider(w->coordinator);
        fake_clock_run(&w->rig.clock, 1000);
    }
}

static const struct finding *says(struct world *w, int32_t shard, enum severity severity)
{
    finding_list_free(&w->findings);
    coordinator_explain(w->coordinator, &w->findings);
    for (uint32_t i = 0; i < w->findings.n; i++)
        if (w->findings.items[i].code == FINDING_WAITING_FOR_LOAD_SHARD &&
            w->findings.items[i].shard == shard && w->findings.items[i].severity == severity)
            return &w->findings.items[i];
    return NULL;
}

static int placed_on(struct world *w, uint32_t shard)
{
    struct node_id id = coordinator_place(w->coordinator, shard);
    for (int i = 0; i < RIG_NODES; i++)
        if (node_id_equal(&id, rig_id(&w->rig, i)))
            return i;
    return -1;
}

static uint32_t n_commands(const struct world *w)
{
    return w->rig.links[0].n_sent[FRAME_COMMAND];
}

static void a_command_that_fails_is_repeated_with_back_off_and_told(void **state)
{
    struct world *w = *state;
    an_idle_node(w, 1); /* it never answers */
    run(w, 12); /* sent in the first second, given up 10 s later */
    const struct finding *f = says(w, 0, SEVERITY_BLOCKER);
    assert_non_null(f);
    assert_true(node_id_equal(&f->node, rig_id(&w->rig, 1)));
    assert_int_equal(jv_get_int(f->evidence, "attempts", 0), 1);
    assert_int_equal(jv_count(jv_get(f->evidence, "history")), 1);
    assert_true(jv_get_real(f->evidence, "retry_in_s", 0) > 0);
    run(w, 110);
    /* For each of two shards: 10 s until it is given up, then 2, 4, 8, 16 s less a quarter. */
    assert_in_range(n_commands(w), 2 * 5, 2 * 7);
    f = says(w, 0, SEVERITY_BLOCKER);
    assert_in_range(jv_count(jv_get(f->evidence, "history")), 4, 7);
    assert_int_equal(placed_on(w, 0), 1); /* nobody else could take it */
}

static void after_some_attempts_another_node_is_given_the_shard(void **state)
{
    struct world *w = *state;
    an_idle_node(w, 1);
    run(w, 5);
    assert_int_equal(placed_on(w, 0), 1);
    an_idle_node(w, 2);
    run(w, 3 * 10 + 2 + 4 + 8);
    int first = placed_on(w, 0), second = placed_on(w, 1);
    assert_true(first == 2 || second == 2);
    int32_t shard = first == 2 ? 0 : 1;
    const struct finding *f = says(w, shard, SEVERITY_INFO);
    if (f) /* it was placed on 1 before */
        assert_true(node_id_equal(&f->node, rig_id(&w->rig, 1)) && strstr(f->cause, "was taken from node"));
}

static void who_fails_a_shard_for_long_loses_it_to_another(void **state)
{
    struct world *w = *state;
    an_idle_node(w, 1);
    rig_shard(&w->rig, 1, 0, SHARD_FAILED)->assigned = ASSIGNED_BY_COMMAND;
    rig_shard(&w->rig, 1, 0, SHARD_FAILED)->failure = FINDING_DISK_FULL;
    rig_shard(&w->rig, 1, 1, SHARD_LOADED)->assigned = ASSIGNED_BY_COMMAND;
    rig_publish(&w->rig, 1);
    run(w, 2);
    assert_int_equal(placed_on(w, 0), 1);
    an_idle_node(w, 2);
    run(w, COORDINATOR_REPLACE_MS / 1000 - 4);
    assert_int_equal(placed_on(w, 0), 1); /* it is given time to mend */
    run(w, 6);
    assert_int_equal(placed_on(w, 0), 2);
    assert_int_equal(placed_on(w, 1), 1); /* what it has loaded stays */
    const struct finding *f = says(w, 0, SEVERITY_INFO);
    assert_non_null(f);
    assert_true(node_id_equal(&f->node, rig_id(&w->rig, 1)));
    assert_non_null(strstr(f->cause, "DISK_FULL"));
}

static void an_explicit_shard_stays_where_a_person_put_it(void **state)
{
    struct world *w = *state;
    an_idle_node(w, 1);
    an_idle_node(w, 2);
    rig_shard(&w->rig, 1, 0, SHARD_FAILED)->failure = FINDING_DISK_FULL; /* ASSIGNED_EXPLICIT */
    rig_publish(&w->rig, 1);
    run(w, 60);
    assert_int_equal(placed_on(w, 0), 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        T(a_command_that_fails_is_repeated_with_back_off_and_told),
        T(after_some_attempts_another_node_is_given_the_shard),
        T(who_fails_a_shard_for_long_loses_it_to_another),
        T(an_explicit_shard_stays_where_a_person_put_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
