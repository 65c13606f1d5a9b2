/* One file's header: every byte is judged here, none is trusted. */
#include "model/gguf_private.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "kernels/types.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define KEY_RECORD_BYTES_MIN    14 /* length, one byte of key, type, one byte of value */
#define TENSOR_RECORD_BYTES_MIN 33 /* length, one byte of name, n_dims, one dim, type, offset */
#define READ_AHEAD_BYTES        65536

static const uint8_t scalar_bytes[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
    [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
};

/* Where the parser is. `kind`, `index` and `name` say of what a bad byte is a part. */
struct parse {
    struct gguf_header *header;
    const struct gguf_part *part;
    uint64_t at;
    const char *kind; /* "key", "tensor"; NULL: the file itself */
    uint64_t index;
    uint64_t name_at; /* of a name that was read already; 0: not yet */
    size_t name_bytes;
    struct error *err;
};

const char *gguf_printable(char out[80], struct bytes text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (n >= 72) {
            memcpy(out + n, "...", 3);
            n += 3;
            break;
        }
        out[n++] = text.data[i] >= 0x20 && text.data[i] < 0x7f ? (char)text.data[i] : '?';
    }
    out[n] = '\0';
    return out;
}

static enum status fail(const struct parse *p, uint64_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum status fail(const struct parse *p, uint64_t at, const char *format, ...)
{
    char text[320], where[160] = "", name[80] = "";
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (p->name_at)
        gguf_printable(name, bytes_of(p->header->bytes.data + p->name_at, p->name_bytes));
    if (p->kind)
        snprintf(where, sizeof where, "%s %" PRIu64 "%s%s%s: ", p->kind, p->index, p->name_at ? " '" : "", name,
                 p->name_at ? "'" : "");
    return error_set(p->err, STATUS_BAD_DATA, "byte %" PRIu64 ": %s%s", at, where, text);
}

enum status gguf_grow(void **array, size_t *capacity, size_t n, size_t n_max, size_t bytes_each,
                      struct error *err)
{
    if (n < *capacity)
        return STATUS_OK;
    size_t more = *capacity ? *capacity * 2 : 16;
    if (more > n_max)
        more = n_max;
    void *grown = mem_try_array(more, bytes_each, GGUF_HEADER_BYTES_MAX);
    if (!grown || more <= n) {
        mem_free(grown);
        return error_set(err, STATUS_NO_MEMORY, "no memory for %zu entries of %zu bytes", more, bytes_each);
    }
    if (n)
        memcpy(grown, *array, n * bytes_each);
    mem_free(*array);
    *array = grown;
    *capacity = more;
    return STATUS_OK;
}

/* --- the file's beginning, read as far as it is needed -------------------------------------------------- */

static uint64_t left(const struct parse *p)
{
    return p->part->size - p->at;
}

static enum status need(struct parse *p, uint64_t n, const char *what)
{
    struct buffer *have = &p->header->bytes;
    if (n > left(p))
        return fail(p, p->at, "%s needs %" PRIu64 " bytes, but the file has %" PRIu64 " more", what, n,
                    left(p));
    if (n > GGUF_HEADER_BYTES_MAX - p->at)
        return fail(p, p->at, "%s ends past byte %" PRIu64 ", the limit of a header", what,
                    GGUF_HEADER_BYTES_MAX);
    while (have->size < p->at + n) { /* doubling: memory follows what the file really has */
        uint64_t step = have->size < READ_AHEAD_BYTES ? READ_AHEAD_BYTES : have->size;
        if (step > p->part->size - have->size)
            step = p->part->size - have->size;
        if (step > GGUF_HEADER_BYTES_MAX - have->size)
            step = GGUF_HEADER_BYTES_MAX - have->size;
        size_t got;
        uint8_t *room = buffer_room(have, (size_t)step);
        if (!room)
            return error_set(p->err, STATUS_NO_MEMORY, "no memory for a header of %zu bytes", have->size);
        if (gguf_part_read(p->part, have->size, room, (size_t)step, &got, p->err))
            return p->err ? p->err->status : STATUS_IO;
        have->size += got;
        if (got < step)
            return fail(p, have->size, "the file was cut while it was read");
    }
    return STATUS_OK;
}

static enum status take(struct parse *p, size_t n, const char *what, uint64_t *out)
{
    enum status status = need(p, n, what);
    if (status)
        return status;
    *out = 0;
    for (size_t i = 0; i < n; i++)
        *out |= (uint64_t)p->header->bytes.data[p->at + i] << (8 * i);
    p->at += n;
    return STATUS_OK;
}

/* A length and that many bytes; *at is where these begin. */
static enum status take_text(struct parse *p, uint64_t max, const char *what, uint64_t *at, uint64_t *n)
{
    uint64_t start = p->at;
    enum status status = take(p, 8, what, n);
    if (status)
        return status;
    if (*n > max)
        return fail(p, start, "%s has a length of %" PRIu64 " bytes; %" PRIu64 " at most", what, *n, max);
    if ((status = need(p, *n, what)))
        return status;
    *at = p->at;
    p->at += *n;
    return STATUS_OK;
}

/* A name: some bytes, no NUL. From here on messages show it. */
static enum status take_name(struct parse *p, uint64_t max)
{
    uint64_t start = p->at, at, n;
    p->name_at = 0;
    enum status status = take_text(p, max, "name", &at, &n);
    if (status)
        return status;
    if (n == 0)
        return fail(p, start, "its name is empty");
    if (memchr(p->header->bytes.data + at, 0, (size_t)n))
        return fail(p, start, "its name has a NUL byte in it");
    p->name_at = at;
    p->name_bytes = (size_t)n;
    return STATUS_OK;
}

/* --- names -------------------------------------------------------------------------------------------- */

typedef struct bytes (*name_of)(const struct gguf_header *header, size_t index);

static struct bytes key_of(const struct gguf_header *header, size_t index)
{
    return header->values[index].key;
}

static struct bytes tensor_name_of(const struct gguf_header *header, size_t index)
{
    return bytes_of_text(header->tensors[index].name);
}

/* The slot that has this name or is where it belongs. */
static size_t table_slot(const struct name_table *table, const struct gguf_header *header, name_of get,
                         struct bytes name)
{
    size_t at = (size_t)crypto_table_hash(name) & (table->n_slots - 1);
    while (table->slots[at] && !bytes_equal(get(header, table->slots[at] - 1), name))
        at = (at + 1) & (table->n_slots - 1);
    return at;
}

static enum status table_build(struct name_table *table, const struct gguf_header *header, size_t n,
                               name_of get, size_t *duplicate, struct error *err)
{
    size_t n_slots = 16;
    while (n_slots < 2 * n)
        n_slots *= 2;
    uint32_t *slots = mem_try_array(n_slots, sizeof *slots, GGUF_HEADER_BYTES_MAX);
    if (!slots)
        return error_set(err, STATUS_NO_MEMORY, "no memory for a table of %zu names", n);
    mem_free(table->slots);
    *table = (struct name_table){.slots = slots, .n_slots = n_slots};
    *duplicate = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        size_t at = table_slot(table, header, get, get(header, i));
        if (slots[at]) {
            *duplicate = i;
            return STATUS_OK;
        }
        slots[at] = (uint32_t)i + 1;
    }
    return STATUS_OK;
}

