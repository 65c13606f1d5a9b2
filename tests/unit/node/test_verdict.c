/* The verdict: swarms, and what blocks them first. */
#include "swarm_rig.h"

#include "base/mem.h"
#include "node/verdict.h"

#define N_SHARDS 3

struct world {
    struct rig rig;
    struct finding_list local, placement;
    struct verdict verdict;
};

static int begin(void **state)
{
    struct world *w = mem_new(sizeof *w);
    rig_new(&w->rig, N_SHARDS);
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    verdict_free(&w->verdict);
    finding_list_free(&w->local);
    finding_list_free(&w->placement);
    rig_free(&w->rig);
    mem_free(w);
    return 0;
}

static const struct verdict *judge(struct world *w, bool with_manifest)
{
    struct verdict_view view = {.now_ms = clock_ms(&w->rig.clock.clock),
                                .roster = w->rig.roster,
                                .manifest = with_manifest ? w->rig.manifest : NULL,
                                .local = &w->local,
                                .placement = &w->placement,
                                .n_shards_expected = N_SHARDS};
    verdict_free(&w->verdict);
    verdict_compute(&w->verdict, &view);
    return &w->verdict;
}

static const struct finding *find(const struct verdict *v, enum finding_code code, int32_t shard)
{
    for (uint32_t i = 0; i < v->findings.n; i++)
        if (v->findings.items[i].code == code && v->findings.items[i].shard == shard)
            return &v->findings.items[i];
    return NULL;
}

static uint32_t n_blockers(const struct verdict *v)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < v->findings.n; i++)
        n += v->findings.items[i].severity == SEVERITY_BLOCKER;
    return n;
}

static void check_first(const struct verdict *v, enum finding_code code, int32_t shard)
{
    const struct finding *first = verdict_first(v);
    assert_non_null(first);
    assert_string_equal(finding_code_name(first->code), finding_code_name(code));
    assert_int_equal(first->shard, shard);
    assert_true(first->cause[0] && first->action[0]); /* every blocker says why and what to do */
    assert_int_equal(v->stages[finding_stage(code)], STAGE_BLOCKED);
    for (int s = 0; s < (int)finding_stage(code); s++)
        assert_int_equal(v->stages[s], STAGE_OK);
    assert_false(v->ready);
}

/* A finding that node i tells of itself. */
static struct finding *tells(struct world *w, int i, enum finding_code code, int64_t shard)
{
    struct finding *f =
        finding_add(&w->rig.says[i].findings, code, shard, rig_id(&w->rig, i), "cause of node %d", i);
    finding_set_action(f, "shoal verify");
    return f;
}

/* --- a table of swarms -------------------------------------------------------------------------------------
 */

static void nobody_claims(struct world *w)
{
    w->rig.says[0].role = ROLE_ENTRY;
    rig_publish(&w->rig, 0);
}

static void one_is_missing(struct world *w)
{
    w->rig.says[0].role = ROLE_SERVE;
    rig_publish(&w->rig, 0);
    rig_holder(&w->rig, 1, 0, 1);
    rig_holder(&w->rig, 2, 2, 3);
}

static void claimed_by_a_lost_node(struct world *w)
{
    rig_holder(&w->rig, 0, 0, 1);
    rig_holder(&w->rig, 1, 1, 2);
    rig_holder(&w->rig, 2, 2, 3);
    rig_down(&w->rig, 2);
}

static void lost_and_an_idle_one_without_coordinator(struct world *w)
{
    claimed_by_a_lost_node(w);
    rig_up(&w->rig, 3);
    rig_publish(&w->rig, 3);
}

static void idle_without_coordinator(struct world *w)
{
    rig_holder(&w->rig, 0, 0, 2);
    rig_up(&w->rig, 1);
    rig_publish(&w->rig, 1);
}

static void idle_with_coordinator(struct world *w)
{
    idle_without_coordinator(w);
    w->rig.says[2].role = ROLE_SERVE;
    rig_up(&w->rig, 2);
    rig_publish(&w->rig, 2);
}

