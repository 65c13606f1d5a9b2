/* local_model - a model opened for this process alone: a GGUF file (or the first of llama.cpp's split parts),
 * or a folder of shards; its weights in one engine, and its tokenizer. Shows progress on a terminal. Owned by
 * its command. Thread: one. */
#ifndef APP_LOCAL_MODEL_H
#define APP_LOCAL_MODEL_H

#include "engine/engine.h"
#include "model/tokenizer.h"

struct local_model {
    struct engine *engine;
    struct tokenizer *tokenizer; /* NULL when it was not asked for */
    struct weights **weights;
    uint32_t n_weights;
    uint32_t n_ctx;
    uint64_t file_bytes, load_us;
};

struct local_model_options {
    uint32_t n_threads, n_ctx; /* 0: the defaults; n_ctx then at most what the model was trained for */
    uint32_t n_slots;          /* 0: 1 */
    enum kv_type kv_type;
    bool wants_tokenizer;
};

enum status local_model_open(struct local_model *out, const char *path,
                             const struct local_model_options *options, struct error *err);
void local_model_close(struct local_model *model);
const struct hparams *local_model_hparams(const struct local_model *model);

/* Runs tokens as a sequence's next ones, in steps of at most `chunk` (0: the largest). hidden states are not
 * kept. `sample` is applied after the last one. logits, when not NULL, gets [n][n_vocab] of each step and is
 * given to on_logits after it. BUSY, LIMIT, NO_MEMORY with what the engine said. */
struct local_run {
    uint64_t sequence;
    uint32_t position, n_tokens;
    const uint32_t *tokens;
    const struct sample_params *sample;
    uint32_t chunk;
    float *logits;
    void (*on_logits)(void *arg, uint32_t position, uint32_t n_tokens, const float *logits);
    void *arg;
    struct sampled sampled; /* result */
};
enum status local_model_run(struct local_model *model, struct local_run *run, struct error *err);

/* Exit code of a command that failed on its model's file: 4 where that is absent, as for a bad one. */
int local_model_exit_code(const char *command, const struct error *err);

/* After getopt_long gave '?'. */
enum status option_unknown(char **argv, struct error *err);
/* Option values; BAD_USAGE names option and value. */
enum status option_u32(uint32_t *out, const char *name, const char *text, uint32_t min, uint32_t max,
                       struct error *err);
enum status option_float(float *out, const char *name, const char *text, struct error *err);
enum status option_kv(enum kv_type *out, const char *text, struct error *err);

#endif
