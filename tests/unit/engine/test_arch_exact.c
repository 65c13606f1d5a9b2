/* Every architecture's arithmetic is exact: the same bits for any level, number of threads, chunks of the
 * prompt, and for a model cut into two shards; and the shards give the truth that the model gives. With the
 * reference folder's models (SHOAL_SHARED names its parent, else ../shared beside the repository); skipped
 * where absent. */
#include "rig.h"

#include "engine/truth.h"
#include "model/folder.h"
#include "model/shards.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define N_TOKENS 71 /* two tiles of positions, more than the windows of 16 */

static const char *const models[] = {"llama",    "llama3", "qwen2",  "qwen3", "mixtral",
                                     "qwen3moe", "gemma2", "gemma3", "phi3"};

static char *folder; /* for shards */

static const char *shared_dir(void)
{
    const char *dir = getenv("SHOAL_SHARED");
    return dir ? dir : "../shared";
}

static char *model_path(const char *model)
{
    return mem_format("%s/reference/arch/%s.gguf", shared_dir(), model);
}

static bool is_absent(void)
{
    char *path = model_path("llama");
    bool absent = access(path, R_OK) != 0;
    if (absent)
        print_message("no reference data at %s: skipped\n", path);
    mem_free(path);
    return absent;
}

/* --- an engine over the whole model or over two shards -----------------------------------------------------
 */

struct machine {
    struct engine *engine;
    struct weights *parts[2];
    uint32_t n_parts;
    const struct hparams *hp;
};

static struct machine machine_new(const char *const *files, uint32_t n_files, const char *level,
                                  uint32_t n_threads)
{
    struct machine m = {.n_parts = n_files};
    struct engine_config config = {.n_threads = n_threads, .n_ctx = 128, .n_slots = 1};
    struct error err;

    rig_must(kernels_select_level(&config.kernels, level, &err), &err);
    rig_must(engine_create(&m.engine, &config, &err), &err);
    for (uint32_t i = 0; i < n_files; i++) {
        rig_must(weights_load(&m.parts[i], files[i], config.kernels, 1 + i, NULL, &err), &err);
        rig_must(engine_add(m.engine, m.parts[i], &err), &err);
    }
    m.hp = weights_hparams(m.parts[0]);
    return m;
}

static void machine_free(struct machine *m)
{
    engine_destroy(m->engine);
    for (uint32_t i = 0; i < m->n_parts; i++)
        weights_free(m->parts[i]);
}

/* All tokens through all layers at once, or part by part with the hidden states between them. What is read of
 * the last layer: logits [N_TOKENS][n_vocab] unless NULL, what is drawn at the end with `sample` unless NULL,
 * and, where reads_all, the hidden states. */
static struct sampled run_tokens(const struct machine *m, uint32_t chunk, float *logits,
                                 const struct sample_params *sample, bool reads_all)
{
    uint32_t *tokens = rig_tokens(N_TOKENS, m->hp->n_vocab, 5);
    float *hidden = mem_array((size_t)N_TOKENS * m->hp->n_embd, sizeof *hidden);
    struct sampled drawn = {.token = 0};

    for (uint32_t at = 0, n; at < N_TOKENS; at += n) {
        n = N_TOKENS - at < chunk ? N_TOKENS - at : chunk;
        for (uint32_t i = 0; i < m->n_parts; i++) {
            bool is_last = weights_has_output(m->parts[i]);
            struct engine_step step = {.sequence = 1,
                                       .position = at,
                                       .n_tokens = n,
                                       .tokens = tokens + at,
                                       .layer_first = weights_first_layer(m->parts[i]),
                                       .layer_end = weights_end_layer(m->parts[i]),
                                       .hidden_in = hidden,
                                       .hidden_out = is_last && !reads_all ? NULL : hidden,
                                       .sample = is_last && at + n == N_TOKENS ? sample : NULL};
            if (is_last && logits)
                step.logits_out = logits + (size_t)at * m->hp->n_vocab;
            assert_int_equal(engine_run(m->engine, &step), STEP_OK);
            drawn = step.sampled;
        }
    }
    mem_free(hidden);
    mem_free(tokens);
    return drawn;
}

