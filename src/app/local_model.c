#include "app/local_model.h"

#include "app/commands.h"
#include "app/options.h"
#include "base/clock.h"
#include "base/mem.h"
#include "kernels/kernels.h"
#include "model/folder.h"
#include "model/gguf.h"
#include "model/manifest.h"
#include "model/shards.h"
#include "model/verify.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CTX_DEFAULT 4096

/* --- which files -------------------------------------------------------------------------------------------
 */

struct model_files {
    char **weights; /* paths */
    uint32_t n_weights;
    char *tokenizer;
};

static void model_files_free(struct model_files *files)
{
    for (uint32_t i = 0; i < files->n_weights; i++)
        mem_free(files->weights[i]);
    mem_free(files->weights);
    mem_free(files->tokenizer);
    *files = (struct model_files){.weights = NULL};
}

static enum status files_of_manifest(struct model_files *out, const char *dir, const char *manifest_path,
                                     struct error *err)
{
    struct manifest *manifest = NULL;
    enum status status = manifest_load(&manifest, manifest_path, err);

    if (status)
        return status;
    out->weights = mem_array(manifest->n_shards, sizeof *out->weights);
    for (uint32_t i = 0; i < manifest->n_shards && !status; i++) {
        struct shard_file seen; /* by its header: another model's layers would compute, and give nonsense */
        out->weights[out->n_weights++] = shards_path(dir, manifest->shards[i].file);
        shard_file_examine(&seen, out->weights[i], manifest);
        if (seen.fault || seen.id != i)
            status = error_set(err, seen.fault == SHARD_FAULT_MISSING ? STATUS_NOT_FOUND : STATUS_BAD_DATA,
                               "shard %u: '%s': %s (`shoal verify %s` checks them all)", i, out->weights[i],
                               seen.fault ? seen.why : "it is another shard", dir);
    }
    out->tokenizer = shards_path(dir, manifest->tokenizer.file);
    manifest_free(manifest);
    return status;
}

/* A folder without a manifest: shard-0.gguf says how many there are. */
static enum status files_by_name(struct model_files *out, const char *dir, struct error *err)
{
    char *first = shards_path(dir, "shard-0.gguf");
    struct gguf *gguf = NULL;
    uint32_t n_shards = 0;
    enum status status = gguf_open(&gguf, first, err);

    if (status) {
        status = error_wrap(err, status, "'%s' has neither %s nor a shard 0 that opens", dir, MANIFEST_FILE);
    } else if (gguf_get_u32(gguf, KEY_SHARD_COUNT, &n_shards, err) || !n_shards ||
               n_shards > MANIFEST_SHARDS_MAX) {
        status = error_set(err, STATUS_BAD_DATA, "'%s' is no shard: no valid %s", first, KEY_SHARD_COUNT);
    } else {
        out->weights = mem_array(n_shards, sizeof *out->weights);
        for (; out->n_weights < n_shards; out->n_weights++) {
            char *file = mem_format("shard-%u.gguf", out->n_weights);
            out->weights[out->n_weights] = shards_path(dir, file);
            mem_free(file);
        }
        out->tokenizer = shards_path(dir, TOKENIZER_FILE);
    }
    gguf_close(gguf);
    mem_free(first);
    return status;
}

static enum status find_files(struct model_files *out, const char *path, struct error *err)
{
    struct stat info;

    if (stat(path, &info) != 0)
        return errno == ENOENT ? folder_lacks(path, err)
                               : error_set_errno(err, STATUS_IO, errno, "opening '%s'", path);
    if (!S_ISDIR(info.st_mode)) {
        out->weights = mem_array(1, sizeof *out->weights);
        out->weights[out->n_weights++] = mem_string(path);
        out->tokenizer = mem_string(path);
        return STATUS_OK;
    }
    char *manifest = shards_path(path, MANIFEST_FILE);
    enum status status = access(manifest, F_OK) == 0 ? files_of_manifest(out, path, manifest, err)
                                                     : files_by_name(out, path, err);
    mem_free(manifest);
    return status;
}

/* --- loading -----------------------------------------------------------------------------------------------
 */

struct progress_bar {
    const char *path;
    int last_percent;
};

