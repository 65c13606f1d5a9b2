/* node - one member of a swarm: the composition of roster, discovery, shards, commands, coordinator, pipeline,
 * readiness and diagnosis over the ports it is given (clock, links, agent, disk, compute). The same code runs
 * as entry, node, serve and seed, and in the simulator.
 *
 * Thread: loop; everything here, callbacks too. */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "node/commands.h"
#include "node/compute.h"
#include "node/disk.h"
#include "node/frontdoor.h"
#include "node/readiness.h"
#include "swarm/agent.h"
#include "swarm/credentials.h"
#include "swarm/discovery.h"
#include "swarm/roster.h"

#define NODE_SHARDS_MAX   4096
#define NODE_ENTRIES_MAX  16
#define NODE_WATCHERS_MAX 256

struct node_config {
    enum node_role role;
    const struct credentials *credentials; /* borrowed */
    const struct key_pair *pair;           /* borrowed */
    uint64_t epoch;
    struct address addresses[DISCOVERY_ADDRESSES_MAX]; /* where peers reach us, best first: TCP and UDP */
    uint32_t n_addresses;
    struct discovery_host entries[NODE_ENTRIES_MAX], peers[NODE_ENTRIES_MAX]; /* --bootstrap, --peer */
    uint32_t n_entries, n_peers;
    uint32_t *shard_ids; /* explicit, ascending; borrowed */
    uint32_t n_shard_ids;
    uint32_t n_shards_expected; /* --total-shards; 0: from the manifest */
    const char *shards_dir, *state_dir;
    const char *shards_place; /* shards_dir from the root on, for commands to paste; NULL: as it stands */
    bool fetch_allowed;
    uint32_t n_threads, n_ctx, n_slots;
    const char *kv;         /* the type of keys and values, as --kv has it */
    uint32_t arithmetic;    /* version of the rules that this machine computes by */
    uint64_t memory_budget; /* 0: 90 % of free RAM shared by nodes of one machine */
    uint64_t max_upload;    /* bytes a second; 0: none */
    uint32_t refresh_interval_s, status_interval_s;
    char api[96];     /* URL of the local API */
    bool print_lines; /* the lines of INTERFACE section 2 */
};

/* What this machine is and has, looked at every few seconds. */
struct node_host {
    uint32_t n_cores;
    uint64_t ram_total, ram_free; /* free: what could be taken without swapping */
    uint64_t memory_bandwidth;    /* bytes a second, measured; 0: not yet */
    char boot_id[40], cpu[16];
};

struct node_ports {
    void (*look_at_host)(struct node_host *out);
    const struct clock *clock;
    struct links links;
    struct agent *agent;
    struct disk *disk;
    struct compute *compute;
};

struct node;

/* links and agent need the events below as their callbacks: make them with `node_links_events()`,
 * `node_agent_events()` and the node as ctx. */
struct node *node_new(const struct node_config *config, const struct node_ports *ports);
void node_start(struct node *node); /* reads files, loads, joins */
/* Says goodbye to peers and retracts announcements; on_stopped comes within 1 s. */
void node_stop(struct node *node, void (*on_stopped)(void *ctx), void *ctx);
void node_free(struct node *node);

const struct links_events *node_links_events(void);
const struct agent_events *node_agent_events(void);

/* What commands, routes and views show. Each gives a new value. */
struct jv *node_verdict(struct node *node);  /* GET /api/v1/verdict */
struct jv *node_status(struct node *node);   /* GET /api/v1/status */
struct jv *node_timeline(struct node *node); /* GET /api/v1/timeline */
bool node_is_ready(struct node *node);
/* Smallest eta of the blockers, in seconds, or -1. */
int32_t node_ready_eta_s(struct node *node);
const struct manifest *node_manifest(struct node *node); /* NULL: none yet */
/* Where the tokenizer's file is, or NULL while it is not here. Its hash was checked. */
const char *node_tokenizer_path(struct node *node);
/* Examines a link step by step: {"ok", "steps": [{"step", "ok", "ms", "text"}], ...}; taken by the callee. */
struct links *node_links(struct node *node);
struct frontdoor *node_frontdoor(struct node *node);
uint32_t node_context(struct node *node); /* positions: the smallest of the plan's nodes */
void node_set_api(struct node *node, const char *url);
/* A finding that a module outside knows (BAD_TEMPLATE, OVERLOADED); kept until cleared. */
void node_set_finding(struct node *node, enum finding_code code, enum severity severity, const char *cause,
                      const char *action);
void node_clear_finding(struct node *node, enum finding_code code);

/* Asks all live nodes: {"nodes": [{"node", "files": [...] or "error"}]}. */
void node_files(struct node *node, void (*done)(void *ctx, struct jv *files), void *ctx);
/* LOAD_SHARD, UNLOAD_SHARD, DRAIN. `target`: id or unique prefix; NULL: the node that is assigned the shard,
 * else the one placement chooses. on_step (NULL: nobody watches) gets what happens while it happens: {"step":
 * "SENT", "STATE" or "PROGRESS", "text", "shard", "node", "state", "bytes_done", "bytes_total", "rate",
 * "eta_s"}, lent, and may come from within the call. done: {"ok", "node", "shard", "error", "code", "action",
 * "steps"}; taken by the callee. */
typedef void (*node_step)(void *ctx, const struct jv *step);
typedef void (*node_outcome)(void *ctx, struct jv *outcome);
void node_load_shard(struct node *node, uint32_t shard, const char *target, node_step on_step,
                     node_outcome done, void *ctx);
void node_unload_shard(struct node *node, uint32_t shard, const char *target, node_step on_step,
                       node_outcome done, void *ctx);
void node_drain(struct node *node, const char *target, node_outcome done, void *ctx);

/* Every change of roster, shards, verdict and requests: {"type", ...}. Lent to the watcher. */
typedef void (*node_watcher)(void *ctx, const char *type, const struct jv *event);
bool node_watch(struct node *node, node_watcher watcher, void *ctx); /* false: NODE_WATCHERS_MAX */
void node_unwatch(struct node *node, node_watcher watcher, void *ctx);
void node_emit(struct node *node, const char *type, const struct jv *event);

#endif
