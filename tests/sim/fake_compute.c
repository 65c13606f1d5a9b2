#include "sim/fake_compute.h"

#include "base/mem.h"
#include "base/rand.h"

#include <string.h>

static void drop_kept(struct fake_compute *compute, uint64_t sequence, bool all, int64_t id);

enum kind { MEASURE, LOAD, TEST, ENTER, UNLOAD };

struct compute_job {
    struct fake_compute *compute; /* NULL: cancelled */
    enum kind kind;
    uint32_t id;
    char *path;
    uint64_t done_bytes;
    compute_progress progress;
    compute_done done;
    void (*measured)(void *ctx, enum status status, const struct compute_need *need, const struct error *err);
    void (*tested)(void *ctx, enum status status, const struct sha256 *hash, const struct error *err);
    void *ctx;
    struct compute_job *next;
};

static void end_measure(struct fake_compute *compute, const struct compute_job *job)
{
    struct error err = {0};
    struct compute_need need = {.beside = compute->need_beside};
    const struct fake_file *file = fake_disk_find(compute->disk, job->path);
    enum status status = STATUS_OK;
    if (!file)
        status = error_set(&err, STATUS_NOT_FOUND, "'%s'", job->path);
    else
        need.weights = file->content.bytes;
    job->measured(job->ctx, status, &need, &err);
}

static void end_load(struct fake_compute *compute, const struct compute_job *job)
{
    struct error err = {0};
    const struct fake_file *file = fake_disk_find(compute->disk, job->path);
    struct fake_held *held = &compute->held[job->id];
    enum status status = compute->load_status;
    compute->n_loading--;
    if (status)
        error_set(&err, status, "loading '%s': injected", job->path);
    else if (!file)
        status = error_set(&err, STATUS_NOT_FOUND, "'%s'", job->path);
    else if (held->is_loaded)
        status = error_set(&err, STATUS_EXISTS, "shard %u is loaded", job->id);
    if (!status) {
        *held = (struct fake_held){
            .is_loaded = true, .self_test = file->content.self_test, .span = file->content.header.span};
        compute->order[compute->n_loads++ % (FAKE_COMPUTE_IDS * 4)] = job->id;
    }
    job->done(job->ctx, status, &err);
}

static void end_test(struct fake_compute *compute, const struct compute_job *job)
{
    struct error err = {0};
    struct fake_held *held = &compute->held[job->id];
    struct sha256 hash = held->self_test;
    ASSERT(held->is_loaded && !held->is_entered);
    held->is_tested = true;
    if (compute->n_wrong_tests) {
        compute->n_wrong_tests--;
        hash.bytes[0] ^= 1;
    }
    job->tested(job->ctx, STATUS_OK, &hash, &err);
}

static void end_enter(struct fake_compute *compute, const struct compute_job *job)
{
    struct error err = {0};
    struct fake_held *held = &compute->held[job->id];
    ASSERT(held->is_loaded && held->is_tested && !held->is_entered);
    held->is_entered = true;
    job->done(job->ctx, STATUS_OK, &err);
}

static void end_unload(struct fake_compute *compute, const struct compute_job *job)
{
    struct error err = {0};
    compute->held[job->id] = (struct fake_held){0};
    drop_kept(compute, 0, false, job->id);
    compute->n_unloads++;
    if (job->done)
        job->done(job->ctx, STATUS_OK, &err);
}

static void end_job(struct fake_compute *compute, const struct compute_job *job)
{
    static void (*const ends[])(struct fake_compute *, const struct compute_job *) = {[MEASURE] = end_measure,
                                                                                      [LOAD] = end_load,
                                                                                      [TEST] = end_test,
                                                                                      [ENTER] = end_enter,
                                                                                      [UNLOAD] = end_unload};
    ends[job->kind](compute, job);
}

static void unlink_job(struct fake_compute *compute, struct compute_job *job)
{
    struct compute_job **at = &compute->jobs;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
}

static void on_job(void *arg)
{
    struct compute_job *job = arg;
    struct fake_compute *compute = job->compute;
    const struct fake_file *file =
        compute && job->kind == LOAD ? fake_disk_find(compute->disk, job->path) : NULL;
    if (file && job->done_bytes < file->content.bytes) {
        uint64_t done = job->done_bytes;
        job->done_bytes += compute->load_rate / 4;
        fake_clock_post(compute->clock, 250, on_job, job);
        job->progress(job->ctx, done, file->content.bytes);
        return;
    }
    if (compute) {
        unlink_job(compute, job);
        end_job(compute, job);
    }
    mem_free(job->path);
    mem_free(job);
}

