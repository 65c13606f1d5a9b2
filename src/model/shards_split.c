#include "model/shards.h"

#include "base/file.h"
#include "base/mem.h"
#include "kernels/kernels.h"
#include "model/gguf_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define STEP_BYTES ((size_t)4 << 20)
#define KEYS_OURS  8 /* at most, that are added to the model's own */

struct split {
    const struct split_options *options;
    struct gguf *gguf;
    struct hparams hparams;
    struct tensor_table *table; /* for its checks */
    struct span *spans;
    uint32_t n_shards;
    struct sha256 fingerprint;
    uint8_t *buf;
    uint64_t bytes_done, bytes_total;
    struct manifest *manifest;
    struct error *err;
};

char *shards_path(const char *dir, const char *file)
{
    size_t n = strlen(dir);
    return mem_format("%s%s%s", dir, n && dir[n - 1] != '/' ? "/" : "", file);
}

/* --- hashes of a file while it is written --------------------------------------------------------------- */

struct file_hash {
    struct hasher *whole, *piece;
    uint32_t piece_bytes, piece_filled; /* piece_bytes 0: no pieces */
    struct manifest_piece *pieces;
    uint32_t n_pieces, n_done;
    uint64_t bytes;
};

static void file_hash_start(struct file_hash *h, uint64_t file_bytes, uint32_t piece_bytes)
{
    *h = (struct file_hash){.whole = hasher_new(HASH_SHA256), .piece_bytes = piece_bytes};
    if (!piece_bytes)
        return;
    h->n_pieces = (uint32_t)((file_bytes + piece_bytes - 1) / piece_bytes);
    h->pieces = mem_array(h->n_pieces, sizeof *h->pieces);
    h->piece = hasher_new(HASH_SHA1);
}

static void finish_piece(struct file_hash *h)
{
    ASSERT(h->n_done < h->n_pieces);
    hasher_finish(h->piece, h->pieces[h->n_done++].sha1);
    hasher_free(h->piece);
    h->piece = hasher_new(HASH_SHA1);
    h->piece_filled = 0;
}

static void file_hash_watch(void *arg, const void *data, size_t n)
{
    struct file_hash *h = arg;
    hasher_add(h->whole, data, n);
    h->bytes += n;
    for (size_t done = 0; h->piece && done < n;) {
        size_t step = h->piece_bytes - h->piece_filled;
        if (step > n - done)
            step = n - done;
        hasher_add(h->piece, (const uint8_t *)data + done, step);
        h->piece_filled += (uint32_t)step;
        done += step;
        if (h->piece_filled == h->piece_bytes)
            finish_piece(h);
    }
}

static void file_hash_end(struct file_hash *h, struct sha256 *out)
{
    if (h->piece && h->piece_filled)
        finish_piece(h);
    hasher_finish(h->whole, out->bytes);
}

static void file_hash_free(struct file_hash *h)
{
    hasher_free(h->whole);
    hasher_free(h->piece);
    mem_free(h->pieces);
    *h = (struct file_hash){0};
}

/* --- one shard ------------------------------------------------------------------------------------------ */

static bool belongs(const struct split *s, const struct gguf_tensor *t, const struct span *span)
{
    enum tensor_role role = TENSOR_ROLE_COUNT;
    uint32_t layer = 0;
    bool known = tensor_role_of(t->name, &role, &layer);
    ASSERT(known); /* tensor_table_bind refused all others */
    if (layer != TENSOR_NO_LAYER)
        return layer >= span->first_layer && layer < span->end_layer;
    if (tensor_role_is_rope(role))
        return true;
    if (role == TENSOR_TOKEN_EMBD)
        return span->embedding || (span->output && tensor_table_is_tied(s->table));
    return span->output;
}

static void add_hex(struct gguf_writer *w, const char *key, const struct sha256 *hash)
{
    char hex[2 * SHA256_BYTES + 1];
    sha256_hex(hex, hash);
    gguf_writer_add_string(w, key, hex);
}

