/* What is missing is fetched: from whom, how it ends, and what is said when it does not. */
#include "node/shards_world.h"

#include <errno.h>

static const int both[] = {0, 1}, third[] = {2};

static void test_no_source_then_one(void **state)
{
    (void)state;
    struct world *w = world_with_shard_0();
    pass(w, 1000);
    check_blocker(w, FINDING_SHARD_FILE_MISSING, "no transfer was tried yet");
    give_sources(w, 0, NULL, 0);
    pass(w, 100);
    assert_int_equal(state_of(w, 0), SHARD_QUEUED);
    const struct finding *f = check_blocker(w, FINDING_NO_SOURCE, "of the 3 other live nodes none has shard 0");
    assert_int_equal(jv_get_int(f->evidence, "nodes_asked", -1), 3);
    assert_int_equal(w->agent.n_added, 0);
    give_sources(w, 0, both, 1);
    pass(w, 1000);
    assert_int_equal(state_of(w, 0), SHARD_FETCHING);
    world_free(w);
}

static void test_download(void **state)
{
    (void)state;
    struct world *w = world_with_shard_0();
    give_sources(w, 0, both, 2);
    pass(w, 1600);
    struct record_shard shard;
    assert_true(shards_state(w->shards, 0, &shard));
    assert_int_equal(shard.state, SHARD_FETCHING);
    assert_int_equal(shard.bytes_done, 300000000); /* 2 peers at 100 MB/s, 1.5 s */
    assert_int_equal(shard.bytes_total, SHARD_BYTES);
    assert_int_equal(shard.n_sources, 2);
    assert_int_equal(shard.eta_s, 1);
    const struct finding *f =
        check_blocker(w, FINDING_DOWNLOADING, "300.0 of 500.0 MB from 2 peers at 200.0 MB/s");
    assert_int_equal(f->eta_s, 1);
    pass(w, 5000);
    check_loaded(w, 0);
    assert_true(is_verified(w, 0)); /* and is given to others */
    assert_int_equal(w->disk.n_published, 1);
    assert_int_equal(w->agent.n_renamed, 1);
    assert_int_equal(w->agent.n_added, 1);
    assert_int_equal(w->agent.n_refused, 0);
    assert_null(fake_disk_find(&w->disk, DIR "/shard-0.gguf.part"));
    assert_non_null(fake_disk_find(&w->disk, DIR "/shard-0.gguf"));
    assert_int_equal(w->disk.n_hashes, 1); /* read once: the hash goes with the file when it is renamed */
    assert_int_equal(n_findings(w, SEVERITY_BLOCKER) + n_findings(w, SEVERITY_WARNING), 0);
    world_free(w);
}

static void test_fetching_is_off(void **state)
{
    (void)state;
    struct world *w = world_new();
    world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1, .no_fetch = true});
    give_sources(w, 0, both, 2);
    pass(w, 20000);
    check_blocker(w, FINDING_SHARD_FILE_MISSING, "--no-fetch");
    assert_int_equal(w->agent.n_added, 0);
    world_free(w);
}

static void test_stall_is_named_and_another_source_is_taken(void **state)
{
    (void)state;
    struct world *w = world_with_shard_0();
    w->others[0].rate = 20000000;
    give_sources(w, 0, both, 1);
    pass(w, 5100);
    assert_non_null(finding_of(w, FINDING_DOWNLOADING, 0));
    w->others[0].is_down = true; /* the seeder is killed in mid-download */
    pass(w, 9000);
    assert_non_null(finding_of(w, FINDING_DOWNLOADING, 0));
    pass(w, 1500);
    const struct finding *f = check_blocker(w, FINDING_DOWNLOAD_STALLED, "no byte of shard 0 for 10 s");
    assert_non_null(strstr(f->cause, "100.0 of 500.0 MB"));
    assert_non_null(strstr(f->cause, "192.0.2.2:7401"));
    assert_string_equal(jv_text(jv_at(jv_get(f->evidence, "sources"), 0), ""), "b0000000 192.0.2.2:7401");
    give_sources(w, 0, NULL, 0);
    pass(w, 100);
    check_blocker(w, FINDING_DOWNLOAD_STALLED, "none has it any more");
    assert_int_equal(state_of(w, 0), SHARD_FETCHING);
    give_sources(w, 0, third, 1);
    pass(w, 600);
    struct record_shard shard;
    shards_state(w->shards, 0, &shard);
    assert_true(shard.bytes_done > 100000000 && shard.bytes_done <= 150000000); /* nothing twice */
    pass(w, 10000);
    check_loaded(w, 0);
    assert_int_equal(w->agent.n_added, 1);
    world_free(w);
}

