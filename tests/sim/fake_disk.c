#include "sim/fake_disk.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUICK_MS 1
#define WATCH_MS 50

enum kind { SCAN, HASH, PUBLISH, REMOVE, READ, WRITE };

struct disk_job {
    struct fake_disk *disk; /* NULL: cancelled */
    enum kind kind;
    char *path, *part_path;
    size_t max;
    struct buffer content;
    uint64_t done_bytes, stamp;
    disk_progress progress;
    disk_done done;
    disk_scan_done scan_done;
    disk_hash_done hash_done;
    disk_read_done read_done;
    void *ctx;
    struct disk_job *next;
};

struct disk_watch {
    struct fake_disk *disk; /* NULL: unwatched */
    char *dir;
    void (*changed)(void *ctx);
    void *ctx;
    bool is_due;
    struct disk_watch *next;
};

/* --- files -------------------------------------------------------------------------------------------- */

struct fake_file *fake_disk_find(struct fake_disk *disk, const char *path)
{
    for (struct fake_file *file = disk->files; file; file = file->next)
        if (strcmp(file->path, path) == 0)
            return file;
    return NULL;
}

uint32_t fake_disk_n_files(const struct fake_disk *disk)
{
    uint32_t n = 0;
    for (const struct fake_file *file = disk->files; file; file = file->next)
        n++;
    return n;
}

static void on_watch_time(void *arg)
{
    struct disk_watch *watch = arg;
    watch->is_due = false;
    if (watch->disk) {
        watch->changed(watch->ctx);
        return;
    }
    mem_free(watch->dir);
    mem_free(watch);
}

static void tell_watchers(struct fake_disk *disk)
{
    for (struct disk_watch *watch = disk->watches; watch; watch = watch->next)
        if (!watch->is_due) {
            watch->is_due = true;
            fake_clock_post(disk->clock, WATCH_MS, on_watch_time, watch);
        }
}

static void drop_file(struct fake_disk *disk, struct fake_file *file)
{
    struct fake_file **at = &disk->files;
    while (*at != file)
        at = &(*at)->next;
    *at = file->next;
    buffer_free(&file->small);
    mem_free(file->path);
    mem_free(file);
}

static struct fake_file *make_file(struct fake_disk *disk, const char *path)
{
    struct fake_file *file = fake_disk_find(disk, path);
    if (file)
        drop_file(disk, file);
    file = mem_new(sizeof *file);
    file->path = mem_string(path);
    file->stamp = ++disk->n_stamps;
    file->next = disk->files;
    buffer_init(&file->small, 0);
    disk->files = file;
    return file;
}

void fake_disk_put_open(struct fake_disk *disk, const char *path, const struct fake_content *content)
{
    struct fake_file *file = make_file(disk, path);
    file->content = *content;
    file->is_open = true;
    tell_watchers(disk);
}

void fake_disk_put(struct fake_disk *disk, const char *path, const struct fake_content *content)
{
    fake_disk_put_open(disk, path, content);
    fake_disk_close(disk, path);
}

void fake_disk_close(struct fake_disk *disk, const char *path)
{
    struct fake_file *file = fake_disk_find(disk, path);
    ASSERT(file);
    file->is_open = false;
    tell_watchers(disk);
}

void fake_disk_touch(struct fake_disk *disk, const char *path)
{
    struct fake_file *file = fake_disk_find(disk, path);
    ASSERT(file);
    file->stamp = ++disk->n_stamps;
    file->hash_known = false;
    tell_watchers(disk);
}

void fake_disk_truncate(struct fake_disk *disk, const char *path, uint64_t bytes)
{
    struct fake_file *file = fake_disk_find(disk, path);
    ASSERT(file);
    file->content.bytes = bytes;
    file->content.sha256 = sha256_of(&bytes, sizeof bytes);
    file->content.header = (struct shard_file){.fault = SHARD_FAULT_DAMAGED, .bytes = bytes};
    snprintf(file->content.header.why, sizeof file->content.header.why, "its data are cut");
    fake_disk_touch(disk, path);
}

