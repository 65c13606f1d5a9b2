/* The inside of a node's part in inference (pipeline.h): the sequences that pass through here or begin here,
 * the steps being computed, and what its three files call of each other. */
#ifndef NODE_PIPELINE_PRIVATE_H
#define NODE_PIPELINE_PRIVATE_H

#include "node/pipeline.h"

#define FORGOTTEN_MAX 1024 /* ended sequences whose late steps are still recognised */

struct sequence_entry {
    struct sequence_entry *next;
    uint64_t sequence, turn;
    struct node_id origin; /* whose it is: nobody else's steps count for it */
    bool has_listener;
    struct pipeline_listener listener; /* the origin's side */
    struct plan plan;                  /* that its last step was sent along: whose answers count */
    uint64_t plan_hash;
    struct step_message *ahead; /* the first node's side: what the next step is made from */
};

struct job { /* one step being computed here */
    struct job *next;
    struct pipeline *pipeline;
    struct step_message message;
    struct engine_step step;
    struct sample_params sample;
    struct token_bias biases[STEP_BIASES_MAX];
    float *hidden_in, *hidden_out; /* hidden_out: NULL where nobody reads it */
    uint32_t layer_end;            /* of this node's part; a probe goes shard by shard */
    uint32_t first_state;          /* of this node's, in a probe */
    uint32_t queue_us, compute_us;
};

struct pipeline {
    const struct clock *clock;
    const struct links *links;
    struct compute *compute;
    const struct key_pair *pair;
    uint64_t epoch;
    struct node_id self;
    const struct manifest *manifest;
    struct sequence_entry *sequences;
    uint32_t n_sequences, n_jobs;
    uint64_t moved_ms; /* when a step last came back, or the first of those under way was begun */
    struct job *jobs;
    uint64_t forgotten[FORGOTTEN_MAX]; /* ring */
    uint32_t n_forgotten;
};

/* pipeline_sequences.c */
struct sequence_entry *pipeline_find(const struct pipeline *pipeline, uint64_t sequence);
struct sequence_entry *pipeline_find_or_make(struct pipeline *pipeline, uint64_t sequence,
                                             const struct node_id *origin); /* NULL: too many */
void pipeline_drop(struct pipeline *pipeline, uint64_t sequence);
/* Its origin has ended it: steps that are still on their way to us are dropped, so that they do not begin it
 * anew. */
void pipeline_end(struct pipeline *pipeline, uint64_t sequence);
bool pipeline_has_ended(const struct pipeline *pipeline, uint64_t sequence);

/* pipeline_steps.c: takes a copy of the message; m->hidden is read now. */
void pipeline_start_step(struct pipeline *pipeline, const struct step_message *m);
void pipeline_drop_jobs(struct pipeline *pipeline);

/* pipeline.c: what the origin is told */
void pipeline_send_fail(struct pipeline *pipeline, const struct step_message *m, enum step_failure failure,
                        uint32_t have_position, const char *text);
void pipeline_send_tokens(struct pipeline *pipeline, const struct step_message *m,
                          const struct tokens_message *tokens);

#endif
