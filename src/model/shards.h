/* shards - cutting a model into shards and putting it together again, both as streams.
 *
 * split writes shard-0.gguf ... shard-(N-1).gguf and tokenizer.gguf. Every shard is a GGUF file with all keys
 * but tokenizer.*, and shoal.shard.index, .count, .first_layer, .end_layer, shoal.model.fingerprint and
 * shoal.model.vocab_size. tokenizer.gguf has all keys of the model in their order, no tensors, and what merge
 * needs: shoal.source.tensors (names in file order), .version and .pad_end. Hence merge gives back the
 * original file, byte for byte where that has no gaps beside alignment.
 *
 * Thread: any; long work, with progress and cancel. */
#ifndef MODEL_SHARDS_H
#define MODEL_SHARDS_H

#include "model/gguf.h"
#include "model/manifest.h"
#include "model/progress.h"

#define SHARDS_DEFAULT     8
#define SHARDS_DIR_DEFAULT "models_cache/shards"

#define KEY_SHARD_INDEX       "shoal.shard.index"
#define KEY_SHARD_COUNT       "shoal.shard.count"
#define KEY_SHARD_FIRST_LAYER "shoal.shard.first_layer"
#define KEY_SHARD_END_LAYER   "shoal.shard.end_layer"
#define KEY_FINGERPRINT       "shoal.model.fingerprint" /* 64 hex digits */
#define KEY_VOCAB_SIZE        "shoal.model.vocab_size"
#define KEY_SOURCE_TENSORS    "shoal.source.tensors"
#define KEY_SOURCE_VERSION    "shoal.source.version"
#define KEY_SOURCE_PAD_END    "shoal.source.pad_end"

/* SHA-256 over all keys but shoal.* and over all tensors' names, types, shapes and data, in file order. */
struct fingerprint; /* a running one: keys, then tensor after tensor, each with its data */
struct fingerprint *fingerprint_new(const struct gguf *keys, size_t n_tensors);
void fingerprint_tensor(struct fingerprint *f, const struct gguf_tensor *tensor);
void fingerprint_data(struct fingerprint *f, const void *data, size_t n);
struct sha256 fingerprint_finish(struct fingerprint *f); /* frees it */
void fingerprint_free(struct fingerprint *f);            /* one not finished; NULL is fine */
/* Of a whole model; reads it all. */
enum status model_fingerprint(struct sha256 *out, const struct gguf *gguf,
                              const struct model_progress *progress, struct error *err);

/* Spans for n_shards (at most one per layer; more are cut to that, *out_n tells). The largest shard is as small
 * as it can be, embedding and head counted. */
enum status shards_plan(struct span *out, uint32_t *out_n, uint32_t n_shards, const struct gguf *gguf,
                        const struct hparams *hparams, struct error *err);

struct split_options {
    const char *model; /* GGUF file, or first of llama.cpp's split parts */
    const char *out_dir;
    const char *name;                      /* NULL: general.name, else the file's */
    uint32_t n_shards;                     /* 0: SHARDS_DEFAULT */
    const struct model_progress *progress; /* bytes of both passes: fingerprint, then writing */
};

/* Writes the shards and the tokenizer, each whole or not at all; after a failure those that were finished
 * remain. The manifest is complete but for truth and signature. */
enum status shards_split(struct manifest **out, const struct split_options *options, struct error *err);

/* Paths of the manifest's files in a folder: a block for mem_free. */
char *shards_path(const char *dir, const char *file);

/* Finds the shards in `dir` by content, whatever they are called, and writes the original model. */
enum status shards_merge(const char *dir, const char *out_path, const struct model_progress *progress,
                         struct error *err);

#endif
