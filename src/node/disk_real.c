/* The real disk: jobs run on the pool and are delivered on the loop; what was learned of files is in
 * file_cache. */
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "net/loop.h"
#include "node/disk.h"
#include "node/disk_private.h"
#include "node/file_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRESS_US 200000
#define SAVE_MS     500

struct disk_real {
    struct disk disk;
    struct loop *loop;
    struct pool *pool;
    struct file_cache *cache;
    struct disk_job *open; /* list */
    struct disk_watch *watches;
    struct timer *save_timer;
};

struct disk_job {
    struct disk_real *owner; /* NULL: nobody waits any more */
    struct loop *loop;
    struct file_cache *cache;
    struct disk_work work; /* the pool's until it is delivered */
    void (*deliver)(struct disk_job *job);
    union {
        disk_done plain;
        disk_scan_done scan;
        disk_hash_done hash;
        disk_read_done read;
    } done;
    disk_progress progress;
    void *ctx;
    uint64_t told_us;
    struct disk_job *next;
};

struct progress_note {
    struct disk_job *job;
    uint64_t done, total;
};

/* --- jobs --------------------------------------------------------------------------------------------- */

static void free_job(struct disk_job *job)
{
    disk_work_free(&job->work);
    file_cache_release(job->cache);
    mem_free(job);
}

static void detach(struct disk_job *job)
{
    struct disk_job **at = &job->owner->open;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    job->owner = NULL;
}

/* Thread: loop. */
static void on_run(void *arg)
{
    struct disk_job *job = arg;
    if (job->owner) {
        detach(job);
        job->deliver(job);
    }
    free_job(job);
}

/* Thread: pool. */
static void run(void *arg)
{
    struct disk_job *job = arg;
    if (!__atomic_load_n(&job->work.cancelled, __ATOMIC_RELAXED))
        disk_work_run(&job->work, job->cache);
    loop_post(job->loop, on_run, job);
}

/* Thread: whoever frees the pool, with the loop's standing still. */
static void drop(void *arg)
{
    struct disk_job *job = arg;
    if (job->owner)
        detach(job);
    free_job(job);
}

static struct disk_job *new_job(struct disk_real *real, enum disk_work_kind kind, const char *path,
                                void (*deliver)(struct disk_job *job), void *ctx)
{
    struct disk_job *job = mem_new(sizeof *job);
    job->owner = real;
    job->loop = real->loop;
    job->cache = file_cache_share(real->cache);
    job->work.kind = kind;
    job->work.path = mem_string(path);
    job->deliver = deliver;
    job->ctx = ctx;
    job->next = real->open;
    real->open = job;
    return job;
}

static struct disk_job *submit(struct disk_job *job)
{
    if (pool_submit(job->owner->pool, run, drop, job)) {
        job->work.status = error_set(&job->work.error, STATUS_BUSY,
                                     "too much work waits for the disk already (%d)", POOL_QUEUE_MAX);
        loop_defer(job->loop, on_run, job);
    }
    return job;
}

static void cancel(void *self, struct disk_job *job)
{
    (void)self;
    __atomic_store_n(&job->work.cancelled, true, __ATOMIC_RELAXED);
    detach(job);
}

/* --- what is handed over ------------------------------------------------------------------------------ */

static void deliver_plain(struct disk_job *job)
{
    if (job->done.plain)
        job->done.plain(job->ctx, job->work.status, &job->work.error);
}

static void deliver_scan(struct disk_job *job)
{
    struct disk_listing listing = {.files = job->work.files,
                                   .n_files = job->work.n_files,
                                   .free_bytes = job->work.free_bytes,
                                   .room = job->work.room};
    job->done.scan(job->ctx, job->work.status, &listing, &job->work.error);
}

static void deliver_hash(struct disk_job *job)
{
    job->done.hash(job->ctx, job->work.status, &job->work.hashed, &job->work.error);
}

static void deliver_read(struct disk_job *job)
{
    job->done.read(job->ctx, job->work.status, buffer_view(&job->work.content), &job->work.error);
}

/* --- operations --------------------------------------------------------------------------------------- */

static struct disk_job *scan(void *self, const char *dir, bool make, disk_scan_done done, void *ctx)
{
    struct disk_real *real = self;
    struct disk_job *job = new_job(real, DISK_WORK_SCAN, dir, deliver_scan, ctx);
    job->work.make = make;
    job->done.scan = done;
    for (struct disk_watch *watch = real->watches; watch; watch = disk_watch_next(watch))
        disk_watch_unsettled(watch, dir, &job->work);
    return submit(job);
}

/* Thread: loop. */
static void on_progress(void *arg)
{
    struct progress_note *note = arg;
    if (note->job->owner && note->job->progress)
        note->job->progress(note->job->ctx, note->done, note->total);
    mem_free(note);
}

