/* step - the messages of inference: a step that travels along a plan, the tokens that come back, and what
 * happens when a step cannot be run.
 *
 * A step carries its whole plan, so no node keeps plans and any step can be repeated anywhere; it carries token
 * ids, so that the last node knows them for penalties. Sizes are checked against the limits here before
 * anything is allocated; views point into the input. */
#ifndef WIRE_STEP_H
#define WIRE_STEP_H

#include "base/crypto.h"
#include "base/hash.h"
#include "wire/node_id.h"

#define STEP_STAGES_MAX 256
#define STEP_TOKENS_MAX 512
#define STEP_EMBD_MAX   32768
#define STEP_BIASES_MAX 300
#define STEP_TOP_MAX    20

struct plan_stage {
    struct node_id node;
    uint32_t layer_first, layer_end;
};

struct plan {
    uint32_t n_stages;
    struct plan_stage stages[STEP_STAGES_MAX];
};
/* Of the manifest's fingerprint and all stages: equal plans of one model have equal hashes. */
uint64_t plan_hash(const struct plan *plan, const struct sha256 *fingerprint);
void plan_encode(struct buffer *out, const struct plan *plan);
/* Spans follow each other from layer 0; the reader fails otherwise. */
void plan_decode(struct plan *out, struct reader *r);

enum step_flag {
    STEP_SAMPLE = 1, /* the last node draws a token for the step's last position */
    STEP_PROBE =
        2, /* every node adds the SHA-256 of its hidden states, signed; run apart from serving sequences */
};

struct step_bias {
    uint32_t token;
    float bias;
};

struct step_sampling { /* as engine/sampler.h */
    float temperature, top_p, min_p, repeat_penalty, frequency_penalty, presence_penalty;
    uint32_t top_k, repeat_last_n, n_top;
    uint64_t seed;
    uint32_t n_biases;
    struct step_bias biases[STEP_BIASES_MAX];
};

struct step_message {
    uint64_t sequence, plan_hash;
    uint64_t turn;         /* of the sequence: grows with every replay; older turns are dropped */
    struct node_id origin; /* the front door (or whoever probes) */
    uint32_t flags;
    uint32_t stage;    /* the receiver's place in the plan */
    uint32_t position; /* of tokens[0] */
    uint32_t n_tokens;
    uint32_t n_ahead; /* tokens that may follow without the front door: last -> first directly */
    struct plan plan;
    struct step_sampling sampling; /* when STEP_SAMPLE */
    uint32_t tokens[STEP_TOKENS_MAX];
    uint32_t n_embd;     /* 0 at the first stage */
    struct bytes hidden; /* n_tokens * n_embd f32, little-endian; a view */
    uint32_t n_states;   /* STEP_PROBE: hashes so far, one a shard passed */
    struct sha256 states[STEP_STAGES_MAX];
    uint32_t n_testimonies; /* STEP_PROBE: signatures under them so far, one a stage passed (node/probe.h) */
    struct signature testimonies[STEP_STAGES_MAX];
    uint32_t n_hops; /* time spent so far, one entry a stage passed */
    struct step_hop {
        uint32_t queue_us, compute_us;
    } hops[STEP_STAGES_MAX];
};
void step_encode(struct buffer *out, const struct step_message *message);
enum status step_decode(struct step_message *out, struct bytes in, struct error *err);

/* FRAME_TOKENS: last node -> origin, and -> first node while n_ahead > 0. Without STEP_SAMPLE in flags no token
 * was drawn: the message says that all positions before `position` have gone through (a chunk of a prompt). */
struct tokens_message {
    uint64_t sequence, plan_hash, turn;
    uint32_t flags;
    uint32_t position; /* of the token drawn */
    uint32_t token;
    float log_probability;
    uint32_t n_top;
    uint32_t top_tokens[STEP_TOP_MAX];
    float top_log_probabilities[STEP_TOP_MAX];
    uint32_t n_ahead;
    uint32_t n_states;
    struct sha256 states[STEP_STAGES_MAX];
    uint32_t n_testimonies;
    struct signature testimonies[STEP_STAGES_MAX];
    uint32_t n_hops;
    struct step_hop hops[STEP_STAGES_MAX];
};
void tokens_encode(struct buffer *out, const struct tokens_message *message);
enum status tokens_decode(struct tokens_message *out, struct bytes in, struct error *err);

enum step_failure {
    STEP_FAIL_KV_MISS = 1, /* have_position says how many positions are there */
    STEP_FAIL_NO_LAYERS,
    STEP_FAIL_NO_LINK, /* this node has no link to the next one */
    STEP_FAIL_FULL,
    STEP_FAIL_NO_SLOT,
    STEP_FAIL_BAD_INPUT,
    STEP_FAIL_NO_MEMORY,
    STEP_FAIL_STALE, /* an older turn, or another arithmetic */
    STEP_FAIL_END
};
const char *step_failure_name(enum step_failure failure);

struct step_fail_message {
    uint64_t sequence, plan_hash, turn;
    uint32_t position, stage, have_position;
    enum step_failure failure;
    char text[256];
};
void step_fail_encode(struct buffer *out, const struct step_fail_message *message);
enum status step_fail_decode(struct step_fail_message *out, struct bytes in, struct error *err);

/* FRAME_FORGET: sequences to drop, at most FORGET_MAX. */
#define FORGET_MAX 256
void forget_encode(struct buffer *out, const uint64_t *sequences, size_t n);
enum status forget_decode(uint64_t *out, size_t *out_n, struct bytes in, struct error *err);

#endif
