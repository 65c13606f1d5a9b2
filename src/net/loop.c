#include "net/loop.h"

#include "base/mem.h"
#include "net/loop_private.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct call {
    void (*fn)(void *arg);
    void *arg;
    struct call *next;
};

struct calls { /* a queue */
    struct call *first, **end;
};

struct loop {
    struct event_base *base;
    struct clock clock;
    pthread_mutex_t lock;  /* over posted */
    struct calls posted;   /* from any thread; wake_fd tells of it */
    struct calls deferred; /* from this thread; `defer` runs it */
    int wake_fd;
    struct event *wake, *defer;
    struct folders *folders;
    struct loop_guest *guests;
};

struct timer {
    struct event *event;
    void (*fire)(void *arg);
    void *arg;
};

struct watch {
    struct loop *loop;
    struct event *event;
    void (*fn)(void *arg, unsigned events);
    void *arg;
    int fd;
};

struct signal_watch {
    struct event *event;
    void (*fn)(void *arg);
    void *arg;
};

/* --- time ------------------------------------------------------------------------------------------- */

static uint64_t mono_us(void *self)
{
    (void)self;
    return clock_process_us();
}

static int64_t wall_ms(void *self)
{
    (void)self;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void timer_fired(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct timer *timer = arg;
    timer->fire(timer->arg); /* may free the timer */
}

static struct timer *timer_new(void *self, void (*fire)(void *arg), void *arg)
{
    struct loop *loop = self;
    struct timer *timer = mem_new(sizeof *timer);
    timer->fire = fire;
    timer->arg = arg;
    timer->event = evtimer_new(loop->base, timer_fired, timer);
    ASSERT(timer->event);
    return timer;
}

static void timer_set(struct timer *timer, uint64_t delay_ms)
{
    struct timeval delay = {.tv_sec = (time_t)(delay_ms / 1000),
                            .tv_usec = (suseconds_t)(delay_ms % 1000 * 1000)};
    evtimer_add(timer->event, &delay);
}

static void timer_stop(struct timer *timer)
{
    evtimer_del(timer->event);
}

static void timer_free(struct timer *timer)
{
    event_free(timer->event);
    mem_free(timer);
}

static const struct clock_ops real_clock = {
    .mono_us = mono_us,
    .wall_ms = wall_ms,
    .timer_new = timer_new,
    .timer_set = timer_set,
    .timer_stop = timer_stop,
    .timer_free = timer_free,
};

struct clock *loop_clock(struct loop *loop)
{
    return &loop->clock;
}

/* --- calls from other threads, and for later ---------------------------------------------------------- */

static void calls_add(struct calls *calls, void (*fn)(void *arg), void *arg)
{
    struct call *call = mem_new(sizeof *call);
    *call = (struct call){.fn = fn, .arg = arg};
    if (!calls->first)
        calls->end = &calls->first;
    *calls->end = call;
    calls->end = &call->next;
}

static void calls_run(struct call *call)
{
    while (call) {
        struct call *next = call->next;
        call->fn(call->arg);
        mem_free(call);
        call = next;
    }
}

static bool run_deferred(struct loop *loop)
{
    struct call *first = loop->deferred.first;
    loop->deferred.first = NULL;
    calls_run(first);
    return first;
}

static bool run_posted(struct loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    struct call *first = loop->posted.first;
    loop->posted.first = NULL;
    pthread_mutex_unlock(&loop->lock);
    calls_run(first);
    return first;
}

static void on_defer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    run_deferred(arg);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    uint64_t count;
    while (read(fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
    run_posted(arg);
}

void loop_post(struct loop *loop, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&loop->lock);
    bool was_empty = !loop->posted.first;
    calls_add(&loop->posted, fn, arg);
    uint64_t one = 1;
    if (was_empty) /* else a wake is already on its way */
        while (write(loop->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
            ;
    pthread_mutex_unlock(&loop->lock); /* last: the call may free the loop */
}

void loop_defer(struct loop *loop, void (*fn)(void *arg), void *arg)
{
    if (!loop->deferred.first)
        event_active(loop->defer, EV_TIMEOUT, 0);
    calls_add(&loop->deferred, fn, arg);
}

/* --- life --------------------------------------------------------------------------------------------- */

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    const rlim_t wanted = 65536;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &limit);
}

enum status loop_new(struct loop **out, struct error *err)
{
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    struct loop *loop = mem_new(sizeof *loop);
    pthread_mutex_init(&loop->lock, NULL);
    loop->clock = (struct clock){.ops = &real_clock, .self = loop};
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake_fd < 0) {
        error_set_errno(err, STATUS_IO, errno, "making the event loop's wake descriptor");
        goto fail;
    }
    struct event_config *config = event_config_new();
    /* Without cached time a timer set late in a long callback still waits its whole delay. */
    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER | EVENT_BASE_FLAG_NO_CACHE_TIME);
    loop->base = event_base_new_with_config(config);
    event_config_free(config);
    if (!loop->base) {
        error_set(err, STATUS_IO, "the event loop does not start (descriptors left? see ulimit -n)");
        goto fail;
    }
    loop->wake = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
    loop->defer = event_new(loop->base, -1, 0, on_defer, loop);
    event_add(loop->wake, NULL);
    *out = loop;
    return STATUS_OK;
