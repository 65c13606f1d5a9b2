/* The timeline: what was reached when, how long it took beside what is expected, and which stage was the
 * slowest. */
#include "swarm_rig.h"

#include "node/timeline.h"

#define N_SHARDS 2
#define MB       1000000

struct world {
    struct rig rig;
    struct timeline *timeline;
    struct jv *json;
};

static uint64_t now_of(const struct world *w)
{
    return clock_ms(&w->rig.clock.clock);
}

static int begin(void **state)
{
    struct world *w = mem_new(sizeof *w);
    rig_new(&w->rig, N_SHARDS);
    w->timeline = timeline_new(now_of(w), rig_id(&w->rig, 0));
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    jv_free(w->json);
    timeline_free(w->timeline);
    rig_free(&w->rig);
    mem_free(w);
    return 0;
}

/* Node i's shard is in this state from now on, and we hear so. */
static void becomes(struct world *w, int i, uint32_t shard, enum shard_state state, uint64_t bytes,
                    uint64_t rate)
{
    struct record_shard *s = rig_shard(&w->rig, i, shard, state);
    s->since_ms = now_of(w);
    s->bytes_total = bytes;
    s->rate = rate;
    rig_publish(&w->rig, i);
    timeline_see(w->timeline, now_of(w), rig_entry(&w->rig, i));
}

static const struct jv *shown(struct world *w, const char *key)
{
    jv_free(w->json);
    w->json = timeline_to_json(w->timeline);
    return jv_get(w->json, key);
}

static const struct jv *stage(struct world *w, const char *name, int64_t shard)
{
    const struct jv *rows = shown(w, "stages");
    for (size_t i = 0; i < jv_count(rows); i++)
        if (strcmp(jv_get_text(jv_at(rows, i), "stage", ""), name) == 0 &&
            jv_get_int(jv_at(rows, i), "shard", -1) == shard)
            return jv_at(rows, i);
    return NULL;
}

static void check_stage(struct world *w, const char *name, int64_t shard, double took_s, double expected_s,
                        bool slow)
{
    const struct jv *row = stage(w, name, shard);
    if (!row)
        fail_msg("no stage '%s' of shard %d", name, (int)shard);
    double took = jv_get_real(row, "took_s", -1), expected = jv_get_real(row, "expected_s", -1);
    if (took < took_s - 0.06 || took > took_s + 0.06 || expected < expected_s - 0.01 ||
        expected > expected_s + 0.01)
        fail_msg("'%s' took %.3f s of %.3f s expected", name, took, expected);
    assert_int_equal(jv_get_bool(row, "slow", !slow), slow);
}

static void a_download_is_measured_by_its_own_rate(void **state)
{
    struct world *w = *state;
    rig_up(&w->rig, 1);
    becomes(w, 1, 0, SHARD_QUEUED, 0, 0);
    fake_clock_run(&w->rig.clock, 500);
    becomes(w, 1, 0, SHARD_FETCHING, 100 * MB, 0);
    check_stage(w, "source", 0, 0.5, TIMELINE_SOURCE_MS / 1e3, false);
    fake_clock_run(&w->rig.clock, 4000);
    rig_shard(&w->rig, 1, 0, SHARD_FETCHING)->rate = 50 * MB;
    rig_publish(&w->rig, 1);
    timeline_see(w->timeline, now_of(w), rig_entry(&w->rig, 1));
    fake_clock_run(&w->rig.clock, 5000);
    becomes(w, 1, 0, SHARD_VERIFYING, 100 * MB, 0);
    check_stage(w, "fetched", 0, 9, 2 + 1, true); /* 100 MB at 50 MB a second, and a second */
    fake_clock_run(&w->rig.clock, 200);
    becomes(w, 1, 0, SHARD_PRESENT, 0, 0);
    check_stage(w, "verified", 0, 0.2, 0.5 + 0.5, false);
    becomes(w, 1, 0, SHARD_LOADING, 100 * MB, 0);
    fake_clock_run(&w->rig.clock, 300);
    becomes(w, 1, 0, SHARD_LOADED, 0, 0);
    check_stage(w, "loaded", 0, 0.3, 1.5, false);
    assert_int_equal(jv_count(shown(w, "events")), 1 + 6); /* that it is here, and its six states */
}

