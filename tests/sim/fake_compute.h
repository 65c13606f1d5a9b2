/* fake_compute - weights without weights: what a shard's file says it is, loaded at a rate, tested, in service.
 * It checks that its user keeps to the order of the port.
 *
 * Steps are run by an arithmetic of its own: each position's hidden state depends on all positions before it,
 * as with keys and values; so a lost, doubled or foreign position gives other states and another token. Anybody
 * can compute the same with the functions below. */
#ifndef SIM_FAKE_COMPUTE_H
#define SIM_FAKE_COMPUTE_H

#include "node/compute.h"
#include "sim/fake_disk.h"

#define FAKE_COMPUTE_IDS 64
#define FAKE_N_EMBD      4
#define FAKE_N_VOCAB     32000

/* One shard, one position: what comes in, what the shard kept of the position before (0 at the first), what it
 * keeps now. */
uint64_t fake_embed(uint32_t token);
uint64_t fake_keep(uint64_t kept_before, uint64_t in);
uint64_t fake_state(uint64_t kept, uint32_t shard);
uint32_t fake_token(uint64_t last_state);
void fake_hidden(float out[FAKE_N_EMBD], uint64_t state); /* as floats, exactly */

struct fake_held {
    bool is_loaded, is_tested, is_entered;
    struct sha256 self_test;
    struct span span;
};

struct fake_kept { /* of one sequence by one shard */
    uint64_t sequence, *kept;
    uint32_t id, n;
    struct fake_kept *next;
};

struct fake_compute {
    struct compute compute;
    struct fake_clock *clock;
    struct fake_disk *disk;
    struct compute_job *jobs;
    struct fake_step *steps;
    struct fake_kept *kept;
    struct fake_held held[FAKE_COMPUTE_IDS];
    /* what it is like */
    uint64_t load_rate; /* bytes a second */
    uint32_t test_ms;
    uint64_t n_wrong_tests;  /* so many self-tests give a wrong hash */
    enum status load_status; /* not OK: loading fails with it */
    uint64_t need_beside;    /* bytes */
    uint32_t step_ms;        /* 0: steps are not for this one */
    bool is_bad;             /* its arithmetic is wrong */
    /* what it did */
    uint32_t n_loads, n_unloads, n_loading, n_loading_max;
    uint32_t order[FAKE_COMPUTE_IDS * 4]; /* ids, as they were loaded */
    uint64_t n_steps;
};

void fake_compute_init(struct fake_compute *compute, struct fake_clock *clock, struct fake_disk *disk);
void fake_compute_free(struct fake_compute *compute);
/* Steps under way are their callers' again, nothing of them comes any more: before the node is freed. */
void fake_compute_stop(struct fake_compute *compute);
/* All of it, without time passing; what was posted does nothing. */
void fake_compute_halt(struct fake_compute *compute);
uint32_t fake_compute_n_kept(const struct fake_compute *compute);

#endif
