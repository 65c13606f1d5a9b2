/* Plans: which are made of a roster, and when one no longer holds. */
#include "swarm_rig.h"

#include "node/plan.h"

#define N_SHARDS 4 /* of two layers each */

static int begin(void **state)
{
    struct rig *rig = mem_new(sizeof *rig);
    rig_new(rig, N_SHARDS);
    *state = rig;
    return 0;
}

static int end(void **state)
{
    rig_free(*state);
    mem_free(*state);
    return 0;
}

static bool make(const struct rig *rig, struct plan *plan)
{
    uint32_t gap = 99;
    return plan_make(plan, &gap, rig->roster, rig->manifest);
}

static void check_stage(const struct rig *rig, const struct plan *plan, uint32_t stage, int node,
                        uint32_t first, uint32_t layer_end)
{
    assert_true(stage < plan->n_stages);
    assert_true(node_id_equal(&plan->stages[stage].node, rig_id(rig, node)));
    assert_int_equal(plan->stages[stage].layer_first, first);
    assert_int_equal(plan->stages[stage].layer_end, layer_end);
}

/* --- making ------------------------------------------------------------------------------------------------
 */

static void the_first_gap_is_told(void **state)
{
    struct rig *rig = *state;
    struct plan plan;
    uint32_t gap = 99;
    assert_false(plan_make(&plan, &gap, rig->roster, rig->manifest));
    assert_int_equal(gap, 0);
    rig_holder(rig, 0, 0, 2);
    rig_holder(rig, 1, 3, 4);
    assert_false(plan_make(&plan, &gap, rig->roster, rig->manifest));
    assert_int_equal(gap, 2);
    rig_shard(rig, 2, 2, SHARD_LOADING); /* loading is not loaded */
    rig_up(rig, 2);
    rig_publish(rig, 2);
    assert_false(plan_make(&plan, &gap, rig->roster, rig->manifest));
    assert_int_equal(gap, 2);
    rig_shard(rig, 2, 2, SHARD_LOADED);
    rig_publish(rig, 2);
    assert_true(make(rig, &plan));
    assert_int_equal(plan.n_stages, 3);
}

static void one_node_with_all_is_one_stage(void **state)
{
    struct rig *rig = *state;
    struct plan plan;
    rig_holder(rig, 0, 0, N_SHARDS);
    assert_true(make(rig, &plan));
    assert_int_equal(plan.n_stages, 1);
    check_stage(rig, &plan, 0, 0, 0, 2 * N_SHARDS);
}

static void fewest_stages_win(void **state)
{
    struct rig *rig = *state;
    struct plan plan;
    rig_holder(rig, 0, 0, 1);
    rig_holder(rig, 1, 1, 2);
    rig_holder(rig, 2, 1, 4); /* one hop in place of two */
    rig_holder(rig, 3, 2, 4);
    assert_true(make(rig, &plan));
    assert_int_equal(plan.n_stages, 2);
    check_stage(rig, &plan, 0, 0, 0, 2);
    check_stage(rig, &plan, 1, 2, 2, 8);
}

static void a_run_need_not_be_from_its_beginning(void **state)
{
    struct rig *rig = *state;
    struct plan plan;
    rig_holder(rig, 0, 0, 2);
    rig_holder(rig, 1, 1, 4); /* also holds shard 1, which node 0 runs in the same stage as shard 0 */
    assert_true(make(rig, &plan));
    assert_int_equal(plan.n_stages, 2);
    check_stage(rig, &plan, 0, 0, 0, 4);
    check_stage(rig, &plan, 1, 1, 4, 8);
}

static void the_nearer_of_equals_is_taken(void **state)
{
    struct rig *rig = *state;
    struct plan plan;
    rig_holder(rig, 0, 0, 2);
    rig_link(rig, 1, 0, 9000);
    rig_link(rig, 2, 0, 2000);
    rig->links[1].rtt_us = 9000;
    rig->links[2].rtt_us = 2000;
    rig_holder(rig, 1, 2, 4);
    rig_holder(rig, 2, 2, 4);
    rig_publish(rig, 0);
    assert_true(make(rig, &plan));
    check_stage(rig, &plan, 1, 2, 4, 8);
}

static void equals_go_to_the_lower_id(void **state)
{
    struct rig *rig = *state;
    struct plan plan;
    rig_holder(rig, 0, 0, 2);
    rig->links[1].rtt_us = 300; /* both within a millisecond: as near */
    rig->links[2].rtt_us = 800;
    rig_holder(rig, 1, 2, 4);
    rig_holder(rig, 2, 2, 4);
    rig_publish(rig, 0);
    int lower = node_id_compare(rig_id(rig, 1), rig_id(rig, 2)) < 0 ? 1 : 2;
    assert_true(make(rig, &plan));
    check_stage(rig, &plan, 1, lower, 4, 8);
}

