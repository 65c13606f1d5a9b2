/* clock - time and timers behind a table, so that a swarm can run on a virtual clock.
 *
 * node and swarm take time from here only. The real one is net/loop's, the simulated one is in
 * tests/sim. All callbacks come on the loop thread. Waits use mono_ms; wall_ms is only for the expiry
 * of signed records and for people. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct timer; /* owned by whoever made it */

struct clock_ops {
    uint64_t (*mono_us)(void *self);
    int64_t (*wall_ms)(void *self); /* since 1970 */
    struct timer *(*timer_new)(void *self, void (*fire)(void *arg), void *arg);
    void (*timer_set)(struct timer *timer, uint64_t delay_ms); /* once; replaces an earlier setting */
    void (*timer_stop)(struct timer *timer);
    void (*timer_free)(struct timer *timer); /* allowed inside its own callback */
};

struct clock {
    const struct clock_ops *ops;
    void *self;
};

static inline uint64_t clock_us(const struct clock *clock)
{
    return clock->ops->mono_us(clock->self);
}
static inline uint64_t clock_ms(const struct clock *clock)
{
    return clock->ops->mono_us(clock->self) / 1000;
}
static inline int64_t clock_wall_ms(const struct clock *clock)
{
    return clock->ops->wall_ms(clock->self);
}
static inline struct timer *clock_timer_new(const struct clock *clock, void (*fire)(void *arg), void *arg)
{
    return clock->ops->timer_new(clock->self, fire, arg);
}
static inline void clock_timer_set(const struct clock *clock, struct timer *timer, uint64_t delay_ms)
{
    clock->ops->timer_set(timer, delay_ms);
}
static inline void clock_timer_stop(const struct clock *clock, struct timer *timer)
{
    clock->ops->timer_stop(timer);
}
static inline void clock_timer_free(const struct clock *clock, struct timer *timer)
{
    if (timer)
        clock->ops->timer_free(timer);
}

/* For programs without a loop (benchmarks, single-process commands). */
uint64_t clock_process_us(void);

#endif
