#include "sim/fake_compute.h"

#include "base/mem.h"

#include <string.h>

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
        *held = (struct fake_held){.is_loaded = true, .self_test = file->content.self_test};
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

static void submit(void *self, struct engine_step *step)
{
    (void)self, (void)step;
    ASSERT(!"steps are not for this one");
}

static void forget(void *self, uint64_t sequence)
{
    (void)self, (void)sequence;
}

static struct engine_load look(void *self)
{
    (void)self;
    return (struct engine_load){0};
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
    while (compute->jobs)
        cancel(compute, compute->jobs);
    fake_clock_run(compute->clock, 60000);
}