void fake_disk_remove(struct fake_disk *disk, const char *path)
{
    struct fake_file *file = fake_disk_find(disk, path);
    ASSERT(file);
    drop_file(disk, file);
    tell_watchers(disk);
}

void fake_disk_set_errno(struct fake_disk *disk, const char *path, int sys_errno)
{
    struct fake_file *file = fake_disk_find(disk, path);
    ASSERT(file);
    file->sys_errno = sys_errno;
    fake_disk_touch(disk, path);
}

/* --- jobs --------------------------------------------------------------------------------------------- */

static enum status fail(struct error *err, int number, const char *path)
{
    enum status status = number == ENOENT ? STATUS_NOT_FOUND : number == EACCES ? STATUS_REFUSED : STATUS_IO;
    return error_set_errno(err, status, number, "'%s'", path);
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct disk_file *)a)->name, ((const struct disk_file *)b)->name);
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), n_end = strlen(end);
    return n > n_end && strcmp(text + n - n_end, end) == 0;
}

static void list_file(struct disk_file *out, const struct fake_file *file, const char *name)
{
    size_t n = strlen(name);
    out->is_part = ends_with(name, DISK_PART_SUFFIX);
    memcpy(out->name, name, out->is_part ? n - strlen(DISK_PART_SUFFIX) : n);
    out->bytes = file->content.bytes;
    out->stamp = file->stamp;
    out->is_settled = !file->is_open;
    out->sys_errno = file->sys_errno;
    if (out->is_part || file->is_open)
        return;
    out->seen = file->content.header;
    if (file->sys_errno) {
        out->seen = (struct shard_file){.fault = SHARD_FAULT_UNREADABLE};
        snprintf(out->seen.why, sizeof out->seen.why, "%s", strerror(file->sys_errno));
    }
    out->hash_known = file->hash_known;
    out->sha256 = file->content.sha256;
}

static void end_scan(struct fake_disk *disk, struct disk_job *job)
{
    struct error err = {0};
    if (disk->dir_errno) {
        enum status status = fail(&err, disk->dir_errno, job->path);
        job->scan_done(job->ctx, status, &(struct disk_listing){0}, &err);
        return;
    }
    struct disk_file *files = mem_array(1, sizeof *files);
    size_t n = 0, n_dir = strlen(job->path);
    for (const struct fake_file *file = disk->files; file; file = file->next) {
        const char *name = file->path + n_dir + 1;
        if (strncmp(file->path, job->path, n_dir) != 0 || file->path[n_dir] != '/' || strchr(name, '/') ||
            !(ends_with(name, ".gguf") || ends_with(name, ".gguf.part")))
            continue;
        files = mem_resize(files, n + 1, sizeof *files);
        files[n] = (struct disk_file){0};
        list_file(&files[n++], file, name);
    }
    qsort(files, n, sizeof *files, compare_files);
    disk->n_scans++;
    struct disk_listing listing = {.files = files, .n_files = n, .free_bytes = disk->free_bytes};
    job->scan_done(job->ctx, STATUS_OK, &listing, &err);
    mem_free(files);
}

static void end_hash(struct fake_disk *disk, struct disk_job *job)
{
    struct error err = {0};
    struct disk_hashed hashed = {0};
    struct fake_file *file = fake_disk_find(disk, job->path);
    enum status status = STATUS_OK;
    if (!file)
        status = fail(&err, ENOENT, job->path);
    else if (file->sys_errno)
        status = fail(&err, file->sys_errno, job->path);
    else if (file->stamp != job->stamp)
        status = error_set(&err, STATUS_BUSY, "'%s' changed while it was read", job->path);
    if (!status) {
        file->hash_known = true;
        hashed = (struct disk_hashed){
            .sha256 = file->content.sha256, .bytes = file->content.bytes, .stamp = file->stamp};
    }
    job->hash_done(job->ctx, status, &hashed, &err);
}