static void idle_but_draining(struct world *w)
{
    rig_holder(&w->rig, 0, 0, 2);
    w->rig.says[1].draining = true;
    rig_up(&w->rig, 1);
    rig_publish(&w->rig, 1);
}

static void loading(struct world *w)
{
    rig_holder(&w->rig, 0, 0, 2);
    rig_shard(&w->rig, 1, 2, SHARD_LOADING)->eta_s = 4;
    rig_up(&w->rig, 1);
    rig_publish(&w->rig, 1);
}

static void waits_for_the_manifest(struct world *w)
{
    rig_holder(&w->rig, 0, 0, 2);
    rig_shard(&w->rig, 1, 2, SHARD_PRESENT);
    w->rig.says[1].has_manifest = false;
    rig_up(&w->rig, 1);
    rig_publish(&w->rig, 1);
}

static void a_node_says_why(struct world *w)
{
    rig_holder(&w->rig, 0, 0, 2);
    rig_shard(&w->rig, 1, 2, SHARD_FAILED);
    tells(w, 1, FINDING_SELF_TEST_FAILED, 2);
    rig_up(&w->rig, 1);
    rig_publish(&w->rig, 1);
}

static void two_reasons_in_ladder_order(struct world *w)
{
    a_node_says_why(w);
    rig_shard(&w->rig, 2, 1, SHARD_FAILED); /* shard 1 is loaded at node 0: no blocker */
    tells(w, 2, FINDING_DISK_FULL, 1);
    rig_shard(&w->rig, 3, 2, SHARD_FAILED); /* shard 2 is loaded nowhere; earlier in the ladder */
    tells(w, 3, FINDING_DISK_FULL, 2);
    for (int i = 2; i <= 3; i++) {
        rig_up(&w->rig, i);
        rig_publish(&w->rig, i);
    }
}

static void no_memory(struct world *w)
{
    rig_holder(&w->rig, 0, 0, 2);
    rig_up(&w->rig, 1);
    rig_publish(&w->rig, 1);
    finding_set_action(finding_add(&w->placement, FINDING_NOT_ENOUGH_MEMORY, 2, NULL, "needs 2, has 1"), "x");
}

static void another_model(struct world *w)
{
    rig_holder(&w->rig, 0, 0, 3);
    w->rig.says[1].fingerprint = rig_hash("another");
    rig_up(&w->rig, 1);
    rig_publish(&w->rig, 1);
}

static void the_first_blocker_is_the_cause(void **state)
{
    static const struct {
        void (*make)(struct world *w);
        enum finding_code code;
        int32_t shard;
        const char *says; /* part of the cause */
    } rows[] = {
        {nobody_claims, FINDING_SHARD_NOT_DISCOVERED, 0, "never claimed"},
        {one_is_missing, FINDING_SHARD_NOT_DISCOVERED, 1, "2 of 3 discovered"},
        {claimed_by_a_lost_node, FINDING_SHARD_NOT_DISCOVERED, 2, "was held by node"},
        {idle_without_coordinator, FINDING_WAITING_FOR_LOAD_SHARD, 2, "no coordinator was seen"},
        {idle_with_coordinator, FINDING_WAITING_FOR_LOAD_SHARD, 2, "its command has not come"},
        {idle_but_draining, FINDING_SHARD_NOT_DISCOVERED, 2, "never claimed"},
        {lost_and_an_idle_one_without_coordinator, FINDING_SHARD_NOT_DISCOVERED, 2, "was held by node"},
        {loading, FINDING_LOADING, 2, "LOADING"},
        {waits_for_the_manifest, FINDING_MANIFEST_MISSING, 2, "waits for the manifest"},
        {a_node_says_why, FINDING_SELF_TEST_FAILED, 2, "cause of node 1"},
        {two_reasons_in_ladder_order, FINDING_DISK_FULL, 2, "cause of node 3"},
        {no_memory, FINDING_NOT_ENOUGH_MEMORY, 2, "needs 2"},
        {another_model, FINDING_MODEL_MISMATCH, FINDING_NO_SHARD, "this node that of 'model'"},
    };
    struct world *w = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (i) {
            end(state);
            begin(state);
            w = *state;
        }
        rows[i].make(w);
        const struct verdict *v = judge(w, true);
        check_first(v, rows[i].code, rows[i].shard);
        if (!strstr(verdict_first(v)->cause, rows[i].says))
            fail_msg("row %zu: '%s' does not say '%s'", i, verdict_first(v)->cause, rows[i].says);
    }
}

