/* The verdict: root causes before consequences, each fact once, and what is told when it changes. */
#include "swarm_rig.h"

#include "node/verdict.h"
#include "node/verdict_log.h"

#define N_SHARDS 3

struct world {
    struct rig rig;
    struct finding_list local;
    struct verdict verdict;
    char told[2000];
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
    rig_free(&w->rig);
    mem_free(w);
    return 0;
}

static const struct verdict *judge(struct world *w)
{
    struct verdict_view view = {.now_ms = clock_ms(&w->rig.clock.clock),
                                .roster = w->rig.roster,
                                .manifest = w->rig.manifest,
                                .local = &w->local,
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

static uint32_t count(const struct verdict *v, enum finding_code code)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < v->findings.n; i++)
        n += v->findings.items[i].code == code;
    return n;
}

static uint32_t n_blockers(const struct verdict *v)
{
    uint32_t n = 0;
    while (n < v->findings.n && v->findings.items[n].severity == SEVERITY_BLOCKER)
        n++;
    return n;
}

static void check_consequence(const struct verdict *v, enum finding_code code, int32_t shard,
                              enum finding_code of)
{
    const struct finding *f = find(v, code, shard);
    assert_non_null(f);
    assert_int_equal(f->severity, SEVERITY_INFO);
    assert_string_equal(finding_code_name(f->caused_by), finding_code_name(of));
}

/* Node i, or this process (0), knows this; the caller publishes. */
static struct finding *knows(struct world *w, int i, enum finding_code code, const struct node_id *about,
                             const char *address)
{
    struct finding_list *list = i ? &w->rig.says[i].findings : &w->local;
    struct finding *f = finding_add(list, code, FINDING_NO_SHARD, about, "as node %d sees it", i);
    f->severity = SEVERITY_WARNING;
    finding_set_action(f, "shoal status");
    if (address)
        jv_set_text(finding_evidence(f), "address", address);
    return f;
}

/* --- ids claimed twice ---
 */

static void two_with_one_id_explain_one_without(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 1, 0, 1);
    rig_holder(&w->rig, 2, 0, 1);
    rig_holder(&w->rig, 3, 2, 3);
    w->rig.says[0].role = ROLE_SERVE;
    rig_publish(&w->rig, 0);
    const struct verdict *v = judge(w);
    const struct finding *first = verdict_first(v);
    assert_int_equal(n_blockers(v), 1);
    assert_int_equal(first->code, FINDING_DUPLICATE_SHARD_ID);
    assert_int_equal(first->shard, 0);
    assert_int_equal(jv_count(jv_get(first->evidence, "nodes")), 2);
    assert_non_null(strstr(first->action, "shoal node --shard-id 1"));
    check_consequence(v, FINDING_SHARD_NOT_DISCOVERED, 1, FINDING_DUPLICATE_SHARD_ID);
}

static void replicas_are_fine(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 1, 0, 3);
    rig_holder(&w->rig, 2, 0, 1);
    w->rig.says[0].role = ROLE_SERVE;
    rig_publish(&w->rig, 0);
    const struct verdict *v = judge(w);
    assert_int_equal(n_blockers(v), 0);
    assert_int_equal(find(v, FINDING_DUPLICATE_SHARD_ID, 0)->severity, SEVERITY_INFO);
    /* One that was there is lost: its loss is the cause, not the replica. */
    rig_holder(&w->rig, 3, 1, 3);
    rig_shard(&w->rig, 1, 1, SHARD_ABSENT)->assigned = ASSIGNED_NOT;
    rig_shard(&w->rig, 1, 2, SHARD_ABSENT)->assigned = ASSIGNED_NOT;
    rig_publish(&w->rig, 1);
    rig_down(&w->rig, 3);
    v = judge(w);
    assert_int_equal(verdict_first(v)->code, FINDING_SHARD_NOT_DISCOVERED);
    assert_non_null(strstr(verdict_first(v)->cause, "lost"));
    assert_int_equal(find(v, FINDING_DUPLICATE_SHARD_ID, 0)->severity, SEVERITY_INFO);
}