static size_t table_find(const struct name_table *table, const struct gguf_header *header, name_of get,
                         struct bytes name)
{
    if (!table->n_slots)
        return SIZE_MAX;
    uint32_t slot = table->slots[table_slot(table, header, get, name)];
    return slot ? slot - 1 : SIZE_MAX;
}

const struct gguf_value *gguf_header_find(const struct gguf_header *header, struct bytes key)
{
    size_t index = table_find(&header->keys, header, key_of, key);
    return index == SIZE_MAX ? NULL : &header->values[index];
}

const struct gguf_tensor *gguf_header_find_tensor(const struct gguf_header *header, struct bytes name)
{
    size_t index = table_find(&header->names, header, tensor_name_of, name);
    return index == SIZE_MAX ? NULL : &header->tensors[index];
}

enum status gguf_header_index_keys(struct gguf_header *header, size_t *duplicate, struct error *err)
{
    return table_build(&header->keys, header, header->n_values, key_of, duplicate, err);
}

enum status gguf_header_index_tensors(struct gguf_header *header, size_t *duplicate, struct error *err)
{
    return table_build(&header->names, header, header->n_tensors, tensor_name_of, duplicate, err);
}

/* --- metadata ------------------------------------------------------------------------------------------ */

static enum status parse_string_list(struct parse *p, struct gguf_value *v)
{
    struct gguf_header *h = p->header;
    uint32_t *list = NULL;
    size_t capacity = 0;
    uint64_t start = p->at;
    enum status status = STATUS_OK;
    for (uint64_t i = 0; !status && i < v->count; i++) {
        uint64_t at, n, length_at = p->at;
        status = take_text(p, GGUF_STRING_BYTES_MAX, "string of an array", &at, &n);
        if (!status)
            status = gguf_grow((void **)&list, &capacity, (size_t)i, (size_t)v->count, sizeof *list, p->err);
        if (!status)
            list[i] = (uint32_t)(length_at - start); /* a header is shorter than 2^32 */
    }
    if (!status)
        status = gguf_grow((void **)&h->string_lists, &h->string_lists_capacity, h->n_string_lists,
                           GGUF_KEYS_MAX, sizeof *h->string_lists, p->err);
    if (status) {
        mem_free(list);
        return status;
    }
    h->string_lists[h->n_string_lists++] = list;
    v->strings_at = list;
    v->data.size = (size_t)(p->at - start);
    return STATUS_OK;
}