static void who_is_linked_to_the_one_before_comes_first(void **state)
{
    struct rig *rig = *state;
    struct plan plan;
    rig_holder(rig, 1, 0, 2);
    rig_link(rig, 3, 1, 500); /* node 2 has no link to node 1, node 3 has */
    rig_holder(rig, 2, 2, 4);
    rig_holder(rig, 3, 2, 4);
    assert_true(make(rig, &plan));
    check_stage(rig, &plan, 0, 1, 0, 4);
    check_stage(rig, &plan, 1, 3, 4, 8);
}

static void the_draining_the_dead_and_the_different_are_left_out(void **state)
{
    struct rig *rig = *state;
    struct plan plan;
    uint32_t gap;
    rig_holder(rig, 0, 0, 2);
    rig_holder(rig, 1, 2, 4);
    assert_true(make(rig, &plan));

    rig->says[1].draining = true;
    rig_publish(rig, 1);
    assert_false(plan_make(&plan, &gap, rig->roster, rig->manifest));
    assert_int_equal(gap, 2);
    rig->says[1].draining = false;
    rig->says[1].arithmetic = 2;
    rig_publish(rig, 1);
    assert_false(make(rig, &plan));
    rig->says[1].arithmetic = 1;
    strcpy(rig->says[1].kv, "q8_0"); /* keys and values of another type than the first stage's */
    rig_publish(rig, 1);
    assert_false(make(rig, &plan));
    strcpy(rig->says[1].kv, "f16");
    rig_publish(rig, 1);
    assert_true(make(rig, &plan));
    rig_down(rig, 1);
    assert_false(make(rig, &plan));
}

/* --- holding -----------------------------------------------------------------------------------------------
 */

/* Node 1 has the first half, node 2 the second; both are linked to us and to each other. */
static void two_nodes(struct rig *rig, struct plan *plan)
{
    rig_link(rig, 1, 2, 100);
    rig_holder(rig, 1, 0, 2);
    rig_holder(rig, 2, 2, 4);
    assert_true(make(rig, plan));
    assert_int_equal(plan->n_stages, 2);
}

static bool holds(const struct rig *rig, const struct plan *plan, uint32_t *out_stage)
{
    const uint64_t epochs[] = {1, 1};
    return plan_holds(plan, epochs, rig_id(rig, 0), rig->roster, rig->manifest, out_stage);
}

static void a_plan_holds_until_a_node_goes(void **state)
{
    struct rig *rig = *state;
    struct plan plan;
    uint32_t stage = 99;
    two_nodes(rig, &plan);
    assert_true(holds(rig, &plan, &stage));
    rig_down(rig, 2);
    assert_false(holds(rig, &plan, &stage));
    assert_int_equal(stage, 1);
}

static void a_plan_falls_with_each_of_its_conditions(void **state)
{
    static const struct {
        const char *what;
        int node;
        uint32_t stage; /* the first that fails */
        enum { UNLOAD, RESTART, DRAIN, OTHER_ARITHMETIC } how;
    } rows[] = {
        {"the first unloads", 1, 0, UNLOAD},   {"the second unloads", 2, 1, UNLOAD},
        {"the first restarts", 1, 0, RESTART}, {"the second restarts", 2, 1, RESTART},
        {"the second drains", 2, 1, DRAIN},    {"the first computes otherwise", 1, 0, OTHER_ARITHMETIC},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig *rig = *state;
        struct plan plan;
        uint32_t stage = 99;
        two_nodes(rig, &plan);
        struct node_record *r = &rig->says[rows[i].node];
        if (rows[i].how == UNLOAD)
            r->shards[1].state = SHARD_UNLOADING;
        r->epoch += rows[i].how == RESTART;
        r->draining = rows[i].how == DRAIN;
        r->arithmetic += rows[i].how == OTHER_ARITHMETIC;
        rig_publish(rig, rows[i].node);
        if (holds(rig, &plan, &stage) || stage != rows[i].stage)
            fail_msg("%s: stage %u", rows[i].what, stage);
        end(state);
        begin(state);
    }
}

static void without_epochs_a_restart_is_no_matter(void **state)
{
    struct rig *rig = *state;
    struct plan plan;
    uint32_t stage;
    two_nodes(rig, &plan);
    rig->says[1].epoch = 5;
    rig_publish(rig, 1);
    assert_false(holds(rig, &plan, &stage));
    assert_true(plan_holds(&plan, NULL, rig_id(rig, 0), rig->roster, rig->manifest, &stage));
}

/* Another process with our identity was started after us: others go by its record. */
static void a_plan_with_ourselves_falls_when_we_are_outdone(void **state)
{
    struct rig *rig = *state;
    struct plan plan;
    struct error err = {0};
    struct buffer b;
    uint32_t stage = 99;
    rig_holder(rig, 0, 0, 2);
    rig_holder(rig, 1, 2, 4);
    assert_true(make(rig, &plan));
    assert_true(holds(rig, &plan, &stage));
    struct node_record twin;
    record_copy(&twin, &roster_self(rig->roster)->record);
    twin.epoch += 5;
    buffer_init(&b, 0);
    record_sign(&b, &twin, &rig->pairs[0]);
    assert_int_equal(roster_on_frame(rig->roster, rig_id(rig, 1), FRAME_RECORD, buffer_view(&b), &err),
                     STATUS_OK);
    assert_false(holds(rig, &plan, &stage));
    assert_int_equal(stage, 0);
    record_free(&twin);
    buffer_free(&b);
}

