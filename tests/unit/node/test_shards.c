/* The life of a shard whose file is, or is not, in the folder: scenarios on virtual ports. */
#include "node/shards_world.h"

#include <errno.h>

static void test_local_file_is_loaded_and_seeded(void **state)
{
    (void)state;
    struct world *w = world_new();
    put_shard(w, 0);
    world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1});
    assert_false(shards_settled(w->shards));
    pass(w, 400);
    assert_int_equal(state_of(w, 0), SHARD_VERIFYING);
    assert_false(shards_settled(w->shards));
    pass(w, 400);
    assert_int_equal(state_of(w, 0), SHARD_LOADING);
    assert_non_null(finding_of(w, FINDING_LOADING, 0));
    pass(w, 1000);
    check_loaded(w, 0);
    assert_true(shards_settled(w->shards));
    assert_int_equal(w->n_loaded, 1);
    assert_true(is_verified(w, 0));
    assert_int_equal(n_findings(w, SEVERITY_BLOCKER) + n_findings(w, SEVERITY_WARNING), 0);
    struct agent_key key = torrent_key(0);
    assert_non_null(fake_agent_find(&w->agent, &key));
    assert_int_equal(shards_memory_used(w->shards), SHARD_BYTES + 1000000);
    uint32_t before = w->n_changed, scans = w->disk.n_scans;
    pass(w, 60000); /* at rest nothing happens */
    assert_int_equal(w->n_changed, before);
    assert_int_equal(w->disk.n_scans, scans);
    world_free(w);
}

static void test_missing_then_copied_in(void **state)
{
    (void)state;
    struct world *w = world_new();
    world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1, .no_fetch = true});
    pass(w, 2000);
    assert_int_equal(state_of(w, 0), SHARD_QUEUED);
    assert_true(shards_settled(w->shards));
    const struct finding *f = check_blocker(w, FINDING_SHARD_FILE_MISSING, "fetching is off (--no-fetch)");
    assert_non_null(strstr(f->action, "-name shard-0.gguf -size 500000000c "));
    assert_non_null(strstr(f->action, " " DIR "/shard-0.gguf #"));
    struct fake_content content = content_of(0);
    fake_disk_put_open(&w->disk, DIR "/shard-0.gguf", &content); /* somebody copies it */
    pass(w, 5000);
    assert_int_equal(state_of(w, 0), SHARD_QUEUED);
    check_blocker(w, FINDING_SHARD_FILE_MISSING, "is being written");
    fake_disk_close(&w->disk, DIR "/shard-0.gguf");
    pass(w, 900);
    assert_true(state_of(w, 0) == SHARD_VERIFYING || state_of(w, 0) == SHARD_LOADING);
    pass(w, 1100);
    check_loaded(w, 0);
    world_free(w);
}

static void test_wrong_content_is_invalid_and_its_replacement_is_taken(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct fake_content wrong = content_of(0);
    wrong.sha256.bytes[0] ^= 1; /* one flipped bit */
    put(w, "shard-0.gguf", &wrong);
    world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1, .no_fetch = true});
    pass(w, 2000);
    assert_int_equal(state_of(w, 0), SHARD_FAILED);
    assert_true(shards_settled(w->shards));
    const struct finding *f = check_blocker(w, FINDING_SHARD_FILE_INVALID, "SHA-256");
    assert_string_equal(jv_get_text(f->evidence, "fault", ""), "hash");
    assert_string_equal(jv_get_text(f->evidence, "path", ""), DIR "/shard-0.gguf");
    assert_int_equal(w->compute.n_loads, 0);
    struct record_shard shard;
    assert_true(shards_state(w->shards, 0, &shard));
    assert_int_equal(shard.failure, FINDING_SHARD_FILE_INVALID);
    put_shard(w, 0);
    pass(w, 2000);
    check_loaded(w, 0);
    world_free(w);
}

