#include "engine/engine.h"

#include "base/clock.h"
#include "base/mem.h"
#include "engine/batch.h"
#include "engine/forward.h"
#include "engine/team.h"
#include "kernels/kernels.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define QUEUE_SCAN_MAX 256 /* queued steps that are looked at for one batch */

struct part {
    const struct weights *weights; /* NULL: free */
    bool is_leaving;
};

struct engine {
    struct engine_config config;
    struct sequences *sequences; /* the engine thread's, as are forward, team and batch */
    struct forward *forward;
    struct team *team;
    struct batch *batch;
    struct engine_step *ended, **ended_end; /* of this round, with their results */
    pthread_t thread;

    pthread_mutex_t lock; /* for all below */
    pthread_cond_t wake, part_left;
    bool stopping;
    struct engine_step *queue, **queue_end;
    uint32_t n_queued;
    uint64_t *forgotten; /* sequences to drop before the next batch */
    size_t n_forgotten, forgotten_capacity;
    struct part parts[ENGINE_PARTS_MAX];
    uint32_t n_parts, n_leaving;
    struct hparams hparams; /* while n_parts > 0 */
    uint16_t part_of_layer[MODEL_LAYERS_MAX];
    struct engine_load load;
};

/* --- what may run (lock held) ------------------------------------------------------------------------------
 */

static struct batch_span *batch_span_of(struct batch *batch, const struct sequence *sequence)
{
    for (uint32_t i = 0; i < batch->n_spans; i++)
        if (batch->spans[i].sequence == sequence)
            return &batch->spans[i];
    return NULL;
}

static bool sequence_must_stay(void *arg, const struct sequence *sequence)
{
    const struct engine *engine = arg;
    if (batch_span_of(engine->batch, sequence))
        return true;
    for (const struct engine_step *step = engine->queue; step; step = step->next)
        if (step->sequence == sequence->id && step->is_probe == sequence->is_probe)
            return true;
    return false;
}

static bool holds_layers(const struct engine *engine, uint32_t first, uint32_t end)
{
    for (uint32_t layer = first; layer < end; layer++) {
        uint16_t part = engine->part_of_layer[layer];
        if (part == BATCH_NO_PART || engine->parts[part].is_leaving)
            return false;
    }
    return true;
}

static const struct weights *find_part(const struct engine *engine, bool (*has)(const struct weights *weights))
{
    for (uint32_t i = 0; i < ENGINE_PARTS_MAX; i++)
        if (engine->parts[i].weights && !engine->parts[i].is_leaving && has(engine->parts[i].weights))
            return engine->parts[i].weights;
    return NULL;
}

static enum step_result check_layers(const struct engine *engine, const struct engine_step *step)
{
    bool wants_output = step->sample || step->logits_out;

    if (!engine->n_parts)
        return STEP_NO_LAYERS;
    if (step->layer_first >= step->layer_end || step->layer_end > engine->hparams.n_layers)
        return STEP_BAD_INPUT;
    if (wants_output && step->layer_end != engine->hparams.n_layers)
        return STEP_BAD_INPUT;
    if (step->layer_first > 0 && !step->hidden_in)
        return STEP_BAD_INPUT;
    if (!holds_layers(engine, step->layer_first, step->layer_end) ||
        (step->layer_first == 0 && !find_part(engine, weights_has_embedding)) ||
        (wants_output && !find_part(engine, weights_has_output)))
        return STEP_NO_LAYERS;
    return STEP_OK;
}

static enum step_result check_tokens(const struct engine *engine, const struct engine_step *step)
{
    if (!step->sequence || !step->tokens || !step->n_tokens || step->n_tokens > ENGINE_STEP_TOKENS_MAX)
        return STEP_BAD_INPUT;
    if (step->position >= engine->config.n_ctx || step->n_tokens > engine->config.n_ctx - step->position)
        return STEP_FULL;
    for (uint32_t i = 0; i < step->n_tokens; i++)
        if (step->tokens[i] >= engine->hparams.n_vocab)
            return STEP_BAD_INPUT;
    if (step->sample && sample_params_check(step->sample, NULL))
        return STEP_BAD_INPUT;
    return STEP_OK;
}

/* Positions that all layers of the step hold. */
static uint32_t have_positions(const struct engine *engine, const struct sequence *sequence,
                               const struct engine_step *step)
{
    uint32_t have = sequence ? engine->config.n_ctx : 0;
    for (uint32_t layer = step->layer_first; layer < step->layer_end && have; layer++) {
        uint16_t part = engine->part_of_layer[layer];
        const struct kv_cache *cache = sequence->caches[part];
        uint32_t of_layer =
            cache ? kv_cache_have(cache, layer - weights_first_layer(engine->parts[part].weights)) : 0;
        have = of_layer < have ? of_layer : have;
    }
    return have;
}

