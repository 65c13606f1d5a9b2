/* file_cache - what was learned of files, by what they are: device, inode, size, mtime and ctime. Their headers
 * for this run, their hashes also for later ones (STATE_DIR/hashes.json, with a checksum, replaced as a whole),
 * so an unchanged file is read once in its life. Reference counted: jobs on the pool outlive the disk. Thread:
 * any. */
#ifndef NODE_FILE_CACHE_H
#define NODE_FILE_CACHE_H

#include "base/hash.h"
#include "model/verify.h"

#include <sys/stat.h>

#define FILE_CACHE_MAX        8192
#define FILE_CACHE_HASHES_MAX 4096 /* that are kept for later runs */

struct file_identity {
    uint64_t dev, ino, bytes;
    int64_t mtime_ns, ctime_ns;
};
struct file_identity file_identity_of(const struct stat *info);
bool file_identity_equal(const struct file_identity *a, const struct file_identity *b);
uint64_t file_identity_stamp(const struct file_identity *identity);

struct file_cache;
/* Reads STATE_DIR/hashes.json; a missing or damaged one is an empty one. NULL: nothing is kept. */
struct file_cache *file_cache_new(const char *state_dir);
struct file_cache *file_cache_share(struct file_cache *cache);
void file_cache_release(struct file_cache *cache); /* NULL is fine */

bool file_cache_header(struct file_cache *cache, const struct file_identity *identity, struct shard_file *out);
void file_cache_set_header(struct file_cache *cache, const struct file_identity *identity,
                           const struct shard_file *header);
bool file_cache_hash(struct file_cache *cache, const struct file_identity *identity, struct sha256 *out);
void file_cache_set_hash(struct file_cache *cache, const struct file_identity *identity,
                         const struct sha256 *hash);
bool file_cache_is_dirty(struct file_cache *cache); /* there are hashes to save */
/* Writes the hashes if any is new. Thread: one that may block. */
enum status file_cache_save(struct file_cache *cache, struct error *err);

#endif