static void test_header_faults_are_named_without_hashing(void **state)
{
    (void)state;
    static const struct {
        int what;
        const char *text, *fault;
    } cases[] = {{0, "another model", "model"},
                 {1, "shard 1 of this model, not shard 0", "span"},
                 {2, "layers [0, 3)", "span"},
                 {3, "has 5 bytes, the manifest says 500000000", "size"},
                 {4, "cut short: it has 1000 bytes", "damaged"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world *w = world_new();
        struct fake_content content = content_of(cases[i].what == 1 ? 1 : 0);
        if (cases[i].what == 0)
            content.header.fingerprint = hash_of("model", 1);
        if (cases[i].what == 2)
            content.header.span.end_layer = 3;
        if (cases[i].what == 3)
            content.bytes = 5;
        put(w, "shard-0.gguf", &content);
        if (cases[i].what == 4)
            fake_disk_truncate(&w->disk, DIR "/shard-0.gguf", 1000);
        world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1, .no_fetch = true});
        pass(w, 500);
        const struct finding *f = check_blocker(w, FINDING_SHARD_FILE_INVALID, cases[i].text);
        assert_string_equal(jv_get_text(f->evidence, "fault", ""), cases[i].fault);
        assert_int_equal(state_of(w, 0), SHARD_FAILED);
        world_free(w);
    }
}

static void test_right_content_under_another_name_counts(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct fake_content one = content_of(1), zero = content_of(0);
    put(w, "shard-0.gguf", &one); /* swapped */
    put(w, "my model's part.gguf", &zero);
    world_start(w, &(struct world_options){.ids = {0, 1}, .n_ids = 2, .no_fetch = true});
    pass(w, 5000);
    check_loaded(w, 0);
    check_loaded(w, 1);
    assert_string_equal(shards_file_path(w->shards, 1), DIR "/shard-0.gguf");
    const struct finding *f = finding_of(w, FINDING_SHARD_FILE_INVALID, 0);
    assert_non_null(f);
    assert_int_equal(f->severity, SEVERITY_INFO);
    assert_string_equal(f->action, "mv '" DIR "/my model'\\''s part.gguf' " DIR "/shard-0.gguf");
    assert_int_equal(n_findings(w, SEVERITY_BLOCKER), 0);
    struct agent_key key = torrent_key(0);
    assert_string_equal(fake_agent_find(&w->agent, &key)->file, "my model's part.gguf");
    assert_string_equal(fake_agent_find(&w->agent, &key)->name, "shard-0.gguf");
    world_free(w);
}

static void test_no_manifest_then_manifest(void **state)
{
    (void)state;
    struct world *w = world_new();
    put_shard(w, 0);
    world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1, .no_manifest = true});
    pass(w, 12000);
    assert_int_equal(state_of(w, 0), SHARD_PRESENT);
    assert_false(is_verified(w, 0));
    assert_int_equal(w->n_asked_manifest, 3);             /* at once, then every 5 s */
    assert_int_equal(n_findings(w, SEVERITY_BLOCKER), 0); /* the verdict has MANIFEST_MISSING */
    const struct finding *f = finding_of(w, FINDING_LOADING, 0);
    assert_non_null(f);
    assert_int_equal(f->caused_by, FINDING_MANIFEST_MISSING);
    assert_int_equal(w->disk.n_hashes, 0);
    shards_set_manifest(w->shards, w->manifest);
    pass(w, 2000);
    check_loaded(w, 0);
    world_free(w);
}

static void test_memory_is_asked_before_loading(void **state)
{
    (void)state;
    struct world *w = world_new();
    put_shard(w, 0);
    w->memory_free = 300000000;
    world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1});
    pass(w, 10000);
    assert_int_equal(state_of(w, 0), SHARD_FAILED);
    const struct finding *f = check_blocker(w, FINDING_NOT_ENOUGH_MEMORY, "needs 501.0 MB");
    assert_non_null(strstr(f->cause, "300.0 MB are free"));
    assert_int_equal(jv_get_int(f->evidence, "needed_bytes", 0), 501000000);
    assert_int_equal(w->compute.n_loads, 0);
    w->memory_free = 600000000;
    pass(w, 3500); /* looked at every 2 s, whatever the back-off is */
    check_loaded(w, 0);
    world_free(w);
}

