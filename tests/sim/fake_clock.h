/* fake_clock - virtual time: timers fire in the order of their time, then of their setting. Nothing happens but
 * in fake_clock_run.
 *
 * A swarm has one root and a clock of its own for each machine, which shares the root's time. A stopped
 * machine's timers wait until it goes on, like those of a process under SIGSTOP; its wall clock may differ. */
#ifndef SIM_FAKE_CLOCK_H
#define SIM_FAKE_CLOCK_H

#include "base/clock.h"

#include <stddef.h>

struct fake_clock {
    struct clock clock;
    struct fake_clock *root; /* itself, or whose time it shares */
    uint64_t now_us, n_set;  /* the root's */
    int64_t wall_offset_ms;  /* wall clock minus virtual time */
    struct timer *timers;    /* its own */
    uint32_t n_timers;
    struct timer **heap; /* the root's: all that are set, the next one first */
    size_t n_heap, heap_capacity;
    bool is_stopped;
    struct fake_clock *current; /* the root's: whose timer is firing now */
    /* After each timer that fired, when set at the root; `clock` is the one that the timer belonged to. */
    void (*fired)(void *ctx, struct fake_clock *clock);
    void *fired_ctx;
};

void fake_clock_init(struct fake_clock *clock);
void fake_clock_init_machine(struct fake_clock *clock, struct fake_clock *root);
void fake_clock_free(struct fake_clock *clock); /* one-shot posts included; other timers must be gone */
/* Runs everything due within the next ms, on all machines. Roots only. */
void fake_clock_run(struct fake_clock *clock, uint64_t ms);
/* Until done(arg), at most ms; false: it did not become true. */
bool fake_clock_run_until(struct fake_clock *clock, uint64_t ms, bool (*done)(void *arg), void *arg);
/* fn(arg) once, after delay_ms. */
void fake_clock_post(struct fake_clock *clock, uint64_t delay_ms, void (*fn)(void *arg), void *arg);
/* Of a machine: SIGSTOP and SIGCONT. What came due meanwhile fires at once, in its order. */
void fake_clock_stop(struct fake_clock *clock);
void fake_clock_go_on(struct fake_clock *clock);

#endif