/* Thread: pool. The job is freed after all that was posted for it. */
static void report(void *arg, uint64_t done, uint64_t total)
{
    struct disk_job *job = arg;
    uint64_t now = clock_process_us();
    if (!job->progress || now - job->told_us < PROGRESS_US)
        return;
    job->told_us = now;
    struct progress_note *note = mem_new(sizeof *note);
    *note = (struct progress_note){.job = job, .done = done, .total = total};
    loop_post(job->loop, on_progress, note);
}

static void save_later(struct disk_real *real)
{
    clock_timer_set(loop_clock(real->loop), real->save_timer, SAVE_MS);
}

static void deliver_hash_and_save(struct disk_job *job)
{
    struct disk_real *real = file_cache_is_dirty(job->cache) ? job->work.real : NULL;
    if (real)
        save_later(real);
    deliver_hash(job);
}

static struct disk_job *hash(void *self, const char *path, bool urgent, disk_progress progress,
                             disk_hash_done done, void *ctx)
{
    (void)urgent; /* who has several begins the urgent ones first and cancels the others */
    struct disk_job *job = new_job(self, DISK_WORK_HASH, path, deliver_hash_and_save, ctx);
    job->work.real = self;
    job->work.progress = (struct model_progress){.report = report, .arg = job, .cancel = &job->work.cancelled};
    job->progress = progress;
    job->done.hash = done;
    job->told_us = clock_process_us();
    return submit(job);
}

static void deliver_published(struct disk_job *job)
{
    if (file_cache_is_dirty(job->cache))
        save_later(job->work.real);
    deliver_plain(job);
}

static struct disk_job *publish(void *self, const char *part_path, const char *path, disk_done done, void *ctx)
{
    struct disk_job *job = new_job(self, DISK_WORK_PUBLISH, path, deliver_published, ctx);
    job->work.real = self;
    job->work.part_path = mem_string(part_path);
    job->done.plain = done;
    return submit(job);
}

static struct disk_job *remove_file(void *self, const char *path, disk_done done, void *ctx)
{
    struct disk_job *job = new_job(self, DISK_WORK_REMOVE, path, deliver_plain, ctx);
    job->done.plain = done;
    return submit(job);
}

static struct disk_job *read_file(void *self, const char *path, size_t max, disk_read_done done, void *ctx)
{
    struct disk_job *job = new_job(self, DISK_WORK_READ, path, deliver_read, ctx);
    job->work.max = max;
    job->done.read = done;
    return submit(job);
}

static struct disk_job *write_file(void *self, const char *path, struct bytes content, disk_done done,
                                   void *ctx)
{
    struct disk_job *job = new_job(self, DISK_WORK_WRITE, path, deliver_plain, ctx);
    buffer_init(&job->work.content, content.size + 1);
    buffer_bytes(&job->work.content, content.data, content.size);
    job->done.plain = done;
    return submit(job);
}

static struct disk_watch *watch(void *self, const char *dir, void (*changed)(void *ctx), void *ctx)
{
    struct disk_real *real = self;
    struct disk_watch *made = disk_watch_new(real->loop, dir, changed, ctx, real->watches);
    real->watches = made;
    return made;
}

static void unwatch(void *self, struct disk_watch *watch_)
{
    struct disk_real *real = self;
    real->watches = disk_watch_remove(real->watches, watch_);
    disk_watch_free(watch_);
}

/* --- birth and death ---------------------------------------------------------------------------------- */

static void on_save_time(void *arg)
{
    struct disk_real *real = arg;
    struct disk_job *job = new_job(real, DISK_WORK_SAVE, "", deliver_plain, NULL);
    job->done.plain = NULL;
    submit(job);
}

struct disk *disk_real_new(struct loop *loop, struct pool *pool, const char *state_dir)
{
    static const struct disk_ops ops = {.scan = scan,
                                        .watch = watch,
                                        .unwatch = unwatch,
                                        .hash = hash,
                                        .publish = publish,
                                        .remove = remove_file,
                                        .read = read_file,
                                        .write = write_file,
                                        .cancel = cancel};
    struct disk_real *real = mem_new(sizeof *real);
    real->disk = (struct disk){.ops = &ops, .self = real};
    real->loop = loop;
    real->pool = pool;
    if (state_dir)
        file_sweep(state_dir);
    real->cache = file_cache_new(state_dir);
    real->save_timer = clock_timer_new(loop_clock(loop), on_save_time, real);
    return &real->disk;
}

void disk_real_free(struct disk *disk)
{
    if (!disk)
        return;
    struct disk_real *real = disk->self;
    while (real->open)
        cancel(real, real->open);
    while (real->watches)
        unwatch(real, real->watches);
    clock_timer_free(loop_clock(real->loop), real->save_timer);
    (void)file_cache_save(real->cache, NULL); /* lost: the next start hashes once more */
    file_cache_release(real->cache);
    mem_free(real);
}
