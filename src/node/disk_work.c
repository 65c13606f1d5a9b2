#include "base/file.h"
#include "base/mem.h"
#include "node/disk_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SHARD_SUFFIX      ".gguf"
#define ASIDE_MAX         100
#define ROOM_ENOUGH_BYTES (UINT64_C(64) << 30) /* with more no other disk is looked for */

static enum status status_of_errno(int number)
{
    return number == ENOENT || number == ENOTDIR                    ? STATUS_NOT_FOUND
           : number == EACCES || number == EPERM || number == EROFS ? STATUS_REFUSED
                                                                    : STATUS_IO;
}

static void fail(struct disk_work *work, int number, const char *what, const char *path)
{
    work->status = error_set_errno(&work->error, status_of_errno(number), number, "%s '%s'", what, path);
}

/* What base/file says, in the classes of this port. */
static void fail_as(struct disk_work *work, enum status status)
{
    if (status == STATUS_IO && work->error.sys_errno)
        status = work->error.status = status_of_errno(work->error.sys_errno);
    work->status = status;
}

/* --- scan --------------------------------------------------------------------------------------------- */

static bool ends_with(const char *name, size_t n, const char *suffix)
{
    size_t n_suffix = strlen(suffix);
    return n > n_suffix && memcmp(name + n - n_suffix, suffix, n_suffix) == 0;
}

/* The name without .part; false when it is none of ours. */
static bool take_name(struct disk_file *out, const char *name)
{
    size_t n = strlen(name);
    if (n > DISK_NAME_BYTES_MAX || *name == '.')
        return false;
    out->is_part = ends_with(name, n, DISK_PART_SUFFIX);
    if (out->is_part)
        n -= strlen(DISK_PART_SUFFIX);
    memcpy(out->name, name, n);
    out->name[n] = '\0';
    return ends_with(out->name, n, SHARD_SUFFIX);
}

static bool is_unsettled(const struct disk_work *work, const char *name)
{
    for (size_t i = 0; i < work->n_unsettled; i++)
        if (strcmp(work->unsettled[i], name) == 0)
            return true;
    return false;
}

static void examine(struct disk_file *out, const char *path, const struct file_identity *identity,
                    struct file_cache *cache)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    out->sys_errno = fd < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    if (file_cache_header(cache, identity, &out->seen))
        return;
    shard_file_examine(&out->seen, path, NULL);
    if (out->seen.fault != SHARD_FAULT_UNREADABLE && out->seen.fault != SHARD_FAULT_MISSING)
        file_cache_set_header(cache, identity, &out->seen);
}

/* False: it went meanwhile. */
static bool look_at(struct disk_file *out, const struct disk_work *work, int dir_fd, const char *name,
                    struct file_cache *cache)
{
    struct stat info;
    if (fstatat(dir_fd, name, &info, 0) != 0)
        return false;
    struct file_identity identity = file_identity_of(&info);
    out->bytes = out->is_part ? (uint64_t)info.st_blocks * 512 : identity.bytes;
    out->mtime_ns = identity.mtime_ns;
    out->stamp = file_identity_stamp(&identity);
    out->is_settled = !is_unsettled(work, name);
    if (out->is_part)
        return true;
    if (!S_ISREG(info.st_mode)) { /* never opened: it may be a pipe */
        out->seen.fault = SHARD_FAULT_UNREADABLE;
        snprintf(out->seen.why, sizeof out->seen.why, "it is not a plain file");
    } else if (out->is_settled) {
        char *path = mem_format("%s/%s", work->path, name);
        examine(out, path, &identity, cache);
        out->hash_known = file_cache_hash(cache, &identity, &out->sha256);
        mem_free(path);
    }
    return true;
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct disk_file *)a)->name, ((const struct disk_file *)b)->name);
}

static void list(struct disk_work *work, DIR *dir, struct file_cache *cache)
{
    size_t capacity = 0;
    for (const struct dirent *entry = readdir(dir); entry && work->n_files < DISK_FILES_MAX;
         entry = readdir(dir)) {
        struct disk_file file = {0};
        if (__atomic_load_n(&work->cancelled, __ATOMIC_RELAXED))
            return;
        if (!take_name(&file, entry->d_name) || !look_at(&file, work, dirfd(dir), entry->d_name, cache))
            continue;
        if (work->n_files == capacity) {
            capacity = capacity ? 2 * capacity : 16;
            work->files = mem_resize(work->files, capacity, sizeof *work->files);
        }
        work->files[work->n_files++] = file;
    }
    if (work->n_files)
        qsort(work->files, work->n_files, sizeof *work->files, compare_files);
}

static void scan(struct disk_work *work, struct file_cache *cache)
{
    struct statvfs space;
    DIR *dir = opendir(work->path);
    if (!dir && errno == ENOENT && work->make) {
        fail_as(work, file_make_folder(work->path, &work->error));
        if (work->status)
            return;
        dir = opendir(work->path);
    }
    if (!dir) {
        fail(work, errno, "looking at the folder", work->path);
        return;
    }
    file_sweep(work->path);
    if (fstatvfs(dirfd(dir), &space) == 0)
        work->free_bytes = (uint64_t)space.f_bavail * space.f_frsize;
    if (work->free_bytes < ROOM_ENOUGH_BYTES)
        work->room = disk_find_room(work->path);
    list(work, dir, cache);
    closedir(dir);
}