static void test_wrong_self_test_is_never_loaded(void **state)
{
    (void)state;
    struct world *w = world_new();
    put_shard(w, 0);
    w->compute.n_wrong_tests = 7;
    world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1});
    pass(w, 1600);
    const struct finding *f = check_blocker(w, FINDING_SELF_TEST_FAILED, "self-test gives");
    assert_null(jv_get(f->evidence, "history"));
    assert_false(w->compute.held[0].is_loaded); /* its memory was given back */
    assert_int_equal(shards_memory_used(w->shards), 0);
    pass(w, 30000);
    f = check_blocker(w, FINDING_SELF_TEST_FAILED, "self-test gives");
    assert_true(jv_count(jv_get(f->evidence, "history")) >= SHARDS_ATTEMPTS_SHOWN);
    assert_int_equal(w->n_loaded, 0);
    pass(w, 200000);
    check_loaded(w, 0);
    assert_int_equal(n_findings(w, SEVERITY_BLOCKER), 0);
    world_free(w);
}

static uint64_t next_load_ms(struct world *w)
{
    uint32_t before = w->compute.n_unloads;
    uint64_t began = clock_ms(clock_of(w));
    for (int i = 0; i < 2000 && w->compute.n_unloads == before; i++)
        pass(w, 100);
    return clock_ms(clock_of(w)) - began;
}

static void check_pauses(uint64_t load_rate, const uint64_t *want, size_t n, uint64_t attempt_ms)
{
    struct world *w = world_new();
    put_shard(w, 0);
    w->compute.n_wrong_tests = 1000;
    w->compute.load_rate = load_rate;
    world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1});
    next_load_ms(w);
    for (size_t i = 0; i < n; i++) {
        uint64_t took = next_load_ms(w);
        if (took + 100 < attempt_ms + want[i] * 3 / 4 || took > attempt_ms + want[i] + 700)
            fail_msg("attempt %zu came after %u ms, not about %u", i + 2, (unsigned)took,
                     (unsigned)(want[i] + attempt_ms));
    }
    world_free(w);
}

/* What fails quickly may be tried often, what takes long may not: no more than a tenth of the time. */
static void test_back_off_doubles_to_ten_times_the_attempt(void **state)
{
    static const uint64_t quick[] = {1000, 2000, 4000, 8000, 10000, 10000};
    static const uint64_t slow[] = {1000, 2000, 4000, 8000, 16000, 32000, 42500, 42500};
    static const uint64_t slowest[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    (void)state;
    check_pauses((uint64_t)1 << 40, quick, 6, 0); /* a quarter of a second each */
    check_pauses(SHARD_BYTES / 4, slow, 8, 4000);
    check_pauses(SHARD_BYTES / 20, slowest, 8, 20000);
}

static void test_loading_failure_and_its_remedy(void **state)
{
    (void)state;
    struct world *w = world_new();
    put_shard(w, 0);
    w->compute.load_status = STATUS_BAD_DATA;
    world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1});
    pass(w, 30000);
    check_blocker(w, FINDING_LOAD_FAILED, "injected");
    w->compute.load_status = STATUS_UNSUPPORTED;
    fake_disk_touch(&w->disk, DIR "/shard-0.gguf"); /* a changed file is tried at once */
    pass(w, 2000);
    check_blocker(w, FINDING_UNSUPPORTED_MODEL, "injected");
    w->compute.load_status = STATUS_OK;
    fake_disk_touch(&w->disk, DIR "/shard-0.gguf");
    pass(w, 2000);
    check_loaded(w, 0);
    world_free(w);
}

static void test_file_removed_or_changed_after_loading(void **state)
{
    (void)state;
    struct world *w = world_with_shard_0();
    put_shard(w, 0);
    pass(w, 3000);
    check_loaded(w, 0);
    fake_disk_remove(&w->disk, DIR "/shard-0.gguf");
    pass(w, 1000);
    check_loaded(w, 0);
    const struct finding *f = finding_of(w, FINDING_SHARD_FILE_MISSING, 0);
    assert_non_null(f);
    assert_int_equal(f->severity, SEVERITY_WARNING);
    assert_in_range(clock_ms(clock_of(w)) - f->since_ms, 900,
                    1000); /* since it went, not since it was loaded */
    assert_false(is_verified(w, 0));
    struct agent_key key = torrent_key(0);
    assert_null(fake_agent_find(&w->agent, &key));
    put_shard(w, 0); /* back again */
    pass(w, 2000);
    check_loaded(w, 0);
    assert_true(is_verified(w, 0));
    assert_int_equal(n_findings(w, SEVERITY_WARNING), 0);
    assert_non_null(fake_agent_find(&w->agent, &key));
    fake_disk_truncate(&w->disk, DIR "/shard-0.gguf", 77);
    pass(w, 1000);
    check_loaded(w, 0);
    assert_non_null(finding_of(w, FINDING_SHARD_FILE_INVALID, 0));
    assert_null(fake_agent_find(&w->agent, &key));
    assert_int_equal(w->n_unloaded, 0);
    assert_int_equal(w->compute.n_loads, 1);
    world_free(w);
}