/* Takes room for the step's positions and forgets what they replace. */
static enum step_result make_room(struct engine *engine, struct sequence *sequence,
                                  const struct engine_step *step)
{
    for (uint32_t layer = step->layer_first; layer < step->layer_end; layer++) {
        uint16_t part = engine->part_of_layer[layer];
        const struct weights *weights = engine->parts[part].weights;
        struct kv_cache **cache = &sequence->caches[part];
        uint32_t first = weights_first_layer(weights);

        if (!*cache) {
            struct kv_shape shape =
                forward_kv_shape(&engine->hparams, step->is_probe ? KV_F16 : engine->config.kv_type,
                                 weights_end_layer(weights) - first, engine->config.n_ctx);
            *cache = kv_cache_new(&shape);
        }
        if (!kv_cache_reserve(*cache, step->position + step->n_tokens))
            return STEP_NO_MEMORY;
        kv_cache_set_have(*cache, layer - first, step->position);
    }
    memcpy(sequence->tokens + step->position, step->tokens, step->n_tokens * sizeof *step->tokens);
    return STEP_OK;
}

static enum step_result admit(struct engine *engine, struct engine_step *step, struct sequence **out)
{
    enum step_result result = check_layers(engine, step);
    if (!result)
        result = check_tokens(engine, step);
    if (result)
        return result;

    struct sequence *sequence = sequences_find(engine->sequences, step->sequence, step->is_probe);
    step->have_position = have_positions(engine, sequence, step);
    if (step->position > step->have_position)
        return STEP_KV_MISS;
    sequence = sequences_open(engine->sequences, step->sequence, step->is_probe, sequence_must_stay, engine);
    if (!sequence)
        return STEP_NO_SLOT;
    *out = sequence;
    return make_room(engine, sequence, step);
}

/* --- forming a batch (lock held) ---------------------------------------------------------------------------
 */

static void end_step(struct engine *engine, struct engine_step *step, enum step_result result)
{
    step->result = result;
    step->next = NULL;
    *engine->ended_end = step;
    engine->ended_end = &step->next;
}

static void start_batch(struct engine *engine)
{
    struct batch *batch = engine->batch;
    batch->all.n = batch->wanted.n = batch->n_spans = 0;
    batch->hparams = &engine->hparams;
    for (uint32_t i = 0; i < ENGINE_PARTS_MAX; i++)
        batch->parts[i] = engine->parts[i].weights;
    memcpy(batch->part_of_layer, engine->part_of_layer, sizeof batch->part_of_layer);
    batch->embedding = find_part(engine, weights_has_embedding);
    batch->output = find_part(engine, weights_has_output);
}

static bool batch_takes(const struct engine *engine, const struct engine_step *step)
{
    const struct batch *batch = engine->batch;
    if (!batch->n_spans)
        return true;
    return step->layer_first == batch->layer_first && step->layer_end == batch->layer_end &&
           batch->n_spans < BATCH_SPANS_MAX && step->n_tokens <= ENGINE_STEP_TOKENS_MAX &&
           batch->all.n + step->n_tokens <= forward_rows_max(batch->hparams, engine->config.n_slots);
}

/* Rows of the step's tokens from `first` on. */
static void rows_add(struct batch_rows *rows, uint32_t span, const struct engine_step *step, uint32_t first)
{
    rows->first_of_span[span] = rows->n;
    for (uint32_t i = first; i < step->n_tokens; i++) {
        rows->span[rows->n] = (uint16_t)span;
        rows->of_step[rows->n] = (uint16_t)i;
        rows->positions[rows->n++] = step->position + i;
    }
    rows->first_of_span[span + 1] = rows->n;
}

static void batch_add(struct batch *batch, struct engine_step *step, struct sequence *sequence)
{
    struct batch_span *span = &batch->spans[batch->n_spans];
    uint32_t first_wanted = step->hidden_out || step->logits_out ? 0
                            : step->sample                       ? step->n_tokens - 1
                                                                 : step->n_tokens;
    span->step = step;
    span->sequence = sequence;
    span->is_bad = false;
    batch->layer_first = step->layer_first;
    batch->layer_end = step->layer_end;
    rows_add(&batch->all, batch->n_spans, step, 0);
    rows_add(&batch->wanted, batch->n_spans, step, first_wanted);
    batch->n_spans++;
}

