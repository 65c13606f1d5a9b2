#include "model/gguf_write.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

struct gguf_writer {
    uint32_t version;
    uint64_t alignment, n_keys;
    struct buffer keys;
    struct gguf_tensor *tensors; /* offsets relative to the data's beginning */
    size_t n_tensors, capacity;
    bool pad_end;
    void (*watch)(void *arg, const void *data, size_t n);
    void *watch_arg;

    int fd; /* -1: not begun, or finished */
    char *path, *part_path;
    uint64_t at;   /* bytes of tensor data and padding written */
    size_t tensor; /* that the next byte belongs to */
};

struct gguf_writer *gguf_writer_new(uint32_t version, uint64_t alignment)
{
    ASSERT(version == 2 || version == 3);
    ASSERT(alignment >= GGUF_ALIGNMENT_MIN && (alignment & (alignment - 1)) == 0);
    struct gguf_writer *w = mem_new(sizeof *w);
    w->version = version;
    w->alignment = alignment;
    w->pad_end = true;
    w->fd = -1;
    buffer_init(&w->keys, GGUF_HEADER_BYTES_MAX);
    return w;
}

void gguf_writer_free(struct gguf_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0) {
        close(w->fd);
        unlink(w->part_path);
    }
    mem_free(w->path);
    mem_free(w->part_path);
    mem_free(w->tensors);
    buffer_free(&w->keys);
    mem_free(w);
}

void gguf_writer_copy_key(struct gguf_writer *w, const struct gguf_value *value)
{
    buffer_bytes(&w->keys, value->record.data, value->record.size);
    w->n_keys++;
}

static void add_text(struct gguf_writer *w, const char *text)
{
    buffer_u64(&w->keys, strlen(text));
    buffer_text(&w->keys, text);
}

static void add_key(struct gguf_writer *w, const char *key, enum gguf_type type)
{
    add_text(w, key);
    buffer_u32(&w->keys, type);
    w->n_keys++;
}

void gguf_writer_add_u32(struct gguf_writer *w, const char *key, uint32_t v)
{
    add_key(w, key, GGUF_U32);
    buffer_u32(&w->keys, v);
}

void gguf_writer_add_u64(struct gguf_writer *w, const char *key, uint64_t v)
{
    add_key(w, key, GGUF_U64);
    buffer_u64(&w->keys, v);
}

void gguf_writer_add_f32(struct gguf_writer *w, const char *key, float v)
{
    add_key(w, key, GGUF_F32);
    buffer_f32(&w->keys, v);
}

void gguf_writer_add_string(struct gguf_writer *w, const char *key, const char *text)
{
    add_key(w, key, GGUF_STRING);
    add_text(w, text);
}

void gguf_writer_add_strings(struct gguf_writer *w, const char *key, const char *const *texts, size_t n)
{
    add_key(w, key, GGUF_ARRAY);
    buffer_u32(&w->keys, GGUF_STRING);
    buffer_u64(&w->keys, n);
    for (size_t i = 0; i < n; i++)
        add_text(w, texts[i]);
}

static uint64_t aligned(const struct gguf_writer *w, uint64_t n)
{
    return (n + w->alignment - 1) & ~(w->alignment - 1);
}

static uint64_t data_end(const struct gguf_writer *w)
{
    if (!w->n_tensors)
        return 0;
    const struct gguf_tensor *last = &w->tensors[w->n_tensors - 1];
    return last->offset + last->bytes;
}

void gguf_writer_add_tensor(struct gguf_writer *w, const struct gguf_tensor *tensor)
{
    ASSERT(w->fd < 0 && w->n_tensors < GGUF_TENSORS_MAX);
    uint64_t offset = aligned(w, data_end(w));
    if (w->n_tensors == w->capacity) {
        w->capacity = w->capacity ? 2 * w->capacity : 64;
        w->tensors = mem_resize(w->tensors, w->capacity, sizeof *w->tensors);
    }
    w->tensors[w->n_tensors] = *tensor;
    w->tensors[w->n_tensors++].offset = offset;
}

void gguf_writer_watch(struct gguf_writer *w, void (*watch)(void *arg, const void *data, size_t n), void *arg)
{
    w->watch = watch;
    w->watch_arg = arg;
}

void gguf_writer_pad_end(struct gguf_writer *w, bool pad)
{
    w->pad_end = pad;
}

