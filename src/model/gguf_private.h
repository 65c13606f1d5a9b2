/* gguf's inside, shared by gguf.c (access), gguf_header.c (one file's header) and gguf_parts.c (sets). */
#ifndef MODEL_GGUF_PRIVATE_H
#define MODEL_GGUF_PRIVATE_H

#include "model/gguf.h"

struct gguf_part {
    char *path; /* owned */
    int fd;     /* -1: memory */
    struct bytes memory;
    uint64_t size;
};

/* Names to indices: open addressing under a keyed hash, so that no file can make it slow. */
struct name_table {
    uint32_t *slots; /* index + 1; 0: free */
    size_t n_slots;  /* a power of two */
};

struct gguf_header {
    struct buffer bytes; /* the file's beginning, as far as it was read */
    uint32_t version;
    uint64_t alignment, data_offset;
    struct gguf_value *values;
    size_t n_values, values_capacity;
    uint32_t **string_lists; /* owned arrays that values point into */
    size_t n_string_lists, string_lists_capacity;
    struct gguf_tensor *tensors;
    size_t n_tensors, tensors_capacity;
    struct name_table keys, names;
};

struct gguf {
    struct gguf_part *parts;
    size_t n_parts;
    struct gguf_header header; /* the first part's; with the tensors of all */
};

/* Reads up to n bytes; *got is less at the end of the file only. */
enum status gguf_part_read(const struct gguf_part *part, uint64_t offset, void *buf, size_t n, size_t *got,
                           struct error *err);
enum status gguf_part_open(struct gguf_part *part, const char *path, struct error *err);
void gguf_part_close(struct gguf_part *part);

/* Every limit of one file is checked here. `part_index` is noted in the tensors. On failure the header is
 * half-built; gguf_header_free takes it. */
enum status gguf_header_read(struct gguf_header *header, const struct gguf_part *part, uint32_t part_index,
                             struct error *err);
void gguf_header_free(struct gguf_header *header);
const struct gguf_value *gguf_header_find(const struct gguf_header *header, struct bytes key);
const struct gguf_tensor *gguf_header_find_tensor(const struct gguf_header *header, struct bytes name);
/* (Again) after keys or tensors changed. *duplicate: the later of two with one name, else SIZE_MAX. */
enum status gguf_header_index_keys(struct gguf_header *header, size_t *duplicate, struct error *err);
enum status gguf_header_index_tensors(struct gguf_header *header, size_t *duplicate, struct error *err);

/* Opens the other parts of a set that begins with the parts already there, and joins them. */
enum status gguf_parts_join(struct gguf *gguf, struct error *err);

/* Doubles an array's capacity when `n` fills it, up to n_max elements. */
enum status gguf_grow(void **array, size_t *capacity, size_t n, size_t n_max, size_t bytes_each,
                      struct error *err);
/* Text from a file for a message: printable, cut. */
const char *gguf_printable(char out[80], struct bytes text);

#endif
