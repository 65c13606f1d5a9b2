/* fake_clock - virtual time: timers fire in the order of their time, then of their setting. Nothing happens but
 * in fake_clock_run. */
#ifndef SIM_FAKE_CLOCK_H
#define SIM_FAKE_CLOCK_H

#include "base/clock.h"

struct fake_clock {
    struct clock clock;
    uint64_t now_us, n_set;
    int64_t wall_offset_ms; /* wall clock minus virtual time */
    struct timer *timers;
};

void fake_clock_init(struct fake_clock *clock);
void fake_clock_free(struct fake_clock *clock); /* one-shot posts included; other timers must be gone */
/* Runs everything due within the next ms. */
void fake_clock_run(struct fake_clock *clock, uint64_t ms);
/* Until done(arg), at most ms; false: it did not become true. */
bool fake_clock_run_until(struct fake_clock *clock, uint64_t ms, bool (*done)(void *arg), void *arg);
/* fn(arg) once, after delay_ms. */
void fake_clock_post(struct fake_clock *clock, uint64_t delay_ms, void (*fn)(void *arg), void *arg);

#endif
