/* told - makes sure that peers know of every shard loaded here: SHARD_LOADED goes to all linked peers, again
 * each second to those that have not acknowledged it. What is not acknowledged for TOLD_LATE_MS is
 * LOADED_NOT_PROPAGATED. Owner: the node. Thread: loop. */
#ifndef NODE_TOLD_H
#define NODE_TOLD_H

#include "node/commands.h"
#include "swarm/roster.h"

#define TOLD_LATE_MS  2000
#define TOLD_AGAIN_MS 1000

struct told;

struct told *told_new(const struct clock *clock, struct commands *commands, const struct roster *roster,
                      bool print_lines);
void told_free(struct told *told);
void told_loaded(struct told *told, uint32_t shard);   /* begins to tell */
void told_unloaded(struct told *told, uint32_t shard); /* nothing more to tell */
void told_on_up(struct told *told, const struct node_id *peer);
void told_on_down(struct told *told, const struct node_id *peer);
/* Every linked peer has acknowledged a shard that is loaded here; *out_since_ms: since when there was somebody
 * to tell. */
bool told_is_known(const struct told *told, uint32_t shard, uint64_t *out_since_ms);
void told_explain(const struct told *told, struct finding_list *out);

#endif