static enum status parse_array(struct parse *p, struct gguf_value *v)
{
    uint64_t element, start = p->at;
    enum status status = take(p, 4, "element type", &element);
    if (status)
        return status;
    if (element >= GGUF_TYPE_COUNT)
        return fail(p, start, "element type %" PRIu64 " of the array is not one of 0..%d", element,
                    GGUF_TYPE_COUNT - 1);
    if (element == GGUF_ARRAY)
        return fail(p, start, "an array of arrays; none is allowed");
    v->element = (enum gguf_type)element;
    start = p->at;
    if ((status = take(p, 8, "array length", &v->count)))
        return status;
    uint64_t each = element == GGUF_STRING ? 8 : scalar_bytes[element];
    if (v->count > left(p) / each)
        return fail(p, start,
                    "an array of %" PRIu64 " elements needs %" PRIu64 " bytes each, but the file has %" PRIu64
                    " more",
                    v->count, each, left(p));
    if (element == GGUF_STRING)
        return parse_string_list(p, v);
    if ((status = need(p, v->count * each, "array")))
        return status;
    v->data.size = (size_t)(v->count * each);
    p->at += v->data.size;
    return STATUS_OK;
}

static enum status parse_value(struct parse *p, struct gguf_value *v)
{
    uint64_t type, start = p->at, at, n;
    enum status status = take(p, 4, "value type", &type);
    if (status)
        return status;
    if (type >= GGUF_TYPE_COUNT)
        return fail(p, start, "value type %" PRIu64 " is not one of 0..%d", type, GGUF_TYPE_COUNT - 1);
    v->type = (enum gguf_type)type;
    v->count = 1;
    if (type == GGUF_ARRAY)
        return parse_array(p, v);
    if (type == GGUF_STRING) {
        if ((status = take_text(p, GGUF_STRING_BYTES_MAX, "string", &at, &n)))
            return status;
        v->data.size = (size_t)n;
        return STATUS_OK;
    }
    if ((status = need(p, scalar_bytes[type], "value")))
        return status;
    v->data.size = scalar_bytes[type];
    p->at += scalar_bytes[type];
    return STATUS_OK;
}