static void stages_must_be_linked_in_order(void **state)
{
    struct rig *rig = *state;
    struct plan plan;
    uint32_t stage = 99;
    two_nodes(rig, &plan);
    rig->says[1].n_links = 0; /* the link between them is gone; both are still linked to us */
    rig_publish(rig, 1);
    assert_false(holds(rig, &plan, &stage));
    assert_int_equal(stage, 0);
    rig_link(rig, 2, 1, 0); /* told by the other end: as good */
    rig_publish(rig, 2);
    assert_true(holds(rig, &plan, &stage));
}

static void the_origin_needs_its_links(void **state)
{
    struct rig *rig = *state;
    struct plan plan;
    uint32_t stage = 99;
    const struct node_id nobody = {{0}};
    two_nodes(rig, &plan);
    rig_publish(rig, 3);
    rig_up(rig, 3); /* linked to us only */
    assert_false(plan_holds(&plan, NULL, rig_id(rig, 3), rig->roster, rig->manifest, &stage));
    assert_int_equal(stage, 0);
    assert_true(plan_holds(&plan, NULL, &nobody, rig->roster, rig->manifest, &stage));
    assert_true(plan_holds(&plan, NULL, rig_id(rig, 1), rig->roster, rig->manifest, &stage)); /* is a stage */
}

static void a_plan_that_is_not_whole_never_holds(void **state)
{
    struct rig *rig = *state;
    struct plan plan, none = {0};
    uint32_t stage = 99;
    two_nodes(rig, &plan);
    plan.n_stages = 1; /* ends at layer 4 of 8 */
    assert_false(holds(rig, &plan, &stage));
    assert_false(holds(rig, &none, &stage));
    assert_int_equal(stage, 0);
}

/* --- JSON --------------------------------------------------------------------------------------------------
 */

static void a_plan_survives_json(void **state)
{
    struct rig *rig = *state;
    struct plan plan, again;
    struct error err;
    two_nodes(rig, &plan);
    struct jv *json = plan_to_json(&plan);
    assert_int_equal(plan_from_json(&again, json, &err), STATUS_OK);
    struct sha256 fingerprint = rig_hash("model");
    assert_int_equal(again.n_stages, 2);
    assert_true(plan_hash(&again, &fingerprint) == plan_hash(&plan, &fingerprint));
    again.stages[1].layer_first--;
    assert_true(plan_hash(&again, &fingerprint) != plan_hash(&plan, &fingerprint));
    jv_free(json);
}

static void a_bent_plan_is_refused(void **state)
{
#define ID "\"node\":\"ababababababababababababababababababababababababababababababababab\""
    static const char *const rows[] = {
        "{}",
        "[]",
        "null",
        "[1]",
        "[{" ID "}]",
        "[{\"node\":\"ab\",\"first_layer\":0,\"end_layer\":2}]",
        "[{\"first_layer\":0,\"end_layer\":2}]",
        "[{" ID ",\"first_layer\":1,\"end_layer\":2}]",
        "[{" ID ",\"first_layer\":0,\"end_layer\":0}]",
        "[{" ID ",\"first_layer\":0,\"end_layer\":-1}]",
        "[{" ID ",\"first_layer\":0,\"end_layer\":\"2\"}]",
        "[{" ID ",\"first_layer\":0,\"end_layer\":4294967297}]",
        "[{" ID ",\"first_layer\":0,\"end_layer\":2},{" ID ",\"first_layer\":3,\"end_layer\":4}]",
        "[{" ID ",\"first_layer\":0,\"end_layer\":2},{" ID ",\"first_layer\":1,\"end_layer\":4}]",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct plan plan;
        struct jv *json;
        struct error err = {0};
        assert_int_equal(jv_parse(&json, bytes_of_text(rows[i]), NULL, &err), STATUS_OK);
        if (plan_from_json(&plan, json, &err) != STATUS_BAD_DATA)
            fail_msg("'%s' was taken", rows[i]);
        jv_free(json);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        T(the_first_gap_is_told),
        T(one_node_with_all_is_one_stage),
        T(fewest_stages_win),
        T(a_run_need_not_be_from_its_beginning),
        T(the_nearer_of_equals_is_taken),
        T(equals_go_to_the_lower_id),
        T(who_is_linked_to_the_one_before_comes_first),
        T(the_draining_the_dead_and_the_different_are_left_out),
        T(a_plan_holds_until_a_node_goes),
        T(a_plan_falls_with_each_of_its_conditions),
        T(without_epochs_a_restart_is_no_matter),
        T(a_plan_with_ourselves_falls_when_we_are_outdone),
        T(stages_must_be_linked_in_order),
        T(the_origin_needs_its_links),
        T(a_plan_that_is_not_whole_never_holds),
        T(a_plan_survives_json),
        T(a_bent_plan_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
