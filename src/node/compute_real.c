/* The real compute: an engine, weights on the background pool, results posted to the loop. */
#include "base/mem.h"
#include "base/pool.h"
#include "engine/truth.h"
#include "net/loop.h"
#include "node/compute.h"

#include <pthread.h>
#include <string.h>

#define PROGRESS_US 200000

/* What is posted to the loop outlives the port: it looks here whether that still is. Loop thread only. */
struct inbox {
    struct compute_real *real; /* NULL: stopped */
    uint32_t n_refs;
};

enum job_kind { JOB_MEASURE, JOB_LOAD, JOB_TEST, JOB_ENTER, JOB_UNLOAD };

/* The weights of one shard. Jobs on the pool keep it; what is unloaded is given back after the last of them. */
struct held {
    uint32_t id;
    struct weights *weights;
    bool entered;
    uint32_t n_jobs;            /* that use the weights */
    struct compute_job *unload; /* waits for n_jobs to become 0; the entry is then in no list */
    struct held *next;
};

struct compute_job {
    struct compute_real *owner; /* for the pool's thread, which compute_real_stop waits for */
    struct inbox *inbox;
    enum job_kind kind;
    bool cancelled;    /* nobody waits; written by the loop's thread */
    struct held *held; /* TEST, ENTER, UNLOAD; NULL: there was none */
    uint32_t id;
    char *path;
    uint32_t n_threads;
    const struct kernels *kernels;
    struct engine_config config;
    /* results */
    enum status status;
    struct error error;
    struct weights *weights;
    struct compute_need need;
    struct sha256 hash;
    /* callbacks */
    compute_progress progress;
    compute_done done;
    void (*measured)(void *ctx, enum status status, const struct compute_need *need, const struct error *err);
    void (*tested)(void *ctx, enum status status, const struct sha256 *hash, const struct error *err);
    void *ctx;
    uint64_t told_us;
    struct compute_job *next, **link; /* in owner->jobs */
};

struct submitted { /* a step in the engine: its own copy, so that `done` can come on the loop */
    struct engine_step step;
    struct engine_step *user;
    struct loop *loop;
    struct inbox *inbox;
    struct submitted *next, **link;
};

struct compute_real {
    struct compute compute;
    struct inbox *inbox; /* NULL: stopped */
    struct loop *loop;
    struct pool *pool;
    struct engine *engine;
    struct engine_config config;
    struct held *held;
    struct compute_job *jobs;
    struct submitted *steps;
    pthread_mutex_t lock;
    pthread_cond_t quiet;
    uint32_t n_running; /* jobs that the pool has or will have; under the lock */
};

/* --- jobs --------------------------------------------------------------------------------------------- */

static struct held *find_held(struct compute_real *real, uint32_t id)
{
    struct held *held = real->held;
    while (held && held->id != id)
        held = held->next;
    return held;
}

static void link_job(struct compute_job *job)
{
    struct compute_real *real = job->owner;
    job->next = real->jobs;
    job->link = &real->jobs;
    if (job->next)
        job->next->link = &job->next;
    real->jobs = job;
}

static struct inbox *share(struct inbox *inbox)
{
    inbox->n_refs++;
    return inbox;
}

static void release(struct inbox *inbox)
{
    if (--inbox->n_refs == 0)
        mem_free(inbox);
}

static void unlink_job(struct compute_job *job)
{
    *job->link = job->next;
    if (job->next)
        job->next->link = job->link;
}

static void free_job(struct compute_job *job)
{
    release(job->inbox);
    mem_free(job->path);
    mem_free(job);
}

static void begin_unload(struct compute_job *job);

/* A job does not use the weights any more. */
static void leave(struct held *held)
{
    if (--held->n_jobs == 0 && held->unload)
        begin_unload(held->unload);
}

static void keep_loaded(struct compute_job *job)
{
    struct compute_real *real = job->owner;
    struct held *held = mem_new(sizeof *held);
    *held = (struct held){.id = job->id, .weights = job->weights, .next = real->held};
    real->held = held;
}