/* --- single rules ------------------------------------------------------------------------------------------
 */

static void all_loaded_has_no_blocker(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 0, 0, 1);
    rig_holder(&w->rig, 1, 1, 3);
    const struct verdict *v = judge(w, true);
    assert_int_equal(n_blockers(v), 0);
    assert_null(verdict_first(v));
    assert_false(v->ready); /* loaded is not ready: no probe went through */
    assert_string_equal(v->model, "model");
}

static void a_lost_node_is_named_with_its_time(void **state)
{
    struct world *w = *state;
    claimed_by_a_lost_node(w);
    uint64_t lost_ms = clock_ms(&w->rig.clock.clock);
    fake_clock_run(&w->rig.clock, 3000);
    const struct finding *first = verdict_first(judge(w, true));
    assert_true(node_id_equal(&first->node, rig_id(&w->rig, 2)));
    assert_in_range(first->since_ms, lost_ms - 50, lost_ms);
    assert_non_null(strstr(first->cause, "lost 3.0 s ago"));
}

static void without_a_manifest_the_shards_wait_for_it(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < RIG_NODES; i++)
        w->rig.says[i].has_manifest = false;
    rig_shard(&w->rig, 1, 0, SHARD_PRESENT);
    rig_up(&w->rig, 1);
    rig_publish(&w->rig, 1);
    rig_publish(&w->rig, 0);
    const struct verdict *v = judge(w, false);
    check_first(v, FINDING_MANIFEST_MISSING, FINDING_NO_SHARD);
    assert_int_equal(n_blockers(v), 1);
    for (uint32_t i = 1; i < v->findings.n; i++) { /* consequences name their cause */
        assert_int_equal(v->findings.items[i].severity, SEVERITY_INFO);
        assert_int_equal(v->findings.items[i].caused_by, FINDING_MANIFEST_MISSING);
    }
}

static void what_another_has_loaded_blocks_nothing(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 0, 0, 3);
    rig_shard(&w->rig, 1, 1, SHARD_FAILED);
    tells(w, 1, FINDING_SHARD_FILE_INVALID, 1);
    rig_up(&w->rig, 1);
    rig_publish(&w->rig, 1);
    const struct verdict *v = judge(w, true);
    const struct finding *f = find(v, FINDING_SHARD_FILE_INVALID, 1);
    assert_non_null(f);
    assert_int_equal(f->severity, SEVERITY_WARNING);
    assert_int_equal(n_blockers(v), 0);
    /* The holder goes: the same finding blocks. */
    rig_shard(&w->rig, 0, 1, SHARD_PRESENT);
    rig_publish(&w->rig, 0);
    v = judge(w, true);
    check_first(v, FINDING_SHARD_FILE_INVALID, 1);
}

static void findings_of_the_dead_do_not_count(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 0, 0, 3);
    rig_shard(&w->rig, 1, 1, SHARD_FAILED);
    tells(w, 1, FINDING_DISK_FULL, 1);
    rig_up(&w->rig, 1);
    rig_publish(&w->rig, 1);
    assert_non_null(find(judge(w, true), FINDING_DISK_FULL, 1));
    rig_down(&w->rig, 1);
    assert_null(find(judge(w, true), FINDING_DISK_FULL, 1));
}

