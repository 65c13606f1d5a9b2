#include "model/shards.h"

#include "base/mem.h"
#include "model/folder.h"
#include "model/gguf_write.h"
#include "model/verify.h"

#include <inttypes.h>
#include <string.h>

#define STEP_BYTES ((size_t)4 << 20)

struct merge {
    const char *dir, *out_path;
    const struct model_progress *progress;
    struct gguf *header;  /* the tokenizer's file: all keys, the order of tensors */
    struct sha256 wanted; /* the model's fingerprint */
    struct gguf **shards; /* [n_shards]; NULL: not found yet */
    struct span *spans;
    uint32_t n_shards;
    const struct gguf_tensor **tensors; /* in the model's order, with the shard that has each */
    uint32_t *shard_of;
    size_t n_tensors;
    struct error *err;
};

static enum status open_header(struct merge *m)
{
    char *path = shards_path(m->dir, TOKENIZER_FILE);
    enum status status = gguf_open(&m->header, path, m->err);
    struct bytes hex = {0};
    const struct gguf_value *names = NULL;
    mem_free(path);
    if (status)
        return error_wrap(m->err, status, "the keys and the order of tensors come from " TOKENIZER_FILE);
    if ((status = gguf_get_string(m->header, KEY_FINGERPRINT, &hex, m->err)) ||
        (status = gguf_get_array(m->header, KEY_SOURCE_TENSORS, GGUF_STRING, &names, m->err)))
        return error_wrap(m->err, STATUS_BAD_DATA, "'%s' was not written by split", gguf_path(m->header));
    char text[2 * SHA256_BYTES + 1] = "";
    if (hex.size == sizeof text - 1)
        memcpy(text, hex.data, hex.size);
    if (!hex_decode(m->wanted.bytes, SHA256_BYTES, text))
        return error_set(m->err, STATUS_BAD_DATA, "'%s': '%s' is not 64 hex digits", gguf_path(m->header),
                         KEY_FINGERPRINT);
    if (names->count < 1 || names->count > GGUF_TENSORS_MAX)
        return error_set(m->err, STATUS_BAD_DATA, "'%s': '%s' has %" PRIu64 " names; 1 to %d are allowed",
                         gguf_path(m->header), KEY_SOURCE_TENSORS, names->count, GGUF_TENSORS_MAX);
    m->n_tensors = (size_t)names->count;
    return STATUS_OK;
}

/* Takes the file as a shard when it is one of this model's; any other file is not our business. */
static enum status consider(struct merge *m, const char *name)
{
    char *path = shards_path(m->dir, name);
    struct shard_file file;
    enum status status = STATUS_OK;
    shard_file_examine(&file, path, NULL);
    bool ours = file.fault == SHARD_FAULT_NONE && sha256_equal(&file.fingerprint, &m->wanted);
    if (ours && !m->shards) {
        m->n_shards = file.count;
        m->shards = mem_array(file.count, sizeof *m->shards);
        m->spans = mem_array(file.count, sizeof *m->spans);
    }
    /* Shards of another cut of the same model have another count; the first one seen decides. */
    if (ours && file.count == m->n_shards && !m->shards[file.id]) {
        status = gguf_open(&m->shards[file.id], path, m->err);
        m->spans[file.id] = file.span;
    }
    mem_free(path);
    return status;
}

static enum status find_shards(struct merge *m)
{
    struct folder_list list;
    enum status status = folder_list_read(&list, m->dir, m->err);
    if (status)
        return status;
    /* The names that split gives come first: a copy under another name does not take a shard's place. */
    for (size_t i = 0; !status && i < 2 * list.n; i++) {
        const char *name = list.names[i % list.n];
        bool is_ours = strncmp(name, "shard-", 6) == 0;
        if (folder_name_ends(name, ".gguf") && is_ours == (i < list.n))
            status = consider(m, name);
    }
    folder_list_free(&list);
    if (!status && !m->shards)
        return error_set(m->err, STATUS_NOT_FOUND,
                         "no shard of this model is in '%s'; `shoal verify %s` tells more", m->dir, m->dir);
    for (uint32_t i = 0; !status && i < m->n_shards; i++)
        if (!m->shards[i])
            return error_set(m->err, STATUS_NOT_FOUND,
                             "shard %" PRIu32 " of %" PRIu32 " is not in '%s'; `shoal verify %s` tells more", i,
                             m->n_shards, m->dir, m->dir);
    return status;
}

/* The shard in which a tensor must be: that of its layer, the last for norm and head, else the first. */
static uint32_t home_of(const struct merge *m, const char *name)
{
    enum tensor_role role;
    uint32_t layer;
    if (!tensor_role_of(name, &role, &layer))
        return 0;
    if (layer == TENSOR_NO_LAYER)
        return role == TENSOR_OUTPUT || role == TENSOR_OUTPUT_NORM ? m->n_shards - 1 : 0;
    for (uint32_t i = 0; i < m->n_shards; i++)
        if (layer >= m->spans[i].first_layer && layer < m->spans[i].end_layer)
            return i;
    return 0;
}