static void the_slowest_stage_of_the_start_is_named(void **state)
{
    struct world *w = *state;
    fake_clock_run(&w->rig.clock, 300);
    timeline_own_stage(w->timeline, now_of(w), "joined", TIMELINE_JOINED_MS);
    becomes(w, 0, 0, SHARD_QUEUED, 0, 0);
    fake_clock_run(&w->rig.clock, 3000);
    becomes(w, 0, 0, SHARD_LOADING, MB, 0);
    fake_clock_run(&w->rig.clock, 100);
    becomes(w, 0, 0, SHARD_LOADED, 0, 0);
    timeline_progress(w->timeline, now_of(w), true, true, false);
    assert_true(jv_is_null(jv_get(shown(w, "start"), "ready_s")));
    fake_clock_run(&w->rig.clock, 200);
    timeline_progress(w->timeline, now_of(w), true, true, true);
    const struct jv *start = shown(w, "start"), *slowest = jv_get(start, "slowest");
    assert_in_range((int64_t)(jv_get_real(start, "took_s", 0) * 1000), 3550, 3900);
    assert_string_equal(jv_get_text(slowest, "stage", ""), "discovered"); /* nobody claimed the shards before */
    check_stage(w, "found", 0, 3, TIMELINE_FOUND_MS / 1e3, true);
    check_stage(w, "ready", -1, 0.2, TIMELINE_READY_MS / 1e3, false);
    check_stage(w, "joined", -1, 0.3, TIMELINE_JOINED_MS / 1e3, false);
}

static void losing_ready_begins_another_start(void **state)
{
    struct world *w = *state;
    timeline_progress(w->timeline, now_of(w), true, true, true);
    uint64_t told_since = now_of(w);
    fake_clock_run(&w->rig.clock, 60000);
    timeline_progress(w->timeline, now_of(w), true, false, false);
    const struct jv *start = shown(w, "start");
    assert_true(jv_is_null(jv_get(start, "ready_s")) && jv_get_real(start, "began_s", 0) > 59);
    assert_int_equal(jv_count(shown(w, "stages")), 0);
    timeline_stage(w->timeline, now_of(w), rig_id(&w->rig, 0), 0, "told", told_since, TIMELINE_TOLD_MS);
    assert_int_equal(jv_count(shown(w, "stages")), 0); /* that was in the start before */
    fake_clock_run(&w->rig.clock, 700);
    timeline_progress(w->timeline, now_of(w), true, true, false);
    fake_clock_run(&w->rig.clock, 100);
    timeline_progress(w->timeline, now_of(w), true, true, true);
    assert_in_range((int64_t)(jv_get_real(shown(w, "start"), "took_s", 0) * 1000), 750, 850);
}

static void what_failed_and_was_mended_is_there_each_time(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 3; i++) {
        becomes(w, 0, 1, SHARD_LOADING, MB, 0);
        fake_clock_run(&w->rig.clock, 100);
        becomes(w, 0, 1, SHARD_FAILED, 0, 0);
        fake_clock_run(&w->rig.clock, 1000);
    }
    const struct jv *rows = shown(w, "stages");
    assert_int_equal(jv_count(rows), 5); /* failed, mended, failed, mended, failed */
    assert_string_equal(jv_get_text(jv_at(rows, 4), "stage", ""), "failed");
    assert_true(jv_is_null(jv_get(jv_at(rows, 1), "expected_s")));
}

/* We may hear of the earlier later. */
static void stages_are_told_in_the_order_of_time(void **state)
{
    struct world *w = *state;
    fake_clock_run(&w->rig.clock, 1000);
    becomes(w, 1, 0, SHARD_LOADED, MB, 0);
    rig_shard(&w->rig, 2, 1, SHARD_LOADED)->since_ms = now_of(w) - 600;
    rig_publish(&w->rig, 2);
    timeline_see(w->timeline, now_of(w), rig_entry(&w->rig, 2));
    const struct jv *rows = shown(w, "stages");
    assert_int_equal(jv_count(rows), 2);
    assert_int_equal(jv_get_int(jv_at(rows, 0), "shard", -1), 1);
    assert_true(jv_get_real(jv_at(rows, 1), "at_s", 0) - jv_get_real(jv_at(rows, 0), "at_s", 0) > 0.5);
}

static void tables_stay_bounded(void **state)
{
    struct world *w = *state;
    for (int32_t i = 0; i < TIMELINE_STAGES_MAX + 10; i++) {
        timeline_stage(w->timeline, now_of(w), rig_id(&w->rig, 0), i % 1000, "failed", now_of(w), 0);
        timeline_add(w->timeline, now_of(w), rig_id(&w->rig, 0), i, "x");
    }
    assert_int_equal(jv_count(shown(w, "stages")), TIMELINE_STAGES_MAX);
    assert_int_equal(jv_count(shown(w, "events")), TIMELINE_EVENTS_MAX);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        T(a_download_is_measured_by_its_own_rate),
        T(the_slowest_stage_of_the_start_is_named),
        T(losing_ready_begins_another_start),
        T(what_failed_and_was_mended_is_there_each_time),
        T(stages_are_told_in_the_order_of_time),
        T(tables_stay_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