/* The last row, so that operations always have one. */
static void batch_want_one(struct batch *batch)
{
    const struct engine_step *step = batch->spans[batch->n_spans - 1].step;
    rows_add(&batch->wanted, batch->n_spans - 1, step, step->n_tokens - 1);
}

static bool is_among(const uint64_t *ids, uint32_t n, uint64_t id)
{
    for (uint32_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* Takes from the queue, oldest first, what can run together: one step a sequence, never one that would
 * overtake an earlier one of its sequence. Steps that cannot run at all end here. */
static void form_batch(struct engine *engine)
{
    uint64_t seen[QUEUE_SCAN_MAX]; /* sequences in the batch or waiting in front */
    uint32_t n_seen = 0;
    uint64_t now_us = clock_process_us();

    start_batch(engine);
    for (struct engine_step **link = &engine->queue; *link && n_seen < QUEUE_SCAN_MAX;) {
        struct engine_step *step = *link;
        bool takes = batch_takes(engine, step) && !is_among(seen, n_seen, step->sequence);
        seen[n_seen++] = step->sequence;
        if (!takes) {
            link = &step->next;
            continue;
        }
        *link = step->next;
        engine->n_queued--;
        step->waited_us = now_us - step->submitted_us;
        struct sequence *sequence = NULL;
        enum step_result result = admit(engine, step, &sequence);
        if (result)
            end_step(engine, step, result);
        else
            batch_add(engine->batch, step, sequence);
    }
    if (engine->batch->n_spans && !engine->batch->wanted.n)
        batch_want_one(engine->batch);
    engine->queue_end = &engine->queue;
    while (*engine->queue_end)
        engine->queue_end = &(*engine->queue_end)->next;
}

/* --- the engine's thread -----------------------------------------------------------------------------------
 */

/* Steps of one batch have ended with their results: what they stored counts from now on. */
static void end_batch(struct engine *engine, bool computed, uint64_t computed_us)
{
    struct batch *batch = engine->batch;
    for (uint32_t i = 0; i < batch->n_spans; i++) {
        struct batch_span *span = &batch->spans[i];
        struct engine_step *step = span->step;
        step->computed_us = computed_us;
        for (uint32_t layer = step->layer_first; computed && !span->is_bad && layer < step->layer_end;
             layer++) {
            uint16_t part = batch->part_of_layer[layer];
            kv_cache_set_have(span->sequence->caches[part], layer - weights_first_layer(batch->parts[part]),
                              step->position + step->n_tokens);
        }
        end_step(engine, step, !computed ? STEP_NO_MEMORY : span->is_bad ? STEP_BAD_INPUT : STEP_OK);
    }
}

/* Lock held. */
static void drop_what_left(struct engine *engine)
{
    for (size_t i = 0; i < engine->n_forgotten; i++)
        for (int is_probe = 0; is_probe <= 1; is_probe++) {
            struct sequence *sequence = sequences_find(engine->sequences, engine->forgotten[i], is_probe);
            if (sequence)
                sequences_drop(engine->sequences, sequence);
        }
    engine->n_forgotten = 0;
    for (uint16_t part = 0; engine->n_leaving && part < ENGINE_PARTS_MAX; part++) {
        if (!engine->parts[part].is_leaving)
            continue;
        sequences_drop_part(engine->sequences, part);
        for (uint32_t layer = 0; layer < MODEL_LAYERS_MAX; layer++)
            if (engine->part_of_layer[layer] == part)
                engine->part_of_layer[layer] = BATCH_NO_PART;
        engine->parts[part] = (struct part){.weights = NULL};
        engine->n_parts--;
        engine->n_leaving--;
        pthread_cond_broadcast(&engine->part_left);
    }
}

static void cancel_queue(struct engine *engine)
{
    for (struct engine_step *step = engine->queue, *next; step; step = next) {
        next = step->next;
        end_step(engine, step, STEP_CANCELLED);
    }
    engine->queue = NULL;
    engine->queue_end = &engine->queue;
    engine->n_queued = 0;
}

/* Waits for work and forms a batch of it; false when the engine closes. Steps that cannot run have ended. */
static bool next_batch(struct engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    while (!engine->queue && !engine->stopping && !engine->n_forgotten && !engine->n_leaving)
        pthread_cond_wait(&engine->wake, &engine->lock);
    drop_what_left(engine);
    engine->batch->n_spans = 0;
    if (engine->stopping)
        cancel_queue(engine);
    else if (engine->queue)
        form_batch(engine);
    engine->load.n_queued = engine->n_queued;
    engine->load.n_sequences = sequences_n_used(engine->sequences);
    engine->load.kv_bytes = sequences_kv_bytes(engine->sequences);
    bool goes_on = !engine->stopping;
    pthread_mutex_unlock(&engine->lock);
    return goes_on;
}

static void run_batch(struct engine *engine)
{
    uint64_t start_us = clock_process_us();
    bool computed = forward_run(engine->forward, engine->batch);
    uint64_t took_us = clock_process_us() - start_us;

    end_batch(engine, computed, took_us);
    pthread_mutex_lock(&engine->lock);
    engine->load.tokens_done += computed ? engine->batch->all.n : 0;
    engine->load.busy_us += took_us;
    engine->load.scratch_bytes = forward_scratch_bytes(engine->forward);
    pthread_mutex_unlock(&engine->lock);
}

/* `done` may free the step or submit it again. */
static void deliver(struct engine *engine)
{
    struct engine_step *step = engine->ended, *next;
    engine->ended = NULL;
    engine->ended_end = &engine->ended;
    for (; step; step = next) {
        next = step->next;
        step->next = NULL;
        step->done(step);
    }
}

static void *engine_thread(void *arg)
{
    struct engine *engine = arg;
    bool goes_on;

    kernels_thread_start();
    do {
        goes_on = next_batch(engine);
        if (engine->batch->n_spans)
            run_batch(engine);
        deliver(engine);
    } while (goes_on);
    return NULL;
}

/* --- from outside ------------------------------------------------------------------------------------------
 */

enum status engine_create(struct engine **out, const struct engine_config *config, struct error *err)
{
    struct engine_config c = engine_config_with_defaults(config);

    if (c.n_threads > TEAM_THREADS_MAX)
        return error_set(err, STATUS_BAD_USAGE, "%u threads; at most %d are allowed", c.n_threads,
                         TEAM_THREADS_MAX);
    if (c.n_slots > ENGINE_SLOTS_MAX)
        return error_set(err, STATUS_BAD_USAGE, "%u slots; at most %d are allowed", c.n_slots,
                         ENGINE_SLOTS_MAX);
    if (c.n_ctx > ENGINE_CTX_MAX)
        return error_set(err, STATUS_BAD_USAGE, "a context of %u positions; at most %u are possible", c.n_ctx,
                         ENGINE_CTX_MAX);
    if (!c.kernels && kernels_select(&c.kernels, err))
        return err ? err->status : STATUS_BAD_USAGE;

    struct engine *engine = mem_new(sizeof *engine);
    engine->config = c;
    engine->queue_end = &engine->queue;
    engine->ended_end = &engine->ended;
    memset(engine->part_of_layer, 0xff, sizeof engine->part_of_layer); /* BATCH_NO_PART */
    engine->team = team_new(c.n_threads, kernels_thread_start);
    engine->config.n_threads = team_n_threads(engine->team);
    engine->sequences = sequences_new(c.n_slots, c.n_ctx);
    engine->forward = forward_new(&engine->config, engine->team);
    engine->batch = mem_new(sizeof *engine->batch);
    pthread_mutex_init(&engine->lock, NULL);
    pthread_cond_init(&engine->wake, NULL);
    pthread_cond_init(&engine->part_left, NULL);
    int failed = pthread_create(&engine->thread, NULL, engine_thread, engine);
    ASSERT(!failed);
    pthread_setname_np(engine->thread, "shoal-engine");
    *out = engine;
    return STATUS_OK;
}

void engine_destroy(struct engine *engine)
{
    if (!engine)
        return;
    pthread_mutex_lock(&engine->lock);
    engine->stopping = true;
    pthread_cond_signal(&engine->wake);
    pthread_mutex_unlock(&engine->lock);
    pthread_join(engine->thread, NULL);
    forward_free(engine->forward);
    sequences_free(engine->sequences);
    team_free(engine->team);
    pthread_cond_destroy(&engine->wake);
    pthread_cond_destroy(&engine->part_left);
    pthread_mutex_destroy(&engine->lock);
    mem_free(engine->forgotten);
    mem_free(engine->batch);
    mem_free(engine);
}

/* Lock held. */
static enum status check_part(const struct engine *engine, const struct weights *weights, uint16_t *out_part,
                              struct error *err)
{
    uint16_t part = 0;

    if (engine->n_parts && !hparams_equal(&engine->hparams, weights_hparams(weights)))
        return error_set(err, STATUS_BAD_DATA,
                         "these weights have other hyper-parameters than those already loaded");
    for (uint32_t layer = weights_first_layer(weights); layer < weights_end_layer(weights); layer++)
        if (engine->part_of_layer[layer] != BATCH_NO_PART)
            return error_set(err, STATUS_EXISTS, "layer %u is already loaded", layer);
    while (part < ENGINE_PARTS_MAX && engine->parts[part].weights)
        part++;
    if (part == ENGINE_PARTS_MAX)
        return error_set(err, STATUS_LIMIT, "%d files of weights are loaded, and more are not possible",
                         ENGINE_PARTS_MAX);
    *out_part = part;
    return STATUS_OK;
}

enum status engine_add(struct engine *engine, const struct weights *weights, struct error *err)
{
    uint16_t part = 0;
    ASSERT(weights_kernels(weights) == engine->config.kernels);
    pthread_mutex_lock(&engine->lock);
    enum status status = check_part(engine, weights, &part, err);
    if (!status) {
        if (!engine->n_parts)
            engine->hparams = *weights_hparams(weights);
        engine->parts[part].weights = weights;
        engine->n_parts++;
        for (uint32_t layer = weights_first_layer(weights); layer < weights_end_layer(weights); layer++)
            engine->part_of_layer[layer] = part;
    }
    pthread_mutex_unlock(&engine->lock);
    return status;
}

void engine_remove(struct engine *engine, const struct weights *weights)
{
    pthread_mutex_lock(&engine->lock);
    for (uint32_t i = 0; i < ENGINE_PARTS_MAX; i++) {
        if (engine->parts[i].weights != weights)
            continue;
        engine->n_leaving += !engine->parts[i].is_leaving;
        engine->parts[i].is_leaving = true;
        pthread_cond_signal(&engine->wake);
        while (engine->parts[i].weights == weights)
            pthread_cond_wait(&engine->part_left, &engine->lock);
    }
    pthread_mutex_unlock(&engine->lock);
}

void engine_submit(struct engine *engine, struct engine_step *step)
{
    step->next = NULL;
    step->submitted_us = clock_process_us();
    step->have_position = 0;
    step->waited_us = step->computed_us = 0;
    pthread_mutex_lock(&engine->lock);
    ASSERT(!engine->stopping);
    *engine->queue_end = step;
    engine->queue_end = &step->next;
    engine->n_queued++;
    engine->load.n_queued = engine->n_queued;
    pthread_cond_signal(&engine->wake);
    pthread_mutex_unlock(&engine->lock);
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_done;
};

static void wake_waiter(struct engine_step *step)
{
    struct waiter *waiter = step->owner;
    pthread_mutex_lock(&waiter->lock);
    waiter->is_done = true;
    pthread_cond_signal(&waiter->wake);
    pthread_mutex_unlock(&waiter->lock);
}

enum step_result engine_run(struct engine *engine, struct engine_step *step)
{
    struct waiter waiter = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};

    step->done = wake_waiter;
    step->owner = &waiter;
    engine_submit(engine, step);
    pthread_mutex_lock(&waiter.lock);
    while (!waiter.is_done)
        pthread_cond_wait(&waiter.wake, &waiter.lock);
    pthread_mutex_unlock(&waiter.lock);
    pthread_mutex_destroy(&waiter.lock);
    pthread_cond_destroy(&waiter.wake);
    return step->result;
}

void engine_forget(struct engine *engine, uint64_t sequence)
{
    pthread_mutex_lock(&engine->lock);
    if (engine->n_forgotten == engine->forgotten_capacity) {
        engine->forgotten_capacity = 2 * engine->forgotten_capacity + 16;
        engine->forgotten =
            mem_resize(engine->forgotten, engine->forgotten_capacity, sizeof *engine->forgotten);
    }
    engine->forgotten[engine->n_forgotten++] = sequence;
    pthread_cond_signal(&engine->wake);
    pthread_mutex_unlock(&engine->lock);
}

struct engine_load engine_load(const struct engine *engine)
{
    struct engine *e = (struct engine *)engine; /* the lock is not part of what is read */
    pthread_mutex_lock(&e->lock);
    struct engine_load load = e->load;
    load.n_embd = e->n_parts ? e->hparams.n_embd : 0;
    pthread_mutex_unlock(&e->lock);
    return load;
}

uint32_t engine_n_threads(const struct engine *engine)
{
    return engine->config.n_threads;
}

const struct kernels *engine_kernels(const struct engine *engine)
{
    return engine->config.kernels;
}
