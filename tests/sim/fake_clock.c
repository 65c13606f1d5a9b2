#include "sim/fake_clock.h"

#include "base/mem.h"

struct timer {
    struct fake_clock *clock;
    void (*fire)(void *arg);
    void *arg;
    bool is_set, is_post;
    uint64_t at_us, order;
    struct timer *next;
};

static uint64_t mono_us(void *self)
{
    return ((struct fake_clock *)self)->now_us;
}

static int64_t wall_ms(void *self)
{
    const struct fake_clock *clock = self;
    return (int64_t)(clock->now_us / 1000) + clock->wall_offset_ms;
}

static struct timer *timer_new(void *self, void (*fire)(void *arg), void *arg)
{
    struct fake_clock *clock = self;
    struct timer *timer = mem_new(sizeof *timer);
    *timer = (struct timer){.clock = clock, .fire = fire, .arg = arg, .next = clock->timers};
    clock->timers = timer;
    return timer;
}

static void timer_set(struct timer *timer, uint64_t delay_ms)
{
    timer->is_set = true;
    timer->at_us = timer->clock->now_us + delay_ms * 1000;
    timer->order = ++timer->clock->n_set;
}

static void timer_stop(struct timer *timer)
{
    timer->is_set = false;
}

static void timer_free(struct timer *timer)
{
    struct timer **at = &timer->clock->timers;
    while (*at != timer)
        at = &(*at)->next;
    *at = timer->next;
    mem_free(timer);
}

void fake_clock_init(struct fake_clock *clock)
{
    static const struct clock_ops ops = {.mono_us = mono_us,
                                         .wall_ms = wall_ms,
                                         .timer_new = timer_new,
                                         .timer_set = timer_set,
                                         .timer_stop = timer_stop,
                                         .timer_free = timer_free};
    *clock = (struct fake_clock){.now_us = 5000000, .wall_offset_ms = 1700000000000};
    clock->clock = (struct clock){.ops = &ops, .self = clock};
}

void fake_clock_free(struct fake_clock *clock)
{
    for (struct timer *timer = clock->timers, *next; timer; timer = next) {
        next = timer->next;
        ASSERT(timer->is_post);
        timer_free(timer);
    }
}

static struct timer *next_due(const struct fake_clock *clock, uint64_t end_us)
{
    struct timer *first = NULL;
    for (struct timer *timer = clock->timers; timer; timer = timer->next) {
        if (!timer->is_set || timer->at_us > end_us)
            continue;
        if (!first || timer->at_us < first->at_us ||
            (timer->at_us == first->at_us && timer->order < first->order))
            first = timer;
    }
    return first;
}

bool fake_clock_run_until(struct fake_clock *clock, uint64_t ms, bool (*done)(void *arg), void *arg)
{
    uint64_t end_us = clock->now_us + ms * 1000;
    for (;;) {
        if (done && done(arg))
            return true;
        struct timer *timer = next_due(clock, end_us);
        if (!timer)
            break;
        if (timer->at_us > clock->now_us)
            clock->now_us = timer->at_us;
        timer->is_set = false;
        void (*fire)(void *) = timer->fire;
        void *with = timer->arg;
        if (timer->is_post)
            timer_free(timer);
        fire(with);
    }
    clock->now_us = end_us;
    return done && done(arg);
}

void fake_clock_run(struct fake_clock *clock, uint64_t ms)
{
    fake_clock_run_until(clock, ms, NULL, NULL);
}

void fake_clock_post(struct fake_clock *clock, uint64_t delay_ms, void (*fn)(void *arg), void *arg)
{
    struct timer *timer = timer_new(clock, fn, arg);
    timer->is_post = true;
    timer_set(timer, delay_ms);
}
