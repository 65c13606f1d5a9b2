/* fake_compute - weights without weights: what a shard's file says it is, loaded at a rate, tested, in service.
 * It checks that its user keeps to the order of the port. */
#ifndef SIM_FAKE_COMPUTE_H
#define SIM_FAKE_COMPUTE_H

#include "node/compute.h"
#include "sim/fake_disk.h"

#define FAKE_COMPUTE_IDS 64

struct fake_held {
    bool is_loaded, is_tested, is_entered;
    struct sha256 self_test;
};

struct fake_compute {
    struct compute compute;
    struct fake_clock *clock;
    struct fake_disk *disk;
    struct compute_job *jobs;
    struct fake_held held[FAKE_COMPUTE_IDS];
    /* what it is like */
    uint64_t load_rate; /* bytes a second */
    uint32_t test_ms;
    uint64_t n_wrong_tests;  /* so many self-tests give a wrong hash */
    enum status load_status; /* not OK: loading fails with it */
    uint64_t need_beside;    /* bytes */
    /* what it did */
    uint32_t n_loads, n_unloads, n_loading, n_loading_max;
    uint32_t order[FAKE_COMPUTE_IDS * 4]; /* ids, as they were loaded */
};

void fake_compute_init(struct fake_compute *compute, struct fake_clock *clock, struct fake_disk *disk);
void fake_compute_free(struct fake_compute *compute);

#endif
