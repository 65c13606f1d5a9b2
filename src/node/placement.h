/* placement - which node should hold which shard: a pure function, so that every coordinator comes to the same
 * answer. Explicit shards stay where they are and their nodes are never given more; a node that holds or was
 * given a shard keeps it (moving costs a download); the rest goes to nodes in contiguous runs, so that the time
 * of one token is least given memory, measured speed and round trips, and never beyond a node's memory (nodes
 * with one boot id share a machine's). Several shards go on one node when nodes are fewer. Ties: lower node id.
 */
#ifndef NODE_PLACEMENT_H
#define NODE_PLACEMENT_H

#include "wire/node_id.h"

#include <stdbool.h>
#include <stdint.h>

#define PLACEMENT_NODES_MAX  1024
#define PLACEMENT_SHARDS_MAX 4096

struct placement_node {
    struct node_id id;
    char boot_id[40];
    uint64_t memory_budget;    /* bytes for weights, keys and values, as the node says */
    uint64_t machine_ram_free; /* what nodes of one boot id share, beside what they already use */
    uint64_t speed;            /* measured memory bandwidth, bytes a second; 0: unknown */
    uint32_t rtt_us;           /* to the coordinator */
    bool is_explicit;          /* its shards were named by a person: never extended */
    bool can_take;             /* alive, of role node, not draining, right arithmetic */
};

struct placement_shard {
    uint64_t bytes; /* memory it needs on a node: weights, keys and values, scratch */
    bool pinned;    /* held or assigned already on nodes[node] */
    uint32_t node;
};

enum placement_problem {
    PLACEMENT_OK,
    PLACEMENT_NO_NODES,  /* no node may take anything */
    PLACEMENT_NO_MEMORY, /* no node has that much left: *_needed and *_free say */
};

struct placement_result {
    int32_t node; /* index into nodes; -1: nowhere, and why: */
    enum placement_problem problem;
    uint64_t needed, free_best; /* bytes, for PLACEMENT_NO_MEMORY */
};

/* `out`: one for each shard. */
void placement_compute(struct placement_result *out, const struct placement_node *nodes, uint32_t n_nodes,
                       const struct placement_shard *shards, uint32_t n_shards);

#endif
