/* hparams - what a model's header says about its shape: the numbers that every tensor and every loop
 * is checked against. Read once from GGUF metadata, limits checked; plain data, copied freely. */
#ifndef MODEL_HPARAMS_H
#define MODEL_HPARAMS_H

#include "base/error.h"

#include <stdint.h>

struct gguf;

#define MODEL_LAYERS_MAX   4096
#define MODEL_EMBD_MAX     (1U << 20)
#define MODEL_VOCAB_MAX    (1U << 24)
#define MODEL_HEADS_MAX    4096
#define MODEL_HEAD_DIM_MAX 4096
#define MODEL_FF_MAX       (1U << 24)
#define MODEL_CTX_MAX      (1U << 30)

enum arch { ARCH_LLAMA, ARCH_COUNT };

enum rope_scaling { ROPE_SCALING_NONE, ROPE_SCALING_LINEAR };

struct hparams {
    enum arch arch;
    uint32_t n_layers, n_embd, n_vocab, n_ctx_train;
    uint32_t n_heads, n_kv_heads, head_dim_k, head_dim_v;
    uint32_t n_ff;
    uint32_t n_rot;                   /* dimensions that RoPE turns, even, at most head_dim_k */
    float rope_freq_base, rope_scale; /* rope_scale divides positions; 1: none */
    enum rope_scaling rope_scaling;
    float norm_eps;
};

const char *arch_name(enum arch arch);
/* UNSUPPORTED names the architecture or feature; BAD_DATA the key, its value and what is allowed. */
enum status hparams_read(struct hparams *out, const struct gguf *gguf, struct error *err);
bool hparams_equal(const struct hparams *a, const struct hparams *b);

#endif