static void test_a_source_that_is_gone_is_told_without_the_pause(void **state)
{
    (void)state;
    struct world *w = world_with_shard_0();
    w->others[0].rate = 20000000;
    give_sources(w, 0, both, 1);
    pass(w, 5100);
    w->others[0].is_down = true;
    give_sources(w, 0, NULL, 0);
    pass(w, 3500);
    check_blocker(w, FINDING_DOWNLOAD_STALLED, "none has it any more");
    give_sources(w, 0, third, 1);
    pass(w, 20000);
    check_loaded(w, 0);
    world_free(w);
}

static void test_corrupt_peer_is_named_and_the_honest_one_completes(void **state)
{
    (void)state;
    struct world *w = world_with_shard_0();
    w->others[0].is_corrupt = true;
    give_sources(w, 0, both, 2);
    pass(w, 2000);
    assert_int_equal(state_of(w, 0), SHARD_FETCHING);
    struct finding_list list = {0};
    shards_explain(w->shards, &list);
    uint32_t n_named = 0;
    for (uint32_t i = 0; i < list.n; i++)
        if (list.items[i].code == FINDING_SOURCE_CORRUPT) {
            n_named++;
            assert_int_equal(list.items[i].severity, SEVERITY_WARNING);
            assert_int_equal(list.items[i].node.bytes[0], 0xb0); /* the culprit, not ourselves */
            assert_non_null(strstr(list.items[i].cause, "192.0.2.2:7401"));
        }
    finding_list_free(&list);
    assert_int_equal(n_named, 1);
    pass(w, 8000);
    check_loaded(w, 0);
    world_free(w);
}

static void test_only_corrupt_peers(void **state)
{
    (void)state;
    struct world *w = world_with_shard_0();
    w->others[0].is_corrupt = true;
    give_sources(w, 0, both, 1);
    pass(w, 12000);
    assert_int_equal(state_of(w, 0), SHARD_FETCHING);
    check_blocker(w, FINDING_SOURCE_CORRUPT, "192.0.2.2:7401 sends data that does not match");
    give_sources(w, 0, third, 1);
    pass(w, 10000);
    check_loaded(w, 0);
    world_free(w);
}

static void test_the_only_source_is_heard_again_when_it_is_mended(void **state)
{
    (void)state;
    struct world *w = world_with_shard_0();
    w->others[0].is_corrupt = true;
    give_sources(w, 0, both, 1);
    pass(w, 15000);
    check_blocker(w, FINDING_SOURCE_CORRUPT, "192.0.2.2:7401 sends data that does not match");
    pass(w, 20000); /* heard again, and still wrong */
    check_blocker(w, FINDING_SOURCE_CORRUPT, "192.0.2.2:7401 sends data that does not match");
    w->others[0].is_corrupt = false;
    pass(w, 5000);
    check_blocker(w, FINDING_SOURCE_CORRUPT, "192.0.2.2:7401 sends data that does not match"); /* not at once */
    pass(w, 50000);
    check_loaded(w, 0);
    world_free(w);
}

/* Every piece has its SHA-1, the whole has not its SHA-256. */
static void test_wrong_whole_is_thrown_away_and_fetched_again(void **state)
{
    (void)state;
    struct world *w = world_with_shard_0();
    w->others[0].lie = content_of(0);
    w->others[0].lie.sha256.bytes[3] ^= 1;
    w->others[0].has_lie = true;
    w->others[0].rate = 500000000;
    give_sources(w, 0, both, 1);
    pass(w, 2100);
    check_blocker(w, FINDING_SOURCE_CORRUPT, "it was thrown away");
    assert_int_equal(state_of(w, 0), SHARD_FAILED);
    assert_null(fake_disk_find(&w->disk, DIR "/shard-0.gguf.part"));
    assert_int_equal(w->disk.n_published, 0);
    pass(w, 30000);
    assert_false(shards_is_loaded(w->shards, 0));
    assert_true(w->agent.n_added >= 3); /* tried again, with back-off */
    assert_true(w->agent.n_added <= 6);
    w->others[0].has_lie = false;
    pass(w, 60000);
    check_loaded(w, 0);
    world_free(w);
}

