/* sim_model - the model of a simulated swarm: shards of about 50 MB each that exist by name only, the
 * tokenizer, a signed manifest whose truths are those of fake_compute, and what an undisturbed answer would be.
 */
#ifndef SIM_SIM_MODEL_H
#define SIM_SIM_MODEL_H

#include "base/rand.h"
#include "model/manifest.h"
#include "sim/fake_compute.h"

#define SIM_SHARDS_MAX 16

struct sim_model {
    uint32_t n_shards;
    struct key_pair owner;
    struct manifest *manifest;
    struct fake_content contents[SIM_SHARDS_MAX];
    struct buffer tokenizer;
};

void sim_model_init(struct sim_model *model, uint32_t n_shards, struct rng *rng);
void sim_model_free(struct sim_model *model);
/* The token that follows these; the same whoever computes it, and however it is cut. */
uint32_t sim_model_next(const struct sim_model *model, const uint32_t *tokens, uint32_t n);
/* A file whose header is that of shard `id` and whose content is not. */
struct fake_content sim_model_wrong(const struct sim_model *model, uint32_t id);

#endif