static float *logits_of(const struct machine *m, uint32_t chunk)
{
    float *logits = mem_array((size_t)N_TOKENS * m->hp->n_vocab, sizeof *logits);
    run_tokens(m, chunk, logits, NULL, true);
    return logits;
}

static void check_same(const struct machine *m, uint32_t chunk, const float *want, const char *what)
{
    size_t n = (size_t)N_TOKENS * m->hp->n_vocab;
    float *got = logits_of(m, chunk);
    for (size_t i = 0; i < n; i++)
        if (memcmp(&got[i], &want[i], sizeof *got))
            fail_msg("%s, chunks of %u: logits of position %zu have other bits (%a, not %a)", what, chunk,
                     i / m->hp->n_vocab, (double)got[i], (double)want[i]);
    mem_free(got);
}

/* What is drawn is the same where nothing else of the last layer is read. */
static void check_drawn(const struct machine *m, uint32_t chunk, const char *what)
{
    struct sample_params sample = sample_params_default();
    sample.n_top = SAMPLE_TOP_MAX;
    struct sampled want = run_tokens(m, chunk, NULL, &sample, true),
                   got = run_tokens(m, chunk, NULL, &sample, false);
    if (got.token != want.token || got.n_top != want.n_top || want.n_top != SAMPLE_TOP_MAX ||
        memcmp(got.top_tokens, want.top_tokens, sizeof got.top_tokens) ||
        memcmp(got.top_log_probabilities, want.top_log_probabilities, sizeof got.top_log_probabilities))
        fail_msg("%s, chunks of %u: what is drawn depends on what else is read", what, chunk);
}

/* --- shards ------------------------------------------------------------------------------------------------
 */

static void empty_folder(void)
{
    struct folder_list list;
    if (folder_list_read(&list, folder, NULL))
        return;
    for (size_t i = 0; i < list.n; i++) {
        char *file = shards_path(folder, list.names[i]);
        unlink(file);
        mem_free(file);
    }
    folder_list_free(&list);
}

static struct manifest *split_in_two(const char *path, char *files[2])
{
    struct manifest *manifest = NULL;
    struct split_options options = {.model = path, .out_dir = folder, .n_shards = 2};
    struct error err;

    rig_must(shards_split(&manifest, &options, &err), &err);
    assert_int_equal(manifest->n_shards, 2);
    for (uint32_t i = 0; i < 2; i++)
        files[i] = shards_path(folder, manifest->shards[i].file);
    return manifest;
}

static struct sha256 fingerprint_of(const char *path)
{
    struct gguf *gguf = NULL;
    struct sha256 hash;
    struct error err;
    rig_must(gguf_open(&gguf, path, &err), &err);
    rig_must(model_fingerprint(&hash, gguf, NULL, &err), &err);
    gguf_close(gguf);
    return hash;
}

static void check_merge(const char *path)
{
    char *merged = shards_path(folder, "merged.gguf");
    struct error err;
    rig_must(shards_merge(folder, merged, NULL, &err), &err);
    struct sha256 before = fingerprint_of(path), after = fingerprint_of(merged);
    assert_true(sha256_equal(&before, &after));
    mem_free(merged);
}

/* --- all ways ----------------------------------------------------------------------------------------------
 */