static void test_invalid_file_is_replaced_and_kept_aside(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct fake_content other = content_of(0);
    other.header.fingerprint = hash_of("model", 5); /* another model's shard of this name */
    put(w, "shard-0.gguf", &other);
    world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1});
    give_sources(w, 0, both, 2);
    pass(w, 1000);
    check_blocker(w, FINDING_DOWNLOADING, "being fetched");
    const struct finding *f = finding_of(w, FINDING_SHARD_FILE_INVALID, 0);
    assert_non_null(f);
    assert_int_equal(f->severity, SEVERITY_WARNING);
    pass(w, 10000);
    check_loaded(w, 0);
    assert_non_null(fake_disk_find(&w->disk, DIR "/shard-0.gguf.invalid"));
    assert_int_equal(n_findings(w, SEVERITY_WARNING), 0);
    world_free(w);
}

static void test_a_copied_file_ends_the_download(void **state)
{
    (void)state;
    struct world *w = world_with_shard_0();
    w->others[0].rate = 1000000;
    give_sources(w, 0, both, 1);
    pass(w, 3000);
    assert_int_equal(state_of(w, 0), SHARD_FETCHING);
    put_shard(w, 0);
    pass(w, 2000);
    check_loaded(w, 0);
    struct agent_key key = torrent_key(0);
    assert_false(fake_agent_find(&w->agent, &key)->is_fetch);
    world_free(w);
}

static void test_disk_full_before_and_during(void **state)
{
    (void)state;
    struct world *w = world_new();
    w->disk.free_bytes = 400000000;
    world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1});
    give_sources(w, 0, both, 1);
    pass(w, 60000);
    const struct finding *f = check_blocker(w, FINDING_DISK_FULL, "needs 500.0 MB more");
    assert_int_equal(jv_get_int(f->evidence, "free_bytes", 0), 400000000);
    assert_non_null(strstr(f->action, "du -ah " DIR)); /* the fake knows no other disk */
    assert_non_null(strstr(f->action, "remove 100.0 MB"));
    assert_int_equal(w->agent.n_added, 0);
    w->disk.free_bytes = 600000000;
    pass(w, 3500);
    assert_int_equal(state_of(w, 0), SHARD_FETCHING);
    w->agent.disk_errno = ENOSPC; /* others fill it */
    w->disk.free_bytes = 1000;
    pass(w, 1000);
    f = check_blocker(w, FINDING_DISK_FULL, "No space left");
    assert_int_equal(jv_get_int(f->evidence, "errno", 0), ENOSPC);
    assert_int_equal(state_of(w, 0), SHARD_FAILED);
    pass(w, 60000);
    w->agent.disk_errno = 0;
    w->disk.free_bytes = 600000000;
    pass(w, 12000);
    check_loaded(w, 0);
    assert_true(w->agent.n_retried >= 1);
    assert_int_equal(w->agent.n_added, 1);
    world_free(w);
}

static void test_folder_that_may_not_be_written(void **state)
{
    (void)state;
    struct world *w = world_with_shard_0();
    w->disk.publish_errno = EACCES;
    give_sources(w, 0, both, 2);
    pass(w, 10000);
    check_blocker(w, FINDING_PERMISSION_DENIED, "Permission denied");
    w->disk.publish_errno = 0;
    pass(w, 30000);
    check_loaded(w, 0);
    assert_int_equal(w->agent.n_added, 1); /* what was fetched was kept */
    world_free(w);
}

static void test_part_that_vanished(void **state)
{
    (void)state;
    struct world *w = world_with_shard_0();
    w->others[0].rate = 500000000;
    give_sources(w, 0, both, 1);
    while (!fake_disk_find(&w->disk, DIR "/shard-0.gguf.part"))
        pass(w, 100);
    fake_disk_remove(&w->disk, DIR "/shard-0.gguf.part");
    pass(w, 15000);
    check_loaded(w, 0);
    assert_int_equal(w->agent.n_added, 2);
    world_free(w);
}

static void test_unload_during_fetch(void **state)
{
    (void)state;
    struct world *w = world_new();
    world_start(w, &(struct world_options){.n_ids = 0});
    shards_assign(w->shards, 0, ASSIGNED_BY_COMMAND, on_done, w);
    give_sources(w, 0, both, 1);
    pass(w, 3000);
    assert_int_equal(state_of(w, 0), SHARD_FETCHING);
    assert_int_equal(w->done.n, 0); /* it goes on: no answer yet */
    shards_unload(w->shards, 0, NULL, NULL);
    pass(w, 3000);
    assert_int_equal(w->done.n, 1);
    assert_int_equal(w->done.status, STATUS_CANCELLED);
    assert_int_equal(state_of(w, 0), SHARD_ABSENT);
    struct agent_key key = torrent_key(0);
    assert_null(fake_agent_find(&w->agent, &key));
    assert_int_equal(w->agent.n_removed, 1);
    world_free(w);
}

