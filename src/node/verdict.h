/* verdict - ready, or the ordered findings that block it: a pure function of what this node knows. Every node
 * computes it alike from the roster; what only one node can know travels in that node's record.
 *
 * Each fact is there once, whoever tells it. Order: stage, then shard. Root causes come before consequences; a
 * consequence has caused_by and is no blocker. A finding about a shard that another live node has LOADED blocks
 * nothing and becomes a warning. A dead node's shard is SHARD_NOT_DISCOVERED; PEER_UNREACHABLE is for a node
 * that others still reach. */
#ifndef NODE_VERDICT_H
#define NODE_VERDICT_H

#include "model/manifest.h"
#include "node/readiness.h"
#include "swarm/roster.h"
#include "wire/finding.h"

/* LINK_SLOW: a round trip of so much, and so many times that of half the links. */
#define VERDICT_SLOW_RTT_US 50000
#define VERDICT_SLOW_TIMES  8

enum stage_state { STAGE_OK, STAGE_BLOCKED, STAGE_UNKNOWN };

struct verdict {
    bool ready;
    uint64_t since_ms; /* when `ready` took this value */
    char model[128];
    enum stage_state stages[STAGE_COUNT];
    struct finding_list findings; /* sorted */
};

struct verdict_view {
    uint64_t now_ms;
    const struct roster *roster;
    const struct manifest *manifest;      /* NULL: none yet */
    const struct readiness *readiness;    /* NULL: a process that takes no part (tests) */
    const struct finding_list *local;     /* what this process knows; it travels in its record */
    bool local_is_all;                    /* our own record says nothing beside: it may be a moment older */
    const struct finding_list *placement; /* a coordinator's: NOT_ENOUGH_MEMORY, NO_NODE_FOR_SHARD; NULL */
    uint32_t n_shards_expected;           /* the manifest's or --total-shards; 0: unknown */
    const char *find_manifest;            /* the command that finds one on this machine; NULL: none here */
};

void verdict_free(struct verdict *verdict); /* empties it */
void verdict_compute(struct verdict *out, const struct verdict_view *view);
/* First blocker, or NULL. */
const struct finding *verdict_first(const struct verdict *verdict);
struct jv *verdict_to_json(const struct verdict *verdict, uint64_t now_ms);
/* Smallest eta of the blockers, -1 when one has none. */
int32_t verdict_eta_s(const struct verdict *verdict);

/* Remembers since when each finding stands and when ready changed, between two computations. */
struct verdict_memory;
struct verdict_memory *verdict_memory_new(void);
void verdict_memory_free(struct verdict_memory *memory);
/* Fills in since_ms of `verdict` and its findings (earlier of its own and the remembered one). */
void verdict_remember(struct verdict_memory *memory, struct verdict *verdict, uint64_t now_ms);

/* What the roster says of a shard; also for lines, status and coordinator. */
bool shard_is_claimed_by(const struct roster_entry *entry,
                         uint32_t shard); /* alive, and assigned it or further */
bool shard_is_discovered(const struct roster *roster, uint32_t shard);
bool shard_is_loaded(const struct roster *roster, uint32_t shard);
uint32_t roster_n_discovered(const struct roster *roster, uint32_t n_shards);
uint32_t roster_n_loaded(const struct roster *roster, uint32_t n_shards);
/* The live serve with the lowest id, or NULL. */
const struct roster_entry *roster_coordinator(const struct roster *roster);

#endif