static void tell(const struct compute_job *job)
{
    if (job->kind == JOB_MEASURE)
        job->measured(job->ctx, job->status, &job->need, &job->error);
    else if (job->kind == JOB_TEST)
        job->tested(job->ctx, job->status, &job->hash, &job->error);
    else if (job->done)
        job->done(job->ctx, job->status, &job->error);
}

/* Thread: pool. */
static void run_unload_of_lost(void *arg)
{
    weights_free(arg);
}

/* Thread: loop. What the job did is noted even when nobody waits for it. */
static void on_run(void *arg)
{
    struct compute_job *job = arg;
    struct compute_real *real = job->inbox->real;
    if (!real) { /* compute_real_stop took back what it had */
        free_job(job);
        return;
    }
    unlink_job(job);
    if (job->kind == JOB_LOAD && !job->status && !job->cancelled)
        keep_loaded(job);
    else if (job->weights && pool_submit(real->pool, run_unload_of_lost, run_unload_of_lost, job->weights))
        weights_free(job->weights);
    if (job->kind == JOB_UNLOAD)
        mem_free(job->held);
    else if (job->held) {
        job->held->entered |= job->kind == JOB_ENTER && !job->status;
        leave(job->held);
    }
    if (!job->cancelled)
        tell(job);
    free_job(job);
}

static void measure_file(struct compute_job *job)
{
    struct weights_size size;
    job->status = weights_measure(&size, job->path, job->kernels, &job->error);
    if (job->status)
        return;
    job->need.weights = size.bytes;
    job->need.beside = engine_bytes_needed(&job->config, &size.hparams, size.first_layer, size.end_layer);
}

struct progress_note {
    struct compute_job *job;
    uint64_t done, total;
};

/* Thread: loop. */
static void on_progress(void *arg)
{
    struct progress_note *note = arg;
    if (!note->job->cancelled && note->job->inbox->real && note->job->progress)
        note->job->progress(note->job->ctx, note->done, note->total);
    mem_free(note);
}

