#include "model/verify.h"

#include "base/file.h"
#include "base/mem.h"
#include "model/gguf.h"
#include "model/shards.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP_BYTES ((size_t)4 << 20)

const char *shard_fault_name(enum shard_fault fault)
{
    static const char *const names[SHARD_FAULT_COUNT] = {
        [SHARD_FAULT_NONE] = "none",
        [SHARD_FAULT_MISSING] = "missing",
        [SHARD_FAULT_UNREADABLE] = "unreadable",
        [SHARD_FAULT_NOT_GGUF] = "not gguf",
        [SHARD_FAULT_DAMAGED] = "damaged",
        [SHARD_FAULT_NO_SHARD] = "no shard",
        [SHARD_FAULT_MODEL] = "model",
        [SHARD_FAULT_SPAN] = "span",
        [SHARD_FAULT_SIZE] = "size",
        [SHARD_FAULT_HASH] = "hash",
    };
    return (unsigned)fault < SHARD_FAULT_COUNT ? names[fault] : "unknown";
}

static void fault(struct shard_file *out, enum shard_fault what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void fault(struct shard_file *out, enum shard_fault what, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(out->why, sizeof out->why, format, args);
    va_end(args);
    out->fault = what;
}

/* Size, and whether it begins like GGUF; false when there is a fault already. */
static bool look(struct shard_file *out, const char *path)
{
    struct stat info;
    char magic[4];
    size_t got = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        fault(out, errno == ENOENT ? SHARD_FAULT_MISSING : SHARD_FAULT_UNREADABLE, "%s", strerror(errno));
        return false;
    }
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        fault(out, SHARD_FAULT_UNREADABLE, "not a regular file");
    } else {
        struct error err;
        out->bytes = (uint64_t)info.st_size;
        if (file_read_at(fd, 0, magic, sizeof magic, &got, &err))
            fault(out, SHARD_FAULT_UNREADABLE, "%.200s", err.text);
        else if (got < sizeof magic || memcmp(magic, "GGUF", 4) != 0)
            fault(out, SHARD_FAULT_NOT_GGUF, "%" PRIu64 " bytes that do not begin with 'GGUF'", out->bytes);
    }
    close(fd);
    return out->fault == SHARD_FAULT_NONE;
}

static bool read_fingerprint(struct sha256 *out, const struct gguf *gguf)
{
    struct bytes hex;
    char text[2 * SHA256_BYTES + 1] = "";
    if (gguf_get_string(gguf, KEY_FINGERPRINT, &hex, NULL) || hex.size != sizeof text - 1)
        return false;
    memcpy(text, hex.data, hex.size);
    return hex_decode(out->bytes, SHA256_BYTES, text);
}

/* What the header claims; without consequence until it is compared. */
static void read_claim(struct shard_file *out, const struct gguf *gguf)
{
    if (!gguf_find(gguf, KEY_SHARD_INDEX)) {
        fault(out, SHARD_FAULT_NO_SHARD,
              "%" PRIu64 " bytes of GGUF without %s: a whole model or a vocabulary, not a shard", out->bytes,
              KEY_SHARD_INDEX);
        return;
    }
    bool good = !gguf_get_u32(gguf, KEY_SHARD_INDEX, &out->id, NULL) &&
                !gguf_get_u32(gguf, KEY_SHARD_COUNT, &out->count, NULL) &&
                !gguf_get_u32(gguf, KEY_SHARD_FIRST_LAYER, &out->span.first_layer, NULL) &&
                !gguf_get_u32(gguf, KEY_SHARD_END_LAYER, &out->span.end_layer, NULL) &&
                read_fingerprint(&out->fingerprint, gguf);
    if (!good || out->count < 1 || out->count > MANIFEST_SHARDS_MAX || out->id >= out->count ||
        out->span.first_layer >= out->span.end_layer || out->span.end_layer > MODEL_LAYERS_MAX) {
        fault(out, SHARD_FAULT_DAMAGED,
              "its shoal.* keys are missing, of wrong types or contradict each other");
        return;
    }
    out->span.embedding = out->id == 0;
    out->span.output = out->id == out->count - 1;
    out->is_shard = true;
}

