#include "node/file_cache.h"

#include "base/file.h"
#include "base/jv.h"
#include "base/mem.h"
#include "base/rand.h"

#include <pthread.h>
#include <string.h>

#define N_BUCKETS       1024
#define CACHE_FORMAT    "shoal-hashes-1"
#define CACHE_BYTES_MAX ((size_t)2 << 20)
/* A file that was written to so shortly before it was looked at may be written to again within one tick of its
 * file system's clock: what was learned of it is not kept. */
#define RACY_NS 100000000

struct entry {
    struct file_identity identity;
    bool has_header, has_hash;
    struct shard_file header;
    struct sha256 hash;
    struct entry *next;
};

struct file_cache {
    pthread_mutex_t lock;
    uint32_t n_refs, n_entries;
    char *path; /* NULL: nothing is kept */
    bool is_dirty;
    struct entry *buckets[N_BUCKETS];
};

struct file_identity file_identity_of(const struct stat *info)
{
    return (struct file_identity){.dev = (uint64_t)info->st_dev,
                                  .ino = (uint64_t)info->st_ino,
                                  .bytes = (uint64_t)info->st_size,
                                  .mtime_ns = info->st_mtim.tv_sec * 1000000000LL + info->st_mtim.tv_nsec,
                                  .ctime_ns = info->st_ctim.tv_sec * 1000000000LL + info->st_ctim.tv_nsec};
}

bool file_identity_equal(const struct file_identity *a, const struct file_identity *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->bytes == b->bytes && a->mtime_ns == b->mtime_ns &&
           a->ctime_ns == b->ctime_ns;
}

uint64_t file_identity_stamp(const struct file_identity *identity)
{
    uint64_t stamp = rand_mix(identity->dev, identity->ino);
    stamp = rand_mix(stamp, identity->bytes);
    stamp = rand_mix(stamp, (uint64_t)identity->mtime_ns);
    return rand_mix(stamp, (uint64_t)identity->ctime_ns);
}

/* --- entries; under the lock ----------------------------------------------------------------------------- */

static struct entry **find(struct file_cache *cache, const struct file_identity *identity)
{
    struct entry **at = &cache->buckets[file_identity_stamp(identity) % N_BUCKETS];
    while (*at && !file_identity_equal(&(*at)->identity, identity))
        at = &(*at)->next;
    return at;
}

static void drop_entries(struct file_cache *cache, bool with_hashes)
{
    for (size_t i = 0; i < N_BUCKETS; i++)
        for (struct entry **at = &cache->buckets[i]; *at;) {
            struct entry *entry = *at;
            if (entry->has_hash && !with_hashes) {
                at = &entry->next;
                continue;
            }
            *at = entry->next;
            mem_free(entry);
            cache->n_entries--;
        }
}

static struct entry *ensure(struct file_cache *cache, const struct file_identity *identity)
{
    struct entry **at = find(cache, identity);
    if (*at)
        return *at;
    if (cache->n_entries >= FILE_CACHE_MAX) {
        drop_entries(cache, false);
        if (cache->n_entries >= FILE_CACHE_MAX / 2)
            drop_entries(cache, true);
        at = find(cache, identity);
    }
    *at = mem_new(sizeof **at);
    (*at)->identity = *identity;
    cache->n_entries++;
    return *at;
}

/* --- the file -------------------------------------------------------------------------------------------- */

static void checksum(char out[2 * SHA256_BYTES + 1], const struct jv *files)
{
    char *text = jv_print(files, JV_COMPACT_SORTED);
    struct sha256 hash = sha256_of(text, strlen(text));
    sha256_hex(out, &hash);
    mem_free(text);
}

static void take_row(struct file_cache *cache, const struct jv *row)
{
    struct file_identity identity = {.dev = (uint64_t)jv_get_int(row, "dev", 0),
                                     .ino = (uint64_t)jv_get_int(row, "ino", 0),
                                     .bytes = (uint64_t)jv_get_int(row, "bytes", 0),
                                     .mtime_ns = jv_get_int(row, "mtime_ns", 0),
                                     .ctime_ns = jv_get_int(row, "ctime_ns", 0)};
    struct sha256 hash;
    if (!identity.ino || !jv_get_hex(row, "sha256", hash.bytes, sizeof hash.bytes))
        return;
    struct entry *entry = ensure(cache, &identity);
    entry->has_hash = true;
    entry->hash = hash;
}

static void read_file(struct file_cache *cache)
{
    struct buffer text;
    struct jv *json = NULL;
    buffer_init(&text, 0);
    if (!file_read(&text, cache->path, CACHE_BYTES_MAX, NULL) &&
        !jv_parse(&json, buffer_view(&text), NULL, NULL)) {
        const struct jv *files = jv_get(json, "files");
        char sum[2 * SHA256_BYTES + 1];
        checksum(sum, files);
        if (strcmp(jv_get_text(json, "format", ""), CACHE_FORMAT) == 0 &&
            strcmp(jv_get_text(json, "sha256", ""), sum) == 0)
            for (size_t i = 0; i < jv_count(files) && i < FILE_CACHE_HASHES_MAX; i++)
                take_row(cache, jv_at(files, i));
    }
    jv_free(json);
    buffer_free(&text);
}

