#include "engine/truth.h"

#include "base/mem.h"
#include "base/rand.h"
#include "kernels/kernels.h"
#include "model/shards.h"

#define TRUTH_SEED     0x73686f616cU
#define TRUTH_SEQUENCE 1 /* of a probe's place: serving sequences have their own */

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "hidden states are hashed and sent as they lie in memory: little-endian"
#endif

struct sha256 truth_hash(const float *values, size_t n)
{
    return sha256_of(values, n * sizeof *values);
}

static enum status step_status(const struct engine_step *step, struct error *err)
{
    enum status status = step->result == STEP_OK          ? STATUS_OK
                         : step->result == STEP_CANCELLED ? STATUS_CANCELLED
                         : step->result == STEP_NO_MEMORY ? STATUS_NO_MEMORY
                         : step->result == STEP_NO_SLOT   ? STATUS_BUSY
                                                          : STATUS_BAD_DATA;
    if (!status)
        return STATUS_OK;
    return error_set(err, status, "layers [%u, %u) on %u known positions: %s", step->layer_first,
                     step->layer_end, step->n_tokens, step_result_name(step->result));
}

/* --- self-test ---------------------------------------------------------------------------------------------
 */

struct self_test {
    uint32_t tokens[TRUTH_POSITIONS];
    float *hidden_in;
    float *out; /* hidden states or logits */
    size_t n_out;
};

static void self_test_input(struct self_test *test, const struct weights *weights)
{
    const struct hparams *hp = weights_hparams(weights);
    struct rng rng = rng_seeded(TRUTH_SEED);
    size_t n_hidden = (size_t)TRUTH_POSITIONS * hp->n_embd;

    test->n_out = weights_has_output(weights) ? (size_t)TRUTH_POSITIONS * hp->n_vocab : n_hidden;
    test->out = mem_array(test->n_out, sizeof *test->out);
    if (weights_first_layer(weights) == 0) {
        for (int i = 0; i < TRUTH_POSITIONS; i++)
            test->tokens[i] = (uint32_t)rng_below(&rng, hp->n_vocab);
        return;
    }
    test->hidden_in = mem_array(n_hidden, sizeof *test->hidden_in);
    for (size_t i = 0; i < n_hidden; i++)
        test->hidden_in[i] = (float)(rng_unit(&rng) * 2.0 - 1.0);
}

static enum status self_test_in(struct engine *engine, struct sha256 *out, const struct weights *weights,
                                struct error *err)
{
    struct self_test test = {.hidden_in = NULL};
    self_test_input(&test, weights);

    struct engine_step step = {.sequence = TRUTH_SEQUENCE,
                               .is_probe = true,
                               .n_tokens = TRUTH_POSITIONS,
                               .tokens = test.tokens,
                               .layer_first = weights_first_layer(weights),
                               .layer_end = weights_end_layer(weights),
                               .hidden_in = test.hidden_in};
    if (weights_has_output(weights))
        step.logits_out = test.out;
    else
        step.hidden_out = test.out;
    engine_run(engine, &step);
    enum status status = step_status(&step, err);
    if (!status)
        *out = truth_hash(test.out, test.n_out);
    mem_free(test.hidden_in);
    mem_free(test.out);
    return status ? error_wrap(err, status, "self-test") : STATUS_OK;
}

static enum status engine_for_truth(struct engine **out, const struct kernels *kernels, uint32_t n_threads,
                                    struct error *err)
{
    struct engine_config config = {
        .n_threads = n_threads, .kernels = kernels, .n_ctx = KV_TILE_POSITIONS, .n_slots = 1};
    return engine_create(out, &config, err);
}

enum status truth_self_test(struct sha256 *out, const struct weights *weights, uint32_t n_threads,
                            struct error *err)
{
    struct engine *engine = NULL;
    enum status status = engine_for_truth(&engine, weights_kernels(weights), n_threads, err);

    if (!status)
        status = engine_add(engine, weights, err);
    if (!status)
        status = self_test_in(engine, out, weights, err);
    engine_destroy(engine);
    return status;
}

/* --- the probe, shard by shard -----------------------------------------------------------------------------
 */

