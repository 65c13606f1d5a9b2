/* sim_check - what must hold in a simulated swarm, looked at after every event and in sweeps:
 *
 * I1 no node says ready for more than GRACE_MS while, in truth, the plan that it names could not carry a token
 * I2 every node says ready within the family's bound after the last fault is over
 * I3 while a fault lasts and all has settled, what a node that is not ready names first is of some active
 * fault, and a node that is ready names no blocker; when no fault is active nothing is named but progress I4
 * tokens come once for each position, in order, and are those of an undisturbed answer; a request ends once I5
 * tables and memory stay within a function of nodes and shards I6 epochs, record versions and announcement
 * numbers never go back, over crashes too */
#ifndef SIM_SIM_CHECK_H
#define SIM_SIM_CHECK_H

#include "sim/sim_scenario.h"

#define GRACE_MS       3000
#define SETTLED_MS     12000 /* after a fault began or ended, until names are held against it */
#define READY_SAMPLES  65536
#define REQUESTS_MAX   4
#define REQUEST_TOKENS 200

struct request {
    struct checks *checks;
    struct machine *at;
    uint64_t epoch, began_ms;
    bool is_open;
    uint32_t tokens[REQUEST_TOKENS], n_prompt, n, n_max;
    struct generation *generation;
};

struct totals { /* of all seeds */
    uint64_t n_seeds, n_events, virtual_ms, n_false_ready_us;
    uint64_t n_faults[FAULT_KIND_COUNT], n_families[FAMILY_COUNT];
    uint64_t n_names_checked, n_requests, n_answered, n_failed, n_dropped, n_tokens, n_probes;
    uint64_t n_twice;
    uint32_t ready_ms[FAMILY_COUNT][2048]; /* after the last fault: a ring of samples */
    uint32_t n_ready[FAMILY_COUNT], worst_ready_ms[FAMILY_COUNT];
    uint64_t worst_ready_seed[FAMILY_COUNT];
    uint64_t most_memory_kib;
};

struct checks {
    struct scenario *scenario;
    struct totals *totals;
    struct request requests[REQUESTS_MAX];
    uint64_t requested_ms;
    struct rng rng; /* of requests; the scenario's own stays as it was drawn */
};

void checks_init(struct checks *checks, struct scenario *scenario, struct totals *totals);
void checks_of_machine(struct checks *checks, struct machine *m); /* after an event there */
void checks_sweep(struct checks *checks);                         /* a few times a second */
bool checks_all_ready(const struct checks *checks);
void checks_at_rest(struct checks *checks); /* ready for a while, no fault since long */
uint32_t checks_bound_ms(enum family family);
void checks_request(struct checks *checks); /* asks for an answer now and then */
bool checks_request_open(const struct checks *checks);
/* After a process of this machine ended: nobody hears of its requests any more. */
void checks_forget(struct checks *checks);

#endif
