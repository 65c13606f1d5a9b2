/* disk - files as node logic sees them: the shards folder, and small files of state. Behind a table, so that
 * the simulator can have another (tests/sim).
 *
 * Nothing here blocks: every operation gives a job, its `done` comes exactly once, later, on the loop thread,
 * and never after disk_cancel. Everything lent to a callback lives during the call. Errors name the path and
 * carry sys_errno. Owner: the node. Thread: loop. */
#ifndef NODE_DISK_H
#define NODE_DISK_H

#include "base/bytes.h"
#include "base/hash.h"
#include "model/verify.h"

#define DISK_FILES_MAX      65536 /* of one folder that are looked at */
#define DISK_NAME_BYTES_MAX 255
#define DISK_PART_SUFFIX    ".part"    /* a file that is not whole yet */
#define DISK_ASIDE_SUFFIX   ".invalid" /* what stood under a name that was published: never listed */

struct disk_job;   /* gone after its `done` */
struct disk_watch; /* owned by whoever made it */

struct disk_file {
    char name[DISK_NAME_BYTES_MAX + 1];
    uint64_t bytes;
    int64_t mtime_ns;
    uint64_t stamp; /* of device, inode, size, times: differs when the content may */
    /* Nobody has written to it for a while, or whoever did has closed it. `changed` is told again when a file
     * settles; before that it is no business of anybody's. */
    bool is_settled;
    bool is_part;           /* NAME.part: only `name` (without .part) and `bytes` (on the disk) are told */
    int sys_errno;          /* 0; else it cannot be read and `seen` says why */
    struct shard_file seen; /* its header, compared with no manifest */
    bool hash_known;        /* by an earlier hash of this same stamp, perhaps in an earlier run */
    struct sha256 sha256;
};

struct disk_room {
    char dir[256]; /* "": there is none */
    uint64_t bytes;
};

struct disk_listing {
    const struct disk_file *files; /* names that end in .gguf or .gguf.part; ascending */
    size_t n_files;
    uint64_t free_bytes;   /* of the folder's file system */
    struct disk_room room; /* elsewhere; looked for where little is free */
};

/* The folder on another disk than `dir` that this user may write to and that has most bytes free. Thread: any;
 * blocks. */
struct disk_room disk_find_room(const char *dir);

struct disk_hashed {
    struct sha256 sha256;
    uint64_t bytes, stamp; /* of the file that was read; it did not change meanwhile (else BUSY) */
};

typedef void (*disk_done)(void *ctx, enum status status, const struct error *err);
typedef void (*disk_scan_done)(void *ctx, enum status status, const struct disk_listing *listing,
                               const struct error *err);
typedef void (*disk_hash_done)(void *ctx, enum status status, const struct disk_hashed *hashed,
                               const struct error *err);
typedef void (*disk_read_done)(void *ctx, enum status status, struct bytes content, const struct error *err);
typedef void (*disk_progress)(void *ctx, uint64_t bytes_done, uint64_t bytes_total); /* a few times a second */

struct disk_ops {
    /* NOT_FOUND: no such folder (made when `make`); REFUSED: permission; IO. */
    struct disk_job *(*scan)(void *self, const char *dir, bool make, disk_scan_done done, void *ctx);
    /* `changed` comes within a second of any change (at most four times a second), also while the folder itself
     * goes and comes back; it is not called for what the operations here do to .part files. */
    struct disk_watch *(*watch)(void *self, const char *dir, void (*changed)(void *ctx), void *ctx);
    void (*unwatch)(void *self, struct disk_watch *watch);
    /* SHA-256 of the whole file; `urgent` ones come before others. A known hash is given without reading. BUSY:
     * it changed while being read. NOT_FOUND, REFUSED, IO. */
    struct disk_job *(*hash)(void *self, const char *path, bool urgent, disk_progress progress,
                             disk_hash_done done, void *ctx);
    /* Flushes part_path, moves it to `path`, flushes the folder. What stood at `path` is kept beside it as
     * PATH.invalid (or .invalid.1, ...). The content keeps its known hash. part_path == path: flushes only. */
    struct disk_job *(*publish)(void *self, const char *part_path, const char *path, disk_done done, void *ctx);
    struct disk_job *(*remove)(void *self, const char *path, disk_done done, void *ctx); /* none there: OK */
    /* Whole small files. LIMIT: more than `max`. Written files appear whole or not at all, mode 0644; the
     * content is copied. Missing folders are made. */
    struct disk_job *(*read)(void *self, const char *path, size_t max, disk_read_done done, void *ctx);
    struct disk_job *(*write)(void *self, const char *path, struct bytes content, disk_done done, void *ctx);
    void (*cancel)(void *self, struct disk_job *job);
};

struct disk {
    const struct disk_ops *ops;
    void *self;
};

static inline void disk_cancel(const struct disk *disk, struct disk_job **job) /* NULL inside is fine */
{
    if (*job)
        disk->ops->cancel(disk->self, *job);
    *job = NULL;
}

/* The real one: base/pool's threads, the loop's folder watch, and model/verify. Hashes of files are remembered
 * in STATE_DIR/hashes.json by device, inode, size, mtime and ctime, so an unchanged file is read once in its
 * life. `loop` and `pool` outlive it; the pool should have at least four threads (a hash, a load, and looks at
 * the folder beside them). state_dir NULL: nothing is remembered. */
struct loop;
struct pool;
struct disk *disk_real_new(struct loop *loop, struct pool *pool, const char *state_dir);
/* Open jobs end without `done`. Call before pool_free and loop_free; what runs on the pool is waited for by
 * pool_free. NULL is fine. */
void disk_real_free(struct disk *disk);

#endif
