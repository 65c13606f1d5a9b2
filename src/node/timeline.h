/* timeline - when each stage was reached, for every node and shard, as this node saw it, how long it took and
 * how that compares with what is expected. Owner: the node.
 *
 * Events: the last TIMELINE_EVENTS_MAX. Stages: of the last start, which begins with the process, and anew when
 * ready is lost, and ends when the swarm is ready. A stage is what ended: of this process: manifest, joined,
 * announced, discovered (every shard claimed), ready (all loaded, then the probe) of a shard on a node: found
 * (its file), source, fetched, verified, loaded, told (peers have acknowledged it), failed, mended Expected: a
 * constant for what is local, bytes over the best rate measured in that transfer for a download, bytes over
 * TIMELINE_DISK_RATE for what reads the file. */
#ifndef NODE_TIMELINE_H
#define NODE_TIMELINE_H

#include "base/jv.h"
#include "swarm/roster.h"

#define TIMELINE_EVENTS_MAX  2048
#define TIMELINE_STAGES_MAX  4096
#define TIMELINE_DISK_RATE   200000000 /* bytes a second: a slow SSD, cold */
#define TIMELINE_FOUND_MS    1000
#define TIMELINE_SOURCE_MS   2000
#define TIMELINE_JOINED_MS   1500
#define TIMELINE_ANNOUNCE_MS 5000
#define TIMELINE_DISCOVER_MS 3000
#define TIMELINE_TOLD_MS     2000
#define TIMELINE_READY_MS    2000

struct timeline;

struct timeline *timeline_new(uint64_t start_ms, const struct node_id *self);
void timeline_free(struct timeline *timeline);
/* `shard` -1: about the node. The text is copied. */
void timeline_add(struct timeline *timeline, uint64_t now_ms, const struct node_id *node, int32_t shard,
                  const char *what);
/* A stage ended. began_ms 0: when is not known; expected_ms 0: nothing is. `stage` outlives the timeline. Told
 * once for each start, node, shard and stage; "failed" and "mended" each time. */
void timeline_stage(struct timeline *timeline, uint64_t now_ms, const struct node_id *node, int32_t shard,
                    const char *stage, uint64_t began_ms, uint64_t expected_ms);
/* The same for this process, from the start on. */
void timeline_own_stage(struct timeline *timeline, uint64_t now_ms, const char *stage, uint64_t expected_ms);
/* Notes what is new in a record compared with what was seen of that node before. */
void timeline_see(struct timeline *timeline, uint64_t now_ms, const struct roster_entry *entry);
/* How far the swarm is: every shard claimed, every shard loaded, ready. */
void timeline_progress(struct timeline *timeline, uint64_t now_ms, bool discovered, bool loaded, bool ready);
/* {"events": [{"at_s", "node", "shard", "what"}], "stages": [{"at_s", "node", "shard", "stage", "took_s",
 * "expected_s", "slow"}], "start": {"began_s", "ready_s", "took_s", "slowest": a stage or null}}; times since
 * the process began. */
struct jv *timeline_to_json(const struct timeline *timeline);

#endif
