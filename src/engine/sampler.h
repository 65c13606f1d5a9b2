/* sampler - logits to a token: penalties, temperature, top-k, top-p, min-p, and a draw keyed by seed and
 * position, so that a replayed step draws the same token. Pure functions; ties go to the lower id. */
#ifndef ENGINE_SAMPLER_H
#define ENGINE_SAMPLER_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define SAMPLE_TOP_MAX     20   /* log-probabilities to report */
#define SAMPLE_HISTORY_MAX 4096 /* tokens that penalties look back over */
#define SAMPLE_BIASES_MAX  300

struct kernels;

struct token_bias {
    uint32_t token;
    float bias;
};

struct sample_params {
    float temperature;    /* 0: greedy */
    uint32_t top_k;       /* 0: all */
    float top_p;          /* 1: all */
    float min_p;          /* 0: all */
    float repeat_penalty; /* 1: none; divides positive and multiplies negative logits of recent tokens */
    float frequency_penalty, presence_penalty; /* OpenAI's; 0: none */
    uint32_t repeat_last_n;                    /* tokens the penalties look at */
    uint64_t seed;
    uint32_t n_top;                  /* log-probabilities wanted, up to SAMPLE_TOP_MAX */
    const struct token_bias *biases; /* borrowed */
    uint32_t n_biases;
};
struct sample_params sample_params_default(void); /* 0.8, 40, 0.95, 0.05, no penalties, seed 0 */
/* LIMIT or BAD_USAGE naming the field and value: not finite, below its least or above its largest. */
enum status sample_params_check(const struct sample_params *params, struct error *err);

struct sampled {
    uint32_t token;
    float log_probability; /* natural, over the full softmax of the raw logits */
    uint32_t n_top;
    uint32_t top_tokens[SAMPLE_TOP_MAX];
    float top_log_probabilities[SAMPLE_TOP_MAX];
};

/* `position` is the sequence position of the token drawn; `history` the tokens before it, oldest first
 * (only the last repeat_last_n count). logits [n_vocab] is not changed. scratch: sampler_scratch_bytes. */
void sampler_draw(struct sampled *out, const struct kernels *k, const struct sample_params *params,
                  const float *logits, uint32_t n_vocab, uint32_t position, const uint32_t *history,
                  uint32_t n_history, void *scratch);
size_t sampler_scratch_bytes(uint32_t n_vocab);
/* Log-probabilities of the `n` likeliest tokens over the full softmax, likeliest first; n from 1 to n_vocab. */
void sampler_top(const struct kernels *k, const float *logits, uint32_t n_vocab, uint32_t n, uint32_t *tokens,
                 float *log_probabilities);

#endif