static enum status parse_key(struct parse *p)
{
    struct gguf_header *h = p->header;
    struct gguf_value v = {.offset = p->at};
    enum status status = take_name(p, GGUF_KEY_BYTES_MAX);
    if (status)
        return status;
    v.key.size = p->name_bytes;
    if ((status = parse_value(p, &v)))
        return status;
    v.record.size = (size_t)(p->at - v.offset);
    if ((status = gguf_grow((void **)&h->values, &h->values_capacity, h->n_values, GGUF_KEYS_MAX,
                            sizeof *h->values, p->err)))
        return status;
    h->values[h->n_values++] = v;
    return STATUS_OK;
}

/* Offsets become views, until the buffer grows again. */
static void point_values(struct gguf_header *h)
{
    for (size_t i = 0; i < h->n_values; i++) {
        struct gguf_value *v = &h->values[i];
        v->record.data = h->bytes.data + v->offset;
        v->key.data = v->record.data + 8;
        v->data.data = v->key.data + v->key.size + 4;
        if (v->type == GGUF_STRING)
            v->data.data += 8;
        else if (v->type == GGUF_ARRAY)
            v->data.data += 4 + 8;
    }
}

static enum status check_alignment(struct parse *p)
{
    const struct gguf_value *v = gguf_header_find(p->header, bytes_of_text("general.alignment"));
    p->header->alignment = GGUF_ALIGNMENT_DEFAULT;
    if (!v)
        return STATUS_OK;
    if (v->type != GGUF_U32)
        return fail(p, v->offset, "general.alignment is of type %s; it must be u32", gguf_type_name(v->type));
    struct reader r = reader_over(v->data);
    uint32_t alignment = reader_u32(&r);
    if (alignment < GGUF_ALIGNMENT_MIN || alignment > GGUF_ALIGNMENT_MAX || (alignment & (alignment - 1)))
        return fail(p, v->offset, "general.alignment is %" PRIu32 "; it must be a power of two in %d..%d",
                    alignment, GGUF_ALIGNMENT_MIN, GGUF_ALIGNMENT_MAX);
    p->header->alignment = alignment;
    return STATUS_OK;
}

static enum status parse_keys(struct parse *p, uint64_t n_keys)
{
    enum status status;
    size_t duplicate;
    p->kind = "key";
    for (p->index = 0; p->index < n_keys; p->index++)
        if ((status = parse_key(p)))
            return status;
    p->kind = NULL;
    p->name_at = 0;
    point_values(p->header);
    if ((status = gguf_header_index_keys(p->header, &duplicate, p->err)))
        return status;
    if (duplicate != SIZE_MAX) {
        char name[80];
        const struct gguf_value *v = &p->header->values[duplicate];
        return fail(p, v->offset, "key '%s' is there twice", gguf_printable(name, v->key));
    }
    return check_alignment(p);
}

/* --- the table of tensors ------------------------------------------------------------------------------ */

static enum status parse_dims(struct parse *p, struct gguf_tensor *t, uint64_t *n_elements)
{
    uint64_t n_dims, start = p->at;
    enum status status = take(p, 4, "number of dimensions", &n_dims);
    if (status)
        return status;
    if (n_dims < 1 || n_dims > GGUF_DIMS_MAX)
        return fail(p, start, "%" PRIu64 " dimensions; 1 to %d are allowed", n_dims, GGUF_DIMS_MAX);
    t->n_dims = (uint32_t)n_dims;
    *n_elements = 1;
    for (uint32_t i = 0; i < GGUF_DIMS_MAX; i++) {
        t->dims[i] = 1;
        if (i >= n_dims)
            continue;
        start = p->at;
        if ((status = take(p, 8, "dimension", &t->dims[i])))
            return status;
        if (t->dims[i] < 1 || t->dims[i] > GGUF_DIM_MAX)
            return fail(p, start, "dimension %" PRIu32 " is %" PRIu64 "; 1 to %" PRIu64 " are allowed", i,
                        t->dims[i], GGUF_DIM_MAX);
        *n_elements *= t->dims[i]; /* at most 2^44 * 2^31 */
        if (*n_elements > GGUF_ELEMENTS_MAX)
            return fail(p, start, "its dimensions give more than %" PRIu64 " elements", GGUF_ELEMENTS_MAX);
    }
    return STATUS_OK;
}

