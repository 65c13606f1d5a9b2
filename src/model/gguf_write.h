/* gguf_write - writes a GGUF file as a stream: keys, table of tensors, then their data in order.
 *
 * The file appears whole or not at all: PATH.part, fsync, rename, fsync of the folder. Keys and tensors are
 * ours or come from a checked gguf; mistakes in them are bugs (ASSERT). Owned by its maker. Thread: one. */
#ifndef MODEL_GGUF_WRITE_H
#define MODEL_GGUF_WRITE_H

#include "model/gguf.h"

struct gguf_writer;

struct gguf_writer *gguf_writer_new(uint32_t version, uint64_t alignment);
void gguf_writer_free(struct gguf_writer *w); /* NULL is fine; removes the .part of a file not finished */

/* Before gguf_writer_begin. The alignment's own key is not written by itself. */
void gguf_writer_copy_key(struct gguf_writer *w, const struct gguf_value *value);
void gguf_writer_add_u32(struct gguf_writer *w, const char *key, uint32_t v);
void gguf_writer_add_u64(struct gguf_writer *w, const char *key, uint64_t v);
void gguf_writer_add_f32(struct gguf_writer *w, const char *key, float v);
void gguf_writer_add_string(struct gguf_writer *w, const char *key, const char *text);
void gguf_writer_add_strings(struct gguf_writer *w, const char *key, const char *const *texts, size_t n);
/* Name, type, dims and bytes are taken; the offset is the next aligned one. */
void gguf_writer_add_tensor(struct gguf_writer *w, const struct gguf_tensor *tensor);

/* Sees every byte of the file in order, as it is written. */
void gguf_writer_watch(struct gguf_writer *w, void (*watch)(void *arg, const void *data, size_t n), void *arg);
/* What the file will have, known before a byte is written. */
uint64_t gguf_writer_file_bytes(const struct gguf_writer *w);
/* false: the file ends with the last tensor's last byte instead of being padded to the alignment. */
void gguf_writer_pad_end(struct gguf_writer *w, bool pad);

enum status gguf_writer_begin(struct gguf_writer *w, const char *path, struct error *err);
/* The next n bytes of tensor data; padding between tensors is the writer's. */
enum status gguf_writer_data(struct gguf_writer *w, const void *data, size_t n, struct error *err);
/* All tensors were given: publishes the file. */
enum status gguf_writer_finish(struct gguf_writer *w, struct error *err);

#endif
