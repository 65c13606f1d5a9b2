/* sim_scenario - what happens to a swarm: drawn from a seed, then played. Machines, shards, files, the order of
 * starts, faults with their times; at the end every fault is healed. */
#ifndef SIM_SIM_SCENARIO_H
#define SIM_SIM_SCENARIO_H

#include "sim/sim_world.h"

#define SIM_FAULTS_MAX   12
#define SIM_EXPECTED_MAX 128

/* kind, its name in the table at the end */
#define FAULT_KINDS(X)                                                                                         \
    X(KILL, "killed")                                                                                          \
    X(POWER, "power lost")                                                                                     \
    X(LEAVE, "left")                                                                                           \
    X(STOP, "stopped")                                                                                         \
    X(RESET, "link reset")                                                                                     \
    X(CUT_ONE_WAY, "cut one way")                                                                              \
    X(CUT_PAIR, "cut pair")                                                                                    \
    X(ISOLATE, "isolated")                                                                                     \
    X(SPLIT, "split")                                                                                          \
    X(SLOW, "slow link")                                                                                       \
    X(CLOCK_STEP, "clock step")                                                                                \
    X(DHT_STALE, "stale dht")                                                                                  \
    X(DHT_LOSS, "lost puts")                                                                                   \
    X(DHT_CUT, "agent cut off")                                                                                \
    X(LIES, "lies in dht")                                                                                     \
    X(NOTICE_LOST, "SHARD_LOADED lost")                                                                        \
    X(FILE_WRONG, "file wrong")                                                                                \
    X(FILE_CUT, "file cut")                                                                                    \
    X(FILE_GONE, "file gone")                                                                                  \
    X(FILE_GONE_RUNNING, "file gone while loaded")                                                             \
    X(DISK_FULL, "disk full")                                                                                  \
    X(SOURCE_CORRUPT, "source corrupt")                                                                        \
    X(LOAD_FAILS, "load fails")                                                                                \
    X(TEST_WRONG, "self-test wrong")                                                                           \
    X(BAD_ARITHMETIC, "computes wrongly")                                                                      \
    X(NO_MEMORY, "no memory")                                                                                  \
    X(WRONG_KEY, "wrong key")                                                                                  \
    X(NO_MANIFEST, "no manifest")

enum fault_kind {
#define X(kind, name) FAULT_##kind,
    FAULT_KINDS(X)
#undef X
        FAULT_KIND_COUNT
};
const char *fault_name(enum fault_kind kind);

#define FAMILIES(X)                                                                                            \
    X(START, "start")                                                                                          \
    X(ONE, "one")                                                                                              \
    X(SEVERAL, "several")                                                                                      \
    X(COLD, "cold")                                                                                            \
    X(COORDINATOR, "coordinator")                                                                              \
    X(REQUESTS, "requests")                                                                                    \
    X(LARGE, "large")

enum family {
#define X(family, name) FAMILY_##family,
    FAMILIES(X)
#undef X
        FAMILY_COUNT
};
const char *family_name(enum family family);
enum family family_of_seed(uint64_t seed);

struct fault {
    enum fault_kind kind;
    uint32_t a, b, shard;
    uint64_t start_ms, end_ms;
    bool is_active, is_skipped, is_over;
    int64_t step_ms; /* CLOCK_STEP */
};

struct scenario {
    struct world world;
    enum family family;
    struct fault faults[SIM_FAULTS_MAX];
    uint32_t n_faults;
    uint64_t begin_ms, healed_ms; /* all faults are over; 0: not yet */
    uint64_t changed_ms;          /* a fault began or ended */
    uint64_t starts_ms[SIM_ENDS_MAX];
    bool has_serve;
    uint32_t n_lies;
    struct sim_path plain; /* every path without fault */
};

/* May be the first blocker while some fault is active. */
struct expected {
    enum finding_code code;
    int32_t shard, machine; /* -1: any */
};

void scenario_draw(struct scenario *s, uint64_t seed, enum family family, bool verbose);
void scenario_free(struct scenario *s);
/* Starts, injects and heals what is due. */
void scenario_advance(struct scenario *s);
/* What `observer` may name now. *out_any_blocks: whether some active fault may block at all. */
uint32_t scenario_expected(const struct scenario *s, const struct machine *observer,
                           struct expected out[SIM_EXPECTED_MAX]);

#endif