static void one_too_many_explains_only_one_that_lacks(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 1, 0, 1);
    rig_holder(&w->rig, 2, 0, 1);
    w->rig.says[0].role = ROLE_SERVE;
    rig_publish(&w->rig, 0);
    const struct verdict *v = judge(w);
    assert_int_equal(n_blockers(v), 2);
    assert_int_equal(verdict_first(v)->code, FINDING_SHARD_NOT_DISCOVERED);
    assert_int_equal(verdict_first(v)->shard, 2);
    check_consequence(v, FINDING_SHARD_NOT_DISCOVERED, 1, FINDING_DUPLICATE_SHARD_ID);
}

/* --- alone ---
 */

static void is_alone(struct world *w)
{
    finding_add(&w->local, FINDING_ALONE_IN_CLUSTER, FINDING_NO_SHARD, rig_id(&w->rig, 0), "alone");
}

static void who_is_alone_lacks_others_for_that(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 0, 0, 1);
    is_alone(w);
    const struct verdict *v = judge(w);
    assert_int_equal(verdict_first(v)->code, FINDING_ALONE_IN_CLUSTER);
    assert_int_equal(n_blockers(v), 1);
    check_consequence(v, FINDING_SHARD_NOT_DISCOVERED, 1, FINDING_ALONE_IN_CLUSTER);
    check_consequence(v, FINDING_SHARD_NOT_DISCOVERED, 2, FINDING_ALONE_IN_CLUSTER);
}

static void being_alone_is_no_cause_where_nothing_lacks(void **state)
{
    struct world *w = *state;
    w->rig.says[0].role = ROLE_SERVE;
    rig_publish(&w->rig, 0);
    is_alone(w);
    for (int i = 0; i < N_SHARDS; i++)
        finding_add(&w->local, FINDING_NO_NODE_FOR_SHARD, i, NULL, "no node");
    const struct verdict *v = judge(w);
    assert_int_equal(verdict_first(v)->code, FINDING_NO_NODE_FOR_SHARD);
    assert_int_equal(n_blockers(v), N_SHARDS);
    assert_int_equal(find(v, FINDING_ALONE_IN_CLUSTER, FINDING_NO_SHARD)->severity, SEVERITY_INFO);
}

static void a_wrong_key_is_before_being_alone(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 0, 0, 1);
    is_alone(w);
    knows(w, 0, FINDING_KEY_MISMATCH, rig_id(&w->rig, 0), "192.0.2.1:7400")->severity = SEVERITY_BLOCKER;
    const struct verdict *v = judge(w);
    assert_int_equal(verdict_first(v)->code, FINDING_KEY_MISMATCH);
    assert_int_equal(n_blockers(v), 1);
    check_consequence(v, FINDING_ALONE_IN_CLUSTER, FINDING_NO_SHARD, FINDING_KEY_MISMATCH);
    check_consequence(v, FINDING_SHARD_NOT_DISCOVERED, 1, FINDING_KEY_MISMATCH);
}

static void other_clusters_are_named_by_who_is_alone(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 0, 0, 1);
    is_alone(w);
    w->rig.says[1].role = ROLE_ENTRY; /* the entry saw one of another cluster */
    rig_up(&w->rig, 1);
    jv_set_text(finding_evidence(knows(w, 1, FINDING_CLUSTER_MISMATCH, NULL, "192.0.2.5")), "cluster",
                "llama-8b");
    rig_publish(&w->rig, 1);
    const struct verdict *v = judge(w);
    const struct finding *alone = find(v, FINDING_ALONE_IN_CLUSTER, FINDING_NO_SHARD);
    assert_int_equal(alone->severity, SEVERITY_BLOCKER);
    const struct jv *names = jv_get(alone->evidence, "other_clusters");
    assert_int_equal(jv_count(names), 1);
    assert_string_equal(jv_text(jv_at(names, 0), ""), "llama-8b");
}

