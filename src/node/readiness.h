/* readiness - is the swarm ready, proved by a probe token, computed anew at every question and never latched.
 *
 * The prober (the commanding coordinator; without one the live node with the lowest id that holds the first
 * span) sends the manifest's probe tokens along the current plan whenever the plan changes, and again every
 * PROBE_REPEAT_MS. Each node adds the hash of its hidden states and signs it; the result with the plan, the
 * nodes' epochs, all states and signatures goes to everybody (FRAME_PROBED) at once and to a peer when
 * its link comes up, and everybody judges it by itself (node/probe.h): a prober's word that all is right counts
 * for nothing. Ready on any node = the last result that came is right, its nodes are alive at those epochs and
 * hold those layers LOADED, and they are linked in order and with where prompts come in (plan_holds): a serve
 * judges by its own links, everybody else by the coordinator's. */
#ifndef NODE_READINESS_H
#define NODE_READINESS_H

#include "node/probe.h"
#include "wire/finding.h"

#define PROBE_TIMEOUT_MS    5000
#define PROBE_REPEAT_MS     30000
#define PROBE_SEQUENCE_FLAG ((uint64_t)1 << 63) /* sequences of probes */

struct readiness;
struct pipeline;

struct readiness_events {
    void (*changed)(void *ctx); /* a result came or went */
};

struct readiness *readiness_new(const struct clock *clock, const struct links *links,
                                const struct roster *roster, struct pipeline *pipeline,
                                const struct readiness_events *events, void *ctx);
void readiness_free(struct readiness *readiness);
void readiness_set_manifest(struct readiness *readiness, const struct manifest *manifest); /* NULL: none */
/* Call whenever roster, shards or links may have changed; cheap. Probes when it is our turn and it is needed.
 */
void readiness_consider(struct readiness *readiness);
void readiness_on_up(struct readiness *readiness, const struct node_id *peer);
enum status readiness_on_frame(struct readiness *readiness, const struct node_id *peer, struct bytes payload,
                               struct error *err);

bool readiness_is_ready(const struct readiness *readiness);
/* The proven plan while ready, else NULL. */
const struct plan *readiness_plan(const struct readiness *readiness);
/* Whether a plan that was proven with these epochs still carries steps: its nodes alive, not started anew
 * since, loaded and linked, and none of them shown wrong by a probe since. */
bool readiness_plan_holds(const struct readiness *readiness, const struct plan *plan, const uint64_t *epochs);
const struct manifest *readiness_manifest(const struct readiness *readiness);
/* The last result, right or wrong, or NULL. */
const struct probe_result *readiness_last(const struct readiness *readiness);
/* Who should probe now; zero when nobody can. */
struct node_id readiness_prober(const struct readiness *readiness);
bool readiness_probe_running(const struct readiness *readiness, uint64_t *out_since_ms);
/* PEER_UNREACHABLE (plan nodes not linked), PROBE_FAILED, PROBE_WRONG, NODE_STALLED; nothing while shards lack.
 */
void readiness_explain(const struct readiness *readiness, struct finding_list *out);

#endif
