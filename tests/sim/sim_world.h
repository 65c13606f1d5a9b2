/* sim_world - machines that run the real node logic over simulated ports, and what can happen to a machine.
 *
 * A machine keeps its disk, its identity and its epoch; each run of its process has a node, links, an agent and
 * weights of its own. */
#ifndef SIM_SIM_WORLD_H
#define SIM_SIM_WORLD_H

#include "node/node_private.h"
#include "sim/sim_dht.h"
#include "sim/sim_model.h"

#define SHARDS_DIR "shards"
#define STATE_DIR  "state"

struct sim_trace {
    uint64_t hash, n_lines;
    bool is_verbose;
    uint32_t next;
    char lines[40][160]; /* the last ones */
};

enum machine_state { MACHINE_OFF, MACHINE_RUNS, MACHINE_STOPPED };

struct machine {
    struct world *world;
    uint32_t index;
    enum node_role role;
    struct key_pair pair;
    struct node_id id;
    struct fake_clock clock;
    struct fake_disk disk;
    uint64_t epoch; /* on its disk, written before anybody hears of it */
    char name[8];
    /* how its process is started */
    uint32_t shard_ids[SIM_SHARDS_MAX], n_shard_ids;
    bool fetch_allowed, has_wrong_key, is_bad, loads_badly, knows_entry, knows_peer;
    uint32_t n_wrong_tests;
    uint64_t memory_budget;
    /* this run */
    enum machine_state state;
    uint64_t started_ms, changed_ms; /* changed: started, stopped or went on */
    struct node *node;
    struct fake_compute *compute;
    struct sim_agent *agent;
    struct sim_end *end;
    /* what the checks remember */
    uint64_t epoch_seen, version_seen, sequence_seen;
    uint64_t false_ready_ms; /* since when it says ready though it is not; 0: it does not */
    char said[80];           /* ready, or the blocker that it names */
};

struct world {
    uint64_t seed;
    struct rng rng;
    struct fake_clock clock;
    struct sim_net net;
    struct sim_dht dht;
    struct fake_torrents wire;
    struct sim_model model;
    struct credentials credentials, wrong_credentials;
    struct machine *machines[SIM_ENDS_MAX];
    uint32_t n;
    struct sim_agent **dead_agents; /* freed at the end */
    uint32_t n_dead_agents;
    struct sim_trace trace;
    const char *failed; /* the first invariant that was broken; NULL: none */
    char why[400];
};

void world_init(struct world *world, uint64_t seed, uint32_t n_shards, bool verbose);
/* Every process ends, and what was on its way is let go. */
void world_free(struct world *world);
struct machine *world_add(struct world *world, enum node_role role);
uint64_t world_ms(const struct world *world);
void world_note(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
void world_fail(struct world *world, const char *invariant, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void machine_put_shard(struct machine *m, uint32_t id, const struct fake_content *content);
bool machine_has_file(struct machine *m, uint32_t id);
void machine_remove_shard(struct machine *m, uint32_t id);
void machine_put_manifest(struct machine *m);                   /* and the tokenizer */
bool machine_is_assigned(const struct machine *m, uint32_t id); /* at the start of its process */
void machine_start(struct machine *m);
/* Ends its process: killed, or with the power of the machine (and what was not flushed). */
void machine_kill(struct machine *m, bool power_loss);
void machine_leave(struct machine *m); /* as Ctrl-C: says goodbye, and ends a little later */
void machine_stop(struct machine *m);  /* SIGSTOP */
void machine_go_on(struct machine *m); /* SIGCONT */
bool machine_computes(const struct machine *m, uint32_t id); /* the shard is in service there, in truth */

#endif