fail:
    loop_free(loop);
    return err ? err->status : STATUS_IO;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    while (run_posted(loop) || run_deferred(loop))
        ;
    folders_free(loop->folders);
    while (loop->guests)
        loop->guests->leave(loop->guests);
    while (run_posted(loop) || run_deferred(loop))
        ;
    if (loop->wake)
        event_free(loop->wake);
    if (loop->defer)
        event_free(loop->defer);
    if (loop->base)
        event_base_free(loop->base);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    pthread_mutex_destroy(&loop->lock);
    mem_free(loop);
}

void loop_run(struct loop *loop)
{
    event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

static void stop_now(void *arg)
{
    struct loop *loop = arg;
    event_base_loopexit(loop->base, NULL);
}

void loop_stop(struct loop *loop)
{
    loop_post(loop, stop_now, loop);
}

static void set_true(void *arg)
{
    *(bool *)arg = true;
}

bool loop_run_until(struct loop *loop, bool (*done)(void *arg), void *arg, uint64_t timeout_ms)
{
    bool late = false;
    struct timer *timer = timer_new(loop, set_true, &late);
    timer_set(timer, timeout_ms);
    while (!done(arg) && !late)
        event_base_loop(loop->base, EVLOOP_ONCE);
    timer_free(timer);
    return done(arg);
}

struct folders **loop_folders(struct loop *loop)
{
    return &loop->folders;
}

void loop_guest_add(struct loop *loop, struct loop_guest *guest)
{
    guest->before = &loop->guests;
    guest->next = loop->guests;
    if (guest->next)
        guest->next->before = &guest->next;
    loop->guests = guest;
}

void loop_guest_remove(struct loop_guest *guest)
{
    if (!guest->before)
        return;
    *guest->before = guest->next;
    if (guest->next)
        guest->next->before = guest->before;
    guest->before = NULL;
}

/* --- descriptors and signals -------------------------------------------------------------------------- */

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    struct watch *watch = arg;
    unsigned events = (what & EV_READ ? (unsigned)LOOP_READ : 0) | (what & EV_WRITE ? (unsigned)LOOP_WRITE : 0);
    watch->fn(watch->arg, events); /* may free the watch */
}

struct watch *loop_watch(struct loop *loop, int fd, unsigned events, void (*fn)(void *arg, unsigned events),
                         void *arg)
{
    struct watch *watch = mem_new(sizeof *watch);
    *watch = (struct watch){.loop = loop, .fn = fn, .arg = arg, .fd = fd};
    watch->event = event_new(loop->base, fd, EV_PERSIST, on_ready, watch);
    ASSERT(watch->event);
    loop_watch_set(watch, events);
    return watch;
}

void loop_watch_set(struct watch *watch, unsigned events)
{
    short wanted = (short)((events & LOOP_READ ? EV_READ : 0) | (events & LOOP_WRITE ? EV_WRITE : 0));
    if (wanted == (event_get_events(watch->event) & (EV_READ | EV_WRITE)) &&
        (!wanted || event_pending(watch->event, wanted, NULL)))
        return;
    event_del(watch->event);
    event_assign(watch->event, watch->loop->base, watch->fd, (short)(wanted | EV_PERSIST), on_ready, watch);
    if (wanted)
        event_add(watch->event, NULL);
}

void loop_unwatch(struct watch *watch)
{
    if (!watch)
        return;
    event_free(watch->event);
    mem_free(watch);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct signal_watch *watch = arg;
    watch->fn(watch->arg);
}

struct signal_watch *loop_on_signal(struct loop *loop, int signo, void (*fn)(void *arg), void *arg)
{
    struct signal_watch *watch = mem_new(sizeof *watch);
    *watch = (struct signal_watch){.fn = fn, .arg = arg};
    watch->event = evsignal_new(loop->base, signo, on_signal, watch);
    ASSERT(watch->event);
    event_add(watch->event, NULL);
    return watch;
}

void loop_off_signal(struct signal_watch *watch)
{
    if (!watch)
        return;
    event_free(watch->event);
    mem_free(watch);
}