static void alone_behind_a_wrong_key_the_rest_follows(void **state)
{
    struct world *w = *state;
    finding_set_action(finding_add(&w->local, FINDING_KEY_MISMATCH, FINDING_NO_SHARD, rig_id(&w->rig, 0),
                                   "the entry has another key"),
                       "shoal node TOKEN");
    rig_shard(&w->rig, 0, 0, SHARD_FAILED);
    tells(w, 0, FINDING_SHARD_FILE_INVALID, 0);
    rig_publish(&w->rig, 0);
    const struct verdict *v = judge(w, true);
    check_first(v, FINDING_KEY_MISMATCH, FINDING_NO_SHARD);
    for (uint32_t shard = 1; shard < N_SHARDS; shard++) {
        const struct finding *f = find(v, FINDING_SHARD_NOT_DISCOVERED, (int32_t)shard);
        assert_non_null(f);
        assert_int_equal(f->severity, SEVERITY_INFO);
        assert_int_equal(f->caused_by, FINDING_KEY_MISMATCH);
    }
    /* What is wrong with its own files is no consequence of being alone. */
    assert_int_equal(find(v, FINDING_SHARD_FILE_INVALID, 0)->severity, SEVERITY_BLOCKER);
    /* As soon as somebody is seen, shards count for themselves. */
    rig_up(&w->rig, 1);
    rig_publish(&w->rig, 1);
    w->local.items[0].severity = SEVERITY_WARNING; /* as discovery does then */
    v = judge(w, true);
    assert_int_equal(find(v, FINDING_WAITING_FOR_LOAD_SHARD, 1)->severity, SEVERITY_BLOCKER);
}

/* Two nodes and two shards that wait: told once, each node takes one, and the one action gives out both. */
static void shards_that_wait_are_told_once(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 0, 0, 1);
    for (int i = 1; i <= 2; i++) {
        rig_up(&w->rig, i);
        rig_publish(&w->rig, i);
    }
    const struct verdict *v = judge(w, true);
    check_first(v, FINDING_WAITING_FOR_LOAD_SHARD, 1);
    const struct finding *first = verdict_first(v), *second = find(v, FINDING_WAITING_FOR_LOAD_SHARD, 2);
    assert_non_null(
        strstr(first->cause, "2 nodes without a shard wait to be given shards 1, 2; no coordinator"));
    assert_non_null(second);
    assert_int_equal(second->severity, SEVERITY_INFO);
    assert_int_equal(second->caused_by, FINDING_WAITING_FOR_LOAD_SHARD);
    assert_false(node_id_equal(&first->node, &second->node));
    char *both = mem_format(" && %s # ", second->action);
    assert_true(strncmp(first->action, "shoal load 1 --node ", 20) == 0 && strstr(first->action, both));
    mem_free(both);
}

static void who_has_another_model_blocks_only_while_a_shard_lacks(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 0, 0, 2);
    w->rig.says[1].split = rig_hash("another split");
    w->rig.says[0].split = rig_hash("ours");
    rig_holder(&w->rig, 1, 2, 3);
    rig_publish(&w->rig, 0);
    const struct verdict *v = judge(w, true);
    check_first(v, FINDING_MODEL_MISMATCH, FINDING_NO_SHARD);
    assert_int_equal(find(v, FINDING_SHARD_NOT_DISCOVERED, 2)->severity, SEVERITY_INFO);
    w->rig.says[2].split = rig_hash("ours");
    rig_shard(&w->rig, 2, 2, SHARD_FAILED); /* another node takes the shard, and has its own trouble */
    tells(w, 2, FINDING_NO_SOURCE, 2);
    rig_up(&w->rig, 2);
    rig_publish(&w->rig, 2);
    v = judge(w, true);
    check_first(v, FINDING_NO_SOURCE, 2);
    assert_int_equal(find(v, FINDING_MODEL_MISMATCH, -1)->severity, SEVERITY_WARNING);
}