/* Thread: those that load. The job is freed after all that was posted for it. */
static void report(void *arg, uint64_t done, uint64_t total)
{
    struct compute_job *job = arg;
    uint64_t now = clock_process_us(), told = __atomic_load_n(&job->told_us, __ATOMIC_RELAXED);
    if (now - told < PROGRESS_US ||
        !__atomic_compare_exchange_n(&job->told_us, &told, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return;
    struct progress_note *note = mem_new(sizeof *note);
    *note = (struct progress_note){.job = job, .done = done, .total = total};
    loop_post(job->owner->loop, on_progress, note);
}

static void load_file(struct compute_job *job)
{
    struct weights_progress progress = {.report = report, .arg = job, .cancel = &job->cancelled};
    job->status = weights_load(&job->weights, job->path, job->kernels, job->n_threads, &progress, &job->error);
}

static void unload_held(struct compute_job *job)
{
    struct held *held = job->held;
    if (held->entered)
        engine_remove(job->owner->engine, held->weights);
    weights_free(held->weights);
    held->weights = NULL;
}

/* Thread: pool. */
static void run(void *arg)
{
    struct compute_job *job = arg;
    struct compute_real *real = job->owner;
    bool cancelled = __atomic_load_n(&job->cancelled, __ATOMIC_RELAXED);
    if (cancelled && job->kind != JOB_UNLOAD)
        job->status = STATUS_CANCELLED;
    else if (job->kind == JOB_MEASURE)
        measure_file(job);
    else if (job->kind == JOB_LOAD)
        load_file(job);
    else if (job->kind == JOB_TEST)
        job->status = truth_self_test(&job->hash, job->held->weights, job->n_threads, &job->error);
    else if (job->kind == JOB_ENTER)
        job->status = engine_add(real->engine, job->held->weights, &job->error);
    else
        unload_held(job);
    /* Posted under the lock: once compute_real_stop sees that nothing runs, the loop has every job. */
    pthread_mutex_lock(&real->lock);
    loop_post(real->loop, on_run, job);
    real->n_running--;
    pthread_cond_signal(&real->quiet);
    pthread_mutex_unlock(&real->lock);
}

static void submit_job(struct compute_job *job)
{
    struct compute_real *real = job->owner;
    pthread_mutex_lock(&real->lock);
    real->n_running++;
    pthread_mutex_unlock(&real->lock);
    if (!pool_submit(real->pool, run, run, job))
        return;
    pthread_mutex_lock(&real->lock);
    real->n_running--;
    pthread_mutex_unlock(&real->lock);
    job->status = error_set(&job->error, STATUS_BUSY, "too much work waits already (%d)", POOL_QUEUE_MAX);
    loop_defer(real->loop, on_run, job);
}

static struct compute_job *new_job(struct compute_real *real, enum job_kind kind, void *ctx)
{
    struct compute_job *job = mem_new(sizeof *job);
    job->owner = real;
    job->inbox = share(real->inbox);
    job->kind = kind;
    job->n_threads = engine_n_threads(real->engine);
    job->kernels = engine_kernels(real->engine);
    job->config = real->config;
    job->ctx = ctx;
    job->told_us = clock_process_us();
    link_job(job);
    return job;
}

/* Ends at once with a status, but from the loop. */
static struct compute_job *refuse(struct compute_job *job, enum status status, const char *why)
{
    job->status = error_set(&job->error, status, "shard %u %s", job->id, why);
    loop_defer(job->owner->loop, on_run, job);
    return job;
}

/* --- operations --------------------------------------------------------------------------------------- */

static struct compute_job *measure(void *self, const char *path,
                                   void (*done)(void *ctx, enum status status, const struct compute_need *need,
                                                const struct error *err),
                                   void *ctx)
{
    struct compute_job *job = new_job(self, JOB_MEASURE, ctx);
    job->path = mem_string(path);
    job->measured = done;
    submit_job(job);
    return job;
}

static struct compute_job *load(void *self, uint32_t id, const char *path, compute_progress progress,
                                compute_done done, void *ctx)
{
    struct compute_real *real = self;
    struct compute_job *job = new_job(real, JOB_LOAD, ctx);
    job->id = id;
    job->path = mem_string(path);
    job->progress = progress;
    job->done = done;
    if (find_held(real, id))
        return refuse(job, STATUS_EXISTS, "is loaded already");
    submit_job(job);
    return job;
}

static struct compute_job *use_held(struct compute_job *job, uint32_t id)
{
    job->id = id;
    job->held = find_held(job->owner, id);
    if (!job->held)
        return refuse(job, STATUS_NOT_FOUND, "is not loaded");
    job->held->n_jobs++;
    submit_job(job);
    return job;
}

static struct compute_job *self_test(void *self, uint32_t id,
                                     void (*done)(void *ctx, enum status status, const struct sha256 *hash,
                                                  const struct error *err),
                                     void *ctx)
{
    struct compute_job *job = new_job(self, JOB_TEST, ctx);
    job->tested = done;
    return use_held(job, id);
}

static struct compute_job *enter(void *self, uint32_t id, compute_done done, void *ctx)
{
    struct compute_job *job = new_job(self, JOB_ENTER, ctx);
    job->done = done;
    return use_held(job, id);
}

static void begin_unload(struct compute_job *job)
{
    job->held->unload = NULL;
    submit_job(job);
}

static struct compute_job *unload(void *self, uint32_t id, compute_done done, void *ctx)
{
    struct compute_real *real = self;
    struct compute_job *job = new_job(real, JOB_UNLOAD, ctx);
    job->id = id;
    job->done = done;
    struct held **at = &real->held;
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    if (!*at) { /* nothing there: done */
        loop_defer(real->loop, on_run, job);
        return job;
    }
    job->held = *at;
    *at = job->held->next;
    job->held->unload = job;
    if (job->held->n_jobs == 0)
        begin_unload(job);
    return job;
}

static void cancel(void *self, struct compute_job *job)
{
    (void)self;
    __atomic_store_n(&job->cancelled, true, __ATOMIC_RELAXED);
}

/* --- steps -------------------------------------------------------------------------------------------- */

static void unlink_step(struct submitted *s)
{
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
}

/* Thread: loop. */
static void deliver_step(void *arg)
{
    struct submitted *s = arg;
    if (s->inbox->real) {
        unlink_step(s);
        s->user->result = s->step.result;
        s->user->have_position = s->step.have_position;
        s->user->sampled = s->step.sampled;
        s->user->waited_us = s->step.waited_us;
        s->user->computed_us = s->step.computed_us;
        s->user->done(s->user);
    }
    release(s->inbox);
    mem_free(s);
}

/* Thread: the engine's. */
static void on_step(struct engine_step *step)
{
    struct submitted *s = step->owner;
    loop_post(s->loop, deliver_step, s);
}

static void submit(void *self, struct engine_step *step)
{
    struct compute_real *real = self;
    if (!real->inbox)
        return;
    struct submitted *s = mem_new(sizeof *s);
    s->step = *step;
    s->step.done = on_step;
    s->step.owner = s;
    s->user = step;
    s->loop = real->loop;
    s->inbox = share(real->inbox);
    s->next = real->steps;
    s->link = &real->steps;
    if (s->next)
        s->next->link = &s->next;
    real->steps = s;
    engine_submit(real->engine, &s->step);
}

static void forget(void *self, uint64_t sequence)
{
    struct compute_real *real = self;
    if (real->inbox)
        engine_forget(real->engine, sequence);
}

static struct engine_load look(void *self)
{
    struct compute_real *real = self;
    return real->inbox ? engine_load(real->engine) : (struct engine_load){0};
}

/* --- birth and death ---------------------------------------------------------------------------------- */

enum status compute_real_new(struct compute **out, struct loop *loop, struct pool *pool,
                             const struct engine_config *config, struct error *err)
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
    struct engine *engine;
    enum status status = engine_create(&engine, config, err);
    if (status)
        return status;
    struct compute_real *real = mem_new(sizeof *real);
    real->compute = (struct compute){.ops = &ops, .self = real};
    real->inbox = mem_new(sizeof *real->inbox);
    *real->inbox = (struct inbox){.real = real, .n_refs = 1};
    real->loop = loop;
    real->pool = pool;
    real->engine = engine;
    real->config = *config;
    pthread_mutex_init(&real->lock, NULL);
    pthread_cond_init(&real->quiet, NULL);
    *out = &real->compute;
    return STATUS_OK;
}

static void free_held(struct held *held)
{
    if (held)
        weights_free(held->weights);
    mem_free(held);
}

/* Nothing runs any more. The jobs are the loop's, which frees them; an unloading that waited is nobody's. */
static void take_back_weights(struct compute_real *real)
{
    struct compute_job *next;
    for (struct compute_job *job = real->jobs; job; job = next) {
        next = job->next;
        weights_free(job->weights);
        job->weights = NULL;
        if (job->kind != JOB_UNLOAD)
            continue;
        bool waited = job->held && job->held->unload == job;
        free_held(job->held);
        if (waited)
            free_job(job);
    }
    for (struct held *held = real->held, *after; held; held = after) {
        after = held->next;
        free_held(held);
    }
    real->jobs = NULL;
    real->held = NULL;
}

void compute_real_stop(struct compute *compute)
{
    struct compute_real *real = compute ? compute->self : NULL;
    if (!real || !real->inbox)
        return;
    for (struct compute_job *job = real->jobs; job; job = job->next)
        __atomic_store_n(&job->cancelled, true, __ATOMIC_RELAXED);
    pthread_mutex_lock(&real->lock);
    while (real->n_running)
        pthread_cond_wait(&real->quiet, &real->lock);
    pthread_mutex_unlock(&real->lock);
    real->inbox->real = NULL;
    release(real->inbox);
    real->inbox = NULL;
    engine_destroy(real->engine); /* posts what it had; that is freed and told to nobody */
    real->engine = NULL;
    take_back_weights(real);
}

void compute_real_free(struct compute *compute)
{
    if (!compute)
        return;
    struct compute_real *real = compute->self;
    compute_real_stop(compute);
    pthread_cond_destroy(&real->quiet);
    pthread_mutex_destroy(&real->lock);
    mem_free(real);
}

struct engine *compute_real_engine(struct compute *compute)
{
    struct compute_real *real = compute->self;
    return real->engine;
}