static void check_level(const char *model, const char *const *files, uint32_t n_files, const char *level,
                        const float *want)
{
    static const uint32_t chunks[] = {1, 2, 7, 64};
    bool is_slow = !strcmp(level, "ref");
    char what[128];

    for (uint32_t n_threads = 1; n_threads <= 2; n_threads++) {
        struct machine m = machine_new(files, n_files, level, n_threads);
        snprintf(what, sizeof what, "%s, %s, %u threads, %s", model, level, n_threads,
                 n_files == 1 ? "whole" : "in two shards");
        for (size_t i = is_slow ? 3 - n_threads : 0; i < sizeof chunks / sizeof *chunks; i += is_slow ? 4 : 1)
            check_same(&m, chunks[i], want, what); /* ref: of each number of threads one */
        check_drawn(&m, is_slow ? N_TOKENS : 7, what);
        machine_free(&m);
    }
}

static void check_truth(const struct manifest *manifest)
{
    const struct kernels *levels[KERNELS_LEVELS_MAX];
    uint32_t n_levels = kernels_levels(levels);
    struct shard_truth truth[2];
    struct error err;

    rig_must(truth_compute(&truth[0], manifest, folder, levels[0], 1, NULL, &err), &err);
    rig_must(truth_compute(&truth[1], manifest, folder, levels[n_levels - 1], 2, NULL, &err), &err);
    assert_memory_equal(truth[0].states, truth[1].states, 2 * sizeof *truth[0].states);
    assert_memory_equal(truth[0].self_tests, truth[1].self_tests, 2 * sizeof *truth[0].self_tests);
    assert_int_equal(truth[0].next, truth[1].next);
    shard_truth_free(&truth[0]);
    shard_truth_free(&truth[1]);
}

static void check_file(const char *model, char *path)
{
    const struct kernels *levels[KERNELS_LEVELS_MAX];
    uint32_t n_levels = kernels_levels(levels);
    char *shards[2];
    struct manifest *manifest = split_in_two(path, shards);
    struct machine plain = machine_new((const char *const *)&path, 1, "ref", 1);
    float *want = logits_of(&plain, N_TOKENS);

    machine_free(&plain);
    for (uint32_t i = 0; i < n_levels; i++) {
        check_level(model, (const char *const *)&path, 1, levels[i]->level, want);
        check_level(model, (const char *const *)shards, 2, levels[i]->level, want);
    }
    check_truth(manifest);
    check_merge(path);
    empty_folder();
    manifest_free(manifest);
    mem_free(want);
    mem_free(shards[0]);
    mem_free(shards[1]);
}

static void check_model(const char *model)
{
    char *path = model_path(model);
    check_file(model, path);
    mem_free(path);
}

static void every_way_gives_the_same_bits(void **state)
{
    (void)state;
    if (is_absent())
        skip();
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        check_model(models[i]);
}

/* Those that the reference folder does not have: five layers, so that every kind of layer is there. */
static void others_give_the_same_bits(void **state)
{
    static const enum arch others[] = {ARCH_OLMO2, ARCH_GRANITE, ARCH_SMOLLM3};
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct tiny_model model = tiny_model_default();
        model.arch = others[i];
        model.n_layers = 5;
        char *path = tiny_file(&model);
        check_file(arch_name(others[i]), path);
        tiny_file_remove(path);
    }
}

/* All of its matrices in one kind, and in several. */
static void gptoss_gives_the_same_bits(void **state)
{
    struct tiny_model plain = tiny_model_gptoss(), mixed = plain;
    struct tiny_model *const both[] = {&plain, &mixed};
    const enum tensor_type types[] = {TENSOR_TYPE_F32, TENSOR_TYPE_Q8_0, TENSOR_TYPE_Q4_0, TENSOR_TYPE_MXFP4};

    (void)state;
    memcpy(mixed.types, types, sizeof types);
    for (size_t i = 0; i < 2; i++) {
        char *path = tiny_file(both[i]);
        check_file("gpt-oss", path);
        tiny_file_remove(path);
    }
}

/* --- memory ------------------------------------------------------------------------------------------------
 */

#define N_FULL 5 /* steps: the first alone, the others as one batch while it runs */

struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    uint32_t n_left;
};

