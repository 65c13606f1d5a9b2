/* The fingerprint of a model: what split writes into every shard and merge must find again. */
#include "model/shards.h"

#include "base/mem.h"

#include <string.h>

#define STEP_BYTES ((size_t)4 << 20)

struct fingerprint {
    struct hasher *hasher;
};

static void add_u64(struct fingerprint *f, uint64_t v)
{
    uint8_t raw[8];
    for (size_t i = 0; i < sizeof raw; i++)
        raw[i] = (uint8_t)(v >> (8 * i));
    hasher_add(f->hasher, raw, sizeof raw);
}

struct fingerprint *fingerprint_new(const struct gguf *keys, size_t n_tensors)
{
    static const char label[] = "shoal-fingerprint-1";
    struct fingerprint *f = mem_new(sizeof *f);
    uint64_t n_keys = 0;
    f->hasher = hasher_new(HASH_SHA256);
    hasher_add(f->hasher, label, sizeof label);
    for (size_t i = 0; i < gguf_n_keys(keys); i++)
        n_keys += !gguf_key_starts(gguf_key_at(keys, i), "shoal.");
    add_u64(f, n_keys);
    for (size_t i = 0; i < gguf_n_keys(keys); i++) {
        const struct gguf_value *v = gguf_key_at(keys, i);
        if (!gguf_key_starts(v, "shoal."))
            hasher_add(f->hasher, v->record.data, v->record.size);
    }
    add_u64(f, n_tensors);
    return f;
}

void fingerprint_tensor(struct fingerprint *f, const struct gguf_tensor *tensor)
{
    add_u64(f, strlen(tensor->name));
    hasher_add(f->hasher, tensor->name, strlen(tensor->name));
    add_u64(f, tensor->n_dims);
    for (uint32_t i = 0; i < tensor->n_dims; i++)
        add_u64(f, tensor->dims[i]);
    add_u64(f, tensor->type);
}

void fingerprint_data(struct fingerprint *f, const void *data, size_t n)
{
    hasher_add(f->hasher, data, n);
}

struct sha256 fingerprint_finish(struct fingerprint *f)
{
    struct sha256 hash;
    hasher_finish(f->hasher, hash.bytes);
    fingerprint_free(f);
    return hash;
}

void fingerprint_free(struct fingerprint *f)
{
    if (!f)
        return;
    hasher_free(f->hasher);
    mem_free(f);
}

static enum status add_tensor(struct fingerprint *f, const struct gguf *gguf, const struct gguf_tensor *t,
                              uint8_t *buf, uint64_t *done, const struct model_progress *progress,
                              struct error *err)
{
    uint64_t total = gguf_tensor_bytes(gguf);
    fingerprint_tensor(f, t);
    for (uint64_t at = 0; at < t->bytes;) {
        size_t n = t->bytes - at < STEP_BYTES ? (size_t)(t->bytes - at) : STEP_BYTES;
        if (model_progress_cancelled(progress))
            return error_set(err, STATUS_CANCELLED, "cancelled");
        enum status status = gguf_read_tensor(gguf, t, at, buf, n, err);
        if (status)
            return status;
        fingerprint_data(f, buf, n);
        at += n;
        *done += n;
        model_progress_report(progress, *done, total);
    }
    return STATUS_OK;
}

enum status model_fingerprint(struct sha256 *out, const struct gguf *gguf,
                              const struct model_progress *progress, struct error *err)
{
    struct fingerprint *f = fingerprint_new(gguf, gguf_n_tensors(gguf));
    uint8_t *buf = mem_new(STEP_BYTES);
    uint64_t done = 0;
    enum status status = STATUS_OK;
    for (size_t i = 0; !status && i < gguf_n_tensors(gguf); i++)
        status = add_tensor(f, gguf, gguf_tensor_at(gguf, i), buf, &done, progress, err);
    mem_free(buf);
    if (status) {
        fingerprint_free(f);
        return status;
    }
    *out = fingerprint_finish(f);
    return STATUS_OK;
}