static void show_progress(void *arg, uint64_t bytes_done, uint64_t bytes_total)
{
    struct progress_bar *bar = arg;
    int percent = bytes_total ? (int)((double)bytes_done * 100 / (double)bytes_total) : 100;
    if (percent == bar->last_percent)
        return;
    bar->last_percent = percent;
    fprintf(stderr, "\rloading %s: %d%% of %.1f MB%s", bar->path, percent, (double)bytes_total / 1e6,
            bytes_done == bytes_total ? "\n" : "");
}

static enum status load_weights(struct local_model *model, const struct model_files *files,
                                const struct kernels *kernels, uint32_t n_threads, struct error *err)
{
    model->weights = mem_array(files->n_weights, sizeof *model->weights);
    for (uint32_t i = 0; i < files->n_weights; i++) {
        struct progress_bar bar = {.path = files->weights[i], .last_percent = -1};
        struct weights_progress progress = {.report = isatty(STDERR_FILENO) ? show_progress : NULL,
                                            .arg = &bar};
        struct stat info;
        enum status status =
            weights_load(&model->weights[i], files->weights[i], kernels, n_threads, &progress, err);
        if (status)
            return status;
        model->n_weights++;
        if (stat(files->weights[i], &info) == 0)
            model->file_bytes += (uint64_t)info.st_size;
    }
    return STATUS_OK;
}

static enum status load_tokenizer(struct local_model *model, const char *path, struct error *err)
{
    struct gguf *gguf = NULL;
    enum status status = gguf_open(&gguf, path, err); /* names the path itself */

    if (!status) {
        status = tokenizer_create(&model->tokenizer, gguf, err);
        if (status)
            status = error_wrap(err, status, "the tokenizer in '%s'", path);
    }
    gguf_close(gguf);
    return status;
}

/* The whole model must be there, or a step would only say that layers are missing. */
static enum status add_weights(struct local_model *model, const char *path, struct error *err)
{
    const struct hparams *hparams = local_model_hparams(model);
    uint32_t next_layer = 0;

    for (uint32_t i = 0; i < model->n_weights; i++) {
        if (weights_first_layer(model->weights[i]) != next_layer)
            break;
        next_layer = weights_end_layer(model->weights[i]);
        enum status status = engine_add(model->engine, model->weights[i], err);
        if (status)
            return error_wrap(err, status, "'%s'", path);
    }
    if (next_layer != hparams->n_layers || !weights_has_embedding(model->weights[0]) ||
        !weights_has_output(model->weights[model->n_weights - 1]))
        return error_set(
            err, STATUS_BAD_DATA,
            "'%s' holds layers 0 to %u of %u: a part of a model; give the whole model or the folder "
            "with all its shards",
            path, next_layer, hparams->n_layers);
    return STATUS_OK;
}

static enum status load_all(struct local_model *model, const struct model_files *files, const char *path,
                            const struct local_model_options *options, struct error *err)
{
    struct engine_config config = {.n_threads = options->n_threads,
                                   .n_slots = options->n_slots ? options->n_slots : 1,
                                   .kv_type = options->kv_type};
    uint32_t n_threads = options->n_threads ? options->n_threads : engine_n_threads_default();
    enum status status = kernels_select(&config.kernels, err);

    if (!status && options->wants_tokenizer) /* first: it is quick and may fail */
        status = load_tokenizer(model, files->tokenizer, err);
    if (!status)
        status = load_weights(model, files, config.kernels, n_threads, err);
    if (status)
        return status;

    uint32_t n_trained = local_model_hparams(model)->n_ctx_train;
    config.n_ctx = options->n_ctx ? options->n_ctx : n_trained < CTX_DEFAULT ? n_trained : CTX_DEFAULT;
    model->n_ctx = config.n_ctx;
    status = engine_create(&model->engine, &config, err);
    return status ? status : add_weights(model, path, err);
}

enum status local_model_open(struct local_model *out, const char *path,
                             const struct local_model_options *options, struct error *err)
{
    struct local_model model = {.engine = NULL};
    struct model_files files = {.weights = NULL};
    uint64_t start_us = clock_process_us();
    enum status status = find_files(&files, path, err);

    if (!status)
        status = load_all(&model, &files, path, options, err);
    model_files_free(&files);
    if (status) {
        local_model_close(&model);
        return status;
    }
    model.load_us = clock_process_us() - start_us;
    *out = model;
    return STATUS_OK;
}