static struct gguf_writer *shard_writer(const struct split *s, uint32_t index)
{
    const struct span *span = &s->spans[index];
    struct gguf_writer *w = gguf_writer_new(3, gguf_alignment(s->gguf));
    for (size_t i = 0; i < gguf_n_keys(s->gguf); i++) {
        const struct gguf_value *v = gguf_key_at(s->gguf, i);
        if (!gguf_key_starts(v, "shoal.") && !gguf_key_starts(v, "tokenizer."))
            gguf_writer_copy_key(w, v);
    }
    gguf_writer_add_u32(w, KEY_SHARD_INDEX, index);
    gguf_writer_add_u32(w, KEY_SHARD_COUNT, s->n_shards);
    gguf_writer_add_u32(w, KEY_SHARD_FIRST_LAYER, span->first_layer);
    gguf_writer_add_u32(w, KEY_SHARD_END_LAYER, span->end_layer);
    add_hex(w, KEY_FINGERPRINT, &s->fingerprint);
    gguf_writer_add_u32(w, KEY_VOCAB_SIZE, s->hparams.n_vocab);
    for (size_t i = 0; i < gguf_n_tensors(s->gguf); i++)
        if (belongs(s, gguf_tensor_at(s->gguf, i), span))
            gguf_writer_add_tensor(w, gguf_tensor_at(s->gguf, i));
    return w;
}

static enum status copy_tensor(struct split *s, struct gguf_writer *w, const struct gguf_tensor *t)
{
    const struct model_progress *progress = s->options->progress;
    enum status status = STATUS_OK;
    for (uint64_t at = 0; !status && at < t->bytes;) {
        size_t n = t->bytes - at < STEP_BYTES ? (size_t)(t->bytes - at) : STEP_BYTES;
        if (model_progress_cancelled(progress))
            return error_set(s->err, STATUS_CANCELLED, "cancelled");
        status = gguf_read_tensor(s->gguf, t, at, s->buf, n, s->err);
        if (!status)
            status = gguf_writer_data(w, s->buf, n, s->err);
        at += n;
        s->bytes_done += n;
        model_progress_report(progress, s->bytes_done, s->bytes_total);
    }
    return status;
}

static enum status write_shard(struct split *s, uint32_t index)
{
    struct manifest_shard *entry = &s->manifest->shards[index];
    const struct span *span = &s->spans[index];
    struct gguf_writer *w = shard_writer(s, index);
    struct file_hash hash;
    entry->id = index;
    entry->span = *span;
    entry->bytes = gguf_writer_file_bytes(w);
    entry->piece_bytes = manifest_piece_bytes(entry->bytes, s->n_shards);
    snprintf(entry->file, sizeof entry->file, "shard-%" PRIu32 ".gguf", index);
    char *path = shards_path(s->options->out_dir, entry->file);
    file_hash_start(&hash, entry->bytes, entry->piece_bytes);
    gguf_writer_watch(w, file_hash_watch, &hash);
    enum status status = gguf_writer_begin(w, path, s->err);
    for (size_t i = 0; !status && i < gguf_n_tensors(s->gguf); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(s->gguf, i);
        if (belongs(s, t, span))
            status = copy_tensor(s, w, t);
    }
    if (!status)
        status = gguf_writer_finish(w, s->err);
    if (!status) {
        ASSERT(hash.bytes == entry->bytes);
        file_hash_end(&hash, &entry->sha256);
        entry->n_pieces = hash.n_pieces;
        entry->pieces = hash.pieces;
        hash.pieces = NULL;
    }
    file_hash_free(&hash);
    gguf_writer_free(w);
    mem_free(path);
    return status;
}

/* --- the tokenizer: all keys, no tensors ---------------------------------------------------------------- */

/* Whether the model's file is padded behind its last tensor, as most writers do. */
static bool is_padded(const struct gguf *gguf)
{
    size_t n = gguf_n_tensors(gguf);
    const struct gguf_tensor *last = gguf_tensor_at(gguf, n - 1);
    return gguf_n_parts(gguf) > 1 || gguf_file_bytes(gguf) != last->offset + last->bytes;
}

