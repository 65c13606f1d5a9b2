/* gguf - the header of a GGUF file (v2, v3): metadata and table of tensors; and reading their data.
 *
 * Files are read, never mapped; memory grows with the bytes read, not with what they announce. Every count,
 * size and range was checked against the limits below and against the file's size when gguf_open returns:
 * names are unique, tensor types known, ranges aligned, in file order, disjoint and inside the file. What the
 * numbers mean for a model is hparams.h's and tensors.h's.
 *
 * llama.cpp split parts (NAME-00001-of-0000N.gguf) open from the first and look like one file: the keys of the
 * first without split.*, the tensors of all in order.
 *
 * Errors name file, field, byte offset, value and what is allowed.
 * Owned by the caller of gguf_open. Immutable; everything lent lives until gguf_close. Thread: any. */
#ifndef MODEL_GGUF_H
#define MODEL_GGUF_H

#include "base/bytes.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GGUF_KEYS_MAX          65536
#define GGUF_TENSORS_MAX       65536
#define GGUF_KEY_BYTES_MAX     65535
#define GGUF_NAME_BYTES_MAX    63 /* of a tensor */
#define GGUF_STRING_BYTES_MAX  ((uint64_t)64 << 20)
#define GGUF_HEADER_BYTES_MAX  ((uint64_t)256 << 20)
#define GGUF_ALIGNMENT_MIN     8
#define GGUF_ALIGNMENT_MAX     65536
#define GGUF_ALIGNMENT_DEFAULT 32
#define GGUF_DIMS_MAX          4
#define GGUF_DIM_MAX           ((uint64_t)1 << 31)
#define GGUF_ELEMENTS_MAX      ((uint64_t)1 << 44)
#define GGUF_PARTS_MAX         512

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPE_COUNT
};
const char *gguf_type_name(enum gguf_type type); /* "u32", "string", ... */

struct gguf;

/* One key of the metadata. All views are lent. */
struct gguf_value {
    struct bytes key; /* not empty, no NUL; not NUL-terminated */
    enum gguf_type type;
    enum gguf_type element;     /* of an array */
    uint64_t count;             /* of an array's elements; 1 otherwise */
    struct bytes data;          /* the value's bytes: a string's text, an array's elements as they lie */
    struct bytes record;        /* the whole entry as it lies in the file, from its key's length on */
    uint64_t offset;            /* of the record in the file */
    const uint32_t *strings_at; /* of an array of strings: where in `data` each one's length lies */
};

struct gguf_tensor {
    char name[GGUF_NAME_BYTES_MAX + 1];
    uint32_t type; /* enum tensor_type of kernels/types.h: a known one, perhaps not one that loads */
    uint32_t n_dims;
    uint64_t dims[GGUF_DIMS_MAX]; /* dims[0] varies fastest; 1 from n_dims on */
    uint32_t part;                /* which file, from 0 */
    uint64_t offset;              /* in that file */
    uint64_t bytes;
};

enum status gguf_open(struct gguf **out, const char *path, struct error *err);
/* Over memory that outlives the gguf: one file, or all parts of a set in order. */
enum status gguf_open_memory(struct gguf **out, const struct bytes *parts, size_t n_parts, struct error *err);
void gguf_close(struct gguf *gguf); /* NULL is fine */

const char *gguf_path(const struct gguf *gguf); /* the first part's; "(memory)" */
uint32_t gguf_version(const struct gguf *gguf);
uint64_t gguf_alignment(const struct gguf *gguf);
uint32_t gguf_n_parts(const struct gguf *gguf);
/* Whether `path` names one of the files that are open here, under whatever name. */
bool gguf_is_file(const struct gguf *gguf, const char *path);
uint64_t gguf_file_bytes(const struct gguf *gguf);   /* of all parts */
uint64_t gguf_tensor_bytes(const struct gguf *gguf); /* of all tensors, without padding */
uint64_t gguf_data_offset(const struct gguf *gguf);  /* where the first part's tensors begin */

size_t gguf_n_keys(const struct gguf *gguf);
const struct gguf_value *gguf_key_at(const struct gguf *gguf, size_t index); /* file order */
const struct gguf_value *gguf_find(const struct gguf *gguf, const char *key);
bool gguf_key_is(const struct gguf_value *value, const char *key);
bool gguf_key_starts(const struct gguf_value *value, const char *prefix);

/* NOT_FOUND: no such key. BAD_DATA: another type (they are exact, as llama.cpp's are) or a value that does not
 * fit. Outputs are touched on success only. */
enum status gguf_get_u32(const struct gguf *gguf, const char *key, uint32_t *out, struct error *err);
enum status gguf_get_f32(const struct gguf *gguf, const char *key, float *out, struct error *err);
enum status gguf_get_bool(const struct gguf *gguf, const char *key, bool *out, struct error *err);
enum status gguf_get_string(const struct gguf *gguf, const char *key, struct bytes *out, struct error *err);
/* Any integer type that holds a value of 0 or more. */
enum status gguf_get_integer(const struct gguf *gguf, const char *key, uint64_t *out, struct error *err);
/* An array of exactly this element type. */
enum status gguf_get_array(const struct gguf *gguf, const char *key, enum gguf_type element,
                           const struct gguf_value **out, struct error *err);
/* Elements; `index` must be below count and the element type the right one. */
struct bytes gguf_array_string(const struct gguf_value *array, uint64_t index);
uint32_t gguf_array_u32(const struct gguf_value *array, uint64_t index); /* u32; i32 as its bits */
int32_t gguf_array_i32(const struct gguf_value *array, uint64_t index);
float gguf_array_f32(const struct gguf_value *array, uint64_t index);

size_t gguf_n_tensors(const struct gguf *gguf);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *gguf, size_t index); /* file order */
const struct gguf_tensor *gguf_find_tensor(const struct gguf *gguf, const char *name);
/* Bytes [offset, offset + n) of a tensor's data. The range is the caller's to keep inside tensor->bytes.
 * IO or BAD_DATA (the file was cut since it was opened) name file, tensor and offset. */
enum status gguf_read_tensor(const struct gguf *gguf, const struct gguf_tensor *tensor, uint64_t offset,
                             void *buf, size_t n, struct error *err);

#endif
