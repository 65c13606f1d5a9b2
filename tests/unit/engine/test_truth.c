/* truth: the probe's states and the self-tests are what the model itself gives, at every level, and a changed
 * shard gives others. */
#include "engine/truth.h"

#include "model/shards.h"
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#define N_SHARDS 3

static struct tiny_model model;
static char *path, *dir;
static struct manifest *manifest;

static struct shard_truth truth_with(const char *level, uint32_t n_threads)
{
    const struct kernels *kernels;
    struct shard_truth truth = {.n_shards = 0};
    struct error err;
    rig_must(kernels_select_level(&kernels, level, &err), &err);
    rig_must(truth_compute(&truth, manifest, dir, kernels, n_threads, NULL, &err), &err);
    assert_int_equal(truth.n_shards, N_SHARDS);
    return truth;
}

static void states_are_the_models_own(void **state)
{
    struct rig rig = rig_new(&(struct rig_options){.path = path, .n_threads = 1, .kv_type = KV_F16});
    struct shard_truth truth = truth_with("ref", 1);
    struct sample_params greedy = {.repeat_penalty = 1};
    uint32_t tokens[MANIFEST_PROBE_TOKENS], first = 0;
    size_t n = MANIFEST_PROBE_TOKENS * (size_t)rig.hp->n_embd;
    float *hidden = mem_array(n, sizeof *hidden);
    (void)state;

    manifest_probe_tokens(tokens, model.n_vocab);
    assert_memory_equal(tokens, truth.tokens, sizeof tokens);
    for (uint32_t i = 0; i < N_SHARDS; i++) {
        uint32_t end = manifest->shards[i].span.end_layer;
        struct engine_step step = {.sequence = 1,
                                   .n_tokens = MANIFEST_PROBE_TOKENS,
                                   .tokens = tokens,
                                   .layer_first = first,
                                   .layer_end = end,
                                   .hidden_in = hidden,
                                   .hidden_out = hidden,
                                   .sample = end == model.n_layers ? &greedy : NULL};
        assert_int_equal(engine_run(rig.engine, &step), STEP_OK);
        struct sha256 want = truth_hash(hidden, n);
        assert_true(sha256_equal(&truth.states[i], &want));
        if (step.sample)
            assert_int_equal(truth.next, step.sampled.token);
        first = end;
    }
    assert_int_equal(first, model.n_layers);
    shard_truth_free(&truth);
    mem_free(hidden);
    rig_free(&rig);
}

static void every_level_finds_the_same(void **state)
{
    const struct kernels *levels[KERNELS_LEVELS_MAX];
    uint32_t n_levels = kernels_levels(levels);
    struct shard_truth want = truth_with("ref", 1);
    (void)state;

    for (uint32_t i = 0; i < n_levels; i++) {
        struct shard_truth got = truth_with(levels[i]->level, 1 + i);
        assert_memory_equal(got.states, want.states, N_SHARDS * sizeof *got.states);
        assert_memory_equal(got.self_tests, want.self_tests, N_SHARDS * sizeof *got.self_tests);
        assert_int_equal(got.next, want.next);
        shard_truth_free(&got);
    }
    for (uint32_t i = 1; i < N_SHARDS; i++)
        assert_false(sha256_equal(&want.self_tests[i], &want.self_tests[i - 1]));
    shard_truth_free(&want);
}

static struct sha256 self_test_of(const char *file, uint32_t n_threads)
{
    struct weights *weights = NULL;
    const struct kernels *kernels;
    struct sha256 hash;
    struct error err;
    rig_must(kernels_select_level(&kernels, rig_fastest(), &err), &err);
    rig_must(weights_load(&weights, file, kernels, 2, NULL, &err), &err);
    rig_must(truth_self_test(&hash, weights, n_threads, &err), &err);
    weights_free(weights);
    return hash;
}

static void flip_a_byte(const char *file, long from_end)
{
    FILE *f = fopen(file, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, -from_end, SEEK_END), 0);
    int byte = fgetc(f);
    assert_int_equal(fseek(f, -from_end, SEEK_END), 0);
    fputc(byte ^ 1, f);
    fclose(f);
}

static void a_changed_shard_fails_its_self_test(void **state)
{
    struct shard_truth truth = truth_with(rig_fastest(), 2);
    (void)state;

    for (uint32_t i = 0; i < N_SHARDS; i++) {
        char *file = shards_path(dir, manifest->shards[i].file);
        struct sha256 got = self_test_of(file, 1 + i);
        assert_true(sha256_equal(&got, &truth.self_tests[i]));
        flip_a_byte(file, 5000);
        got = self_test_of(file, 1);
        assert_false(sha256_equal(&got, &truth.self_tests[i]));
        flip_a_byte(file, 5000);
        mem_free(file);
    }
    shard_truth_free(&truth);
}

static void measuring_needs_the_header_only(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < N_SHARDS; i++) {
        char *file = shards_path(dir, manifest->shards[i].file);
        struct weights *weights = NULL;
        struct weights_size size;
        const struct kernels *kernels;
        struct error err;
        rig_must(kernels_select(&kernels, &err), &err);
        rig_must(weights_measure(&size, file, kernels, &err), &err);
        rig_must(weights_load(&weights, file, kernels, 1, NULL, &err), &err);
        assert_int_equal(size.bytes, weights_bytes(weights));
        assert_int_equal(size.first_layer, manifest->shards[i].span.first_layer);
        assert_int_equal(size.end_layer, manifest->shards[i].span.end_layer);
        weights_free(weights);
        mem_free(file);
    }
}

/* --- loading stops -----------------------------------------------------------------------------------------
 */

static void loading_can_be_cancelled(void **state)
{
    bool cancel = true;
    struct weights_progress progress = {.cancel = &cancel};
    struct weights *weights = NULL;
    const struct kernels *kernels;
    struct error err;
    (void)state;

    rig_must(kernels_select(&kernels, &err), &err);
    assert_int_equal(weights_load(&weights, path, kernels, 2, &progress, &err), STATUS_CANCELLED);
    assert_null(weights);
}

static void remove_folder(void)
{
    for (uint32_t i = 0; i < N_SHARDS; i++)
        tiny_file_remove(shards_path(dir, manifest->shards[i].file));
    tiny_file_remove(shards_path(dir, TOKENIZER_FILE));
    rmdir(dir);
    mem_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_are_the_models_own),
        cmocka_unit_test(every_level_finds_the_same),
        cmocka_unit_test(a_changed_shard_fails_its_self_test),
        cmocka_unit_test(measuring_needs_the_header_only),
        cmocka_unit_test(loading_can_be_cancelled),
    };
    struct error err;

    model = tiny_model_default();
    path = tiny_file(&model);
    dir = mem_format("%s.shards", path);
    ASSERT(mkdir(dir, 0700) == 0);
    struct split_options options = {.model = path, .out_dir = dir, .name = "tiny", .n_shards = N_SHARDS};
    rig_must(shards_split(&manifest, &options, &err), &err);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_folder();
    manifest_free(manifest);
    tiny_file_remove(path);
    return failed;
}
