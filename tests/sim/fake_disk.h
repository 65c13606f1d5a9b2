/* fake_disk - files without bytes: a name, and what its content is known by. Time passes for hashing;
 * everything else takes a millisecond. Changes are told to watchers after 50 ms. */
#ifndef SIM_FAKE_DISK_H
#define SIM_FAKE_DISK_H

#include "node/disk.h"
#include "sim/fake_clock.h"

struct fake_content { /* of a model file */
    struct shard_file header;
    struct sha256 sha256, self_test;
    uint64_t bytes;
};

struct fake_file {
    char *path;
    struct fake_content content;
    uint64_t stamp;
    bool is_open;  /* somebody writes to it: not settled */
    int sys_errno; /* reading fails with it */
    bool hash_known;
    struct buffer small; /* of small files */
    struct fake_file *next;
};

struct fake_disk {
    struct disk disk;
    struct fake_clock *clock;
    struct fake_file *files;
    struct disk_job *jobs;
    struct disk_watch *watches;
    uint64_t n_stamps;
    /* what it is like */
    uint64_t free_bytes, hash_rate; /* bytes a second */
    int dir_errno;                  /* looking at folders fails with it */
    int publish_errno;
    /* what it did */
    uint32_t n_scans, n_hashes, n_published, n_aside;
};

void fake_disk_init(struct fake_disk *disk, struct fake_clock *clock);
void fake_disk_free(struct fake_disk *disk);
/* The process ends: its jobs and watches with it, without time passing. With `power_loss` what was not flushed
 * is gone: .part files, files that are being written, hashes that were remembered. Returns how many files. */
uint32_t fake_disk_halt(struct fake_disk *disk, bool power_loss);
void fake_disk_write(struct fake_disk *disk, const char *path,
                     struct bytes content); /* a small file, as a person */
/* As a person does it. A put file is whole and closed; `put_open` goes on being written until fake_disk_close.
 */
void fake_disk_put(struct fake_disk *disk, const char *path, const struct fake_content *content);
void fake_disk_put_open(struct fake_disk *disk, const char *path, const struct fake_content *content);
void fake_disk_close(struct fake_disk *disk, const char *path);
void fake_disk_truncate(struct fake_disk *disk, const char *path, uint64_t bytes);
void fake_disk_touch(struct fake_disk *disk, const char *path); /* other times, same content */
void fake_disk_remove(struct fake_disk *disk, const char *path);
void fake_disk_set_errno(struct fake_disk *disk, const char *path, int sys_errno);
uint32_t fake_disk_n_files(const struct fake_disk *disk);
struct fake_file *fake_disk_find(struct fake_disk *disk, const char *path); /* NULL: none */

#endif
