/* probe - the result of a probe, and what proves it.
 *
 * The manifest's probe tokens go along a plan; each node adds the SHA-256 of the hidden states after every
 * shard it ran and signs them with its identity's key (Ed25519), together with the plan, the probe's sequence,
 * its place and its epoch. So a result needs nobody's word but that of the nodes that computed: whoever
 * receives one judges it by itself, a prober can neither claim a probe that never ran nor blame a node for a
 * state that node did not sign. Plain data. Thread: any. */
#ifndef NODE_PROBE_H
#define NODE_PROBE_H

#include "base/crypto.h"
#include "model/manifest.h"
#include "node/plan.h"

struct probe_result {
    /* what the prober says */
    struct plan plan;
    uint64_t sequence, number; /* number: grows with each probe of one prober */
    uint64_t epochs[STEP_STAGES_MAX];
    struct node_id prober;
    uint32_t n_states, n_testimonies; /* one a shard, one a stage; none: it did not come back */
    struct sha256 states[STEP_STAGES_MAX];
    struct signature testimonies[STEP_STAGES_MAX];
    uint32_t token;     /* drawn by the last node */
    int32_t stop_stage; /* where it stopped, as the prober heard; -1: not known, or it came back */
    bool timed_out;
    char text[256]; /* why it did not come back, else why it is not right */
    uint64_t took_us;
    /* what probe_judge found */
    bool right;
    bool is_wrong;       /* a node signed for a state or token that is not the manifest's */
    int32_t wrong_stage; /* which; also of a probe that stopped; -1 */
    uint64_t plan_hash;
    uint64_t came_ms; /* our clock */
};

/* What the node at `stage` signs: its states are states[first..end) of the probe; `token` only at the last
 * stage. */
struct probe_statement {
    uint64_t plan_hash, sequence, epoch;
    uint32_t stage, first_state, end_state, token;
};
struct signature probe_sign(const struct key_pair *pair, const struct probe_statement *statement,
                            const struct sha256 *states);

/* Fills the second half but came_ms: are all states and the token the manifest's, each signed by the node that
 * the plan has there, in the epoch that the result says? */
void probe_judge(struct probe_result *result, const struct manifest *manifest);

/* The first half, as FRAME_PROBED carries it: at most 37 KiB for the longest plan. */
void probe_encode(struct buffer *out, const struct probe_result *result);
enum status probe_decode(struct probe_result *out, struct bytes in, struct error *err);

#endif