static void test_touched_file_is_checked_again_without_a_warning(void **state)
{
    (void)state;
    struct world *w = world_with_shard_0();
    put_shard(w, 0);
    pass(w, 3000);
    fake_disk_touch(&w->disk, DIR "/shard-0.gguf");
    for (int i = 0; i < 20; i++) {
        pass(w, 100);
        check_loaded(w, 0);
        assert_int_equal(n_findings(w, SEVERITY_WARNING) + n_findings(w, SEVERITY_BLOCKER), 0);
    }
    assert_true(is_verified(w, 0));
    assert_int_equal(w->disk.n_hashes, 2);
    world_free(w);
}

static void test_unload_during_load(void **state)
{
    (void)state;
    struct world *w = world_new();
    put_shard(w, 0);
    world_start(w, &(struct world_options){.n_ids = 0});
    shards_assign(w->shards, 0, ASSIGNED_BY_COMMAND, on_done, w);
    assert_int_equal(w->done.n, 0);
    pass(w, 900);
    assert_int_equal(state_of(w, 0), SHARD_LOADING);
    shards_unload(w->shards, 0, NULL, NULL);
    pass(w, 5000);
    assert_int_equal(w->done.n, 1);
    assert_int_equal(w->done.status, STATUS_CANCELLED);
    assert_int_equal(state_of(w, 0), SHARD_PRESENT);
    assert_false(shards_is_assigned(w->shards, 0));
    assert_false(w->compute.held[0].is_loaded);
    assert_int_equal(w->n_loaded, 0);
    assert_int_equal(n_findings(w, SEVERITY_BLOCKER), 0);
    world_free(w);
}

static void test_unload_at_every_moment_leaves_nothing(void **state)
{
    (void)state;
    for (uint64_t ms = 0; ms < 2000; ms += 23) {
        struct world *w = world_with_shard_0();
        put_shard(w, 0);
        pass(w, ms);
        shards_unload(w->shards, 0, on_done, w);
        assert_int_equal(w->done.n, 0); /* never from within */
        pass(w, 100);
        assert_int_equal(w->done.n, 1);
        assert_int_equal(w->done.status, STATUS_OK);
        pass(w, 3000);
        assert_false(w->compute.held[0].is_loaded);
        assert_int_equal(shards_memory_used(w->shards), 0);
        assert_int_equal(w->n_loaded, w->n_unloaded);
        shards_assign(w->shards, 0, ASSIGNED_BY_COMMAND, on_done, w);
        pass(w, 3000);
        check_loaded(w, 0);
        assert_int_equal(w->done.n, 2);
        world_free(w);
    }
}

static void test_assign_is_idempotent(void **state)
{
    (void)state;
    struct world *w = world_new();
    put_shard(w, 2);
    world_start(w, &(struct world_options){.n_ids = 0});
    for (int i = 0; i < 5; i++) {
        shards_assign(w->shards, 2, ASSIGNED_BY_COMMAND, on_done, w);
        pass(w, 100);
    }
    pass(w, 3000);
    check_loaded(w, 2);
    assert_int_equal(w->done.n, 5);
    assert_int_equal(w->done.status, STATUS_OK);
    assert_int_equal(w->compute.n_loads, 1);
    shards_assign(w->shards, 2, ASSIGNED_BY_COMMAND, on_done, w);
    assert_int_equal(w->done.n, 5);
    pass(w, 1);
    assert_int_equal(w->done.n, 6);
    assert_int_equal(w->done.status, STATUS_OK);
    assert_int_equal(w->compute.n_loads, 1);
    world_free(w);
}