static struct compute_job *new_job(struct fake_compute *compute, enum kind kind, uint32_t id, const char *path,
                                   uint64_t ms, void *ctx)
{
    struct compute_job *job = mem_new(sizeof *job);
    ASSERT(id < FAKE_COMPUTE_IDS);
    *job = (struct compute_job){.compute = compute,
                                .kind = kind,
                                .id = id,
                                .path = path ? mem_string(path) : NULL,
                                .ctx = ctx,
                                .next = compute->jobs};
    compute->jobs = job;
    fake_clock_post(compute->clock, ms, on_job, job);
    return job;
}

static struct compute_job *measure(void *self, const char *path,
                                   void (*done)(void *ctx, enum status status, const struct compute_need *need,
                                                const struct error *err),
                                   void *ctx)
{
    struct compute_job *job = new_job(self, MEASURE, 0, path, 1, ctx);
    job->measured = done;
    return job;
}

static struct compute_job *load(void *self, uint32_t id, const char *path, compute_progress progress,
                                compute_done done, void *ctx)
{
    struct fake_compute *compute = self;
    struct compute_job *job = new_job(compute, LOAD, id, path, 250, ctx);
    job->done_bytes = compute->load_rate / 4;
    job->progress = progress;
    job->done = done;
    if (++compute->n_loading > compute->n_loading_max)
        compute->n_loading_max = compute->n_loading;
    return job;
}

static struct compute_job *self_test(void *self, uint32_t id,
                                     void (*done)(void *ctx, enum status status, const struct sha256 *hash,
                                                  const struct error *err),
                                     void *ctx)
{
    struct fake_compute *compute = self;
    struct compute_job *job = new_job(compute, TEST, id, NULL, compute->test_ms, ctx);
    job->tested = done;
    return job;
}

static struct compute_job *enter(void *self, uint32_t id, compute_done done, void *ctx)
{
    struct compute_job *job = new_job(self, ENTER, id, NULL, 1, ctx);
    job->done = done;
    return job;
}

static struct compute_job *unload(void *self, uint32_t id, compute_done done, void *ctx)
{
    struct compute_job *job = new_job(self, UNLOAD, id, NULL, 5, ctx);
    job->done = done;
    return job;
}

static void cancel(void *self, struct compute_job *job)
{
    struct fake_compute *compute = self;
    compute->n_loading -= job->kind == LOAD;
    unlink_job(compute, job);
    job->compute = NULL;
}

/* --- steps ----------------------------------------------------------------------------------------------- */

struct fake_step {
    struct fake_compute *compute; /* NULL: stopped */
    struct engine_step *step;
    struct fake_step *next;
};

uint64_t fake_embed(uint32_t token)
{
    return rand_mix(0x656d626564, token);
}

uint64_t fake_keep(uint64_t kept_before, uint64_t in)
{
    return rand_mix(kept_before, in);
}

uint64_t fake_state(uint64_t kept, uint32_t shard)
{
    return rand_mix(kept, shard + 1);
}

uint32_t fake_token(uint64_t last_state)
{
    return (uint32_t)(rand_mix(last_state, 0) % FAKE_N_VOCAB);
}

void fake_hidden(float out[FAKE_N_EMBD], uint64_t state)
{
    for (int i = 0; i < FAKE_N_EMBD; i++)
        out[i] = (float)((state >> (16 * i)) & 0xffff);
}

static uint64_t state_of(const float hidden[FAKE_N_EMBD])
{
    uint64_t state = 0;
    for (int i = 0; i < FAKE_N_EMBD; i++)
        state |= (uint64_t)hidden[i] << (16 * i);
    return state;
}

static struct fake_kept *find_kept(struct fake_compute *compute, uint64_t sequence, uint32_t id)
{
    struct fake_kept *k = compute->kept;
    while (k && (k->sequence != sequence || k->id != id))
        k = k->next;
    if (k)
        return k;
    k = mem_new(sizeof *k);
    *k = (struct fake_kept){.sequence = sequence, .id = id, .next = compute->kept};
    compute->kept = k;
    return k;
}

static void drop_kept(struct fake_compute *compute, uint64_t sequence, bool all, int64_t id)
{
    for (struct fake_kept **at = &compute->kept; *at;) {
        struct fake_kept *k = *at;
        if (!all && k->sequence != sequence && k->id != id) {
            at = &k->next;
            continue;
        }
        *at = k->next;
        mem_free(k->kept);
        mem_free(k);
    }
}

static int32_t held_from(const struct fake_compute *compute, uint32_t layer)
{
    for (int32_t id = 0; id < FAKE_COMPUTE_IDS; id++)
        if (compute->held[id].is_entered && compute->held[id].span.first_layer == layer)
            return id;
    return -1;
}