static void test_who_waits_hears_of_a_missing_source(void **state)
{
    (void)state;
    struct world *w = world_new();
    world_start(w, &(struct world_options){.n_ids = 0});
    pass(w, 1000);
    shards_assign(w->shards, 0, ASSIGNED_BY_COMMAND, on_done, w);
    give_sources(w, 0, NULL, 0);
    pass(w, 2000);
    assert_int_equal(w->done.n, 0);
    pass(w, 3000);
    assert_int_equal(w->done.n, 1);
    assert_int_equal(w->done.status, STATUS_NOT_FOUND);
    assert_non_null(strstr(w->done.text, "none has shard 0"));
    assert_true(shards_is_assigned(w->shards, 0)); /* it goes on trying */
    give_sources(w, 0, both, 2);
    pass(w, 9000);
    check_loaded(w, 0);
    world_free(w);
}

static void test_seeding_that_is_refused_is_not_asked_for_again(void **state)
{
    (void)state;
    struct world *w = world_with_shard_0();
    put_shard(w, 0);
    pass(w, 3000);
    assert_true(is_verified(w, 0));
    struct agent_torrent_status status = {.id = torrent_key(0),
                                          .state = AGENT_TORRENT_FAILED,
                                          .bytes_total = SHARD_BYTES,
                                          .error = "it differs from the pieces it should have"};
    shards_on_torrent(w->shards, &status);
    pass(w, 20000);
    assert_int_equal(w->agent.n_added, 1);
    assert_false(is_verified(w, 0)); /* nobody is sent here for it */
    check_loaded(w, 0);
    fake_disk_touch(&w->disk, DIR "/shard-0.gguf"); /* another file: ask again */
    pass(w, 3000);
    assert_int_equal(w->agent.n_added, 2);
    assert_true(is_verified(w, 0));
    world_free(w);
}

static void test_another_manifest_during_fetch(void **state)
{
    (void)state;
    struct world *w = world_with_shard_0();
    give_sources(w, 0, both, 1);
    pass(w, 2000);
    assert_int_equal(state_of(w, 0), SHARD_FETCHING);
    shards_set_manifest(w->shards, NULL);
    pass(w, 1000);
    assert_int_equal(state_of(w, 0), SHARD_QUEUED);
    struct agent_key key = torrent_key(0);
    assert_null(fake_agent_find(&w->agent, &key));
    shards_set_manifest(w->shards, w->manifest);
    pass(w, 10000);
    check_loaded(w, 0);
    world_free(w);
}

static void test_every_moment_of_a_stop(void **state)
{
    (void)state;
    for (uint64_t ms = 0; ms < 9000; ms += 171) { /* freed in mid-work: nothing is left, nothing comes */
        struct world *w = world_with_shard_0();
        give_sources(w, 0, both, 1);
        shards_assign(w->shards, 0, ASSIGNED_BY_COMMAND, on_done, w);
        pass(w, ms);
        uint32_t before = w->done.n;
        struct shards *shards = w->shards;
        for (int i = 0; i < FAKE_TORRENTS_MAX; i++)
            w->agent.torrents[i].used = false;
        shards_free(shards);
        w->shards = NULL;
        assert_true(before == 1 || w->done.n == 1);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_source_then_one),
        cmocka_unit_test(test_download),
        cmocka_unit_test(test_fetching_is_off),
        cmocka_unit_test(test_stall_is_named_and_another_source_is_taken),
        cmocka_unit_test(test_a_source_that_is_gone_is_told_without_the_pause),
        cmocka_unit_test(test_corrupt_peer_is_named_and_the_honest_one_completes),
        cmocka_unit_test(test_only_corrupt_peers),
        cmocka_unit_test(test_the_only_source_is_heard_again_when_it_is_mended),
        cmocka_unit_test(test_wrong_whole_is_thrown_away_and_fetched_again),
        cmocka_unit_test(test_invalid_file_is_replaced_and_kept_aside),
        cmocka_unit_test(test_a_copied_file_ends_the_download),
        cmocka_unit_test(test_disk_full_before_and_during),
        cmocka_unit_test(test_folder_that_may_not_be_written),
        cmocka_unit_test(test_part_that_vanished),
        cmocka_unit_test(test_unload_during_fetch),
        cmocka_unit_test(test_who_waits_hears_of_a_missing_source),
        cmocka_unit_test(test_seeding_that_is_refused_is_not_asked_for_again),
        cmocka_unit_test(test_another_manifest_during_fetch),
        cmocka_unit_test(test_every_moment_of_a_stop),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    finding_of(NULL, FINDING_NONE, 0);
    return rc;
}
