/* The real engine behind the port, with a tiny model in three shards; and shards over the real disk and engine.
 */
#include "base/file.h"
#include "base/pool.h"
#include "engine/tiny_model.h"
#include "engine/truth.h"
#include "model/shards.h"
#include "net/loop.h"
#include "node/compute.h"
#include "node/shards.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define N_SHARDS 3

static char dir[] = "/tmp/shoal-test-compute-XXXXXX";
static struct manifest *manifest;
static struct tiny_model model;

static int start(void **state)
{
    (void)state;
    struct error err;
    struct shard_truth truth;
    struct key_pair owner;
    model = tiny_model_default();
    if (crypto_start(&err) || !mkdtemp(dir))
        return -1;
    char *path = mem_format("%s/model.bin", dir);
    tiny_model_write(&model, path);
    struct split_options options = {.model = path, .out_dir = dir, .n_shards = N_SHARDS};
    if (shards_split(&manifest, &options, &err) || truth_compute(&truth, manifest, dir, NULL, 1, NULL, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    manifest_set_truth(manifest, &truth);
    shard_truth_free(&truth);
    key_pair_new(&owner);
    mem_free(path);
    return manifest_sign(manifest, &owner, &err) ? -1 : 0;
}

static int stop(void **state)
{
    (void)state;
    manifest_free(manifest);
    pid_t child = fork();
    if (child == 0) {
        execlp("rm", "rm", "-rf", dir, (char *)NULL);
        _exit(127);
    }
    return waitpid(child, NULL, 0) == child ? 0 : -1;
}

/* --- a rig -------------------------------------------------------------------------------------------- */

struct rig {
    struct loop *loop;
    struct pool *pool;
    struct compute *compute;
    pthread_t thread;
    uint32_t n_done;
    enum status status;
    struct error err;
    struct compute_need need;
    struct sha256 hash;
};

static struct rig *rig_new(void)
{
    struct rig *rig = mem_new(sizeof *rig);
    struct engine_config config = {.n_threads = 2, .n_ctx = 64, .n_slots = 4};
    assert_int_equal(loop_new(&rig->loop, NULL), STATUS_OK);
    rig->pool = pool_new(4, "test");
    rig->thread = pthread_self();
    assert_int_equal(compute_real_new(&rig->compute, rig->loop, rig->pool, &config, &rig->err), STATUS_OK);
    return rig;
}

static void rig_free(struct rig *rig)
{
    compute_real_free(rig->compute);
    pool_free(rig->pool);
    loop_free(rig->loop);
    mem_free(rig);
}

static bool is_done(void *arg)
{
    return ((struct rig *)arg)->n_done > 0;
}

static enum status wait_done(struct rig *rig)
{
    assert_int_equal(rig->n_done, 0); /* never from within */
    assert_true(loop_run_until(rig->loop, is_done, rig, 20000));
    assert_int_equal(rig->n_done, 1);
    rig->n_done = 0;
    return rig->status;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static void pass(struct rig *rig, uint64_t ms)
{
    loop_run_until(rig->loop, never, NULL, ms);
}

static void on_done(void *ctx, enum status status, const struct error *err)
{
    struct rig *rig = ctx;
    assert_true(pthread_equal(pthread_self(), rig->thread));
    rig->n_done++;
    rig->status = status;
    rig->err = *err;
}

static void on_measured(void *ctx, enum status status, const struct compute_need *need, const struct error *err)
{
    on_done(ctx, status, err);
    ((struct rig *)ctx)->need = *need;
}

static void on_tested(void *ctx, enum status status, const struct sha256 *hash, const struct error *err)
{
    on_done(ctx, status, err);
    ((struct rig *)ctx)->hash = *hash;
}

static struct compute_job *begin_load(struct rig *rig, uint32_t id)
{
    char *path = shards_path(dir, manifest->shards[id].file);
    struct compute_job *job = rig->compute->ops->load(rig->compute->self, id, path, NULL, on_done, rig);
    mem_free(path);
    return job;
}

static enum status load(struct rig *rig, uint32_t id)
{
    begin_load(rig, id);
    return wait_done(rig);
}

static enum status self_test(struct rig *rig, uint32_t id)
{
    rig->compute->ops->self_test(rig->compute->self, id, on_tested, rig);
    return wait_done(rig);
}

static enum status enter(struct rig *rig, uint32_t id)
{
    rig->compute->ops->enter(rig->compute->self, id, on_done, rig);
    return wait_done(rig);
}

static enum status unload(struct rig *rig, uint32_t id)
{
    rig->compute->ops->unload(rig->compute->self, id, on_done, rig);
    return wait_done(rig);
}

/* --- steps -------------------------------------------------------------------------------------------- */

struct step {
    struct engine_step step;
    struct rig *rig;
    uint32_t tokens[MANIFEST_PROBE_TOKENS];
    float logits[MANIFEST_PROBE_TOKENS * 301];
};

static void on_step(struct engine_step *step)
{
    struct step *s = step->owner;
    assert_true(pthread_equal(pthread_self(), s->rig->thread));
    s->rig->n_done++;
}

/* The manifest's probe tokens through all layers. */
static struct step *submit(struct rig *rig, uint64_t sequence)
{
    struct step *s = mem_new(sizeof *s);
    s->rig = rig;
    memcpy(s->tokens, manifest->probe_tokens, sizeof s->tokens);
    s->step = (struct engine_step){.sequence = sequence,
                                   .n_tokens = MANIFEST_PROBE_TOKENS,
                                   .tokens = s->tokens,
                                   .layer_end = manifest->n_layers,
                                   .logits_out = s->logits,
                                   .done = on_step,
                                   .owner = s};
    compute_submit(rig->compute, &s->step);
    return s;
}

static enum step_result run_step(struct rig *rig)
{
    struct step *s = submit(rig, 1);
    assert_true(loop_run_until(rig->loop, is_done, rig, 20000));
    rig->n_done = 0;
    enum step_result result = s->step.result;
    if (result == STEP_OK) { /* the manifest's next token is the likeliest */
        const float *last = &s->logits[(MANIFEST_PROBE_TOKENS - 1) * model.n_vocab];
        for (uint32_t i = 0; i < model.n_vocab; i++)
            assert_true(last[i] <= last[manifest->probe_next]);
    }
    compute_forget(rig->compute, 1);
    mem_free(s);
    return result;
}

static void test_from_file_to_service_and_back(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    for (uint32_t id = 0; id < N_SHARDS; id++) {
        char *path = shards_path(dir, manifest->shards[id].file);
        rig->compute->ops->measure(rig->compute->self, path, on_measured, rig);
        assert_int_equal(wait_done(rig), STATUS_OK);
        mem_free(path);
        assert_true(rig->need.weights > manifest->shards[id].bytes / 2);
        assert_true(rig->need.beside > 0);
        assert_int_equal(run_step(rig), STEP_NO_LAYERS);
        assert_int_equal(load(rig, id), STATUS_OK);
        assert_int_equal(self_test(rig, id), STATUS_OK);
        assert_true(sha256_equal(&rig->hash, &manifest->shards[id].self_test));
        assert_int_equal(run_step(rig), STEP_NO_LAYERS); /* tested is not yet in service */
        assert_int_equal(enter(rig, id), STATUS_OK);
    }
    assert_int_equal(run_step(rig), STEP_OK);
    assert_int_equal(rig->compute->ops->look(rig->compute->self).n_embd, model.n_embd);
    assert_int_equal(unload(rig, 1), STATUS_OK);
    assert_int_equal(run_step(rig), STEP_NO_LAYERS);
    assert_int_equal(load(rig, 1), STATUS_OK);
    assert_int_equal(enter(rig, 1), STATUS_OK);
    assert_int_equal(run_step(rig), STEP_OK);
    rig_free(rig);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    assert_int_equal(self_test(rig, 0), STATUS_NOT_FOUND);
    assert_int_equal(enter(rig, 0), STATUS_NOT_FOUND);
    assert_int_equal(unload(rig, 0), STATUS_OK);
    assert_int_equal(load(rig, 0), STATUS_OK);
    assert_int_equal(load(rig, 0), STATUS_EXISTS);
    rig->compute->ops->load(rig->compute->self, 1, "/no/such.gguf", NULL, on_done, rig);
    assert_int_not_equal(wait_done(rig), STATUS_OK);
    assert_non_null(strstr(rig->err.text, "/no/such.gguf"));
    rig->compute->ops->measure(rig->compute->self, "/dev/null", on_measured, rig);
    assert_int_not_equal(wait_done(rig), STATUS_OK);
    rig_free(rig);
}

/* Whatever is cancelled or overtaken, ids are free again at once, and nothing leaks (sanitizers tell). */
static void test_cancelling_at_every_step(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    const struct compute_ops *ops = rig->compute->ops;
    void *self = rig->compute->self;
    for (uint64_t wait = 0; wait < 12; wait++) {
        struct compute_job *job = begin_load(rig, 0);
        pass(rig, wait);
        bool was_loaded = rig->n_done > 0;
        rig->n_done = 0;
        if (was_loaded)
            assert_int_equal(unload(rig, 0), STATUS_OK);
        else
            compute_cancel(rig->compute, &job);
        assert_int_equal(load(rig, 0), STATUS_OK);
        job = ops->self_test(self, 0, on_tested, rig);
        pass(rig, wait / 2);
        if (!rig->n_done)
            compute_cancel(rig->compute, &job);
        rig->n_done = 0;
        assert_int_equal(unload(rig, 0), STATUS_OK); /* waits for the test that nobody waits for */
        assert_int_equal(load(rig, 0), STATUS_OK);
        job = ops->enter(self, 0, on_done, rig);
        compute_cancel(rig->compute, &job);
        ops->unload(self, 0, NULL, NULL);
        assert_int_equal(load(rig, 0), STATUS_OK); /* behind it */
        assert_int_equal(enter(rig, 0), STATUS_OK);
        assert_int_equal(unload(rig, 0), STATUS_OK);
    }
    rig_free(rig);
}

static void test_stopping_in_mid_work(void **state)
{
    (void)state;
    for (uint64_t wait = 0; wait < 10; wait++) {
        struct rig *rig = rig_new();
        for (uint32_t id = 0; id < N_SHARDS; id++) {
            assert_int_equal(load(rig, id), STATUS_OK);
            assert_int_equal(enter(rig, id), STATUS_OK);
        }
        struct step *steps[8];
        for (uint64_t i = 0; i < 8; i++)
            steps[i] = submit(rig, i + 1);
        rig->compute->ops->self_test(rig->compute->self, 0, on_tested, rig);
        rig->compute->ops->unload(rig->compute->self, 0, on_done, rig); /* waits for the test */
        rig->compute->ops->measure(rig->compute->self, "/dev/null", on_measured, rig);
        begin_load(rig, 0);
        pass(rig, wait);
        compute_real_stop(rig->compute);
        uint32_t before = rig->n_done;
        for (uint64_t i = 0; i < 8; i++)
            mem_free(steps[i]); /* they are ours again */
        pass(rig, 5);
        assert_int_equal(rig->n_done, before);
        compute_forget(rig->compute, 1);
        assert_int_equal(rig->compute->ops->look(rig->compute->self).n_sequences, 0);
        rig_free(rig);
    }
}

/* --- shards over the real ports ----------------------------------------------------------------------- */

struct node {
    struct rig *rig;
    struct disk *disk;
    struct shards *shards;
    uint32_t n_loaded, n_unloaded;
};

static void on_loaded(void *ctx, uint32_t id)
{
    (void)id;
    ((struct node *)ctx)->n_loaded++;
}

static void on_unloaded(void *ctx, uint32_t id)
{
    (void)id;
    ((struct node *)ctx)->n_unloaded++;
}

static bool all_loaded(void *arg)
{
    struct node *node = arg;
    for (uint32_t id = 0; id < N_SHARDS; id++)
        if (!shards_is_loaded(node->shards, id))
            return false;
    return true;
}

static bool has_warning(void *arg)
{
    struct node *node = arg;
    struct finding_list list = {0};
    shards_explain(node->shards, &list);
    bool has = list.n && list.items[0].severity == SEVERITY_WARNING;
    finding_list_free(&list);
    return has;
}

static bool has_no_finding(void *arg)
{
    struct node *node = arg;
    struct finding_list list = {0};
    struct record_shard shard;
    shards_explain(node->shards, &list);
    bool has = list.n > 0;
    finding_list_free(&list);
    return !has && shards_state(node->shards, 1, &shard) && shard.verified;
}

static void test_shards_on_real_files(void **state)
{
    (void)state;
    static const struct shards_events events = {.loaded = on_loaded, .unloaded = on_unloaded};
    static const uint32_t ids[] = {0, 1, 2};
    struct node node = {.rig = rig_new()};
    struct loop *loop = node.rig->loop;
    node.disk = disk_real_new(loop, node.rig->pool, NULL);
    struct shards_config config = {.dir = dir, .ids = ids, .n_ids = N_SHARDS, .seed = 1};
    shards_create(&node.shards, &config, loop_clock(loop), node.disk, node.rig->compute, NULL, &events, &node);
    shards_set_manifest(node.shards, manifest);
    shards_start(node.shards);
    assert_true(loop_run_until(loop, all_loaded, &node, 20000));
    assert_true(shards_settled(node.shards));
    assert_int_equal(node.n_loaded, N_SHARDS);
    assert_int_equal(run_step(node.rig), STEP_OK);

    /* The file goes and something else comes under a node that runs: it computes on, and says so. */
    char *path = shards_path(dir, manifest->shards[1].file), *away = shards_path(dir, "away.bin");
    assert_int_equal(rename(path, away), 0);
    assert_true(loop_run_until(loop, has_warning, &node, 2000));
    assert_int_equal(file_write(path, bytes_of_text("GGUF, or is it"), 0644, NULL), STATUS_OK);
    pass(node.rig, 1000);
    assert_true(has_warning(&node));
    assert_true(all_loaded(&node));
    assert_int_equal(run_step(node.rig), STEP_OK);
    assert_int_equal(rename(away, path), 0);
    assert_true(loop_run_until(loop, has_no_finding, &node, 3000));

    shards_unload(node.shards, 2, NULL, NULL);
    pass(node.rig, 500);
    assert_int_equal(node.n_unloaded, 1);
    assert_int_equal(run_step(node.rig), STEP_NO_LAYERS);
    mem_free(path);
    mem_free(away);
    compute_real_stop(node.rig->compute);
    shards_free(node.shards);
    disk_real_free(node.disk);
    rig_free(node.rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_file_to_service_and_back), cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_cancelling_at_every_step),      cmocka_unit_test(test_stopping_in_mid_work),
        cmocka_unit_test(test_shards_on_real_files),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