static void test_commands_do_not_undo_the_back_off(void **state)
{
    (void)state;
    struct world *w = world_new();
    put_shard(w, 0);
    w->compute.n_wrong_tests = 1000;
    world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1});
    pass(w, 40000);
    uint32_t before = w->compute.n_loads;
    for (int i = 0; i < 30; i++) { /* a coordinator repeats itself every second */
        shards_assign(w->shards, 0, ASSIGNED_BY_COMMAND, on_done, w);
        pass(w, 1000);
    }
    assert_true(w->compute.n_loads - before <= 4);
    assert_int_equal(w->done.n, 30);
    assert_int_equal(w->done.status, STATUS_BAD_DATA);
    assert_non_null(strstr(w->done.text, "self-test"));
    world_free(w);
}

static void test_shards_load_one_at_a_time_in_order(void **state)
{
    (void)state;
    struct world *w = world_new();
    for (uint32_t id = 0; id < N_SHARDS; id++)
        put_shard(w, id);
    w->compute.load_rate = 200000000;
    world_start(w, &(struct world_options){.ids = {0, 1, 2, 3}, .n_ids = 4});
    pass(w, 20000);
    for (uint32_t id = 0; id < N_SHARDS; id++) {
        check_loaded(w, id);
        assert_int_equal(w->compute.order[id], id);
    }
    assert_int_equal(w->compute.n_loading_max, 1);
    world_free(w);
}

static void test_other_files_are_verified_in_the_background_and_seeded(void **state)
{
    (void)state;
    struct world *w = world_new();
    for (uint32_t id = 0; id < N_SHARDS; id++)
        put_shard(w, id);
    world_start(w, &(struct world_options){.ids = {3}, .n_ids = 1});
    pass(w, 1600);
    check_loaded(w, 3); /* the assigned one comes first */
    pass(w, 10000);
    for (uint32_t id = 0; id < 3; id++) {
        assert_int_equal(state_of(w, id), SHARD_PRESENT);
        assert_true(is_verified(w, id));
        assert_false(shards_is_assigned(w->shards, id));
    }
    assert_int_equal(w->agent.n_added, 4);
    assert_int_equal(w->compute.n_loads, 1);
    world_free(w);
}

static void test_another_manifest_unloads(void **state)
{
    (void)state;
    struct world *w = world_with_shard_0();
    put_shard(w, 0);
    pass(w, 3000);
    check_loaded(w, 0);
    struct manifest *other = make_manifest();
    other->fingerprint = hash_of("model", 9);
    for (uint32_t id = 0; id < N_SHARDS; id++)
        other->shards[id].sha256 = hash_of("other shard", id);
    shards_set_manifest(w->shards, other);
    assert_false(shards_is_loaded(w->shards, 0)); /* from this moment on */
    pass(w, 1000);
    assert_int_equal(w->n_unloaded, 1);
    assert_false(w->compute.held[0].is_loaded);
    assert_non_null(finding_of(w, FINDING_SHARD_FILE_INVALID, 0) ? "" : NULL);
    struct agent_key key = torrent_key(0);
    assert_null(fake_agent_find(&w->agent, &key));
    shards_set_manifest(w->shards, w->manifest);
    manifest_free(other);
    pass(w, 2000);
    check_loaded(w, 0);
    world_free(w);
}

static void test_ids_that_are_none(void **state)
{
    (void)state;
    struct world *w = world_new();
    world_start(w, &(struct world_options){.ids = {N_SHARDS}, .n_ids = 1});
    pass(w, 1000);
    const struct finding *f = finding_of(w, FINDING_SHARD_COUNT_MISMATCH, N_SHARDS);
    assert_non_null(f);
    assert_non_null(strstr(f->cause, "shards 0 to 3"));
    shards_assign(w->shards, 4000000000u, ASSIGNED_BY_COMMAND, on_done, w);
    shards_assign(w->shards, N_SHARDS, ASSIGNED_BY_COMMAND, on_done, w);
    shards_unload(w->shards, 5000, on_done, w);
    assert_int_equal(w->done.n, 0);
    pass(w, 1);
    assert_int_equal(w->done.n, 3);
    assert_int_equal(w->done.status, STATUS_BAD_USAGE);
    world_free(w);
}

