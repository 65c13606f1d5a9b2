/* pipeline - this node's part in inference: steps come, run through the layers held, and go to the next node;
 * the last samples and sends the token to the origin and, while n_ahead > 0, to the first node, which starts
 * the next step by itself. Also the origin's side: sends first steps, collects tokens and failures for whoever
 * asked.
 *
 * Steps are run by the compute port, in batches that the engine forms. Hidden states are checked on receipt
 * (finite, right size). An older turn of a sequence is dropped. A sequence is its origin's: steps in it that
 * name another origin, tokens from a node that does not end its plan and failures of a stage that is not the
 * sender's are refused. Of a probe each node signs the states that it computed (node/probe.h), with `pair`, in
 * `epoch`. Bounded: PIPELINE_STEPS_MAX steps at a time, then the peer is told NO_SLOT. Owner: the node. Thread:
 * loop. */
#ifndef NODE_PIPELINE_H
#define NODE_PIPELINE_H

#include "base/clock.h"
#include "model/manifest.h"
#include "node/compute.h"
#include "swarm/links.h"
#include "wire/finding.h"
#include "wire/step.h"

#define PIPELINE_STEPS_MAX        1024
#define PIPELINE_PROBE_STALLED_MS 3000 /* no step came back for so long: NODE_STALLED */
#define PIPELINE_STALLED_MS       15000

struct pipeline;

struct pipeline *pipeline_new(const struct clock *clock, const struct links *links, struct compute *compute,
                              const struct key_pair *pair, uint64_t epoch);
void pipeline_set_epoch(struct pipeline *pipeline, uint64_t epoch); /* of our record from now on */
void pipeline_free(struct pipeline *pipeline);
/* n_embd, layers per shard (for probe states), fingerprint. NULL: none, every step is refused. */
void pipeline_set_manifest(struct pipeline *pipeline, const struct manifest *manifest);
/* FRAME_STEP, FRAME_TOKENS, FRAME_STEP_FAIL, FRAME_FORGET. */
enum status pipeline_on_frame(struct pipeline *pipeline, const struct node_id *peer, enum frame_kind kind,
                              struct bytes payload, struct error *err);
void pipeline_on_down(struct pipeline *pipeline, const struct node_id *peer);

void pipeline_explain(const struct pipeline *pipeline, struct finding_list *out); /* NODE_STALLED: this node */

/* The origin's side. Listens for one sequence until pipeline_close; on_tokens and on_fail come on the loop. */
struct pipeline_listener {
    void (*on_tokens)(void *ctx, const struct tokens_message *tokens);
    void (*on_fail)(void *ctx, const struct step_fail_message *fail, const struct node_id *by);
    void *ctx;
};
void pipeline_open(struct pipeline *pipeline, uint64_t sequence, const struct pipeline_listener *listener);
/* Sends a step to the first node of its plan (also when that is us). Fails with NETWORK when there is no link.
 */
enum status pipeline_send(struct pipeline *pipeline, const struct step_message *step, struct error *err);
/* Ends the listener and tells all nodes of the plan to forget the sequence. */
void pipeline_close(struct pipeline *pipeline, uint64_t sequence, const struct plan *plan);

#endif