struct truth_job {
    struct shard_truth *truth;
    const struct manifest *manifest;
    const char *dir;
    const struct kernels *kernels;
    struct engine *engine;
    uint32_t n_threads;
    const struct model_progress *progress;
    uint64_t bytes_before, bytes_total; /* of weights */
    float *hidden;                      /* [probe tokens][n_embd]; NULL before the first shard */
};

static void report_progress(void *arg, uint64_t bytes_done, uint64_t bytes_total)
{
    struct truth_job *job = arg;
    (void)bytes_total;
    model_progress_report(job->progress, job->bytes_before + bytes_done, job->bytes_total);
}

static enum status probe_shard(struct truth_job *job, uint32_t id, const struct weights *weights,
                               struct error *err)
{
    const struct hparams *hp = weights_hparams(weights);
    size_t n_hidden = (size_t)MANIFEST_PROBE_TOKENS * hp->n_embd;
    struct sample_params greedy = {.top_p = 1.0F, .repeat_penalty = 1.0F};

    if (!job->hidden) {
        job->hidden = mem_array(n_hidden, sizeof *job->hidden);
        manifest_probe_tokens(job->truth->tokens, hp->n_vocab);
    }
    struct engine_step step = {.sequence = TRUTH_SEQUENCE,
                               .is_probe = true,
                               .n_tokens = MANIFEST_PROBE_TOKENS,
                               .tokens = job->truth->tokens,
                               .layer_first = weights_first_layer(weights),
                               .layer_end = weights_end_layer(weights),
                               .hidden_in = job->hidden,
                               .hidden_out = job->hidden, /* read before it is written */
                               .sample = weights_has_output(weights) ? &greedy : NULL};
    engine_run(job->engine, &step);
    enum status status = step_status(&step, err);
    if (status)
        return error_wrap(err, status, "probe");
    job->truth->states[id] = truth_hash(job->hidden, n_hidden);
    if (step.sample)
        job->truth->next = step.sampled.token;
    return STATUS_OK;
}

static enum status compute_shard(struct truth_job *job, uint32_t id, struct error *err)
{
    const struct manifest_shard *shard = &job->manifest->shards[id];
    struct weights_progress progress = {
        .report = report_progress, .arg = job, .cancel = job->progress ? job->progress->cancel : NULL};
    char *path = shards_path(job->dir, shard->file);
    struct weights *weights = NULL;
    enum status status = weights_load(&weights, path, job->kernels, job->n_threads, &progress, err);

    mem_free(path);
    if (status)
        return status;
    status = engine_add(job->engine, weights, err);
    if (!status) {
        status = self_test_in(job->engine, &job->truth->self_tests[id], weights, err);
        if (!status)
            status = probe_shard(job, id, weights, err);
        engine_remove(job->engine, weights);
    }
    weights_free(weights);
    job->bytes_before += shard->bytes;
    return status ? error_wrap(err, status, "the truth of shard %u", id) : STATUS_OK;
}

enum status truth_compute(struct shard_truth *out, const struct manifest *manifest, const char *dir,
                          const struct kernels *kernels, uint32_t n_threads,
                          const struct model_progress *progress, struct error *err)
{
    struct shard_truth truth = {.n_shards = manifest->n_shards};
    struct truth_job job = {.truth = &truth, .manifest = manifest, .dir = dir, .progress = progress};
    enum status status = engine_for_truth(&job.engine, kernels, n_threads, err);

    if (status)
        return status;
    job.kernels = engine_kernels(job.engine);
    job.n_threads = engine_n_threads(job.engine);
    truth.states = mem_array(manifest->n_shards, sizeof *truth.states);
    truth.self_tests = mem_array(manifest->n_shards, sizeof *truth.self_tests);
    for (uint32_t id = 0; id < manifest->n_shards; id++)
        job.bytes_total += manifest->shards[id].bytes;
    for (uint32_t id = 0; id < manifest->n_shards && !status; id++)
        status = compute_shard(&job, id, err);
    engine_destroy(job.engine);
    mem_free(job.hidden);
    if (status)
        shard_truth_free(&truth);
    else
        *out = truth;
    return status;
}