static struct jv *rows(struct file_cache *cache)
{
    struct jv *files = jv_array_new();
    for (size_t i = 0; i < N_BUCKETS; i++)
        for (const struct entry *entry = cache->buckets[i]; entry; entry = entry->next) {
            const struct file_identity *identity = &entry->identity;
            if (!entry->has_hash || jv_count(files) == FILE_CACHE_HASHES_MAX)
                continue;
            struct jv *row = jv_object_new();
            jv_set_int(row, "dev", (int64_t)identity->dev);
            jv_set_int(row, "ino", (int64_t)identity->ino);
            jv_set_int(row, "bytes", (int64_t)identity->bytes);
            jv_set_int(row, "mtime_ns", identity->mtime_ns);
            jv_set_int(row, "ctime_ns", identity->ctime_ns);
            jv_set_hex(row, "sha256", entry->hash.bytes, sizeof entry->hash.bytes);
            jv_append(files, row);
        }
    return files;
}

enum status file_cache_save(struct file_cache *cache, struct error *err)
{
    if (!cache->path)
        return STATUS_OK;
    pthread_mutex_lock(&cache->lock);
    struct jv *files = cache->is_dirty ? rows(cache) : NULL;
    cache->is_dirty = false;
    pthread_mutex_unlock(&cache->lock);
    if (!files)
        return STATUS_OK;
    char sum[2 * SHA256_BYTES + 1];
    checksum(sum, files);
    struct jv *json = jv_object_new();
    jv_set_text(json, "format", CACHE_FORMAT);
    jv_set_text(json, "sha256", sum);
    jv_set(json, "files", files);
    char *text = jv_print(json, JV_COMPACT);
    enum status status = file_write(cache->path, bytes_of_text(text), 0600, err);
    mem_free(text);
    jv_free(json);
    return status;
}

bool file_cache_is_dirty(struct file_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    bool is_dirty = cache->is_dirty && cache->path;
    pthread_mutex_unlock(&cache->lock);
    return is_dirty;
}

/* --- the interface --------------------------------------------------------------------------------------- */

struct file_cache *file_cache_new(const char *state_dir)
{
    struct file_cache *cache = mem_new(sizeof *cache);
    pthread_mutex_init(&cache->lock, NULL);
    cache->n_refs = 1;
    if (state_dir) {
        cache->path = mem_format("%s/hashes.json", state_dir);
        read_file(cache);
    }
    return cache;
}

struct file_cache *file_cache_share(struct file_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    cache->n_refs++;
    pthread_mutex_unlock(&cache->lock);
    return cache;
}

void file_cache_release(struct file_cache *cache)
{
    if (!cache)
        return;
    pthread_mutex_lock(&cache->lock);
    bool is_last = --cache->n_refs == 0;
    pthread_mutex_unlock(&cache->lock);
    if (!is_last)
        return;
    drop_entries(cache, true);
    pthread_mutex_destroy(&cache->lock);
    mem_free(cache->path);
    mem_free(cache);
}

bool file_cache_header(struct file_cache *cache, const struct file_identity *identity, struct shard_file *out)
{
    pthread_mutex_lock(&cache->lock);
    const struct entry *entry = *find(cache, identity);
    bool known = entry && entry->has_header;
    if (known)
        *out = entry->header;
    pthread_mutex_unlock(&cache->lock);
    return known;
}

static bool is_racy(const struct file_identity *identity)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t now_ns = now.tv_sec * 1000000000LL + now.tv_nsec;
    return identity->mtime_ns > now_ns - RACY_NS;
}

void file_cache_set_header(struct file_cache *cache, const struct file_identity *identity,
                           const struct shard_file *header)
{
    if (is_racy(identity))
        return;
    pthread_mutex_lock(&cache->lock);
    struct entry *entry = ensure(cache, identity);
    entry->has_header = true;
    entry->header = *header;
    pthread_mutex_unlock(&cache->lock);
}

bool file_cache_hash(struct file_cache *cache, const struct file_identity *identity, struct sha256 *out)
{
    pthread_mutex_lock(&cache->lock);
    const struct entry *entry = *find(cache, identity);
    bool known = entry && entry->has_hash;
    if (known)
        *out = entry->hash;
    pthread_mutex_unlock(&cache->lock);
    return known;
}

void file_cache_set_hash(struct file_cache *cache, const struct file_identity *identity,
                         const struct sha256 *hash)
{
    if (is_racy(identity))
        return;
    pthread_mutex_lock(&cache->lock);
    struct entry *entry = ensure(cache, identity);
    cache->is_dirty |= !entry->has_hash;
    entry->has_hash = true;
    entry->hash = *hash;
    pthread_mutex_unlock(&cache->lock);
}