static void end_publish(struct fake_disk *disk, struct disk_job *job)
{
    struct error err = {0};
    struct fake_file *part = fake_disk_find(disk, job->part_path), *there = fake_disk_find(disk, job->path);
    enum status status = disk->publish_errno ? fail(&err, disk->publish_errno, job->path)
                         : !part             ? fail(&err, ENOENT, job->part_path)
                                             : STATUS_OK;
    if (!status) {
        if (there && there != part) {
            mem_free(there->path);
            there->path = mem_format("%s" DISK_ASIDE_SUFFIX, job->path);
            disk->n_aside++;
        }
        mem_free(part->path);
        part->path = mem_string(job->path);
        part->stamp = ++disk->n_stamps;
        disk->n_published++;
        tell_watchers(disk);
    }
    job->done(job->ctx, status, &err);
}

static void end_small(struct fake_disk *disk, struct disk_job *job)
{
    struct error err = {0};
    struct fake_file *file = fake_disk_find(disk, job->path);
    enum status status = STATUS_OK;
    if (job->kind == READ) {
        if (!file)
            status = fail(&err, ENOENT, job->path);
        else if (file->small.size > job->max)
            status = error_set(&err, STATUS_LIMIT, "'%s' has more than %zu bytes", job->path, job->max);
        job->read_done(job->ctx, status, status ? (struct bytes){0} : buffer_view(&file->small), &err);
        return;
    }
    if (job->kind == WRITE) {
        file = make_file(disk, job->path);
        buffer_bytes(&file->small, job->content.data, job->content.size);
        file->content.bytes = job->content.size;
        file->content.sha256 = sha256_of(job->content.data, job->content.size);
    } else if (file) {
        drop_file(disk, file);
    }
    tell_watchers(disk);
    if (job->done)
        job->done(job->ctx, status, &err);
}

static void on_job(void *arg)
{
    struct disk_job *job = arg;
    struct fake_disk *disk = job->disk;
    if (disk && job->kind == HASH && job->done_bytes) { /* a second of reading */
        struct fake_file *file = fake_disk_find(disk, job->path);
        if (file && job->done_bytes < file->content.bytes) {
            uint64_t done = job->done_bytes;
            job->done_bytes += disk->hash_rate / 4;
            fake_clock_post(disk->clock, 250, on_job, job);
            if (job->progress)
                job->progress(job->ctx, done, file->content.bytes);
            return;
        }
    }
    if (disk) {
        struct disk_job **at = &disk->jobs;
        while (*at != job)
            at = &(*at)->next;
        *at = job->next;
        if (job->kind == SCAN)
            end_scan(disk, job);
        else if (job->kind == HASH)
            end_hash(disk, job);
        else if (job->kind == PUBLISH)
            end_publish(disk, job);
        else
            end_small(disk, job);
    }
    buffer_free(&job->content);
    mem_free(job->path);
    mem_free(job->part_path);
    mem_free(job);
}

static struct disk_job *new_job(struct fake_disk *disk, enum kind kind, const char *path, uint64_t ms,
                                void *ctx)
{
    struct disk_job *job = mem_new(sizeof *job);
    job->disk = disk;
    job->kind = kind;
    job->path = mem_string(path);
    job->ctx = ctx;
    job->next = disk->jobs;
    disk->jobs = job;
    buffer_init(&job->content, 0);
    fake_clock_post(disk->clock, ms, on_job, job);
    return job;
}

static struct disk_job *scan(void *self, const char *dir, bool make, disk_scan_done done, void *ctx)
{
    (void)make;
    struct disk_job *job = new_job(self, SCAN, dir, QUICK_MS, ctx);
    job->scan_done = done;
    return job;
}