static enum step_result run_shard(struct fake_compute *compute, struct engine_step *step, uint32_t id,
                                  uint64_t *states)
{
    struct fake_kept *k = find_kept(compute, step->sequence, id);
    if (k->n < step->position) {
        step->have_position = k->n;
        return STEP_KV_MISS;
    }
    k->n = step->position + step->n_tokens;
    k->kept = mem_resize(k->kept, k->n, sizeof *k->kept);
    for (uint32_t i = 0; i < step->n_tokens; i++) {
        uint32_t at = step->position + i;
        k->kept[at] = fake_keep(at ? k->kept[at - 1] : 0, states[i]);
        states[i] = fake_state(k->kept[at], id) ^ (compute->is_bad ? 1 : 0);
    }
    return STEP_OK;
}

static enum step_result run_step(struct fake_compute *compute, struct engine_step *step)
{
    uint64_t states[ENGINE_STEP_TOKENS_MAX];
    enum step_result result = STEP_OK;
    for (uint32_t i = 0; i < step->n_tokens; i++)
        states[i] = step->layer_first ? state_of(step->hidden_in + (size_t)i * FAKE_N_EMBD)
                                      : fake_embed(step->tokens[i]);
    for (uint32_t layer = step->layer_first; layer < step->layer_end && !result;) {
        int32_t id = held_from(compute, layer);
        if (id < 0)
            return STEP_NO_LAYERS;
        result = run_shard(compute, step, (uint32_t)id, states);
        layer = compute->held[id].span.end_layer;
    }
    for (uint32_t i = 0; i < step->n_tokens && step->hidden_out; i++)
        fake_hidden(step->hidden_out + (size_t)i * FAKE_N_EMBD, states[i]);
    if (step->sample)
        step->sampled.token = fake_token(states[step->n_tokens - 1]);
    return result;
}

static void on_step(void *arg)
{
    struct fake_step *f = arg;
    struct fake_compute *compute = f->compute;
    struct engine_step *step = f->step;
    if (compute) {
        struct fake_step **at = &compute->steps;
        while (*at != f)
            at = &(*at)->next;
        *at = f->next;
    }
    mem_free(f);
    if (!compute)
        return;
    step->result = run_step(compute, step);
    compute->n_steps++;
    step->done(step);
}

static void submit(void *self, struct engine_step *step)
{
    struct fake_compute *compute = self;
    ASSERT(compute->step_ms);
    struct fake_step *f = mem_new(sizeof *f);
    *f = (struct fake_step){.compute = compute, .step = step, .next = compute->steps};
    compute->steps = f;
    fake_clock_post(compute->clock, compute->step_ms, on_step, f);
}

static void forget(void *self, uint64_t sequence)
{
    drop_kept(self, sequence, false, -1);
}

static struct engine_load look(void *self)
{
    const struct fake_compute *compute = self;
    bool any = false;
    for (int id = 0; id < FAKE_COMPUTE_IDS; id++)
        any |= compute->held[id].is_entered;
    return (struct engine_load){.n_embd = any ? FAKE_N_EMBD : 0};
}

uint32_t fake_compute_n_kept(const struct fake_compute *compute)
{
    uint32_t n = 0;
    for (const struct fake_kept *k = compute->kept; k; k = k->next)
        n++;
    return n;
}

void fake_compute_stop(struct fake_compute *compute)
{
    for (struct fake_step *f = compute->steps; f; f = f->next)
        f->compute = NULL;
    compute->steps = NULL;
}

void fake_compute_halt(struct fake_compute *compute)
{
    fake_compute_stop(compute);
    while (compute->jobs)
        cancel(compute, compute->jobs);
    drop_kept(compute, 0, true, -1);
}

void fake_compute_init(struct fake_compute *compute, struct fake_clock *clock, struct fake_disk *disk)
{
    static const struct compute_ops ops = {.measure = measure,
                                           .load = load,
                                           .self_test = self_test,
                                           .enter = enter,
                                           .unload = unload,
                                           .cancel = cancel,
                                           .submit = submit,
                                           .forget = forget,
                                           .look = look};
    *compute = (struct fake_compute){
        .clock = clock, .disk = disk, .load_rate = 1000000000, .test_ms = 10, .need_beside = 1000000};
    compute->compute = (struct compute){.ops = &ops, .self = compute};
}

void fake_compute_free(struct fake_compute *compute)
{
    fake_compute_halt(compute);
    if (compute->clock->root == compute->clock)
        fake_clock_run(compute->clock, 60000);
}