void local_model_close(struct local_model *model)
{
    engine_destroy(model->engine);
    for (uint32_t i = 0; i < model->n_weights; i++)
        weights_free(model->weights[i]);
    mem_free(model->weights);
    tokenizer_free(model->tokenizer);
    *model = (struct local_model){.engine = NULL};
}

const struct hparams *local_model_hparams(const struct local_model *model)
{
    return weights_hparams(model->weights[0]);
}

/* --- running -----------------------------------------------------------------------------------------------
 */

static enum status result_status(const struct engine_step *step, struct error *err)
{
    switch (step->result) {
    case STEP_OK:
        return STATUS_OK;
    case STEP_FULL:
        return error_set(err, STATUS_LIMIT, "the context is full at position %u; --ctx makes it larger",
                         step->position);
    case STEP_NO_MEMORY:
        return error_set(err, STATUS_NO_MEMORY,
                         "no memory for keys and values at position %u; a smaller --ctx or "
                         "--kv q8_0 makes them smaller",
                         step->position);
    case STEP_BAD_INPUT:
        return error_set(err, STATUS_BAD_DATA,
                         "the model gives values that are not finite at position %u: its weights are damaged",
                         step->position);
    default:
        return error_set(err, STATUS_BUSY, "position %u: %s", step->position, step_result_name(step->result));
    }
}

enum status local_model_run(struct local_model *model, struct local_run *run, struct error *err)
{
    uint32_t chunk = run->chunk && run->chunk < ENGINE_STEP_TOKENS_MAX ? run->chunk : ENGINE_STEP_TOKENS_MAX;

    for (uint32_t done = 0; done < run->n_tokens;) {
        uint32_t n = run->n_tokens - done < chunk ? run->n_tokens - done : chunk;
        struct engine_step step = {.sequence = run->sequence,
                                   .position = run->position + done,
                                   .n_tokens = n,
                                   .tokens = run->tokens + done,
                                   .layer_end = local_model_hparams(model)->n_layers,
                                   .sample = done + n == run->n_tokens ? run->sample : NULL,
                                   .logits_out = run->logits};
        engine_run(model->engine, &step);
        enum status status = result_status(&step, err);
        if (status)
            return status;
        if (run->on_logits)
            run->on_logits(run->arg, step.position, n, run->logits);
        run->sampled = step.sampled;
        done += n;
    }
    return STATUS_OK;
}

/* --- options -----------------------------------------------------------------------------------------------
 */

int local_model_exit_code(const char *command, const struct error *err)
{
    int code = command_failed(command, err);
    bool is_absent = err->status == STATUS_NOT_FOUND || err->sys_errno == ENOENT;
    return is_absent ? status_exit_code(STATUS_BAD_DATA) : code;
}

enum status option_unknown(char **argv, struct error *err)
{
    return error_set(err, STATUS_BAD_USAGE, "'%s' is no option here, or lacks its value", argv[optind - 1]);
}

enum status option_u32(uint32_t *out, const char *name, const char *text, uint32_t min, uint32_t max,
                       struct error *err)
{
    uint64_t value;
    if (!number_parse(&value, text, max) || value < min)
        return error_set(err, STATUS_BAD_USAGE, "%s is '%s'; it must be a number from %u to %u", name, text,
                         min, max);
    *out = (uint32_t)value;
    return STATUS_OK;
}

enum status option_float(float *out, const char *name, const char *text, struct error *err)
{
    char *end = NULL;
    float value = strtof(text, &end);
    if (end == text || *end || !isfinite(value))
        return error_set(err, STATUS_BAD_USAGE, "%s is '%s'; it must be a finite number", name, text);
    *out = value;
    return STATUS_OK;
}

enum status option_kv(enum kv_type *out, const char *text, struct error *err)
{
    if (!kv_type_from_name(out, text))
        return error_set(err, STATUS_BAD_USAGE, "--kv is '%s'; it must be " KV_TYPE_NAMES, text);
    return STATUS_OK;
}