static void another_version_is_before_being_alone(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 0, 0, 1);
    is_alone(w);
    knows(w, 0, FINDING_PROTOCOL_VERSION_MISMATCH, NULL, "192.0.2.5");
    const struct verdict *v = judge(w);
    assert_int_equal(verdict_first(v)->code, FINDING_PROTOCOL_VERSION_MISMATCH);
    assert_int_equal(n_blockers(v), 1); /* two shards lack: the one who came may have both */
    check_consequence(v, FINDING_ALONE_IN_CLUSTER, FINDING_NO_SHARD, FINDING_PROTOCOL_VERSION_MISMATCH);
    check_consequence(v, FINDING_SHARD_NOT_DISCOVERED, 1, FINDING_PROTOCOL_VERSION_MISMATCH);
    check_consequence(v, FINDING_SHARD_NOT_DISCOVERED, 2, FINDING_PROTOCOL_VERSION_MISMATCH);
}

static void others_who_are_alone_are_not(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 0, 0, 3);
    knows(w, 1, FINDING_ALONE_IN_CLUSTER, rig_id(&w->rig, 1), NULL)->severity = SEVERITY_BLOCKER;
    rig_up(&w->rig, 1);
    rig_publish(&w->rig, 1);
    assert_int_equal(judge(w)->findings.n, 0); /* we hear it: it is not alone any more */
}

/* --- turned away ---
 */

static void who_is_turned_away_explains_the_shard_that_lacks(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 1, 0, 1);
    rig_holder(&w->rig, 2, 2, 3);
    w->rig.says[0].role = ROLE_SERVE;
    rig_publish(&w->rig, 0);
    knows(w, 1, FINDING_KEY_MISMATCH, NULL, "192.0.2.9");
    knows(w, 2, FINDING_KEY_MISMATCH, NULL, "192.0.2.9"); /* it knocks at two */
    rig_publish(&w->rig, 1);
    rig_publish(&w->rig, 2);
    const struct verdict *v = judge(w);
    assert_int_equal(count(v, FINDING_KEY_MISMATCH), 1);
    assert_int_equal(verdict_first(v)->code, FINDING_KEY_MISMATCH);
    assert_int_equal(n_blockers(v), 1);
    assert_int_equal(jv_count(jv_get(verdict_first(v)->evidence, "seen_by")), 2);
    check_consequence(v, FINDING_SHARD_NOT_DISCOVERED, 1, FINDING_KEY_MISMATCH);
    /* Nothing lacks: a stranger knocks, no more. */
    rig_shard(&w->rig, 1, 1, SHARD_LOADED);
    rig_publish(&w->rig, 1);
    v = judge(w);
    assert_int_equal(n_blockers(v), 0);
    assert_int_equal(find(v, FINDING_KEY_MISMATCH, FINDING_NO_SHARD)->severity, SEVERITY_WARNING);
}

/* Node 2 has shard 2 of another split of the model. */
static void another_split_explains_the_shard_that_lacks(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 3; i++) {
        w->rig.says[i].has_manifest = true;
        w->rig.says[i].fingerprint = w->rig.manifest->fingerprint;
        w->rig.says[i].split = rig_hash(i == 2 ? "in five" : "in three");
        rig_holder(&w->rig, i, (uint32_t)i, (uint32_t)i + 1);
    }
    const struct verdict *v = judge(w);
    assert_int_equal(n_blockers(v), 1);
    assert_int_equal(v->findings.items[0].code, FINDING_MODEL_MISMATCH);
    assert_true(node_id_equal(&v->findings.items[0].node, rig_id(&w->rig, 2)));
    assert_non_null(strstr(v->findings.items[0].cause, "another split"));
    check_consequence(v, FINDING_SHARD_NOT_DISCOVERED, 2, FINDING_MODEL_MISMATCH);

    w->rig.says[2].split = rig_hash("in three");
    rig_publish(&w->rig, 2);
    v = judge(w);
    assert_null(find(v, FINDING_MODEL_MISMATCH, FINDING_NO_SHARD));
    assert_null(find(v, FINDING_SHARD_NOT_DISCOVERED, 2));
}

