/* engine - the model running: one thread that owns all sequences, and its workers.
 *
 * The engine holds weights of whole shards (engine/weights.h) and runs steps: some tokens of one sequence
 * through layers [layer_first, layer_end). Steps that wait are run together as one batch; results do not
 * depend on that, on the number of threads or on the cut into shards (DESIGN section 8). Keys and values
 * are kept per sequence; their memory is bounded by n_slots * n_ctx positions for the layers held.
 * It knows nothing of nodes, plans, text or files.
 *
 * Thread: engine_submit, engine_forget, engine_add, engine_remove from any; `done` comes on the engine's
 * thread and must only hand over (loop_post) or wake. */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/error.h"
#include "engine/sampler.h"
#include "engine/weights.h"

#include <stdint.h>

#define ENGINE_STEP_TOKENS_MAX  512  /* tokens of one step; longer prompts go in chunks */
#define ENGINE_BATCH_TOKENS_MAX 2048 /* tokens of one batch */
#define ENGINE_SLOTS_MAX        1024
#define ENGINE_CTX_MAX          (1U << 22)

enum kv_type { KV_F16, KV_F32, KV_Q8_0, KV_TYPE_COUNT };
const char *kv_type_name(enum kv_type kv_type); /* as --kv has it */
/* false where no type has that name; KV_TYPE_NAMES for who tells so. */
bool kv_type_from_name(enum kv_type *out, const char *name);
#define KV_TYPE_NAMES "f16, f32 or q8_0"

struct engine_config {
    uint32_t n_threads;            /* 0: the CPUs this process may run on */
    const struct kernels *kernels; /* NULL: the best level, or SHOAL_CPU's (kernels_select) */
    uint32_t n_ctx;                /* positions of a sequence, at most; 0: 4096 */
    uint32_t n_slots;              /* sequences at one time; 0: 8 */
    enum kv_type kv_type;
};

enum step_result {
    STEP_OK,
    STEP_KV_MISS,   /* positions before `position` are not here: have_position says how many are */
    STEP_NO_LAYERS, /* the layers asked for are not all held */
    STEP_FULL,      /* position + n_tokens passes n_ctx */
    STEP_NO_SLOT,   /* n_slots sequences are in use */
    STEP_BAD_INPUT, /* a token id or a hidden state out of bounds (NaN, infinite), or a field against its rule
                     */
    STEP_NO_MEMORY,
    STEP_CANCELLED /* the engine is closing */
};
const char *step_result_name(enum step_result result);

/* One step. The caller owns it and its arrays until `done` was called. */
struct engine_step {
    uint64_t sequence; /* not 0; the caller's name for a timeline */
    bool is_probe;     /* a place apart from the serving sequences, keys and values in f16 whatever kv_type */
    uint32_t position; /* of the first token */
    uint32_t n_tokens; /* 1..ENGINE_STEP_TOKENS_MAX */
    const uint32_t *tokens;
    uint32_t layer_first, layer_end; /* layer_first == 0: starts from the embedding */
    const float *hidden_in;          /* [n_tokens][n_embd]; unused when layer_first == 0 */
    float *hidden_out; /* [n_tokens][n_embd] after layer_end - 1; may be hidden_in; NULL when not wanted: then
                          rows that are not for sampling or logits_out are left out of the last layer */

    /* Only where layer_end is the model's last. */
    const struct sample_params *sample; /* NULL: do not sample. Draws for position + n_tokens - 1 */
    float *logits_out;                  /* NULL, or [n_tokens][n_vocab] */

    void (*done)(struct engine_step *step);
    void *owner; /* the caller's */

    /* Results, valid in `done`. */
    enum step_result result;
    uint32_t have_position; /* STEP_KV_MISS: positions [0, have_position) are here */
    struct sampled sampled; /* when `sample` was given and result is STEP_OK */
    uint64_t waited_us, computed_us;

    struct engine_step *next; /* the engine's */
    uint64_t submitted_us;    /* the engine's */
};

struct engine;

enum status engine_create(struct engine **out, const struct engine_config *config, struct error *err);
void engine_destroy(struct engine *engine); /* NULL is fine; queued steps end as STEP_CANCELLED */

/* Takes weights into service or out of it. Weights stay the caller's: engine_remove returns when no batch
 * uses them any more, then they may be freed; sequences lose their keys and values for those layers.
 * STATUS_BAD_DATA when the hyper-parameters differ from those of weights already held; STATUS_EXISTS when a
 * layer is already held. */
enum status engine_add(struct engine *engine, const struct weights *weights, struct error *err);
void engine_remove(struct engine *engine, const struct weights *weights);

void engine_submit(struct engine *engine, struct engine_step *step);
/* Submits and waits; for commands and background jobs, never on the loop. Sets `done` and `owner` itself. */
enum step_result engine_run(struct engine *engine, struct engine_step *step);
void engine_forget(struct engine *engine, uint64_t sequence);

struct engine_load { /* a moment's view, for records and metrics */
    uint32_t n_sequences, n_queued;
    uint64_t tokens_done, busy_us;
    size_t kv_bytes, scratch_bytes;
    uint32_t n_embd; /* of the weights held; 0 without any */
};
struct engine_load engine_load(const struct engine *engine);
uint32_t engine_n_threads(const struct engine *engine);
/* The same with every zero replaced by its default; kernels may stay NULL. */
struct engine_config engine_config_with_defaults(const struct engine_config *config);
uint32_t engine_n_threads_default(void); /* the CPUs this process may run on */
const struct kernels *engine_kernels(const struct engine *engine);

/* Bytes that the layers [first, end) need beside their weights: keys and values of all slots, scratch. */
size_t engine_bytes_needed(const struct engine_config *config, const struct hparams *hparams,
                           uint32_t layer_first, uint32_t layer_end);

#endif