static enum status find_tensors(struct merge *m)
{
    const struct gguf_value *names = gguf_find(m->header, KEY_SOURCE_TENSORS);
    m->tensors = mem_array(m->n_tensors, sizeof *m->tensors);
    m->shard_of = mem_array(m->n_tensors, sizeof *m->shard_of);
    for (size_t i = 0; i < m->n_tensors; i++) {
        struct bytes text = gguf_array_string(names, i);
        char name[GGUF_NAME_BYTES_MAX + 1] = "";
        if (text.size <= GGUF_NAME_BYTES_MAX && text.size)
            memcpy(name, text.data, text.size);
        m->shard_of[i] = home_of(m, name);
        m->tensors[i] = gguf_find_tensor(m->shards[m->shard_of[i]], name);
        if (!m->tensors[i])
            return error_set(m->err, STATUS_BAD_DATA, "'%s': the tensor '%s' is missing",
                             gguf_path(m->shards[m->shard_of[i]]), name);
    }
    return STATUS_OK;
}

/* -o may not name a file that is being read: publishing would replace it. */
static enum status refuse_own_input(const struct merge *m)
{
    bool own = gguf_is_file(m->header, m->out_path);
    for (uint32_t i = 0; i < m->n_shards && !own; i++)
        own = gguf_is_file(m->shards[i], m->out_path);
    return own ? error_set(m->err, STATUS_BAD_USAGE, "'%s' is one of the files to merge; choose another name",
                           m->out_path)
               : STATUS_OK;
}

static enum status make_writer(struct merge *m, struct gguf_writer **out)
{
    uint32_t version = 3, pad_end = 1;
    enum status status;
    if ((status = gguf_get_u32(m->header, KEY_SOURCE_VERSION, &version, m->err)) ||
        (status = gguf_get_u32(m->header, KEY_SOURCE_PAD_END, &pad_end, m->err)))
        return error_wrap(m->err, STATUS_BAD_DATA, "'%s' was not written by split", gguf_path(m->header));
    if (version != 2 && version != 3)
        return error_set(m->err, STATUS_BAD_DATA, "'%s': '%s' is %" PRIu32 "; 2 and 3 are allowed",
                         gguf_path(m->header), KEY_SOURCE_VERSION, version);
    struct gguf_writer *w = gguf_writer_new(version, gguf_alignment(m->header));
    gguf_writer_pad_end(w, pad_end != 0);
    for (size_t i = 0; i < gguf_n_keys(m->header); i++)
        if (!gguf_key_starts(gguf_key_at(m->header, i), "shoal."))
            gguf_writer_copy_key(w, gguf_key_at(m->header, i));
    for (size_t i = 0; i < m->n_tensors; i++)
        gguf_writer_add_tensor(w, m->tensors[i]);
    *out = w;
    return STATUS_OK;
}

static enum status copy_tensor(struct merge *m, struct gguf_writer *w, struct fingerprint *f, size_t index,
                               uint8_t *buf, uint64_t *done, uint64_t total)
{
    const struct gguf_tensor *t = m->tensors[index];
    enum status status = STATUS_OK;
    fingerprint_tensor(f, t);
    for (uint64_t at = 0; !status && at < t->bytes;) {
        size_t n = t->bytes - at < STEP_BYTES ? (size_t)(t->bytes - at) : STEP_BYTES;
        if (model_progress_cancelled(m->progress))
            return error_set(m->err, STATUS_CANCELLED, "cancelled");
        status = gguf_read_tensor(m->shards[m->shard_of[index]], t, at, buf, n, m->err);
        if (status)
            break;
        fingerprint_data(f, buf, n);
        status = gguf_writer_data(w, buf, n, m->err);
        at += n;
        *done += n;
        model_progress_report(m->progress, *done, total);
    }
    return status;
}

/* The file is published only when its fingerprint is the one that split took of the original. */
static enum status write_model(struct merge *m)
{
    struct gguf_writer *w = NULL;
    enum status status = make_writer(m, &w);
    if (status)
        return status;
    struct fingerprint *f = fingerprint_new(m->header, m->n_tensors);
    uint8_t *buf = mem_new(STEP_BYTES);
    uint64_t done = 0, total = 0;
    for (size_t i = 0; i < m->n_tensors; i++)
        total += m->tensors[i]->bytes;
    status = gguf_writer_begin(w, m->out_path, m->err);
    for (size_t i = 0; !status && i < m->n_tensors; i++)
        status = copy_tensor(m, w, f, i, buf, &done, total);
    struct sha256 found = fingerprint_finish(f);
    if (!status && !sha256_equal(&found, &m->wanted))
        status =
            error_set(m->err, STATUS_BAD_DATA,
                      "the shards in '%s' do not give the model they were cut from: one is damaged; `shoal "
                      "verify %s` tells which",
                      m->dir, m->dir);
    if (!status)
        status = gguf_writer_finish(w, m->err);
    mem_free(buf);
    gguf_writer_free(w);
    return status;
}

enum status shards_merge(const char *dir, const char *out_path, const struct model_progress *progress,
                         struct error *err)
{
    struct merge m = {.dir = dir, .out_path = out_path, .progress = progress, .err = err};
    enum status status = open_header(&m);
    if (!status)
        status = find_shards(&m);
    if (!status)
        status = refuse_own_input(&m);
    if (!status)
        status = find_tensors(&m);
    if (!status)
        status = write_model(&m);
    for (uint32_t i = 0; m.shards && i < m.n_shards; i++)
        gguf_close(m.shards[i]);
    mem_free(m.shards);
    mem_free(m.spans);
    mem_free(m.tensors);
    mem_free(m.shard_of);
    gguf_close(m.header);
    return status;
}
