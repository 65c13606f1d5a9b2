/* Placement: a table of swarms and where shards must go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rand.h"
#include "node/placement.h"

#include <stdio.h>
#include <string.h>

#define GB ((uint64_t)1 << 30)

static struct placement_node node_of(uint8_t id, const char *machine, uint64_t budget, uint64_t ram_free)
{
    struct placement_node node = {.memory_budget = budget, .machine_ram_free = ram_free, .can_take = true};
    node.id.bytes[0] = id;
    snprintf(node.boot_id, sizeof node.boot_id, "%s", machine);
    return node;
}

static void eight_equal_nodes_get_one_each_in_order(void **state)
{
    struct placement_node nodes[8];
    struct placement_shard shards[8] = {0};
    struct placement_result out[8];
    (void)state;
    for (uint8_t i = 0; i < 8; i++) {
        nodes[i] = node_of((uint8_t)(10 + i), "one", GB, 16 * GB);
        shards[i].bytes = (uint64_t)(i == 0 || i == 7 ? 150 : 100) << 20; /* embedding and head are larger */
    }
    placement_compute(out, nodes, 8, shards, 8);
    for (int i = 0; i < 8; i++)
        assert_int_equal(out[i].node, i);
}

static void fewer_nodes_take_contiguous_runs(void **state)
{
    struct placement_node nodes[3];
    struct placement_shard shards[8] = {0};
    struct placement_result out[8];
    (void)state;
    for (uint8_t i = 0; i < 3; i++)
        nodes[i] = node_of((uint8_t)(1 + i), i == 0 ? "a" : i == 1 ? "b" : "c", 4 * GB, 16 * GB);
    for (int i = 0; i < 8; i++)
        shards[i].bytes = 100 << 20;
    placement_compute(out, nodes, 3, shards, 8);
    int count[3] = {0};
    for (int i = 0; i < 8; i++) {
        assert_in_range(out[i].node, 0, 2);
        count[out[i].node]++;
        if (i)
            assert_true(out[i].node >= out[i - 1].node);
    }
    for (int i = 0; i < 3; i++)
        assert_in_range(count[i], 2, 3);
}

static void explicit_nodes_are_never_extended(void **state)
{
    struct placement_node nodes[2] = {node_of(1, "a", 8 * GB, 16 * GB), node_of(2, "b", 8 * GB, 16 * GB)};
    struct placement_shard shards[3] = {{.bytes = GB, .pinned = true, .node = 0}, {.bytes = GB}, {.bytes = GB}};
    struct placement_result out[3];
    (void)state;
    nodes[0].is_explicit = true;
    placement_compute(out, nodes, 2, shards, 3);
    assert_int_equal(out[0].node, 0);
    assert_int_equal(out[1].node, 1);
    assert_int_equal(out[2].node, 1);
    nodes[1].is_explicit = true;
    placement_compute(out, nodes, 2, shards, 3);
    assert_int_equal(out[1].node, -1);
    assert_int_equal(out[1].problem, PLACEMENT_NO_NODES);
}

static void what_does_not_fit_says_how_much_lacks(void **state)
{
    struct placement_node nodes[2] = {node_of(1, "a", GB, 16 * GB), node_of(2, "b", 2 * GB, 16 * GB)};
    struct placement_shard shards[1] = {{.bytes = 3 * GB}};
    struct placement_result out[1];
    (void)state;
    placement_compute(out, nodes, 2, shards, 1);
    assert_int_equal(out[0].node, -1);
    assert_int_equal(out[0].problem, PLACEMENT_NO_MEMORY);
    assert_int_equal(out[0].needed, 3 * GB);
    assert_int_equal(out[0].free_best, 2 * GB);
}

