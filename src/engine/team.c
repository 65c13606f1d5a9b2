#include "engine/team.h"

#include "base/mem.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A waiter first pauses (the work of one part is often shorter than a system call), then gives its CPU to
 * whoever wants it (several engines may share a few cores), then sleeps. */
#define SPIN_PAUSES      64
#define SPIN_YIELDS      16
#define SPIN_IDLE_YIELDS 32

#define MEMBERS_CLOSED 0x80000000U

struct worker {
    struct team *team;
    pthread_t thread;
    uint32_t index;
};

struct team {
    struct worker *workers; /* [n_threads - 1] */
    uint32_t n_threads;
    void (*thread_start)(void);

    /* Written by the owner before it opens a job. */
    void (*job)(struct crew *crew, void *arg);
    void *arg;
    uint32_t first_operation;

    _Alignas(64) _Atomic uint64_t jobs; /* counts them in the upper half, on which workers sleep */
    _Atomic uint32_t idle_sleepers;
    _Atomic bool stopping;
    _Atomic uint32_t members; /* workers inside the job, or-ed with MEMBERS_CLOSED */

    /* The operation's number in the upper half, its next part in the lower: one word, so that a member that
     * comes late can never take a part of an operation that is over, and the only place that says which
     * operation it is: two words would be seen, and could be written, in another order. */
    _Alignas(64) _Atomic uint64_t ticket;
    _Alignas(64) _Atomic uint32_t n_done; /* parts of the current operation */
    _Atomic uint32_t sleepers;
};

struct crew {
    struct team *team;
    uint32_t worker;
    uint32_t operation;
};

static void cpu_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* The kernel compares 32 bits: the upper half of the word. */
static uint32_t *upper_half(_Atomic uint64_t *word)
{
    return (uint32_t *)(void *)word + (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
}

static uint32_t number_in(_Atomic uint64_t *word)
{
    return (uint32_t)(atomic_load(word) >> 32);
}

static void wake_all(_Atomic uint64_t *word)
{
    syscall(SYS_futex, upper_half(word), FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* Returns when the number in *word is not `old` any more. */
static void wait_change(_Atomic uint64_t *word, uint32_t old, _Atomic uint32_t *sleepers, int n_yields)
{
    for (int i = 0; i < SPIN_PAUSES; i++) {
        if (number_in(word) != old)
            return;
        cpu_pause();
    }
    for (int i = 0; i < n_yields; i++) {
        if (number_in(word) != old)
            return;
        sched_yield();
    }
    atomic_fetch_add(sleepers, 1);
    while (number_in(word) == old)
        syscall(SYS_futex, upper_half(word), FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
    atomic_fetch_sub(sleepers, 1);
}

static bool join_job(struct team *team)
{
    uint32_t members = atomic_load(&team->members);
    while (!(members & MEMBERS_CLOSED))
        if (atomic_compare_exchange_weak(&team->members, &members, members + 1))
            return true;
    return false;
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct team *team = worker->team;
    uint32_t seen = 0;

    if (team->thread_start)
        team->thread_start();
    for (;;) {
        wait_change(&team->jobs, seen, &team->idle_sleepers, SPIN_IDLE_YIELDS);
        if (atomic_load(&team->stopping))
            return NULL;
        seen = number_in(&team->jobs);
        if (!join_job(team))
            continue;
        struct crew crew = {.team = team, .worker = worker->index, .operation = team->first_operation};
        team->job(&crew, team->arg);
        atomic_fetch_sub_explicit(&team->members, 1, memory_order_release);
    }
}

struct team *team_new(uint32_t n_threads, void (*thread_start)(void))
{
    struct team *team = mem_try_aligned(sizeof *team); /* its cache lines are kept apart */
    ASSERT(team && n_threads > 0 && n_threads <= TEAM_THREADS_MAX);
    team->workers = mem_array(n_threads, sizeof *team->workers);
    team->thread_start = thread_start;
    team->n_threads = 1;
    atomic_init(&team->members, MEMBERS_CLOSED);
    for (uint32_t i = 1; i < n_threads; i++) {
        struct worker *worker = &team->workers[i - 1];
        worker->team = team;
        worker->index = i;
        if (pthread_create(&worker->thread, NULL, work, worker))
            break;
        pthread_setname_np(worker->thread, "shoal-compute");
        team->n_threads++;
    }
    return team;
}

void team_free(struct team *team)
{
    if (!team)
        return;
    atomic_store(&team->stopping, true);
    atomic_fetch_add(&team->jobs, (uint64_t)1 << 32);
    wake_all(&team->jobs);
    for (uint32_t i = 1; i < team->n_threads; i++)
        pthread_join(team->workers[i - 1].thread, NULL);
    mem_free(team->workers);
    mem_free(team);
}

uint32_t team_n_threads(const struct team *team)
{
    return team->n_threads;
}

static void close_job(struct team *team)
{
    atomic_fetch_or(&team->members, MEMBERS_CLOSED);
    /* Who is still inside only skips operations that are over: soon gone, unless it lost its CPU. */
    for (int i = 0; atomic_load_explicit(&team->members, memory_order_acquire) != MEMBERS_CLOSED; i++)
        if (i < SPIN_PAUSES)
            cpu_pause();
        else
            sched_yield();
}

void team_run(struct team *team, void (*job)(struct crew *crew, void *arg), void *arg, bool alone)
{
    struct crew crew = {.team = team};

    alone = alone || team->n_threads == 1;
    team->job = job;
    team->arg = arg;
    team->first_operation = crew.operation = number_in(&team->ticket);
    if (!alone) {
        atomic_store(&team->members, 0);
        atomic_fetch_add(&team->jobs, (uint64_t)1 << 32);
        if (atomic_load(&team->idle_sleepers))
            wake_all(&team->jobs);
    }
    job(&crew, arg);
    if (!alone)
        close_job(team);
}

static void next_operation(struct team *team, uint32_t number)
{
    atomic_store_explicit(&team->n_done, 0, memory_order_relaxed);
    atomic_store(&team->ticket, (uint64_t)number << 32);
    if (atomic_load(&team->sleepers))
        wake_all(&team->ticket);
}

void crew_share(struct crew *crew, uint32_t n_parts, void (*part)(void *arg, uint32_t index, uint32_t worker),
                void *arg)
{
    struct team *team = crew->team;
    uint32_t number = crew->operation++;
    uint64_t ticket = atomic_load(&team->ticket);

    while ((uint32_t)(ticket >> 32) == number) {
        uint32_t index = (uint32_t)ticket;
        if (index >= n_parts) {
            wait_change(&team->ticket, number, &team->sleepers, SPIN_YIELDS);
            return;
        }
        if (!atomic_compare_exchange_weak(&team->ticket, &ticket, ticket + 1))
            continue;
        part(arg, index, crew->worker);
        if (atomic_fetch_add(&team->n_done, 1) + 1 == n_parts)
            next_operation(team, number + 1);
        ticket = atomic_load(&team->ticket);
    }
}