static enum status parse_tensor_type(struct parse *p, struct gguf_tensor *t, uint64_t n_elements)
{
    uint64_t type, start = p->at;
    enum status status = take(p, 4, "tensor type", &type);
    if (status)
        return status;
    const struct tensor_type_info *info = tensor_type_info((uint32_t)type);
    if (!info)
        return fail(p, start, "tensor type %" PRIu64 " is none that exists", type);
    if (t->dims[0] % info->block_elements)
        return fail(p, start,
                    "rows of %" PRIu64 " elements are not whole blocks of %s, which has %" PRIu32 " a block",
                    t->dims[0], info->name, info->block_elements);
    t->type = (uint32_t)type;
    t->bytes = n_elements / info->block_elements * info->block_bytes; /* below 2^44 * 2^9 */
    return STATUS_OK;
}

static enum status parse_tensor(struct parse *p, uint32_t part_index)
{
    struct gguf_header *h = p->header;
    struct gguf_tensor t = {.part = part_index};
    uint64_t n_elements = 0, start;
    enum status status = take_name(p, GGUF_NAME_BYTES_MAX);
    if (status)
        return status;
    memcpy(t.name, h->bytes.data + p->name_at, p->name_bytes);
    if ((status = parse_dims(p, &t, &n_elements)) || (status = parse_tensor_type(p, &t, n_elements)))
        return status;
    start = p->at;
    if ((status = take(p, 8, "data offset", &t.offset)))
        return status;
    if (t.offset % h->alignment)
        return fail(p, start, "data offset %" PRIu64 " is not a multiple of the alignment, %" PRIu64, t.offset,
                    h->alignment);
    const struct gguf_tensor *before = h->n_tensors ? &h->tensors[h->n_tensors - 1] : NULL;
    if (before && t.offset < before->offset + before->bytes)
        return fail(p, start,
                    "data offset %" PRIu64 " lies before byte %" PRIu64
                    ", where the tensor before it, '%s', ends",
                    t.offset, before->offset + before->bytes, before->name);
    if (t.offset > p->part->size || t.bytes > p->part->size - t.offset)
        return fail(p, start,
                    "its %" PRIu64 " bytes at data offset %" PRIu64 " end past the file's %" PRIu64
                    " (truncated? fetch it again)",
                    t.bytes, t.offset, p->part->size);
    if ((status = gguf_grow((void **)&h->tensors, &h->tensors_capacity, h->n_tensors, GGUF_TENSORS_MAX,
                            sizeof *h->tensors, p->err)))
        return status;
    h->tensors[h->n_tensors++] = t;
    return STATUS_OK;
}

/* Offsets are relative to the header's aligned end, which is known only now. */
static enum status place_tensors(struct parse *p)
{
    struct gguf_header *h = p->header;
    h->data_offset = (p->at + h->alignment - 1) / h->alignment * h->alignment;
    for (size_t i = 0; i < h->n_tensors; i++) {
        struct gguf_tensor *t = &h->tensors[i];
        t->offset += h->data_offset;
        if (t->offset > p->part->size || t->bytes > p->part->size - t->offset)
            return fail(p, p->at,
                        "tensor %zu '%s' has %" PRIu64 " bytes from byte %" PRIu64
                        " on, but the file ends at byte %" PRIu64 " (truncated? fetch it again)",
                        i, t->name, t->bytes, t->offset, p->part->size);
    }
    return STATUS_OK;
}

