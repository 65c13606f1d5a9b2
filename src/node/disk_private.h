/* disk_private - what the files of the real disk share: the work of one job, done on a pool thread
 * (disk_work.c), and watched folders (disk_watch.c). */
#ifndef NODE_DISK_PRIVATE_H
#define NODE_DISK_PRIVATE_H

#include "node/disk.h"
#include "node/file_cache.h"

enum disk_work_kind {
    DISK_WORK_SCAN,
    DISK_WORK_HASH,
    DISK_WORK_PUBLISH,
    DISK_WORK_REMOVE,
    DISK_WORK_READ,
    DISK_WORK_WRITE,
    DISK_WORK_SAVE
};

struct disk_work {
    enum disk_work_kind kind;
    char *path, *part_path;                     /* owned, as all below */
    bool make;                                  /* SCAN: the folder */
    char (*unsettled)[DISK_NAME_BYTES_MAX + 1]; /* SCAN: names that are being written */
    size_t n_unsettled;
    size_t max;            /* READ */
    struct buffer content; /* READ, WRITE */
    struct model_progress progress;
    bool cancelled; /* set by the loop's thread */
    void *real;     /* the disk's own */

    enum status status;
    struct error error;
    struct disk_file *files; /* SCAN */
    size_t n_files;
    uint64_t free_bytes;
    struct disk_room room;
    struct disk_hashed hashed;
};

/* Thread: pool. Sets status, error and results. */
void disk_work_run(struct disk_work *work, struct file_cache *cache);
void disk_work_free(struct disk_work *work); /* what it owns */

/* Thread: loop. Tells of changes at most four times a second, and when a file settles. */
struct loop;
struct disk_watch *disk_watch_new(struct loop *loop, const char *dir, void (*changed)(void *ctx), void *ctx,
                                  struct disk_watch *next);
void disk_watch_free(struct disk_watch *watch);
struct disk_watch *disk_watch_next(const struct disk_watch *watch);
struct disk_watch *disk_watch_remove(struct disk_watch *list,
                                     struct disk_watch *watch); /* the list without it */
/* Adds the names of this folder that are being written. */
void disk_watch_unsettled(const struct disk_watch *watch, const char *dir, struct disk_work *work);

#endif
