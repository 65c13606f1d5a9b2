/* plan - which live node runs which layers, in order; and the checks that keep a plan honest. Pure functions of
 * roster and manifest.
 *
 * plan_make chooses among the holders of LOADED shards: fewest stages first (each hop costs a link), then least
 * round-trip time along the way where it is known, then lower node ids. A node that drains, or whose keys and
 * values are of another type than the plan's first, is left out. */
#ifndef NODE_PLAN_H
#define NODE_PLAN_H

#include "model/manifest.h"
#include "swarm/roster.h"
#include "wire/step.h"

/* False when some shard is LOADED on no live node; *out_gap is then the first such shard. */
bool plan_make(struct plan *out, uint32_t *out_gap, const struct roster *roster,
               const struct manifest *manifest);

/* Whether every stage's node is alive, at the epoch given (ourselves: not outdone), not draining, with all
 * shards of its layers LOADED, and each is linked to the next, the last to the first, and `origin` to the first
 * and the last (zero origin: not checked). *out_stage is the first stage that fails. epochs may be NULL. */
bool plan_holds(const struct plan *plan, const uint64_t *epochs, const struct node_id *origin,
                const struct roster *roster, const struct manifest *manifest, uint32_t *out_stage);

struct jv *plan_to_json(const struct plan *plan); /* [{"node", "first_layer", "end_layer"}] */
enum status plan_from_json(struct plan *out, const struct jv *json, struct error *err);

#endif
