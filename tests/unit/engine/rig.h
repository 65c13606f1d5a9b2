/* rig - an engine with a tiny model, for tests. */
#ifndef TESTS_ENGINE_RIG_H
#define TESTS_ENGINE_RIG_H

#include "engine/engine.h"
#include "kernels/kernels.h"
#include "tiny_model.h"

#include <stdlib.h>
#include <unistd.h>

struct rig {
    struct engine *engine;
    struct weights *weights;
    const struct hparams *hp;
};

struct rig_options {
    const char *path;
    const char *level; /* NULL: ref */
    uint32_t n_threads, n_ctx, n_slots;
    enum kv_type kv_type;
};

static inline void rig_must(enum status status, const struct error *err)
{
    if (status) {
        fprintf(stderr, "%s\n", err->text);
        abort();
    }
}

/* The best level of this machine. */
static inline const char *rig_fastest(void)
{
    const struct kernels *levels[KERNELS_LEVELS_MAX];
    return levels[kernels_levels(levels) - 1]->level;
}

static inline struct rig rig_new(const struct rig_options *o)
{
    struct rig rig = {.engine = NULL};
    struct engine_config config = {
        .n_threads = o->n_threads, .n_ctx = o->n_ctx, .n_slots = o->n_slots, .kv_type = o->kv_type};
    struct error err;

    rig_must(kernels_select_level(&config.kernels, o->level ? o->level : "ref", &err), &err);
    rig_must(weights_load(&rig.weights, o->path, config.kernels, 2, NULL, &err), &err);
    rig_must(engine_create(&rig.engine, &config, &err), &err);
    rig_must(engine_add(rig.engine, rig.weights, &err), &err);
    rig.hp = weights_hparams(rig.weights);
    return rig;
}

static inline void rig_free(struct rig *rig)
{
    engine_destroy(rig->engine);
    weights_free(rig->weights);
}

/* A file of its own for this test program; removed by tiny_file_remove. */
static inline char *tiny_file(const struct tiny_model *model)
{
    const char *dir = getenv("TMPDIR");
    char *path = mem_format("%s/shoal-tiny-XXXXXX", dir ? dir : "/tmp");
    int fd = mkstemp(path);
    ASSERT(fd >= 0);
    close(fd);
    tiny_model_write(model, path);
    return path;
}

static inline void tiny_file_remove(char *path)
{
    unlink(path);
    mem_free(path);
}

static inline uint32_t *rig_tokens(uint32_t n, uint32_t n_vocab, uint64_t seed)
{
    uint32_t *tokens = mem_array(n, sizeof *tokens);
    struct rng rng = rng_seeded(seed);
    for (uint32_t i = 0; i < n; i++)
        tokens[i] = (uint32_t)rng_below(&rng, n_vocab);
    return tokens;
}

#endif