static void one_knock_does_not_explain_two(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 1, 0, 1);
    w->rig.says[0].role = ROLE_SERVE;
    rig_publish(&w->rig, 0);
    knows(w, 0, FINDING_KEY_MISMATCH, NULL, "192.0.2.9");
    const struct verdict *v = judge(w);
    assert_int_equal(verdict_first(v)->code, FINDING_KEY_MISMATCH);
    assert_int_equal(n_blockers(v), 3);
    assert_int_equal(find(v, FINDING_SHARD_NOT_DISCOVERED, 1)->severity, SEVERITY_BLOCKER);
}

/* --- each fact once ---
 */

static void what_many_tell_is_there_once(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 0, 0, 3);
    for (int i = 1; i <= 3; i++) {
        struct finding *f = knows(w, i, FINDING_PEER_UNREACHABLE, rig_id(&w->rig, 7), "192.0.2.7:7400");
        f->severity = i == 2 ? SEVERITY_WARNING : SEVERITY_INFO;
        rig_up(&w->rig, i);
        rig_publish(&w->rig, i);
    }
    const struct verdict *v = judge(w);
    assert_int_equal(count(v, FINDING_PEER_UNREACHABLE), 1);
    const struct finding *f = find(v, FINDING_PEER_UNREACHABLE, FINDING_NO_SHARD);
    assert_int_equal(f->severity, SEVERITY_WARNING); /* the gravest is heard */
    assert_string_equal(f->cause, "as node 2 sees it");
    assert_int_equal(jv_count(jv_get(f->evidence, "seen_by")), 3);
}

static void a_wrong_clock_is_that_of_whom_most_find_wrong(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 0, 0, 3);
    for (int i = 1; i <= 4; i++)
        rig_up(&w->rig, i);
    for (int i = 1; i <= 3; i++) {
        knows(w, i, FINDING_CLOCK_SKEW, rig_id(&w->rig, 4), NULL);
        knows(w, 4, FINDING_CLOCK_SKEW, rig_id(&w->rig, i), NULL);
    }
    for (int i = 1; i <= 4; i++)
        rig_publish(&w->rig, i);
    const struct verdict *v = judge(w);
    assert_int_equal(count(v, FINDING_CLOCK_SKEW), 1);
    assert_true(node_id_equal(&find(v, FINDING_CLOCK_SKEW, FINDING_NO_SHARD)->node, rig_id(&w->rig, 4)));
}

/* --- slow links ---
 */

static void measured(struct world *w, int i, int k, uint32_t rtt_us)
{
    rig_link(&w->rig, i, k, rtt_us);
    rig_link(&w->rig, k, i, rtt_us + 100);
}

static void a_link_far_slower_than_the_others_is_told(void **state)
{
    struct world *w = *state;
    w->rig.links[0].rtt_us = 300;
    rig_holder(&w->rig, 0, 0, 3);
    for (int i = 1; i <= 4; i++)
        rig_up(&w->rig, i);
    for (int i = 1; i <= 4; i++)
        for (int k = i + 1; k <= 4; k++)
            measured(w, i, k, i == 1 && k == 2 ? 90000 : 400);
    for (int i = 0; i <= 4; i++)
        rig_publish(&w->rig, i);
    const struct verdict *v = judge(w);
    assert_int_equal(count(v, FINDING_LINK_SLOW), 1);
    const struct finding *f = find(v, FINDING_LINK_SLOW, FINDING_NO_SHARD);
    assert_int_equal(f->severity, SEVERITY_WARNING);
    assert_true(node_id_equal(&f->node, rig_id(&w->rig, 1)) || node_id_equal(&f->node, rig_id(&w->rig, 2)));
    assert_non_null(strstr(f->cause, "90.0 ms"));
}

