/* frontdoor - prompts in, tokens out: takes a request's token ids, runs them along the ready plan, streams
 * tokens, and survives the loss of a node by replaying on a new plan (the same tokens, by exactness and keyed
 * draws).
 *
 * Long prompts go in chunks of at most FRONTDOOR_CHUNK tokens, so that others run between them. At most
 * `n_slots` requests run at a time; FRONTDOOR_QUEUE_MAX more wait in order; beyond that LIMIT.
 * Text, templates and stop strings are the caller's. Owner: the node. Thread: loop. */
#ifndef NODE_FRONTDOOR_H
#define NODE_FRONTDOOR_H

#include "engine/sampler.h"
#include "node/pipeline.h"
#include "node/readiness.h"

#define FRONTDOOR_CHUNK      256
#define FRONTDOOR_QUEUE_MAX  64
#define FRONTDOOR_CROWDED_MS 5000  /* a queue that stands for so long */
#define FRONTDOOR_TOLD_MS    30000 /* a refused request is a finding for so long */

struct frontdoor;
struct generation; /* one running request */

struct generate_params {
    const uint32_t *prompt;      /* copied */
    uint32_t n_prompt;           /* at least 1 */
    uint32_t n_max;              /* tokens to generate, at least 1 */
    uint32_t n_ctx;              /* of the plan's nodes, the smallest; checked again here */
    struct sample_params sample; /* biases copied */
    uint32_t n_prompt_top;       /* 0 */
};

enum finish { FINISH_LENGTH, FINISH_STOPPED, FINISH_FAILED };

struct generate_events {
    /* One token; return false to stop (end of generation, stop string): on_end follows with FINISH_STOPPED. */
    bool (*on_token)(void *ctx, uint32_t token, const struct tokens_message *message);
    /* Exactly once. err: the sentence when FINISH_FAILED, naming shard and node. The generation is gone
     * afterwards. */
    void (*on_end)(void *ctx, enum finish finish, const struct error *err);
};

struct frontdoor *frontdoor_new(const struct clock *clock, struct pipeline *pipeline,
                                struct readiness *readiness, uint32_t n_slots, const struct node_id *self);
void frontdoor_free(struct frontdoor *frontdoor);
/* BUSY: not ready (the verdict says why). LIMIT: queue full, or prompt + n_max beyond the context (BAD_USAGE
 * then, with the numbers). No event comes from within. */
enum status frontdoor_generate(struct frontdoor *frontdoor, struct generation **out,
                               const struct generate_params *params, const struct generate_events *events,
                               void *ctx, struct error *err);
void frontdoor_cancel(struct frontdoor *frontdoor, struct generation *generation); /* no events any more */
/* Readiness or plan changed: waiting and broken generations look again. */
void frontdoor_consider(struct frontdoor *frontdoor);
/* A prompt that the context cannot take was refused before it came here. */
void frontdoor_note_too_long(struct frontdoor *frontdoor, uint32_t n_tokens, uint32_t n_ctx);
/* OVERLOADED: requests wait for FRONTDOOR_CROWDED_MS already, or were refused within FRONTDOOR_TOLD_MS.
 * CONTEXT_FULL: requests that pass the context were. Warnings. */
void frontdoor_explain(const struct frontdoor *frontdoor, struct finding_list *out);
uint32_t frontdoor_n_running(const struct frontdoor *frontdoor);
uint32_t frontdoor_n_waiting(const struct frontdoor *frontdoor);

#endif
