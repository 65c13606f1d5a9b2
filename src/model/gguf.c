#include "model/gguf.h"

#include "base/file.h"
#include "base/mem.h"
#include "model/folder.h"
#include "model/gguf_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *gguf_type_name(enum gguf_type type)
{
    static const char *const names[GGUF_TYPE_COUNT] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                                       "bool", "string", "array", "u64", "i64", "f64"};
    return (unsigned)type < GGUF_TYPE_COUNT ? names[type] : "unknown";
}

/* --- files ---------------------------------------------------------------------------------------------- */

enum status gguf_part_open(struct gguf_part *part, const char *path, struct error *err)
{
    struct stat info;
    /* O_NONBLOCK: a FIFO must not hold us up. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return folder_lacks(path, err);
    if (fd < 0)
        return error_set_errno(err, STATUS_IO, errno, "opening '%s'", path);
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(fd);
        return error_set(err, STATUS_BAD_DATA, "'%s' is not a regular file", path);
    }
    *part = (struct gguf_part){.path = mem_string(path), .fd = fd, .size = (uint64_t)info.st_size};
    return STATUS_OK;
}

void gguf_part_close(struct gguf_part *part)
{
    if (part->path && part->fd >= 0)
        close(part->fd);
    mem_free(part->path);
    *part = (struct gguf_part){.fd = -1};
}

enum status gguf_part_read(const struct gguf_part *part, uint64_t offset, void *buf, size_t n, size_t *got,
                           struct error *err)
{
    if (part->fd >= 0)
        return file_read_at(part->fd, offset, buf, n, got, err);
    uint64_t have = offset < part->size ? part->size - offset : 0;
    *got = have < n ? (size_t)have : n;
    if (*got)
        memcpy(buf, part->memory.data + offset, *got);
    return STATUS_OK;
}

static enum status finish_open(struct gguf **out, struct gguf *gguf, enum status status, struct error *err)
{
    if (!status)
        status = gguf_header_read(&gguf->header, &gguf->parts[0], 0, err);
    if (!status)
        status = gguf_parts_join(gguf, err);
    if (status) {
        gguf_close(gguf);
        return status;
    }
    *out = gguf;
    return STATUS_OK;
}

enum status gguf_open(struct gguf **out, const char *path, struct error *err)
{
    struct gguf *gguf = mem_new(sizeof *gguf);
    gguf->parts = mem_array(1, sizeof *gguf->parts);
    enum status status = gguf_part_open(&gguf->parts[0], path, err);
    gguf->n_parts = status ? 0 : 1;
    return finish_open(out, gguf, status, err);
}

enum status gguf_open_memory(struct gguf **out, const struct bytes *parts, size_t n_parts, struct error *err)
{
    if (n_parts < 1 || n_parts > GGUF_PARTS_MAX)
        return error_set(err, STATUS_BAD_DATA, "%zu parts; 1 to %d are allowed", n_parts, GGUF_PARTS_MAX);
    struct gguf *gguf = mem_new(sizeof *gguf);
    gguf->parts = mem_array(n_parts, sizeof *gguf->parts);
    gguf->n_parts = n_parts;
    for (size_t i = 0; i < n_parts; i++)
        gguf->parts[i] = (struct gguf_part){
            .path = mem_string("(memory)"), .fd = -1, .memory = parts[i], .size = parts[i].size};
    return finish_open(out, gguf, STATUS_OK, err);
}

void gguf_close(struct gguf *gguf)
{
    if (!gguf)
        return;
    for (size_t i = 0; i < gguf->n_parts; i++)
        gguf_part_close(&gguf->parts[i]);
    mem_free(gguf->parts);
    gguf_header_free(&gguf->header);
    mem_free(gguf);
}

const char *gguf_path(const struct gguf *gguf)
{
    return gguf->parts[0].path;
}

uint32_t gguf_version(const struct gguf *gguf)
{
    return gguf->header.version;
}

uint64_t gguf_alignment(const struct gguf *gguf)
{
    return gguf->header.alignment;
}

uint32_t gguf_n_parts(const struct gguf *gguf)
{
    return (uint32_t)gguf->n_parts;
}

bool gguf_is_file(const struct gguf *gguf, const char *path)
{
    struct stat named, open_one;
    if (stat(path, &named) != 0)
        return false;
    for (size_t i = 0; i < gguf->n_parts; i++)
        if (gguf->parts[i].fd >= 0 && fstat(gguf->parts[i].fd, &open_one) == 0 &&
            named.st_dev == open_one.st_dev && named.st_ino == open_one.st_ino)
            return true;
    return false;
}

uint64_t gguf_file_bytes(const struct gguf *gguf)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < gguf->n_parts; i++)
        sum += gguf->parts[i].size;
    return sum;
}

uint64_t gguf_tensor_bytes(const struct gguf *gguf)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < gguf->header.n_tensors; i++)
        sum += gguf->header.tensors[i].bytes;
    return sum;
}

uint64_t gguf_data_offset(const struct gguf *gguf)
{
    return gguf->header.data_offset;
}

/* --- metadata ------------------------------------------------------------------------------------------- */

size_t gguf_n_keys(const struct gguf *gguf)
{
    return gguf->header.n_values;
}

const struct gguf_value *gguf_key_at(const struct gguf *gguf, size_t index)
{
    ASSERT(index < gguf->header.n_values);
    return &gguf->header.values[index];
}

const struct gguf_value *gguf_find(const struct gguf *gguf, const char *key)
{
    return gguf_header_find(&gguf->header, bytes_of_text(key));
}

bool gguf_key_is(const struct gguf_value *value, const char *key)
{
    return bytes_equal(value->key, bytes_of_text(key));
}

bool gguf_key_starts(const struct gguf_value *value, const char *prefix)
{
    size_t n = strlen(prefix);
    return value->key.size >= n && memcmp(value->key.data, prefix, n) == 0;
}

static enum status find_typed(const struct gguf *gguf, const char *key, enum gguf_type type,
                              const struct gguf_value **out, struct error *err)
{
    const struct gguf_value *v = gguf_find(gguf, key);
    if (!v)
        return error_set(err, STATUS_NOT_FOUND, "'%s' has no key '%s'", gguf_path(gguf), key);
    if (v->type != type)
        return error_set(err, STATUS_BAD_DATA, "'%s': byte %" PRIu64 ": key '%s' is of type %s; it must be %s",
                         gguf_path(gguf), v->offset, key, gguf_type_name(v->type), gguf_type_name(type));
    *out = v;
    return STATUS_OK;
}

enum status gguf_get_u32(const struct gguf *gguf, const char *key, uint32_t *out, struct error *err)
{
    const struct gguf_value *v;
    enum status status = find_typed(gguf, key, GGUF_U32, &v, err);
    if (status)
        return status;
    struct reader r = reader_over(v->data);
    *out = reader_u32(&r);
    return STATUS_OK;
}

enum status gguf_get_f32(const struct gguf *gguf, const char *key, float *out, struct error *err)
{
    const struct gguf_value *v;
    enum status status = find_typed(gguf, key, GGUF_F32, &v, err);
    if (status)
        return status;
    struct reader r = reader_over(v->data);
    *out = reader_f32(&r);
    return STATUS_OK;
}

enum status gguf_get_bool(const struct gguf *gguf, const char *key, bool *out, struct error *err)
{
    const struct gguf_value *v;
    enum status status = find_typed(gguf, key, GGUF_BOOL, &v, err);
    if (status)
        return status;
    *out = v->data.data[0] != 0;
    return STATUS_OK;
}

enum status gguf_get_string(const struct gguf *gguf, const char *key, struct bytes *out, struct error *err)
{
    const struct gguf_value *v;
    enum status status = find_typed(gguf, key, GGUF_STRING, &v, err);
    if (status)
        return status;
    *out = v->data;
    return STATUS_OK;
}

enum status gguf_get_integer(const struct gguf *gguf, const char *key, uint64_t *out, struct error *err)
{
    const struct gguf_value *v = gguf_find(gguf, key);
    if (!v)
        return error_set(err, STATUS_NOT_FOUND, "'%s' has no key '%s'", gguf_path(gguf), key);
    bool is_signed = v->type == GGUF_I8 || v->type == GGUF_I16 || v->type == GGUF_I32 || v->type == GGUF_I64;
    bool is_unsigned = v->type == GGUF_U8 || v->type == GGUF_U16 || v->type == GGUF_U32 || v->type == GGUF_U64;
    if (!is_signed && !is_unsigned)
        return error_set(err, STATUS_BAD_DATA,
                         "'%s': byte %" PRIu64 ": key '%s' is of type %s; it must be an integer",
                         gguf_path(gguf), v->offset, key, gguf_type_name(v->type));
    if (is_signed && v->data.data[v->data.size - 1] & 0x80)
        return error_set(err, STATUS_BAD_DATA, "'%s': byte %" PRIu64 ": key '%s' is negative; it must not be",
                         gguf_path(gguf), v->offset, key);
    uint64_t sum = 0;
    for (size_t i = 0; i < v->data.size; i++)
        sum |= (uint64_t)v->data.data[i] << (8 * i);
    *out = sum;
    return STATUS_OK;
}

enum status gguf_get_array(const struct gguf *gguf, const char *key, enum gguf_type element,
                           const struct gguf_value **out, struct error *err)
{
    const struct gguf_value *v;
    enum status status = find_typed(gguf, key, GGUF_ARRAY, &v, err);
    if (status)
        return status;
    if (v->element != element)
        return error_set(err, STATUS_BAD_DATA,
                         "'%s': byte %" PRIu64 ": key '%s' is an array of %s; it must be one of %s",
                         gguf_path(gguf), v->offset, key, gguf_type_name(v->element), gguf_type_name(element));
    *out = v;
    return STATUS_OK;
}

struct bytes gguf_array_string(const struct gguf_value *array, uint64_t index)
{
    ASSERT(array->type == GGUF_ARRAY && array->element == GGUF_STRING && index < array->count);
    struct reader r = reader_over(array->data);
    r.at = array->strings_at[index];
    uint64_t n = reader_u64(&r);
    return reader_bytes(&r, n);
}

static uint32_t array_bits(const struct gguf_value *array, uint64_t index)
{
    ASSERT(array->type == GGUF_ARRAY && index < array->count && array->data.size == array->count * 4);
    struct reader r = reader_over(array->data);
    r.at = (size_t)index * 4;
    return reader_u32(&r);
}

uint32_t gguf_array_u32(const struct gguf_value *array, uint64_t index)
{
    ASSERT(array->element == GGUF_U32 || array->element == GGUF_I32);
    return array_bits(array, index);
}

int32_t gguf_array_i32(const struct gguf_value *array, uint64_t index)
{
    ASSERT(array->element == GGUF_I32);
    return (int32_t)array_bits(array, index);
}

float gguf_array_f32(const struct gguf_value *array, uint64_t index)
{
    ASSERT(array->element == GGUF_F32);
    uint32_t bits = array_bits(array, index);
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* --- tensors -------------------------------------------------------------------------------------------- */

size_t gguf_n_tensors(const struct gguf *gguf)
{
    return gguf->header.n_tensors;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *gguf, size_t index)
{
    ASSERT(index < gguf->header.n_tensors);
    return &gguf->header.tensors[index];
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *gguf, const char *name)
{
    return gguf_header_find_tensor(&gguf->header, bytes_of_text(name));
}

enum status gguf_read_tensor(const struct gguf *gguf, const struct gguf_tensor *tensor, uint64_t offset,
                             void *buf, size_t n, struct error *err)
{
    ASSERT(tensor->part < gguf->n_parts && offset <= tensor->bytes && n <= tensor->bytes - offset);
    const struct gguf_part *part = &gguf->parts[tensor->part];
    size_t got;
    enum status status = gguf_part_read(part, tensor->offset + offset, buf, n, &got, err);
    if (status)
        return error_wrap(err, status, "'%s': tensor '%s'", part->path, tensor->name);
    if (got < n)
        return error_set(err, STATUS_BAD_DATA,
                         "'%s': tensor '%s' needs %zu bytes from byte %" PRIu64
                         " on, the file has %zu: it was cut since it was opened",
                         part->path, tensor->name, n, tensor->offset + offset, got);
    return STATUS_OK;
}