static void a_node_far_from_all_is_told_once(void **state)
{
    struct world *w = *state;
    w->rig.links[0].rtt_us = 300;
    rig_holder(&w->rig, 0, 0, 3);
    for (int i = 1; i <= 4; i++)
        rig_up(&w->rig, i);
    for (int i = 1; i <= 4; i++)
        for (int k = i + 1; k <= 4; k++)
            measured(w, i, k, k == 4 ? 80000 : 400);
    for (int i = 0; i <= 4; i++)
        rig_publish(&w->rig, i);
    const struct verdict *v = judge(w);
    assert_int_equal(count(v, FINDING_LINK_SLOW), 1);
    assert_true(node_id_equal(&find(v, FINDING_LINK_SLOW, FINDING_NO_SHARD)->node, rig_id(&w->rig, 4)));
}

static void links_that_are_all_alike_are_not_slow(void **state)
{
    struct world *w = *state;
    w->rig.links[0].rtt_us = 200000;
    rig_holder(&w->rig, 0, 0, 3);
    for (int i = 1; i <= 4; i++)
        rig_up(&w->rig, i);
    for (int i = 1; i <= 4; i++)
        for (int k = i + 1; k <= 4; k++)
            measured(w, i, k, 200000u + (uint32_t)(i * k) * 1000u);
    for (int i = 0; i <= 4; i++)
        rig_publish(&w->rig, i);
    assert_int_equal(count(judge(w), FINDING_LINK_SLOW), 0);
}

/* --- what is told of changes ---
 */

static void note(void *ctx, const struct finding *f, bool is_over, uint64_t stood_ms)
{
    struct world *w = ctx;
    size_t n = strlen(w->told);
    snprintf(w->told + n, sizeof w->told - n, "%s%s %d %llu;", is_over ? "-" : "+", finding_code_name(f->code),
             f->shard, (unsigned long long)stood_ms);
}

static void each_change_is_told_once_in_both_directions(void **state)
{
    struct world *w = *state;
    struct verdict_log *log = verdict_log_new();
    struct finding_list list = {0}, none = {0};
    finding_add(&list, FINDING_DISK_FULL, 3, NULL, "full");
    finding_add(&list, FINDING_LINK_SLOW, FINDING_NO_SHARD, NULL, "slow")->severity = SEVERITY_WARNING;
    finding_add(&list, FINDING_SHARD_FILE_INVALID, 4, NULL, "name")->severity = SEVERITY_INFO;
    assert_true(verdict_log_note(log, &list, 1000, note, w));
    assert_string_equal(w->told, "+DISK_FULL 3 0;+LINK_SLOW -1 0;");
    w->told[0] = '\0';
    assert_false(verdict_log_note(log, &list, 2000, note, w));
    list.items[0].severity = SEVERITY_WARNING; /* still the same fact */
    assert_false(verdict_log_note(log, &list, 3000, note, w));
    assert_string_equal(w->told, "");
    finding_list_remove(&list, 0);
    assert_true(verdict_log_note(log, &list, 4000, note, w));
    assert_string_equal(w->told, "-DISK_FULL 3 3000;");
    w->told[0] = '\0';
    assert_true(verdict_log_note(log, &none, 6000, note, w));
    assert_string_equal(w->told, "-LINK_SLOW -1 5000;");
    assert_false(verdict_log_note(log, &none, 7000, note, w));
    verdict_log_free(log);
    finding_list_free(&list);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        T(two_with_one_id_explain_one_without),
        T(replicas_are_fine),
        T(one_too_many_explains_only_one_that_lacks),
        T(who_is_alone_lacks_others_for_that),
        T(being_alone_is_no_cause_where_nothing_lacks),
        T(a_wrong_key_is_before_being_alone),
        T(other_clusters_are_named_by_who_is_alone),
        T(another_version_is_before_being_alone),
        T(others_who_are_alone_are_not),
        T(who_is_turned_away_explains_the_shard_that_lacks),
        T(another_split_explains_the_shard_that_lacks),
        T(one_knock_does_not_explain_two),
        T(what_many_tell_is_there_once),
        T(a_wrong_clock_is_that_of_whom_most_find_wrong),
        T(a_link_far_slower_than_the_others_is_told),
        T(a_node_far_from_all_is_told_once),
        T(links_that_are_all_alike_are_not_slow),
        T(each_change_is_told_once_in_both_directions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