static void findings_are_sorted_by_ladder_then_shard(void **state)
{
    struct world *w = *state;
    w->rig.says[0].role = ROLE_ENTRY;
    rig_publish(&w->rig, 0);
    finding_add(&w->local, FINDING_SECURITY_REFUSED, FINDING_NO_SHARD, NULL, "17 datagrams")->severity =
        SEVERITY_INFO;
    finding_add(&w->local, FINDING_AGENT_CRASHED, FINDING_NO_SHARD, NULL, "ended")->severity = SEVERITY_WARNING;
    const struct verdict *v = judge(w, true);
    assert_int_equal(v->findings.n, N_SHARDS + 2);
    for (int32_t i = 0; i < N_SHARDS; i++) {
        assert_int_equal(v->findings.items[i].code, FINDING_SHARD_NOT_DISCOVERED);
        assert_int_equal(v->findings.items[i].shard, i);
    }
    assert_int_equal(v->findings.items[N_SHARDS].code, FINDING_AGENT_CRASHED);
    assert_int_equal(v->findings.items[N_SHARDS + 1].code, FINDING_SECURITY_REFUSED);
}

static void the_eta_is_of_the_last_to_end(void **state)
{
    struct world *w = *state;
    loading(w); /* shard 2, 4 s */
    assert_int_equal(verdict_eta_s(judge(w, true)), 4);
    rig_shard(&w->rig, 0, 1, SHARD_LOADING)->eta_s = 9;
    rig_publish(&w->rig, 0);
    assert_int_equal(verdict_eta_s(judge(w, true)), 9);
    rig_shard(&w->rig, 0, 1, SHARD_LOADING)->eta_s = -1;
    rig_publish(&w->rig, 0);
    assert_int_equal(verdict_eta_s(judge(w, true)), -1);
}

static void ages_of_others_are_on_our_clock(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 0, 0, 2);
    rig_shard(&w->rig, 1, 2, SHARD_FAILED);
    uint64_t now = clock_ms(&w->rig.clock.clock);
    tells(w, 1, FINDING_DISK_FULL, 2)->since_ms = now - 2000; /* two seconds before it says so */
    rig_up(&w->rig, 1);
    now = clock_ms(&w->rig.clock.clock);
    w->rig.says[1].findings.items[0].since_ms = now - 2000;
    rig_publish(&w->rig, 1);
    fake_clock_run(&w->rig.clock, 5000);
    assert_in_range(find(judge(w, true), FINDING_DISK_FULL, 2)->since_ms, now - 2001, now - 1999);
}

static void memory_keeps_the_first_sight(void **state)
{
    struct world *w = *state;
    struct verdict_memory *memory = verdict_memory_new();
    one_is_missing(w);
    judge(w, true);
    verdict_remember(memory, &w->verdict, 1000);
    assert_int_equal(w->verdict.since_ms, 1000);
    assert_int_equal(verdict_first(&w->verdict)->since_ms, 1000);
    judge(w, true);
    verdict_remember(memory, &w->verdict, 4000);
    assert_int_equal(w->verdict.since_ms, 1000);
    assert_int_equal(verdict_first(&w->verdict)->since_ms, 1000);
    /* Gone, and back: it is new. */
    rig_holder(&w->rig, 3, 1, 2);
    judge(w, true);
    assert_null(verdict_first(&w->verdict));
    verdict_remember(memory, &w->verdict, 5000);
    rig_down(&w->rig, 3);
    judge(w, true);
    w->verdict.findings.items[0].since_ms = 0;
    verdict_remember(memory, &w->verdict, 6000);
    assert_int_equal(verdict_first(&w->verdict)->since_ms, 6000);
    verdict_memory_free(memory);
}

