/* timeline - when each stage was reached, for every node and shard, as this node saw it. The last
 * TIMELINE_EVENTS_MAX are kept. Owner: the node. */
#ifndef NODE_TIMELINE_H
#define NODE_TIMELINE_H

#include "base/jv.h"
#include "swarm/roster.h"

#define TIMELINE_EVENTS_MAX 2048

struct timeline;

struct timeline *timeline_new(uint64_t start_ms);
void timeline_free(struct timeline *timeline);
/* `shard` -1: about the node. The text is copied. */
void timeline_add(struct timeline *timeline, uint64_t now_ms, const struct node_id *node, int32_t shard,
                  const char *what);
/* Notes what is new in a record compared with what was seen of that node before. */
void timeline_see(struct timeline *timeline, uint64_t now_ms, const struct roster_entry *entry);
struct jv *timeline_to_json(
    const struct timeline *timeline); /* {"events": [{"at_s", "node", "shard", "what"}]} */

#endif