static uint64_t header_bytes(const struct gguf_writer *w)
{
    uint64_t sum = 4 + 4 + 8 + 8 + w->keys.size;
    for (size_t i = 0; i < w->n_tensors; i++)
        sum += 8 + strlen(w->tensors[i].name) + 4 + 8 * (uint64_t)w->tensors[i].n_dims + 4 + 8;
    return sum;
}

uint64_t gguf_writer_file_bytes(const struct gguf_writer *w)
{
    uint64_t end = w->pad_end ? aligned(w, data_end(w)) : data_end(w);
    return w->n_tensors || w->pad_end ? aligned(w, header_bytes(w)) + end : header_bytes(w);
}

static enum status emit(struct gguf_writer *w, const void *data, size_t n, struct error *err)
{
    enum status status = file_write_all(w->fd, data, n, err);
    if (status)
        return error_wrap(err, status, "'%s'", w->part_path);
    if (w->watch && n)
        w->watch(w->watch_arg, data, n);
    return STATUS_OK;
}

static enum status emit_zeros(struct gguf_writer *w, uint64_t n, struct error *err)
{
    static const uint8_t zeros[4096];
    enum status status = STATUS_OK;
    for (uint64_t done = 0; !status && done < n;) {
        size_t step = n - done < sizeof zeros ? (size_t)(n - done) : sizeof zeros;
        status = emit(w, zeros, step, err);
        done += step;
    }
    return status;
}

static enum status emit_header(struct gguf_writer *w, struct error *err)
{
    struct buffer head;
    buffer_init(&head, 2 * (size_t)GGUF_HEADER_BYTES_MAX);
    buffer_text(&head, "GGUF");
    buffer_u32(&head, w->version);
    buffer_u64(&head, w->n_tensors);
    buffer_u64(&head, w->n_keys);
    buffer_bytes(&head, w->keys.data, w->keys.size);
    for (size_t i = 0; i < w->n_tensors; i++) {
        const struct gguf_tensor *t = &w->tensors[i];
        buffer_u64(&head, strlen(t->name));
        buffer_text(&head, t->name);
        buffer_u32(&head, t->n_dims);
        for (uint32_t d = 0; d < t->n_dims; d++)
            buffer_u64(&head, t->dims[d]);
        buffer_u32(&head, t->type);
        buffer_u64(&head, t->offset);
    }
    enum status status = STATUS_OK;
    if (head.failed || w->keys.failed)
        status = error_set(err, STATUS_BAD_DATA, "'%s': the header would pass %" PRIu64 " bytes", w->path,
                           GGUF_HEADER_BYTES_MAX);
    else
        status = emit(w, head.data, head.size, err);
    if (!status && (w->n_tensors || w->pad_end))
        status = emit_zeros(w, aligned(w, head.size) - head.size, err);
    buffer_free(&head);
    return status;
}

enum status gguf_writer_begin(struct gguf_writer *w, const char *path, struct error *err)
{
    ASSERT(w->fd < 0 && !w->path);
    w->path = mem_string(path);
    w->part_path = mem_format("%s.part", path);
    unlink(w->part_path); /* a leftover */
    w->fd = open(w->part_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (w->fd < 0)
        return error_set_errno(err, STATUS_IO, errno, "creating '%s'", w->part_path);
    return emit_header(w, err);
}

enum status gguf_writer_data(struct gguf_writer *w, const void *data, size_t n, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t done = 0; !status && done < n;) {
        ASSERT(w->tensor < w->n_tensors);
        const struct gguf_tensor *t = &w->tensors[w->tensor];
        if (w->at < t->offset) {
            status = emit_zeros(w, t->offset - w->at, err);
            w->at = t->offset;
            continue;
        }
        uint64_t left = t->offset + t->bytes - w->at;
        size_t step = n - done < left ? n - done : (size_t)left;
        status = emit(w, (const uint8_t *)data + done, step, err);
        done += step;
        w->at += step;
        if (w->at == t->offset + t->bytes)
            w->tensor++;
    }
    return status;
}

enum status gguf_writer_finish(struct gguf_writer *w, struct error *err)
{
    ASSERT(w->fd >= 0 && w->tensor == w->n_tensors);
    enum status status = STATUS_OK;
    if (w->pad_end)
        status = emit_zeros(w, aligned(w, w->at) - w->at, err);
    if (!status)
        status = file_publish(w->fd, w->part_path, w->path, err);
    if (status)
        return status; /* gguf_writer_free removes the .part */
    close(w->fd);
    w->fd = -1;
    return STATUS_OK;
}