static void the_json_says_all(void **state)
{
    struct world *w = *state;
    one_is_missing(w);
    judge(w, true);
    struct jv *json = verdict_to_json(&w->verdict, clock_ms(&w->rig.clock.clock));
    assert_false(jv_get_bool(json, "ready", true));
    assert_string_equal(jv_get_text(json, "model", ""), "model");
    assert_int_equal(jv_count(jv_get(json, "stages")), STAGE_COUNT);
    const struct jv *stage = jv_at(jv_get(json, "stages"), STAGE_DISCOVERED);
    assert_string_equal(jv_get_text(stage, "stage", ""), "discovered");
    assert_string_equal(jv_get_text(stage, "state", ""), "blocked");
    stage = jv_at(jv_get(json, "stages"), STAGE_LOADED);
    assert_string_equal(jv_get_text(stage, "state", ""), "unknown");
    const struct jv *first = jv_at(jv_get(json, "findings"), 0);
    assert_string_equal(jv_get_text(first, "code", ""), "SHARD_NOT_DISCOVERED");
    assert_string_equal(jv_get_text(first, "severity", ""), "blocker");
    assert_int_equal(jv_get_int(first, "shard", -1), 1);
    assert_true(jv_is_null(jv_get(first, "node")) && jv_get(first, "node"));
    assert_true(jv_is_null(jv_get(first, "caused_by")) && jv_get(first, "caused_by"));
    assert_true(jv_is_object(jv_get(first, "evidence")) && jv_is_number(jv_get(first, "since_s")));
    jv_free(json);
}

static void counts_are_of_the_living(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 0, 0, 1);
    rig_holder(&w->rig, 1, 1, 2);
    rig_shard(&w->rig, 2, 2, SHARD_QUEUED);
    rig_up(&w->rig, 2);
    rig_publish(&w->rig, 2);
    assert_int_equal(roster_n_discovered(w->rig.roster, N_SHARDS), 3);
    assert_int_equal(roster_n_loaded(w->rig.roster, N_SHARDS), 2);
    rig_down(&w->rig, 1);
    assert_int_equal(roster_n_discovered(w->rig.roster, N_SHARDS), 2);
    assert_int_equal(roster_n_loaded(w->rig.roster, N_SHARDS), 1);
    /* A file that lies there unassigned claims nothing. */
    rig_shard(&w->rig, 3, 1, SHARD_PRESENT)->assigned = ASSIGNED_NOT;
    rig_up(&w->rig, 3);
    rig_publish(&w->rig, 3);
    assert_false(shard_is_discovered(w->rig.roster, 1));
}

static void the_coordinator_is_the_living_serve_with_the_lowest_id(void **state)
{
    struct world *w = *state;
    assert_null(roster_coordinator(w->rig.roster));
    for (int i = 1; i <= 3; i++) {
        w->rig.says[i].role = ROLE_SERVE;
        rig_up(&w->rig, i);
        rig_publish(&w->rig, i);
    }
    int lowest = 1;
    for (int i = 2; i <= 3; i++)
        if (node_id_compare(rig_id(&w->rig, i), rig_id(&w->rig, lowest)) < 0)
            lowest = i;
    assert_ptr_equal(roster_coordinator(w->rig.roster), rig_entry(&w->rig, lowest));
    rig_down(&w->rig, lowest);
    const struct roster_entry *next = roster_coordinator(w->rig.roster);
    assert_true(next && next != rig_entry(&w->rig, lowest) && next->record.role == ROLE_SERVE);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        T(the_first_blocker_is_the_cause),
        T(all_loaded_has_no_blocker),
        T(a_lost_node_is_named_with_its_time),
        T(without_a_manifest_the_shards_wait_for_it),
        T(what_another_has_loaded_blocks_nothing),
        T(findings_of_the_dead_do_not_count),
        T(alone_behind_a_wrong_key_the_rest_follows),
        T(shards_that_wait_are_told_once),
        T(who_has_another_model_blocks_only_while_a_shard_lacks),
        T(findings_are_sorted_by_ladder_then_shard),
        T(the_eta_is_of_the_last_to_end),
        T(ages_of_others_are_on_our_clock),
        T(memory_keeps_the_first_sight),
        T(the_json_says_all),
        T(counts_are_of_the_living),
        T(the_coordinator_is_the_living_serve_with_the_lowest_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