static enum status parse_tensors(struct parse *p, uint64_t n_tensors, uint32_t part_index)
{
    enum status status;
    size_t duplicate;
    p->kind = "tensor";
    for (p->index = 0; p->index < n_tensors; p->index++)
        if ((status = parse_tensor(p, part_index)))
            return status;
    p->kind = NULL;
    p->name_at = 0;
    if ((status = gguf_header_index_tensors(p->header, &duplicate, p->err)))
        return status;
    if (duplicate != SIZE_MAX)
        return fail(p, p->at, "tensor '%s' is there twice", p->header->tensors[duplicate].name);
    return place_tensors(p);
}

static enum status parse_magic(struct parse *p)
{
    uint64_t magic, version;
    enum status status;
    if (p->part->size < 4)
        return fail(p, 0, "a file of %" PRIu64 " bytes is no GGUF file", p->part->size);
    if ((status = take(p, 4, "magic", &magic)))
        return status;
    if (memcmp(p->header->bytes.data, "GGUF", 4) != 0) {
        char text[80];
        return fail(p, 0, "it begins with '%s', not with 'GGUF': this is no GGUF file",
                    gguf_printable(text, bytes_of(p->header->bytes.data, 4)));
    }
    if ((status = take(p, 4, "version", &version)))
        return status;
    if (version == 0x02000000 || version == 0x03000000)
        return error_set(
            p->err, STATUS_UNSUPPORTED,
            "byte 4: this is a big-endian file (version %08" PRIx64 "); convert it to little-endian", version);
    if (version != 2 && version != 3)
        return error_set(p->err, STATUS_UNSUPPORTED, "byte 4: GGUF version %" PRIu64 "; 2 and 3 are read",
                         version);
    p->header->version = (uint32_t)version;
    return STATUS_OK;
}

/* A count, against its limit and against what the rest of the file could hold. */
static enum status parse_count(struct parse *p, const char *what, uint64_t max, uint64_t bytes_min,
                               uint64_t *out)
{
    uint64_t start = p->at;
    enum status status = take(p, 8, what, out);
    if (status)
        return status;
    if (*out > max)
        return fail(p, start, "%s is %" PRIu64 "; %" PRIu64 " at most", what, *out, max);
    if (*out > left(p) / bytes_min)
        return fail(p, start, "%s is %" PRIu64 ", but the file has only %" PRIu64 " more bytes", what, *out,
                    left(p));
    return STATUS_OK;
}

enum status gguf_header_read(struct gguf_header *header, const struct gguf_part *part, uint32_t part_index,
                             struct error *err)
{
    struct error own;
    struct parse p = {.header = header, .part = part, .err = err ? err : &own};
    uint64_t n_tensors, n_keys;
    enum status status;
    buffer_init(&header->bytes, GGUF_HEADER_BYTES_MAX);
    if ((status = parse_magic(&p)) ||
        (status =
             parse_count(&p, "number of tensors", GGUF_TENSORS_MAX, TENSOR_RECORD_BYTES_MIN, &n_tensors)) ||
        (status = parse_count(&p, "number of keys", GGUF_KEYS_MAX, KEY_RECORD_BYTES_MIN, &n_keys)) ||
        (status = parse_keys(&p, n_keys)) || (status = parse_tensors(&p, n_tensors, part_index)))
        return error_wrap(err, status, "'%s'", part->path);
    point_values(header); /* the table of tensors may have moved the buffer */
    return STATUS_OK;
}

void gguf_header_free(struct gguf_header *header)
{
    buffer_free(&header->bytes);
    for (size_t i = 0; i < header->n_string_lists; i++)
        mem_free(header->string_lists[i]);
    mem_free(header->string_lists);
    mem_free(header->values);
    mem_free(header->tensors);
    mem_free(header->keys.slots);
    mem_free(header->names.slots);
    *header = (struct gguf_header){0};
}
