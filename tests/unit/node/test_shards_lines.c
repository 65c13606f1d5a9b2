/* The lines that people are told to look for, word for word and in order. */
#include "node/shards_world.h"

#include "base/log.h"

#include <unistd.h>

static int real_stdout = -1;
static FILE *captured;

static void capture(void)
{
    fflush(stdout);
    real_stdout = dup(STDOUT_FILENO);
    captured = tmpfile();
    assert_non_null(captured);
    dup2(fileno(captured), STDOUT_FILENO);
}

/* What was printed since capture: a block for mem_free. */
static char *release(void)
{
    fflush(stdout);
    dup2(real_stdout, STDOUT_FILENO);
    close(real_stdout);
    long n = lseek(fileno(captured), 0, SEEK_END);
    char *text = mem_new((size_t)n + 1);
    assert_int_equal(pread(fileno(captured), text, (size_t)n, 0), n);
    fclose(captured);
    return text;
}

static void check_lines(const char *got, const char *want)
{
    if (strcmp(got, want) != 0)
        fail_msg("printed:\n%s\nnot:\n%s", got, want);
}

static void test_loaded_before_joining(void **state)
{
    (void)state;
    struct world *w = world_new();
    put_shard(w, 0);
    capture();
    world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1, .print_lines = true});
    pass(w, 3000);
    char *text = release();
    check_lines(text, "[SHARD] ✓✓✓ SHARD 0 LOADED BEFORE JOINING NETWORK ✓✓✓\n"
                      "[SHARD]   Path: models_cache/shards/shard-0.gguf\n"
                      "[SHARD]   Shard will be available for inference immediately\n");
    mem_free(text);
    world_free(w);
}

static void test_loaded_after_joining(void **state)
{
    (void)state;
    struct world *w = world_new();
    put_shard(w, 0);
    capture();
    world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1, .print_lines = true});
    pass(w, 300);
    shards_joined(w->shards);
    pass(w, 3000);
    char *text = release();
    check_lines(text, "[LOAD_SHARD] ✓✓✓ Shard 0 loaded successfully from local directory ✓✓✓\n");
    mem_free(text);
    world_free(w);
}

static void test_missing_without_fetching(void **state)
{
    (void)state;
    struct world *w = world_new();
    capture();
    world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1, .no_fetch = true, .print_lines = true});
    pass(w, 30000);
    char *text = release();
    check_lines(text, "[SHARD] ⚠️  ASSIGNED SHARD 0 NOT FOUND LOCALLY ⚠️\n"
                      "[SHARD]   Node will join the network and wait for the file: fetching is off.\n");
    mem_free(text);
    world_free(w);
}

static void test_missing_and_nobody_has_it(void **state)
{
    (void)state;
    struct world *w = world_new();
    capture();
    world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1, .print_lines = true});
    give_sources(w, 0, NULL, 0);
    pass(w, 30000);
    char *text = release();
    check_lines(text, "[SHARD] ⚠️  ASSIGNED SHARD 0 NOT FOUND LOCALLY ⚠️\n"
                      "[SHARD]   Node will join the network and download shard when LOAD_SHARD command is "
                      "received.\n");
    mem_free(text);
    world_free(w);
}

static void test_command_with_local_file(void **state)
{
    (void)state;
    struct world *w = world_new();
    put_shard(w, 0);
    capture();
    world_start(w, &(struct world_options){.n_ids = 0, .print_lines = true});
    shards_joined(w->shards);
    for (int i = 0; i < 5; i++) { /* a coordinator repeats itself */
        shards_assign(w->shards, 0, ASSIGNED_BY_COMMAND, NULL, NULL);
        pass(w, 1000);
    }
    char *text = release();
    check_lines(text, "[LOAD_SHARD] Request to load shard 0\n"
                      "[LOAD_SHARD] 🔄 Starting shard 0 load process...\n"
                      "[LOAD_SHARD] ✓✓✓ Shard 0 loaded successfully from local directory ✓✓✓\n");
    mem_free(text);
    world_free(w);
}

