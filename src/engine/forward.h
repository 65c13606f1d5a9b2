/* forward - computes a batch: embedding, layers, output, sampling, with the scratch memory that takes.
 * Knows the order of operations from one file per architecture. Owned by the engine; thread: the engine's. */
#ifndef ENGINE_FORWARD_H
#define ENGINE_FORWARD_H

#include "engine/batch.h"

struct forward;
struct team;

struct forward *forward_new(const struct engine_config *config, struct team *team); /* no zero in it */
void forward_free(struct forward *forward);                                         /* NULL is fine */

/* Most rows a batch of this model may have, so that scratch memory stays bounded: at least
 * ENGINE_STEP_TOKENS_MAX, at most as many for each slot. */
uint32_t forward_rows_max(const struct hparams *hparams, uint32_t n_slots);
size_t forward_scratch_bytes(const struct forward *forward);
/* When a batch has had forward_rows_max rows and output. */
size_t forward_scratch_bytes_max(const struct engine_config *config, const struct hparams *hparams);

/* The shape of keys and values of `n_layers` layers. */
struct kv_shape forward_kv_shape(const struct hparams *hparams, enum kv_type kv_type, uint32_t n_layers,
                                 uint32_t n_ctx);

/* Fills hidden_out, logits_out and sampled of every step, and is_bad of every span. False when memory is out;
 * then nothing was computed. Does not touch what kv_cache_have says. */
bool forward_run(struct forward *forward, struct batch *batch);

#endif
