/* coordinator - what a serve does beside answering: places shards that nobody holds and tells nodes to load
 * them. All coordinators compute the same placement; only the live one with the lowest id commands. A
 * LOAD_SHARD goes to every node whose assigned shard is not LOADED; it is repeated with back-off (2, 4 .. 30 s,
 * a quarter of jitter) until the node says LOADED. A node whose command failed COORDINATOR_ATTEMPTS_MAX times
 * in a row, or that has failed a shard given to it for COORDINATOR_REPLACE_MS, is passed over for
 * COORDINATOR_PASS_OVER_MS while another may take the shard. Owner: the node. Thread: loop. */
#ifndef NODE_COORDINATOR_H
#define NODE_COORDINATOR_H

#include "model/manifest.h"
#include "node/commands.h"
#include "node/verdict.h"

#define COORDINATOR_SETTLE_MS 700 /* nodes that start together are seen before shards are given away */

#define COORDINATOR_ATTEMPTS_MAX 3
#define COORDINATOR_REPLACE_MS   10000
#define COORDINATOR_PASS_OVER_MS 120000

struct coordinator;

/* Memory that shard `id` needs on a node, in bytes: weights, keys and values, scratch. */
typedef uint64_t (*coordinator_need)(void *ctx, uint32_t id);

struct coordinator *coordinator_new(const struct clock *clock, struct commands *commands,
                                    const struct roster *roster, coordinator_need need, void *ctx);
void coordinator_free(struct coordinator *coordinator);
void coordinator_set_manifest(struct coordinator *coordinator, const struct manifest *manifest);
void coordinator_consider(struct coordinator *coordinator);       /* the roster or manifest changed */
bool coordinator_commands(const struct coordinator *coordinator); /* whether we are the one */
/* Where placement would put a shard now; zero id: nowhere. */
struct node_id coordinator_place(const struct coordinator *coordinator, uint32_t shard);
/* NOT_ENOUGH_MEMORY, NO_NODE_FOR_SHARD, WAITING_FOR_LOAD_SHARD (a command failed: with its history; as an info:
 * a shard was given to another node, and why). */
void coordinator_explain(const struct coordinator *coordinator, struct finding_list *out);

#endif
