/* hparams - what a model's header says about its shape: the numbers that every tensor and every loop
 * is checked against. Read once from GGUF metadata, limits checked; plain data, copied freely. */
#ifndef MODEL_HPARAMS_H
#define MODEL_HPARAMS_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct gguf;

#define MODEL_LAYERS_MAX   4096
#define MODEL_EMBD_MAX     (1U << 20)
#define MODEL_VOCAB_MAX    (1U << 24)
#define MODEL_HEADS_MAX    4096
#define MODEL_HEAD_DIM_MAX 4096
#define MODEL_FF_MAX       (1U << 24)
#define MODEL_CTX_MAX      (1U << 30)
#define MODEL_EXPERTS_MAX  1024
#define MODEL_USED_MAX     64 /* experts of one token */

enum arch {
    ARCH_LLAMA,
    ARCH_QWEN2,
    ARCH_QWEN3,
    ARCH_QWEN3MOE,
    ARCH_GEMMA2,
    ARCH_GEMMA3,
    ARCH_PHI3,
    ARCH_OLMO2,
    ARCH_GRANITE,
    ARCH_SMOLLM3,
    ARCH_GPTOSS,
    ARCH_COUNT
};

enum rope_scaling { ROPE_SCALING_NONE, ROPE_SCALING_LINEAR, ROPE_SCALING_YARN };

/* Every member has four bytes: hparams_equal compares memory. */
struct hparams {
    enum arch arch;
    uint32_t n_layers, n_embd, n_vocab, n_ctx_train;
    uint32_t n_heads, n_kv_heads, head_dim_k, head_dim_v;
    uint32_t n_ff;                      /* of one expert where there are experts */
    uint32_t n_experts, n_experts_used; /* 0: none */
    float norm_eps;

    uint32_t n_rot;                   /* dimensions that RoPE turns, even, at most head_dim_k */
    float rope_freq_base, rope_scale; /* rope_scale divides positions; 1: none */
    enum rope_scaling rope_scaling;
    float rope_magnitude;       /* of cos and sin; 1 mostly */
    float rope_freq_base_local; /* of layers with a window, unscaled; 0: as the others */
    uint32_t rope_ctx_orig;     /* before it was stretched: YaRN, and which of two sets of factors counts */
    float yarn_beta_fast, yarn_beta_slow;
    uint32_t norm_spans_heads; /* not 0: norms of queries and keys are across all heads */
    uint32_t nope_period;      /* every so many layers one is without RoPE; 0: none */

    uint32_t window, window_period; /* hparams_layer_window */
    float attn_scale;               /* of the scores */
    float attn_softcap, final_softcap;
    float embd_scale, residual_scale, logit_scale; /* factors, 1: none */
};

const char *arch_name(enum arch arch);
/* A query of this layer sees so many positions, its own included; 0: all. */
uint32_t hparams_layer_window(const struct hparams *hparams, uint32_t layer);
bool hparams_layer_has_rope(const struct hparams *hparams, uint32_t layer);
/* UNSUPPORTED names the architecture or feature; BAD_DATA the key, its value and what is allowed. */
enum status hparams_read(struct hparams *out, const struct gguf *gguf, struct error *err);
bool hparams_equal(const struct hparams *a, const struct hparams *b);

#endif
