/* llama.cpp's split parts as one file. The parts after the first carry split.* keys and tensors; any other key
 * of theirs must be the first's. */
#include "base/mem.h"
#include "model/gguf_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char key_count[] = "split.count", key_number[] = "split.no", key_tensors[] = "split.tensors.count";

static bool is_split_key(const struct gguf_value *v)
{
    return gguf_key_starts(v, "split.");
}

/* A key of one header; `fallback` where it is absent. */
static enum status get(const struct gguf_header *header, const struct gguf_part *part, const char *key,
                       uint64_t fallback, uint64_t *out, struct error *err)
{
    struct gguf view = {.parts = (struct gguf_part *)part, .n_parts = 1, .header = *header};
    enum status status = gguf_get_integer(&view, key, out, err);
    if (status != STATUS_NOT_FOUND)
        return status;
    *out = fallback;
    return STATUS_OK;
}

/* "dir/name" of "dir/name-00001-of-00005.gguf": a block for mem_free; NULL when the path has another form. */
static char *set_prefix(const char *path, uint64_t count)
{
    char tail[40];
    int n = snprintf(tail, sizeof tail, "-00001-of-%05" PRIu64 ".gguf", count);
    size_t length = strlen(path);
    if (length <= (size_t)n || strcmp(path + length - (size_t)n, tail) != 0)
        return NULL;
    return mem_string_n(path, length - (size_t)n);
}

static enum status open_others(struct gguf *gguf, uint64_t count, struct error *err)
{
    if (gguf->parts[0].fd < 0) {
        if (gguf->n_parts != count)
            return error_set(err, STATUS_BAD_DATA, "'%s': split.count is %" PRIu64 ", but %zu parts were given",
                             gguf_path(gguf), count, gguf->n_parts);
        return STATUS_OK;
    }
    char *prefix = set_prefix(gguf_path(gguf), count);
    if (!prefix)
        return error_set(err, STATUS_BAD_DATA,
                         "'%s' is the first of %" PRIu64 " parts; it must be called NAME-00001-of-%05" PRIu64
                         ".gguf for the others to be found",
                         gguf_path(gguf), count, count);
    gguf->parts = mem_resize(gguf->parts, (size_t)count, sizeof *gguf->parts);
    enum status status = STATUS_OK;
    for (uint64_t i = 1; !status && i < count; i++) {
        char *path = mem_format("%s-%05" PRIu64 "-of-%05" PRIu64 ".gguf", prefix, i + 1, count);
        status = gguf_part_open(&gguf->parts[i], path, err);
        if (!status)
            gguf->n_parts++;
        else
            error_wrap(err, status, "part %" PRIu64 " of %" PRIu64, i + 1, count);
        mem_free(path);
    }
    mem_free(prefix);
    return status;
}

static enum status check_part(const struct gguf *gguf, const struct gguf_header *header, uint32_t index,
                              uint64_t count, uint64_t n_tensors, struct error *err)
{
    const struct gguf_part *part = &gguf->parts[index];
    uint64_t its_count, its_number, its_tensors;
    enum status status;
    if ((status = get(header, part, key_count, 1, &its_count, err)) ||
        (status = get(header, part, key_number, UINT64_MAX, &its_number, err)) ||
        (status = get(header, part, key_tensors, n_tensors, &its_tensors, err)))
        return status;
    if (its_count != count)
        return error_set(err, STATUS_BAD_DATA, "'%s': split.count is %" PRIu64 ", the first part says %" PRIu64,
                         part->path, its_count, count);
    if (its_number != index)
        return error_set(err, STATUS_BAD_DATA, "'%s': split.no is %" PRIu64 "; it must be %" PRIu32 " here",
                         part->path, its_number, index);
    if (its_tensors != n_tensors)
        return error_set(err, STATUS_BAD_DATA,
                         "'%s': split.tensors.count is %" PRIu64 ", the first part says %" PRIu64
                         ": a part of another model",
                         part->path, its_tensors, n_tensors);
    for (size_t i = 0; i < header->n_values; i++) {
        const struct gguf_value *v = &header->values[i], *first = gguf_header_find(&gguf->header, v->key);
        char name[80];
        if (!is_split_key(v) && (!first || !bytes_equal(first->record, v->record)))
            return error_set(err, STATUS_BAD_DATA,
                             "'%s': byte %" PRIu64
                             ": key '%s' differs from the first part's: a part of another model",
                             part->path, v->offset, gguf_printable(name, v->key));
    }
    return STATUS_OK;
}