static void nodes_of_one_machine_share_its_memory(void **state)
{
    struct placement_node nodes[3] = {node_of(1, "same", 4 * GB, 5 * GB), node_of(2, "same", 4 * GB, 5 * GB),
                                      node_of(3, "other", 4 * GB, 5 * GB)};
    struct placement_shard shards[3] = {{.bytes = 3 * GB}, {.bytes = 3 * GB}, {.bytes = 3 * GB}};
    struct placement_result out[3];
    (void)state;
    placement_compute(out, nodes, 3, shards, 3);
    int n_same = 0, n_nowhere = 0;
    for (int i = 0; i < 3; i++) {
        n_same += out[i].node == 0 || out[i].node == 1;
        n_nowhere += out[i].node < 0;
    }
    assert_int_equal(n_same, 1);
    assert_int_equal(n_nowhere, 1);
}

static void faster_nodes_take_more(void **state)
{
    struct placement_node nodes[2] = {node_of(1, "a", 64 * GB, 64 * GB), node_of(2, "b", 64 * GB, 64 * GB)};
    struct placement_shard shards[9] = {0};
    struct placement_result out[9];
    (void)state;
    nodes[0].speed = 40000000000U;
    nodes[1].speed = 20000000000U;
    for (int i = 0; i < 9; i++)
        shards[i].bytes = GB;
    placement_compute(out, nodes, 2, shards, 9);
    int n_fast = 0;
    for (int i = 0; i < 9; i++)
        n_fast += out[i].node == 0;
    assert_in_range(n_fast, 5, 7);
}

/* Whatever the swarm: budgets hold, pins hold, the same input gives the same answer. */
static void random_swarms_never_pass_a_budget(void **state)
{
    uint64_t seed = 20240607;
    struct rng rng = rng_seeded(seed);
    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 2000; round++) {
        struct placement_node nodes[12];
        struct placement_shard shards[16] = {0};
        struct placement_result out[16], again[16];
        uint32_t n_nodes = (uint32_t)rng_below(&rng, 12) + 1, n_shards = (uint32_t)rng_below(&rng, 16) + 1;
        for (uint32_t i = 0; i < n_nodes; i++) {
            char machine[2] = {(char)('a' + rng_below(&rng, 4)), 0};
            nodes[i] = node_of((uint8_t)(i + 1), machine, rng_below(&rng, 4 * GB), 0);
            nodes[i].machine_ram_free = (uint64_t)(machine[0] - 'a' + 1) * GB;
            nodes[i].can_take = rng_below(&rng, 8) > 0;
            nodes[i].is_explicit = rng_below(&rng, 4) == 0;
            nodes[i].speed = rng_below(&rng, 3) ? 0 : rng_below(&rng, 50) << 30;
        }
        for (uint32_t i = 0; i < n_shards; i++)
            shards[i].bytes = rng_below(&rng, GB) + 1;
        placement_compute(out, nodes, n_nodes, shards, n_shards);
        placement_compute(again, nodes, n_nodes, shards, n_shards);
        assert_memory_equal(out, again, n_shards * sizeof *out);
        for (uint32_t k = 0; k < n_nodes; k++) {
            uint64_t used = 0, machine = 0;
            for (uint32_t i = 0; i < n_shards; i++) {
                if (out[i].node < 0)
                    continue;
                used += (uint32_t)out[i].node == k ? shards[i].bytes : 0;
                machine += strcmp(nodes[out[i].node].boot_id, nodes[k].boot_id) == 0 ? shards[i].bytes : 0;
            }
            assert_true(used == 0 || (nodes[k].can_take && !nodes[k].is_explicit));
            assert_true(used <= nodes[k].memory_budget);
            assert_true(machine <= nodes[k].machine_ram_free);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eight_equal_nodes_get_one_each_in_order),
        cmocka_unit_test(fewer_nodes_take_contiguous_runs),
        cmocka_unit_test(explicit_nodes_are_never_extended),
        cmocka_unit_test(what_does_not_fit_says_how_much_lacks),
        cmocka_unit_test(nodes_of_one_machine_share_its_memory),
        cmocka_unit_test(faster_nodes_take_more),
        cmocka_unit_test(random_swarms_never_pass_a_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