static struct gguf_writer *tokenizer_writer(const struct split *s)
{
    struct gguf_writer *w = gguf_writer_new(3, gguf_alignment(s->gguf));
    size_t n = gguf_n_tensors(s->gguf);
    const char **names = mem_array(n, sizeof *names);
    for (size_t i = 0; i < gguf_n_keys(s->gguf); i++)
        if (!gguf_key_starts(gguf_key_at(s->gguf, i), "shoal."))
            gguf_writer_copy_key(w, gguf_key_at(s->gguf, i));
    for (size_t i = 0; i < n; i++)
        names[i] = gguf_tensor_at(s->gguf, i)->name;
    add_hex(w, KEY_FINGERPRINT, &s->fingerprint);
    gguf_writer_add_u32(w, KEY_SOURCE_VERSION, gguf_version(s->gguf));
    gguf_writer_add_u32(w, KEY_SOURCE_PAD_END, is_padded(s->gguf));
    gguf_writer_add_strings(w, KEY_SOURCE_TENSORS, names, n);
    mem_free(names);
    return w;
}

static enum status write_tokenizer(struct split *s)
{
    struct gguf_writer *w = tokenizer_writer(s);
    struct file_hash hash;
    char *path = shards_path(s->options->out_dir, TOKENIZER_FILE);
    file_hash_start(&hash, 0, 0);
    gguf_writer_watch(w, file_hash_watch, &hash);
    enum status status = gguf_writer_begin(w, path, s->err);
    if (!status)
        status = gguf_writer_finish(w, s->err);
    if (!status) {
        snprintf(s->manifest->tokenizer.file, sizeof s->manifest->tokenizer.file, "%s", TOKENIZER_FILE);
        s->manifest->tokenizer.bytes = hash.bytes;
        file_hash_end(&hash, &s->manifest->tokenizer.sha256);
    }
    file_hash_free(&hash);
    gguf_writer_free(w);
    mem_free(path);
    return status;
}

/* --- the whole ------------------------------------------------------------------------------------------ */

static bool name_is_good(struct bytes name)
{
    if (name.size < 1 || name.size > MANIFEST_NAME_MAX || utf8_valid_prefix(name.data, name.size) != name.size)
        return false;
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] < 0x20 || name.data[i] == 0x7f)
            return false;
    return true;
}

/* The option's, else the file's own, else its file name without folder and ending. */
static enum status choose_name(struct split *s, char out[MANIFEST_NAME_MAX + 1])
{
    const char *slash = strrchr(s->options->model, '/');
    const char *stem = slash ? slash + 1 : s->options->model, *dot = strrchr(stem, '.');
    struct bytes name = {0};
    if (s->options->name) {
        name = bytes_of_text(s->options->name);
        if (!name_is_good(name))
            return error_set(s->err, STATUS_BAD_USAGE,
                             "the name must be 1 to %d bytes of UTF-8 without control characters",
                             MANIFEST_NAME_MAX);
    } else if (gguf_get_string(s->gguf, "general.name", &name, NULL) || !name_is_good(name)) {
        name = bytes_of(stem, dot && dot != stem ? (size_t)(dot - stem) : strlen(stem));
        if (!name_is_good(name))
            name = bytes_of_text("model");
    }
    memcpy(out, name.data, name.size);
    out[name.size] = '\0';
    return STATUS_OK;
}

static enum status open_model(struct split *s)
{
    const char *path = s->options->model;
    struct span whole;
    enum status status;
    if ((status = gguf_open(&s->gguf, path, s->err)))
        return status;
    if (gguf_find(s->gguf, KEY_SHARD_INDEX))
        return error_set(s->err, STATUS_BAD_DATA,
                         "'%s' is a shard already; split takes a whole model (see merge)", path);
    if (gguf_n_keys(s->gguf) > GGUF_KEYS_MAX - KEYS_OURS)
        return error_set(s->err, STATUS_BAD_DATA, "'%s' has %zu keys; %d are added, and %d is the limit", path,
                         gguf_n_keys(s->gguf), KEYS_OURS, GGUF_KEYS_MAX);
    if ((status = hparams_read(&s->hparams, s->gguf, s->err)) ||
        (status = span_read(&whole, NULL, NULL, s->gguf, &s->hparams, s->err)) ||
        (status = tensor_table_bind(&s->table, s->gguf, &s->hparams, &whole, s->err)))
        return status;
    s->spans = mem_array(s->hparams.n_layers, sizeof *s->spans);
    return shards_plan(s->spans, &s->n_shards, s->options->n_shards ? s->options->n_shards : SHARDS_DEFAULT,
                       s->gguf, &s->hparams, s->err);
}

