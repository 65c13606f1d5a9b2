#include "sim/fake_clock.h"

#include "base/mem.h"

#include <stdlib.h>

#define NOT_SET SIZE_MAX

struct timer {
    struct fake_clock *clock;
    void (*fire)(void *arg);
    void *arg;
    bool is_post;
    bool is_held; /* came due while its machine was stopped */
    uint64_t at_us, order;
    size_t place; /* in the root's heap, NOT_SET */
    struct timer *next, *prev;
};

static uint64_t mono_us(void *self)
{
    return ((struct fake_clock *)self)->root->now_us;
}

static int64_t wall_ms(void *self)
{
    const struct fake_clock *clock = self;
    return (int64_t)(clock->root->now_us / 1000) + clock->wall_offset_ms;
}

/* --- the heap -------------------------------------------------------------------------------------------- */

static bool is_before(const struct timer *a, const struct timer *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void put(struct fake_clock *root, size_t place, struct timer *timer)
{
    root->heap[place] = timer;
    timer->place = place;
}

static void rise(struct fake_clock *root, struct timer *timer)
{
    size_t at = timer->place;
    while (at && is_before(timer, root->heap[(at - 1) / 2])) {
        put(root, at, root->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(root, at, timer);
}

static void sink(struct fake_clock *root, struct timer *timer)
{
    size_t at = timer->place;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= root->n_heap)
            break;
        if (child + 1 < root->n_heap && is_before(root->heap[child + 1], root->heap[child]))
            child++;
        if (!is_before(root->heap[child], timer))
            break;
        put(root, at, root->heap[child]);
        at = child;
    }
    put(root, at, timer);
}

static void leave_heap(struct timer *timer)
{
    struct fake_clock *root = timer->clock->root;
    if (timer->place == NOT_SET)
        return;
    size_t at = timer->place;
    struct timer *last = root->heap[--root->n_heap];
    timer->place = NOT_SET;
    if (last == timer)
        return;
    put(root, at, last);
    rise(root, last);
    sink(root, last);
}

static void enter_heap(struct timer *timer)
{
    struct fake_clock *root = timer->clock->root;
    if (root->n_heap == root->heap_capacity) {
        root->heap_capacity = root->heap_capacity ? 2 * root->heap_capacity : 64;
        root->heap = mem_resize(root->heap, root->heap_capacity, sizeof(struct timer *));
    }
    put(root, root->n_heap++, timer);
    rise(root, timer);
}

/* --- timers ---------------------------------------------------------------------------------------------- */

static struct timer *timer_new(void *self, void (*fire)(void *arg), void *arg)
{
    struct fake_clock *clock = self;
    struct timer *timer = mem_new(sizeof *timer);
    *timer = (struct timer){.clock = clock, .fire = fire, .arg = arg, .place = NOT_SET, .next = clock->timers};
    if (clock->timers)
        clock->timers->prev = timer;
    clock->timers = timer;
    clock->n_timers++;
    return timer;
}

static void timer_stop(struct timer *timer)
{
    leave_heap(timer);
    timer->is_held = false;
}

static void timer_set(struct timer *timer, uint64_t delay_ms)
{
    struct fake_clock *root = timer->clock->root;
    timer_stop(timer);
    timer->at_us = root->now_us + delay_ms * 1000;
    timer->order = ++root->n_set;
    enter_heap(timer);
}

static void timer_free(struct timer *timer)
{
    struct fake_clock *clock = timer->clock;
    leave_heap(timer);
    if (timer->prev)
        timer->prev->next = timer->next;
    else
        clock->timers = timer->next;
    if (timer->next)
        timer->next->prev = timer->prev;
    clock->n_timers--;
    mem_free(timer);
}

static const struct clock_ops ops = {.mono_us = mono_us,
                                     .wall_ms = wall_ms,
                                     .timer_new = timer_new,
                                     .timer_set = timer_set,
                                     .timer_stop = timer_stop,
                                     .timer_free = timer_free};

void fake_clock_init(struct fake_clock *clock)
{
    *clock = (struct fake_clock){.now_us = 5000000, .wall_offset_ms = 1700000000000};
    clock->root = clock;
    clock->clock = (struct clock){.ops = &ops, .self = clock};
}

void fake_clock_init_machine(struct fake_clock *clock, struct fake_clock *root)
{
    *clock = (struct fake_clock){.root = root, .wall_offset_ms = root->wall_offset_ms};
    clock->clock = (struct clock){.ops = &ops, .self = clock};
}

void fake_clock_free(struct fake_clock *clock)
{
    while (clock->timers) {
        ASSERT(clock->timers->is_post);
        timer_free(clock->timers);
    }
    if (clock->root == clock)
        mem_free(clock->heap);
}

/* --- time passes ----------------------------------------------------------------------------------------- */

static void fire(struct fake_clock *root, struct timer *timer)
{
    struct fake_clock *clock = timer->clock;
    void (*fn)(void *) = timer->fire;
    void *arg = timer->arg;
    if (timer->is_post)
        timer_free(timer);
    root->current = clock;
    fn(arg);
    root->current = NULL;
    if (root->fired)
        root->fired(root->fired_ctx, clock);
}

bool fake_clock_run_until(struct fake_clock *root, uint64_t ms, bool (*done)(void *arg), void *arg)
{
    uint64_t end_us = root->now_us + ms * 1000;
    for (;;) {
        if (done && done(arg))
            return true;
        struct timer *timer = root->n_heap ? root->heap[0] : NULL;
        if (!timer || timer->at_us > end_us)
            break;
        if (timer->at_us > root->now_us)
            root->now_us = timer->at_us;
        leave_heap(timer);
        if (timer->clock->is_stopped)
            timer->is_held = true;
        else
            fire(root, timer);
    }
    root->now_us = end_us;
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

void fake_clock_stop(struct fake_clock *clock)
{
    clock->is_stopped = true;
}

static int compare(const void *a, const void *b)
{
    const struct timer *x = *(struct timer *const *)a, *y = *(struct timer *const *)b;
    return is_before(x, y) ? -1 : is_before(y, x);
}

void fake_clock_go_on(struct fake_clock *clock)
{
    struct timer **held = mem_array(clock->n_timers, sizeof(struct timer *));
    size_t n = 0;
    clock->is_stopped = false;
    for (struct timer *timer = clock->timers; timer; timer = timer->next)
        if (timer->is_held)
            held[n++] = timer;
    qsort(held, n, sizeof(struct timer *), compare);
    for (size_t i = 0; i < n; i++)
        timer_set(held[i], 0);
    mem_free(held);
}