static void one_ended(struct engine_step *step)
{
    struct waiting *waiting = step->owner;
    pthread_mutex_lock(&waiting->lock);
    waiting->n_left--;
    pthread_cond_signal(&waiting->ended);
    pthread_mutex_unlock(&waiting->lock);
}

/* Sequences of all slots, as long as a step may be, in one batch. */
static void run_full(const struct machine *m, float *logits)
{
    struct waiting waiting = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, N_FULL};
    uint32_t *tokens = rig_tokens(ENGINE_STEP_TOKENS_MAX, m->hp->n_vocab, 5);
    struct engine_step steps[N_FULL];

    for (uint32_t i = 0; i < N_FULL; i++) {
        steps[i] = (struct engine_step){.sequence = 1 + i,
                                        .n_tokens = ENGINE_STEP_TOKENS_MAX,
                                        .tokens = tokens,
                                        .layer_end = m->hp->n_layers,
                                        .logits_out = i == N_FULL - 1 ? logits : NULL,
                                        .done = one_ended,
                                        .owner = &waiting};
        engine_submit(m->engine, &steps[i]);
    }
    pthread_mutex_lock(&waiting.lock);
    while (waiting.n_left)
        pthread_cond_wait(&waiting.ended, &waiting.lock);
    pthread_mutex_unlock(&waiting.lock);
    for (uint32_t i = 0; i < N_FULL; i++)
        assert_int_equal(steps[i].result, STEP_OK);
    mem_free(tokens);
}

static void check_memory(const char *path, enum kv_type kv_type)
{
    struct engine_config config = {
        .n_threads = 2, .n_ctx = ENGINE_STEP_TOKENS_MAX, .n_slots = N_FULL, .kv_type = kv_type};
    struct machine m = {.n_parts = 1};
    struct weights_size size;
    struct error err;

    rig_must(kernels_select_level(&config.kernels, rig_fastest(), &err), &err);
    rig_must(weights_measure(&size, path, config.kernels, &err), &err);
    rig_must(engine_create(&m.engine, &config, &err), &err);
    rig_must(weights_load(&m.parts[0], path, config.kernels, 2, NULL, &err), &err);
    rig_must(engine_add(m.engine, m.parts[0], &err), &err);
    m.hp = weights_hparams(m.parts[0]);
    assert_int_equal(size.bytes, weights_bytes(m.parts[0]));
    assert_true(size.bytes >= size.file_bytes && size.bytes < size.file_bytes + size.file_bytes / 20);

    float *logits = mem_array((size_t)ENGINE_STEP_TOKENS_MAX * m.hp->n_vocab, sizeof *logits);
    run_full(&m, logits);
    struct engine_load load = engine_load(m.engine);
    size_t told = engine_bytes_needed(&config, m.hp, 0, m.hp->n_layers),
           took = load.kv_bytes + load.scratch_bytes;
    if (took > told + told / 20 || told > took + took / 20)
        fail_msg("%s: %zu bytes beside the weights were foretold, %zu taken", path, told, took);
    mem_free(logits);
    machine_free(&m);
}

static void memory_is_as_foretold(void **state)
{
    struct tiny_model gptoss = tiny_model_gptoss();
    char *path = tiny_file(&gptoss);
    (void)state;
    check_memory(path, KV_F16);
    tiny_file_remove(path);
    if (is_absent())
        skip();
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        path = model_path(models[i]);
        check_memory(path, i % KV_TYPE_COUNT);
        mem_free(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_gives_the_same_bits), cmocka_unit_test(others_give_the_same_bits),
        cmocka_unit_test(gptoss_gives_the_same_bits), cmocka_unit_test(memory_is_as_foretold)};
    const char *tmp = getenv("TMPDIR");
    folder = mem_format("%s/shoal-test-arch-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    empty_folder();
    rmdir(folder);
    mem_free(folder);
    return failed;
}