static void test_download_line_by_line(void **state)
{
    (void)state;
    struct world *w = world_new();
    static const int one[] = {0};
    w->others[0].rate = 104800000; /* 52.4 MB each half second */
    capture();
    world_start(w, &(struct world_options){.n_ids = 0, .print_lines = true});
    shards_joined(w->shards);
    give_sources(w, 0, one, 1);
    shards_assign(w->shards, 0, ASSIGNED_BY_COMMAND, NULL, NULL);
    pass(w, 9000);
    char *text = release();
    check_lines(text, "[LOAD_SHARD] Request to load shard 0\n"
                      "[LOAD_SHARD] 🔄 Starting shard 0 load process...\n"
                      "[LOAD_SHARD] ⚠️  Shard 0 not found locally\n"
                      "[LOAD_SHARD] 📥 Starting torrent download from peer...\n"
                      "[TORRENT] Shard 0: [##------------------] 10% 52.4/500.0 MB 104.8 MB/s 1 peers ETA 5s\n"
                      "[TORRENT] Shard 0: [####----------------] 20% 104.8/500.0 MB 104.8 MB/s 1 peers ETA 4s\n"
                      "[TORRENT] Shard 0: [######--------------] 31% 157.2/500.0 MB 104.8 MB/s 1 peers ETA 4s\n"
                      "[TORRENT] Shard 0: [########------------] 41% 209.6/500.0 MB 104.8 MB/s 1 peers ETA 3s\n"
                      "[TORRENT] Shard 0: [##########----------] 52% 262.0/500.0 MB 104.8 MB/s 1 peers ETA 3s\n"
                      "[TORRENT] Shard 0: [############--------] 62% 314.4/500.0 MB 104.8 MB/s 1 peers ETA 2s\n"
                      "[TORRENT] Shard 0: [##############------] 73% 366.8/500.0 MB 104.8 MB/s 1 peers ETA 2s\n"
                      "[TORRENT] Shard 0: [################----] 83% 419.2/500.0 MB 104.8 MB/s 1 peers ETA 1s\n"
                      "[TORRENT] Shard 0: [##################--] 94% 471.6/500.0 MB 104.8 MB/s 1 peers ETA 1s\n"
                      "[TORRENT] Shard 0: [####################] 100% 500.0/500.0 MB 104.8 MB/s 1 peers\n"
                      "[LOAD_SHARD] ✓✓✓ Shard 0 loaded successfully from peers ✓✓✓\n");
    mem_free(text);
    world_free(w);
}

static void test_explicit_shard_is_downloading_now(void **state)
{
    (void)state;
    struct world *w = world_new();
    static const int one[] = {0};
    capture();
    world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1, .print_lines = true});
    give_sources(w, 0, one, 1);
    pass(w, 400);
    char *text = release();
    check_lines(text, "[SHARD] ⚠️  ASSIGNED SHARD 0 NOT FOUND LOCALLY ⚠️\n"
                      "[SHARD]   Node will join the network and is downloading the shard now.\n"
                      "[LOAD_SHARD] 📥 Starting torrent download from peer...\n");
    mem_free(text);
    world_free(w);
}

static void test_slow_download_is_told_once_a_second(void **state)
{
    (void)state;
    struct world *w = world_new();
    static const int one[] = {0};
    w->others[0].rate = 1000000;
    world_start(w, &(struct world_options){.ids = {0}, .n_ids = 1, .print_lines = true});
    give_sources(w, 0, one, 1);
    pass(w, 1100);
    capture();
    pass(w, 10000);
    char *text = release();
    int n = 0;
    for (const char *at = text; (at = strstr(at, "[TORRENT]")); at++)
        n++;
    assert_int_equal(n, 10);
    mem_free(text);
    world_free(w);
}

static void test_failure_is_said_once_for_each_cause(void **state)
{
    (void)state;
    struct world *w = world_new();
    put_shard(w, 0);
    w->compute.load_status = STATUS_BAD_DATA;
    capture();
    world_start(w, &(struct world_options){.n_ids = 0, .print_lines = true});
    shards_assign(w->shards, 0, ASSIGNED_BY_COMMAND, NULL, NULL);
    pass(w, 25000);
    char *text = release();
    check_lines(text, "[LOAD_SHARD] Request to load shard 0\n"
                      "[LOAD_SHARD] 🔄 Starting shard 0 load process...\n"
                      "[LOAD_SHARD] ✗ Shard 0: loading 'models_cache/shards/shard-0.gguf': injected\n");
    mem_free(text);
    world_free(w);
}

static void test_ascii(void **state)
{
    (void)state;
    struct world *w = world_new();
    put_shard(w, 0);
    say_ascii(true);
    capture();
    world_start(w, &(struct world_options){.ids = {0, 1}, .n_ids = 2, .no_fetch = true, .print_lines = true});
    pass(w, 3000);
    char *text = release();
    say_ascii(false);
    check_lines(text, "[SHARD] ASSIGNED SHARD 1 NOT FOUND LOCALLY\n"
                      "[SHARD]   Node will join the network and wait for the file: fetching is off.\n"
                      "[SHARD] SHARD 0 LOADED BEFORE JOINING NETWORK\n"
                      "[SHARD]   Path: models_cache/shards/shard-0.gguf\n"
                      "[SHARD]   Shard will be available for inference immediately\n");
    mem_free(text);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loaded_before_joining),
        cmocka_unit_test(test_loaded_after_joining),
        cmocka_unit_test(test_missing_without_fetching),
        cmocka_unit_test(test_missing_and_nobody_has_it),
        cmocka_unit_test(test_command_with_local_file),
        cmocka_unit_test(test_download_line_by_line),
        cmocka_unit_test(test_explicit_shard_is_downloading_now),
        cmocka_unit_test(test_slow_download_is_told_once_a_second),
        cmocka_unit_test(test_failure_is_said_once_for_each_cause),
        cmocka_unit_test(test_ascii),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