/* --- hash --------------------------------------------------------------------------------------------- */

static void hash(struct disk_work *work, struct file_cache *cache)
{
    struct stat info;
    if (stat(work->path, &info) != 0) {
        fail(work, errno, "looking at", work->path);
        return;
    }
    struct file_identity before = file_identity_of(&info);
    work->hashed.bytes = before.bytes;
    work->hashed.stamp = file_identity_stamp(&before);
    if (file_cache_hash(cache, &before, &work->hashed.sha256))
        return;
    uint64_t bytes = 0;
    fail_as(work, verify_hash_file(&work->hashed.sha256, &bytes, work->path, &work->progress, &work->error));
    if (work->status)
        return;
    if (stat(work->path, &info) != 0) {
        fail(work, errno, "looking again at", work->path);
        return;
    }
    struct file_identity after = file_identity_of(&info);
    if (!file_identity_equal(&before, &after) || bytes != before.bytes)
        work->status = error_set(&work->error, STATUS_BUSY, "'%s' changed while it was read", work->path);
    else
        file_cache_set_hash(cache, &before, &work->hashed.sha256);
}

/* --- publish ------------------------------------------------------------------------------------------ */

/* Nothing that a person put there is lost. */
static bool move_aside(struct disk_work *work)
{
    struct stat info;
    if (lstat(work->path, &info) != 0)
        return true;
    for (int i = 0; i < ASIDE_MAX; i++) {
        char *aside = i ? mem_format("%s" DISK_ASIDE_SUFFIX ".%d", work->path, i)
                        : mem_format("%s" DISK_ASIDE_SUFFIX, work->path);
        bool is_free = lstat(aside, &info) != 0 && errno == ENOENT;
        bool moved = is_free && rename(work->path, aside) == 0;
        int number = errno;
        mem_free(aside);
        if (moved)
            return true;
        if (is_free) {
            fail(work, number, "moving aside", work->path);
            return false;
        }
    }
    work->status =
        error_set(&work->error, STATUS_LIMIT, "'%s' stands in the way, and there are %d files '%s%s*'",
                  work->path, ASIDE_MAX, work->path, DISK_ASIDE_SUFFIX);
    return false;
}

static void publish(struct disk_work *work, struct file_cache *cache)
{
    struct stat info;
    bool in_place = strcmp(work->part_path, work->path) == 0;
    int fd = open(work->part_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &info) != 0) {
        fail(work, errno, "opening", work->part_path);
        if (fd >= 0)
            close(fd);
        return;
    }
    struct file_identity before = file_identity_of(&info);
    struct sha256 known;
    bool is_known = file_cache_hash(cache, &before, &known);
    if (in_place || move_aside(work))
        fail_as(work, file_publish(fd, work->part_path, work->path, &work->error));
    /* A rename changes the ctime: the hash goes with the content. */
    if (!work->status && is_known && fstat(fd, &info) == 0) {
        struct file_identity after = file_identity_of(&info);
        if (after.bytes == before.bytes && after.mtime_ns == before.mtime_ns)
            file_cache_set_hash(cache, &after, &known);
    }
    close(fd);
}

/* --- small files -------------------------------------------------------------------------------------- */

static void read_small(struct disk_work *work)
{
    buffer_init(&work->content, work->max + 65536 + 1); /* file_read reads ahead in steps of 64 KiB */
    fail_as(work, file_read(&work->content, work->path, work->max, &work->error));
}

static void write_small(struct disk_work *work)
{
    const char *slash = strrchr(work->path, '/');
    if (slash && slash != work->path) {
        char *folder = mem_string_n(work->path, (size_t)(slash - work->path));
        fail_as(work, file_make_folder(folder, &work->error));
        mem_free(folder);
        if (work->status)
            return;
    }
    fail_as(work, file_write(work->path, buffer_view(&work->content), 0644, &work->error));
}

static void remove_file(struct disk_work *work)
{
    if (unlink(work->path) != 0 && errno != ENOENT)
        fail(work, errno, "removing", work->path);
}

void disk_work_run(struct disk_work *work, struct file_cache *cache)
{
    switch (work->kind) {
    case DISK_WORK_SCAN:
        scan(work, cache);
        break;
    case DISK_WORK_HASH:
        hash(work, cache);
        break;
    case DISK_WORK_PUBLISH:
        publish(work, cache);
        break;
    case DISK_WORK_REMOVE:
        remove_file(work);
        break;
    case DISK_WORK_READ:
        read_small(work);
        break;
    case DISK_WORK_WRITE:
        write_small(work);
        break;
    case DISK_WORK_SAVE:
        work->status = file_cache_save(cache, &work->error);
        break;
    }
}

void disk_work_free(struct disk_work *work)
{
    mem_free(work->path);
    mem_free(work->part_path);
    mem_free(work->unsettled);
    mem_free(work->files);
    buffer_free(&work->content);
}