static void compare(struct shard_file *out, const struct manifest *m)
{
    char found[2 * SHA256_BYTES + 1], expected[2 * SHA256_BYTES + 1];
    sha256_hex(found, &out->fingerprint);
    sha256_hex(expected, &m->fingerprint);
    if (!sha256_equal(&out->fingerprint, &m->fingerprint)) {
        fault(out, SHARD_FAULT_MODEL, "a shard of another model: fingerprint %.16s, expected %.16s ('%s')",
              found, expected, m->name);
        return;
    }
    if (out->count != m->n_shards) {
        fault(out, SHARD_FAULT_SPAN,
              "a shard of another cut: %" PRIu32 " of %" PRIu32 " shards, expected %" PRIu32, out->id,
              out->count, m->n_shards);
        return;
    }
    const struct manifest_shard *s = &m->shards[out->id];
    if (out->span.first_layer != s->span.first_layer || out->span.end_layer != s->span.end_layer)
        fault(out, SHARD_FAULT_SPAN,
              "layers [%" PRIu32 ", %" PRIu32 "), expected [%" PRIu32 ", %" PRIu32 ") for shard %" PRIu32,
              out->span.first_layer, out->span.end_layer, s->span.first_layer, s->span.end_layer, out->id);
    else if (out->bytes != s->bytes)
        fault(out, SHARD_FAULT_SIZE, "size %" PRIu64 " bytes, expected %" PRIu64, out->bytes, s->bytes);
}

void shard_file_examine(struct shard_file *out, const char *path, const struct manifest *manifest)
{
    struct gguf *gguf;
    struct error err;
    *out = (struct shard_file){0};
    if (!look(out, path))
        return;
    enum status status = gguf_open(&gguf, path, &err);
    if (status) {
        fault(out,
              status == STATUS_IO || status == STATUS_NOT_FOUND ? SHARD_FAULT_UNREADABLE : SHARD_FAULT_DAMAGED,
              "%.300s", err.text);
        return;
    }
    read_claim(out, gguf);
    if (out->is_shard && manifest)
        compare(out, manifest);
    gguf_close(gguf);
}

enum status verify_hash_file(struct sha256 *out, uint64_t *out_bytes, const char *path,
                             const struct model_progress *progress, struct error *err)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return error_set_errno(err, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO, errno, "'%s'", path);
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(fd);
        return error_set(err, STATUS_IO, "'%s' is not a regular file", path);
    }
    struct hasher *hasher = hasher_new(HASH_SHA256);
    uint8_t *buf = mem_new(STEP_BYTES);
    uint64_t at = 0;
    size_t got = STEP_BYTES;
    enum status status = STATUS_OK;
    while (!status && got == STEP_BYTES) {
        if (model_progress_cancelled(progress))
            status = error_set(err, STATUS_CANCELLED, "cancelled");
        else
            status = file_read_at(fd, at, buf, STEP_BYTES, &got, err);
        if (status)
            break;
        hasher_add(hasher, buf, got);
        at += got;
        model_progress_report(progress, at, (uint64_t)info.st_size > at ? (uint64_t)info.st_size : at);
    }
    struct sha256 hash;
    hasher_finish(hasher, hash.bytes);
    hasher_free(hasher);
    mem_free(buf);
    close(fd);
    if (status)
        return error_wrap(err, status, "'%s'", path);
    *out = hash;
    if (out_bytes)
        *out_bytes = at;
    return STATUS_OK;
}

enum status shard_file_check(struct shard_file *out, const char *path, const struct manifest *manifest,
                             const struct model_progress *progress, struct error *err)
{
    struct shard_file file;
    uint64_t bytes = 0;
    shard_file_examine(&file, path, manifest);
    if (file.fault == SHARD_FAULT_NONE) {
        enum status status = verify_hash_file(&file.sha256, &bytes, path, progress, err);
        if (status)
            return status;
        file.hashed = true;
        const struct manifest_shard *s = manifest ? &manifest->shards[file.id] : NULL;
        if (s && (bytes != s->bytes || !sha256_equal(&file.sha256, &s->sha256))) {
            char found[2 * SHA256_BYTES + 1], expected[2 * SHA256_BYTES + 1];
            sha256_hex(found, &file.sha256);
            sha256_hex(expected, &s->sha256);
            fault(&file, SHARD_FAULT_HASH, "SHA-256 %.16s, expected %.16s: the content is damaged", found,
                  expected);
        }
    }
    *out = file;
    return STATUS_OK;
}