static struct disk_job *hash(void *self, const char *path, bool urgent, disk_progress progress,
                             disk_hash_done done, void *ctx)
{
    (void)urgent;
    struct fake_disk *disk = self;
    struct fake_file *file = fake_disk_find(disk, path);
    bool known = !file || file->hash_known;
    struct disk_job *job = new_job(disk, HASH, path, known ? QUICK_MS : 250, ctx);
    job->stamp = file ? file->stamp : 0;
    job->done_bytes = known ? 0 : disk->hash_rate / 4;
    job->progress = progress;
    job->hash_done = done;
    disk->n_hashes += !known;
    return job;
}

static struct disk_job *publish(void *self, const char *part_path, const char *path, disk_done done, void *ctx)
{
    struct disk_job *job = new_job(self, PUBLISH, path, QUICK_MS, ctx);
    job->part_path = mem_string(part_path);
    job->done = done;
    return job;
}

static struct disk_job *remove_file(void *self, const char *path, disk_done done, void *ctx)
{
    struct disk_job *job = new_job(self, REMOVE, path, QUICK_MS, ctx);
    job->done = done;
    return job;
}

static struct disk_job *read_file(void *self, const char *path, size_t max, disk_read_done done, void *ctx)
{
    struct disk_job *job = new_job(self, READ, path, QUICK_MS, ctx);
    job->max = max;
    job->read_done = done;
    return job;
}

static struct disk_job *write_file(void *self, const char *path, struct bytes content, disk_done done,
                                   void *ctx)
{
    struct disk_job *job = new_job(self, WRITE, path, QUICK_MS, ctx);
    buffer_bytes(&job->content, content.data, content.size);
    job->done = done;
    return job;
}

static struct disk_watch *watch(void *self, const char *dir, void (*changed)(void *ctx), void *ctx)
{
    struct fake_disk *disk = self;
    struct disk_watch *made = mem_new(sizeof *made);
    *made = (struct disk_watch){
        .disk = disk, .dir = mem_string(dir), .changed = changed, .ctx = ctx, .next = disk->watches};
    disk->watches = made;
    return made;
}

static void unwatch(void *self, struct disk_watch *gone)
{
    struct fake_disk *disk = self;
    struct disk_watch **at = &disk->watches;
    while (*at != gone)
        at = &(*at)->next;
    *at = gone->next;
    gone->disk = NULL;
    if (gone->is_due)
        return; /* freed when its time comes */
    mem_free(gone->dir);
    mem_free(gone);
}

static void cancel(void *self, struct disk_job *job)
{
    struct fake_disk *disk = self;
    struct disk_job **at = &disk->jobs;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    job->disk = NULL;
}

void fake_disk_init(struct fake_disk *disk, struct fake_clock *clock)
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
    *disk = (struct fake_disk){.clock = clock, .free_bytes = 1000000000000, .hash_rate = 1000000000};
    disk->disk = (struct disk){.ops = &ops, .self = disk};
}

uint32_t fake_disk_halt(struct fake_disk *disk, bool power_loss)
{
    uint32_t n_lost = 0;
    while (disk->jobs)
        cancel(disk, disk->jobs);
    while (disk->watches)
        unwatch(disk, disk->watches);
    for (struct fake_file *file = disk->files, *next; file && power_loss; file = next) {
        next = file->next;
        file->hash_known = false;
        if (!file->is_open && !ends_with(file->path, DISK_PART_SUFFIX))
            continue;
        drop_file(disk, file);
        n_lost++;
    }
    return n_lost;
}

void fake_disk_write(struct fake_disk *disk, const char *path, struct bytes content)
{
    struct fake_file *file = make_file(disk, path);
    buffer_bytes(&file->small, content.data, content.size);
    file->content.bytes = content.size;
    file->content.sha256 = sha256_of(content.data, content.size);
    tell_watchers(disk);
}

void fake_disk_free(struct fake_disk *disk)
{
    fake_disk_halt(disk, false);
    if (disk->clock->root == disk->clock)
        fake_clock_run(disk->clock, 60000); /* what was posted frees itself */
    while (disk->files)
        drop_file(disk, disk->files);
}
