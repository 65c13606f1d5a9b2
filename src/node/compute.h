/* compute - the engine as node logic sees it: shards are loaded, tested, taken into service and out of it, and
 * steps run. Behind a table, so that the simulator can have another (tests/sim).
 *
 * Nothing here blocks; callbacks come later on the loop thread, exactly once, never after compute_cancel.
 * load -> self_test -> enter -> (steps run) -> unload. Only a shard that was entered computes.
 * Owner: the node. Thread: loop. */
#ifndef NODE_COMPUTE_H
#define NODE_COMPUTE_H

#include "base/hash.h"
#include "engine/engine.h"

struct compute_job; /* gone after its `done` */

struct compute_need { /* bytes of memory that one shard takes */
    uint64_t weights; /* its tensors as the kernels lay them out */
    uint64_t beside;  /* keys and values of all slots for its layers, and scratch */
};

typedef void (*compute_done)(void *ctx, enum status status, const struct error *err);
typedef void (*compute_progress)(void *ctx, uint64_t bytes_done,
                                 uint64_t bytes_total); /* a few times a second */

struct compute_ops {
    /* From the file's header alone. BAD_DATA, UNSUPPORTED: the file; IO. */
    struct compute_job *(*measure)(void *self, const char *path,
                                   void (*done)(void *ctx, enum status status, const struct compute_need *need,
                                                const struct error *err),
                                   void *ctx);
    /* Reads the file, checks every tensor, lays the weights out. One at a time per id: EXISTS when it is loaded
     * already. NO_MEMORY, BAD_DATA, UNSUPPORTED, NOT_FOUND, IO. */
    struct compute_job *(*load)(void *self, uint32_t id, const char *path, compute_progress progress,
                                compute_done done, void *ctx);
    /* Hash of the shard's output on a generated input: the manifest's self_test where all is well. */
    struct compute_job *(*self_test)(void *self, uint32_t id,
                                     void (*done)(void *ctx, enum status status, const struct sha256 *hash,
                                                  const struct error *err),
                                     void *ctx);
    struct compute_job *(*enter)(void *self, uint32_t id, compute_done done, void *ctx);
    /* Also of one that was never entered; not loaded: OK. Sequences lose what they keep for its layers. */
    struct compute_job *(*unload)(void *self, uint32_t id, compute_done done, void *ctx);
    /* A job under way stops soon; what it loaded is given back. Its callbacks do not come any more. */
    void (*cancel)(void *self, struct compute_job *job);

    /* As engine_submit, except that step->done comes on the loop thread. The step and its arrays are the
     * caller's until then. */
    void (*submit)(void *self, struct engine_step *step);
    void (*forget)(void *self, uint64_t sequence);
    struct engine_load (*look)(void *self);
};

struct compute {
    const struct compute_ops *ops;
    void *self;
};

static inline void compute_cancel(const struct compute *compute, struct compute_job **job) /* NULL is fine */
{
    if (*job)
        compute->ops->cancel(compute->self, *job);
    *job = NULL;
}
static inline void compute_submit(struct compute *compute, struct engine_step *step)
{
    compute->ops->submit(compute->self, step);
}
static inline void compute_forget(struct compute *compute, uint64_t sequence)
{
    compute->ops->forget(compute->self, sequence);
}

/* The real one, over an engine. `loop` and `pool` outlive it and the engine's config is copied. */
struct loop;
struct pool;
enum status compute_real_new(struct compute **out, struct loop *loop, struct pool *pool,
                             const struct engine_config *config, struct error *err);
/* Ends everything under way and waits until nothing runs any more; no callback comes from here on, steps are
 * their callers' again, operations do nothing. Then whoever uses the port may be freed, and then the port. */
void compute_real_stop(struct compute *compute); /* NULL is fine */
/* Call before pool_free and loop_free. NULL is fine. */
void compute_real_free(struct compute *compute);
struct engine *compute_real_engine(struct compute *compute); /* for metrics */

#endif