static void test_permission_denied_and_given(void **state)
{
    (void)state;
    struct world *w = world_new();
    put_shard(w, 0);
    fake_disk_set_errno(&w->disk, DIR "/shard-0.gguf", EACCES);
    world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1});
    pass(w, 1000);
    const struct finding *f = check_blocker(w, FINDING_PERMISSION_DENIED, "Permission denied");
    assert_int_equal(jv_get_int(f->evidence, "errno", 0), EACCES);
    fake_disk_set_errno(&w->disk, DIR "/shard-0.gguf", 0);
    pass(w, 2000);
    check_loaded(w, 0);
    world_free(w);
}

static void test_folder_that_cannot_be_read(void **state)
{
    (void)state;
    struct world *w = world_new();
    put_shard(w, 0);
    w->disk.dir_errno = EACCES;
    world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1});
    pass(w, 3000);
    check_blocker(w, FINDING_PERMISSION_DENIED, DIR);
    w->disk.dir_errno = 0;
    pass(w, 7000);
    check_loaded(w, 0);
    world_free(w);
}

static void test_list_of_files(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct fake_content wrong = content_of(2);
    wrong.sha256.bytes[5] ^= 4;
    put_shard(w, 0);
    put(w, "shard-2.gguf", &wrong);
    struct fake_content three = content_of(3);
    put(w, "three.gguf", &three);
    world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1, .no_fetch = true});
    pass(w, 10000);
    struct jv *files = shards_files(w->shards);
    static const char *const states[] = {"EXISTS", "MISSING", "INVALID", "EXISTS"};
    static const char *const hashes[] = {"verified", NULL, "wrong", "verified"};
    assert_int_equal(jv_count(files), N_SHARDS);
    for (size_t id = 0; id < N_SHARDS; id++) {
        const struct jv *row = jv_at(files, id);
        assert_int_equal(jv_get_int(row, "id", -1), id);
        assert_string_equal(jv_get_text(row, "state", ""), states[id]);
        assert_string_equal(jv_get_text(row, "hash", "none"), hashes[id] ? hashes[id] : "none");
    }
    assert_string_equal(jv_get_text(jv_at(files, 3), "path", ""), DIR "/three.gguf");
    assert_string_equal(jv_get_text(jv_at(files, 1), "file", ""), "shard-1.gguf");
    jv_free(files);
    struct node_record record;
    record_init(&record);
    shards_report(w->shards, &record);
    assert_int_equal(record.n_shards, 2); /* 0 and 3; nobody asked for 2 */
    record_free(&record);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_local_file_is_loaded_and_seeded),
        cmocka_unit_test(test_missing_then_copied_in),
        cmocka_unit_test(test_wrong_content_is_invalid_and_its_replacement_is_taken),
        cmocka_unit_test(test_header_faults_are_named_without_hashing),
        cmocka_unit_test(test_right_content_under_another_name_counts),
        cmocka_unit_test(test_no_manifest_then_manifest),
        cmocka_unit_test(test_memory_is_asked_before_loading),
        cmocka_unit_test(test_wrong_self_test_is_never_loaded),
        cmocka_unit_test(test_back_off_doubles_to_ten_times_the_attempt),
        cmocka_unit_test(test_loading_failure_and_its_remedy),
        cmocka_unit_test(test_file_removed_or_changed_after_loading),
        cmocka_unit_test(test_touched_file_is_checked_again_without_a_warning),
        cmocka_unit_test(test_unload_during_load),
        cmocka_unit_test(test_unload_at_every_moment_leaves_nothing),
        cmocka_unit_test(test_assign_is_idempotent),
        cmocka_unit_test(test_commands_do_not_undo_the_back_off),
        cmocka_unit_test(test_shards_load_one_at_a_time_in_order),
        cmocka_unit_test(test_other_files_are_verified_in_the_background_and_seeded),
        cmocka_unit_test(test_another_manifest_unloads),
        cmocka_unit_test(test_ids_that_are_none),
        cmocka_unit_test(test_permission_denied_and_given),
        cmocka_unit_test(test_folder_that_cannot_be_read),
        cmocka_unit_test(test_list_of_files),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    finding_of(NULL, FINDING_NONE, 0); /* frees its list */
    return rc;
}
