/* mem - allocation with two manners: small things of ours abort when memory is out, sizes that
 * come from a file or a peer go through mem_try_* and can fail.
 *
 * Everything returned is zeroed and freed with mem_free (NULL is fine). Thread: any. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "base/error.h"

#include <stddef.h>

void *mem_new(size_t bytes);
void *mem_array(size_t count, size_t bytes_each);
/* Grows an array made by mem_array; the new part is not zeroed. */
void *mem_resize(void *block, size_t count, size_t bytes_each);
char *mem_string(const char *text);                   /* a copy */
char *mem_string_n(const char *text, size_t n_bytes); /* a copy of n bytes, NUL-terminated */
void *mem_copy(const void *data, size_t bytes);
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
void mem_free(void *block);

/* NULL when count * bytes_each passes bytes_max or memory is out. Never NULL for a count of 0. */
void *mem_try_array(size_t count, size_t bytes_each, size_t bytes_max);

/* 64-byte aligned, for weights and activations; NULL when out. Freed with mem_free. */
void *mem_try_aligned(size_t bytes);
/* The same for what is large and written once: on huge pages where the system has them, and NOT zeroed. */
void *mem_try_large(size_t bytes);
size_t mem_large_bytes(size_t bytes); /* of memory that such a block takes once all of it is written */

#endif