static enum status append_tensors(struct gguf_header *to, const struct gguf_header *from, struct error *err)
{
    for (size_t i = 0; i < from->n_tensors; i++) {
        if (to->n_tensors == GGUF_TENSORS_MAX)
            return error_set(err, STATUS_BAD_DATA, "the parts have more than %d tensors", GGUF_TENSORS_MAX);
        enum status status = gguf_grow((void **)&to->tensors, &to->tensors_capacity, to->n_tensors,
                                       GGUF_TENSORS_MAX, sizeof *to->tensors, err);
        if (status)
            return status;
        to->tensors[to->n_tensors++] = from->tensors[i];
    }
    return STATUS_OK;
}

static enum status join_one(struct gguf *gguf, uint32_t index, uint64_t count, uint64_t n_tensors,
                            struct error *err)
{
    struct gguf_header header = {0};
    enum status status = gguf_header_read(&header, &gguf->parts[index], index, err);
    if (!status)
        status = check_part(gguf, &header, index, count, n_tensors, err);
    if (!status)
        status = append_tensors(&gguf->header, &header, err);
    gguf_header_free(&header);
    return status;
}

/* The set looks like one file: no split.* keys, one table of tensors. */
static enum status close_ranks(struct gguf *gguf, uint64_t n_tensors, struct error *err)
{
    struct gguf_header *h = &gguf->header;
    size_t duplicate, n = 0;
    enum status status = gguf_header_index_tensors(h, &duplicate, err);
    if (status)
        return status;
    if (duplicate != SIZE_MAX) {
        const struct gguf_tensor *again = &h->tensors[duplicate];
        return error_set(err, STATUS_BAD_DATA, "'%s': tensor '%s' is in an earlier part, too",
                         gguf->parts[again->part].path, again->name);
    }
    if (h->n_tensors != n_tensors)
        return error_set(err, STATUS_BAD_DATA,
                         "'%s': split.tensors.count is %" PRIu64 ", the parts have %zu tensors",
                         gguf_path(gguf), n_tensors, h->n_tensors);
    for (size_t i = 0; i < h->n_values; i++)
        if (!is_split_key(&h->values[i]))
            h->values[n++] = h->values[i];
    h->n_values = n;
    return gguf_header_index_keys(h, &duplicate, err);
}

enum status gguf_parts_join(struct gguf *gguf, struct error *err)
{
    const struct gguf_part *first = &gguf->parts[0];
    uint64_t count, number, n_tensors;
    enum status status;
    if ((status = get(&gguf->header, first, key_count, 1, &count, err)) ||
        (status = get(&gguf->header, first, key_number, 0, &number, err)))
        return status;
    if (count <= 1 && gguf->n_parts == 1)
        return STATUS_OK;
    if (count < 1 || count > GGUF_PARTS_MAX)
        return error_set(err, STATUS_BAD_DATA, "'%s': split.count is %" PRIu64 "; 1 to %d are allowed",
                         first->path, count, GGUF_PARTS_MAX);
    if (number >= count)
        return error_set(err, STATUS_BAD_DATA, "'%s': split.no is %" PRIu64 ", but split.count is %" PRIu64,
                         first->path, number, count);
    if (number != 0)
        return error_set(err, STATUS_BAD_USAGE,
                         "'%s' is part %" PRIu64 " of %" PRIu64 "; name the first, ...-00001-of-%05" PRIu64
                         ".gguf",
                         first->path, number + 1, count, count);
    if ((status = get(&gguf->header, first, key_tensors, UINT64_MAX, &n_tensors, err)))
        return status;
    if (n_tensors > GGUF_TENSORS_MAX)
        return error_set(err, STATUS_BAD_DATA,
                         "'%s': a set of parts needs the key split.tensors.count with 0 to %d", first->path,
                         GGUF_TENSORS_MAX);
    if ((status = open_others(gguf, count, err)))
        return status;
    for (uint32_t i = 1; i < count; i++)
        if ((status = join_one(gguf, i, count, n_tensors, err)))
            return status;
    return close_ranks(gguf, n_tensors, err);
}
