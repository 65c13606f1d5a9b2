/* truth - what the arithmetic makes of inputs that everybody knows, so that a wrong shard, a wrong node and a
 * wrong answer are provable: the probe (8 token ids through all layers) and one self-test for each shard.
 *
 * Both always use keys and values in f16, whatever --kv says (engine_step.is_probe). A
 * self-test is TRUTH_POSITIONS positions of a generated input (token ids for a span with the embedding, else
 * hidden states in [-1, 1)) through the shard's layers; its hash is over the hidden states that come out, or
 * over the logits where the shard has the output. Changing any of this changes ARITHMETIC_VERSION.
 *
 * Thread: any but the loop; both wait for the engine. */
#ifndef ENGINE_TRUTH_H
#define ENGINE_TRUTH_H

#include "base/hash.h"
#include "engine/engine.h"
#include "model/manifest.h"
#include "model/progress.h"

#define TRUTH_POSITIONS 4

/* SHA-256 over f32 values as little-endian bytes: how hidden states and logits are compared. */
struct sha256 truth_hash(const float *values, size_t n);

/* The self-test of loaded weights, in an engine of its own with n_threads (0: all): they need not be in
 * service, and what is in service is not touched. BAD_DATA when the weights give values that are not finite. */
enum status truth_self_test(struct sha256 *out, const struct weights *weights, uint32_t n_threads,
                            struct error *err);

/* Loads the manifest's shards from `dir`, one after the other and each once, and computes the probe's states
 * and next token and all self-tests. Memory: the largest shard's. `kernels` NULL: the best; n_threads 0: all.
 * *out is for shard_truth_free. Progress counts bytes of weights. */
enum status truth_compute(struct shard_truth *out, const struct manifest *manifest, const char *dir,
                          const struct kernels *kernels, uint32_t n_threads,
                          const struct model_progress *progress, struct error *err);

#endif