/* What the folder would grow by, against what its disk has; and no file that is read may be replaced. */
static enum status check_room(struct split *s)
{
    uint64_t needed = 0, replaced = 0;
    struct statvfs disk;
    struct stat old;
    bool own = false;
    for (uint32_t i = 0; i < s->n_shards; i++) {
        struct gguf_writer *w = shard_writer(s, i);
        char *file = mem_format("shard-%" PRIu32 ".gguf", i), *path = shards_path(s->options->out_dir, file);
        needed += gguf_writer_file_bytes(w);
        if (stat(path, &old) == 0)
            replaced += (uint64_t)old.st_size;
        own |= gguf_is_file(s->gguf, path);
        gguf_writer_free(w);
        mem_free(path);
        mem_free(file);
    }
    char *tokenizer = shards_path(s->options->out_dir, TOKENIZER_FILE);
    own |= gguf_is_file(s->gguf, tokenizer);
    mem_free(tokenizer);
    if (own)
        return error_set(s->err, STATUS_BAD_USAGE,
                         "'%s' has the name of a file to write in '%s'; rename it or choose another --out",
                         s->options->model, s->options->out_dir);
    if (statvfs(s->options->out_dir, &disk) != 0)
        return STATUS_OK; /* the writing will tell */
    uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (needed > replaced && needed - replaced > free_bytes)
        return error_set(s->err, STATUS_IO,
                         "the shards need %" PRIu64 " bytes in '%s', where %" PRIu64
                         " are free; choose another folder",
                         needed - replaced, s->options->out_dir, free_bytes);
    return STATUS_OK;
}

static void report_first_pass(void *arg, uint64_t done, uint64_t total)
{
    const struct split *s = arg;
    (void)total;
    model_progress_report(s->options->progress, done, s->bytes_total);
}

static enum status take_fingerprint(struct split *s)
{
    const struct model_progress *outer = s->options->progress;
    struct model_progress progress = {
        .report = report_first_pass, .arg = s, .cancel = outer ? outer->cancel : NULL};
    s->bytes_total = 2 * gguf_tensor_bytes(s->gguf);
    if (s->n_shards > 1 && tensor_table_is_tied(s->table))
        s->bytes_total += tensor_table_get(s->table, TENSOR_OUTPUT, 0)->bytes;
    enum status status = model_fingerprint(&s->fingerprint, s->gguf, &progress, s->err);
    s->bytes_done = gguf_tensor_bytes(s->gguf);
    return status;
}

static enum status fill_manifest(struct split *s)
{
    struct manifest *m = s->manifest = manifest_new(s->n_shards);
    m->n_layers = s->hparams.n_layers;
    m->arithmetic = ARITHMETIC_VERSION;
    snprintf(m->architecture, sizeof m->architecture, "%s", arch_name(s->hparams.arch));
    return choose_name(s, m->name);
}

enum status shards_split(struct manifest **out, const struct split_options *options, struct error *err)
{
    struct split s = {.options = options, .err = err};
    enum status status = open_model(&s);
    if (!status)
        status = fill_manifest(&s);
    if (!status)
        status = file_make_folder(options->out_dir, err);
    if (!status)
        status = check_room(&s);
    s.buf = mem_new(STEP_BYTES);
    if (!status)
        status = take_fingerprint(&s);
    if (!status)
        s.manifest->fingerprint = s.fingerprint;
    for (uint32_t i = 0; !status && i < s.n_shards; i++)
        status = write_shard(&s, i);
    if (!status)
        status = write_tokenizer(&s);
    if (!status) {
        *out = s.manifest;
        s.manifest = NULL;
    }
    manifest_free(s.manifest);
    mem_free(s.buf);
    mem_free(s.spans);
    tensor_table_free(s.table);
    gguf_close(s.gguf);
    return status;
}
