/* sim - swarms in one process: the real node logic over simulated clock, links, disk, agent and weights, one
 * scenario for each seed.
 *
 *   sim [--seeds N] [--from N] [--family NAME]     that many scenarios
 *   sim --seed N [--verbose]                       one, with its trace */
#include "base/log.h"
#include "base/mem.h"
#include "sim/sim_check.h"
#include "sim/sim_crypto.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEP_MS       100
#define REST_MS       4000
#define LONG_REST_MS  40000 /* a failed attempt is told of for 30 s */
#define START_MS      30000 /* a swarm without fault is ready after this */
#define TWICE_EVERY   100
#define MEMORY_EACH   ((uint64_t)3 << 20)
#define MEMORY_ALWAYS ((uint64_t)16 << 20)

struct play {
    struct scenario scenario;
    struct checks checks;
    struct totals *totals;
};

static void on_fired(void *ctx, struct fake_clock *clock)
{
    struct play *play = ctx;
    play->totals->n_events++;
    if (clock->root != clock)
        checks_of_machine(&play->checks, (struct machine *)((char *)clock - offsetof(struct machine, clock)));
}

static void note_ready_time(struct play *play, uint64_t ms)
{
    struct totals *t = play->totals;
    enum family f = play->scenario.family;
    t->ready_ms[f][t->n_ready[f]++ % 2048] = (uint32_t)ms;
    if (ms >= t->worst_ready_ms[f]) {
        t->worst_ready_ms[f] = (uint32_t)ms;
        t->worst_ready_seed[f] = play->scenario.world.seed;
    }
}

static void check_memory(struct play *play)
{
    struct world *w = &play->scenario.world;
    uint64_t used = mallinfo2().uordblks; /* 0 under a sanitizer */
    uint64_t most = MEMORY_ALWAYS + MEMORY_EACH * w->n * (1 + w->n_dead_agents / 4);
    if (used / 1024 > play->totals->most_memory_kib)
        play->totals->most_memory_kib = used / 1024;
    if (used > most)
        world_fail(w, "I5", "%llu KiB of memory are in use, more than %llu for %u nodes",
                   (unsigned long long)used / 1024, (unsigned long long)most / 1024, w->n);
}

/* Whether it has been ready for long enough, with all requests ended. */
static bool is_done(struct play *play, uint64_t *rest_since_ms)
{
    struct scenario *s = &play->scenario;
    uint64_t now = world_ms(&s->world);
    uint64_t rest_ms = s->family == FAMILY_START ? LONG_REST_MS : REST_MS;
    if (!s->healed_ms)
        return false;
    if (!checks_all_ready(&play->checks)) {
        if (*rest_since_ms && now - s->healed_ms > SETTLED_MS)
            world_fail(&s->world, "I2", "ready was lost again without a fault");
        uint32_t bound = s->n_faults ? checks_bound_ms(s->family) : START_MS;
        if (now - s->healed_ms > bound)
            world_fail(&s->world, "I2", "not ready %u s after the last fault", bound / 1000);
        *rest_since_ms = 0;
        return false;
    }
    if (!*rest_since_ms) {
        *rest_since_ms = now;
        note_ready_time(play, now - s->healed_ms);
        world_note(&s->world, "all are ready, %.1f s after the last fault",
                   (double)(now - s->healed_ms) / 1000);
    }
    return now - *rest_since_ms >= rest_ms && !checks_request_open(&play->checks);
}

static void explain_failure(struct play *play)
{
    struct world *w = &play->scenario.world;
    uint32_t n = sizeof w->trace.lines / sizeof *w->trace.lines;
    if (w->trace.is_verbose)
        return;
    for (uint32_t i = w->trace.next > n ? w->trace.next - n : 0; i < w->trace.next; i++)
        printf("  %s\n", w->trace.lines[i % n]);
}

static void show_blockers(struct play *play)
{
    struct world *w = &play->scenario.world;
    for (uint32_t i = 0; i < w->n; i++) {
        struct machine *m = w->machines[i];
        if (m->state != MACHINE_RUNS)
            continue;
        node_compute_verdict(m->node);
        const struct finding *first = verdict_first(&m->node->verdict);
        printf("  %s: %s%s%s\n", m->name, m->node->verdict.ready ? "ready" : "not ready", first ? ": " : "",
               first ? first->cause : "");
    }
}

/* Plays one seed. Returns the trace's hash; *out_failed tells. */
static uint64_t play_seed(struct totals *totals, uint64_t seed, enum family family, bool verbose,
                          bool *out_failed)
{
    struct play *play = mem_new(sizeof *play);
    struct scenario *s = &play->scenario;
    uint64_t rest_since_ms = 0;
    play->totals = totals;
    scenario_draw(s, seed, family, verbose);
    world_note(&s->world, "seed %llu: %s, %u machines, %u shards", (unsigned long long)seed,
               family_name(family), s->world.n, s->world.model.n_shards);
    checks_init(&play->checks, s, totals);
    s->world.clock.fired = on_fired;
    s->world.clock.fired_ctx = play;
    while (!s->world.failed) {
        scenario_advance(s);
        checks_forget(&play->checks);
        if (family == FAMILY_REQUESTS && !rest_since_ms)
            checks_request(&play->checks);
        fake_clock_run(&s->world.clock, STEP_MS);
        checks_sweep(&play->checks);
        if (!s->world.failed && is_done(play, &rest_since_ms))
            break;
    }
    if (!s->world.failed)
        checks_at_rest(&play->checks);
    check_memory(play);
    *out_failed = s->world.failed != NULL;
    if (*out_failed) {
        printf("seed %llu (%s) breaks %s at %.3f s: %s\n", (unsigned long long)seed, family_name(family),
               s->world.failed, (double)(s->world.clock.now_us - 5000000) / 1e6, s->world.why);
        explain_failure(play);
        show_blockers(play);
        printf("  again: build/tests/sim/sim --seed %llu --family %s --verbose\n", (unsigned long long)seed,
               family_name(family));
    }
    for (uint32_t i = 0; i < s->n_faults; i++)
        totals->n_faults[s->faults[i].kind] += s->faults[i].is_over;
    totals->n_families[family]++;
    totals->virtual_ms += world_ms(&s->world);
    uint64_t hash = s->world.trace.hash;
    scenario_free(s);
    mem_free(play);
    return hash;
}

/* --- many seeds ------------------------------------------------------------------------------------------ */

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void print_totals(struct totals *t, uint64_t n_failed, double seconds)
{
    printf("ready after the last fault, in seconds (median, 99 %%, worst and its seed):\n");
    for (int f = 0; f < FAMILY_COUNT; f++) {
        uint32_t n = t->n_ready[f] < 2048 ? t->n_ready[f] : 2048;
        if (!n)
            continue;
        qsort(t->ready_ms[f], n, sizeof t->ready_ms[f][0], compare_u32);
        printf("  %-12s %6llu seeds  %6.1f %6.1f %6.1f (%llu)\n", family_name((enum family)f),
               (unsigned long long)t->n_families[f], t->ready_ms[f][n / 2] / 1e3,
               t->ready_ms[f][n * 99 / 100] / 1e3, t->worst_ready_ms[f] / 1e3,
               (unsigned long long)t->worst_ready_seed[f]);
    }
    printf("faults:");
    for (int k = 0; k < FAULT_KIND_COUNT; k++)
        printf("%s %s %llu", k ? "," : "", fault_name((enum fault_kind)k), (unsigned long long)t->n_faults[k]);
    printf("\nanswers: %llu asked, %llu complete, %llu failed with one error, %llu gone with their front door; "
           "%llu "
           "tokens compared\n",
           (unsigned long long)t->n_requests, (unsigned long long)t->n_answered,
           (unsigned long long)t->n_failed, (unsigned long long)t->n_dropped, (unsigned long long)t->n_tokens);
    printf(
        "%llu events, %.0f h of virtual time, %llu names of blockers compared, %llu seeds run twice, at most "
        "%llu KiB\n",
        (unsigned long long)t->n_events, (double)t->virtual_ms / 3.6e6, (unsigned long long)t->n_names_checked,
        (unsigned long long)t->n_twice, (unsigned long long)t->most_memory_kib);
    printf("%llu seeds, %llu failed, %.1f s\n", (unsigned long long)t->n_seeds, (unsigned long long)n_failed,
           seconds);
}

struct options {
    uint64_t from, n_seeds;
    int family; /* -1: by seed */
    bool verbose, one;
};

static uint64_t run(const struct options *o, struct totals *totals)
{
    uint64_t n_failed = 0, began_us = clock_process_us();
    bool is_terminal = isatty(STDERR_FILENO);
    for (uint64_t seed = o->from; seed < o->from + o->n_seeds && n_failed < 10; seed++) {
        enum family family = o->family < 0 ? family_of_seed(seed) : (enum family)o->family;
        bool failed, again;
        uint64_t hash = play_seed(totals, seed, family, o->verbose, &failed);
        if (seed % TWICE_EVERY == 0 && !failed) {
            totals->n_twice++;
            uint64_t second = play_seed(totals, seed, family, false, &again);
            if (second != hash) {
                printf("seed %llu breaks I7: its trace's hash is %016llx, then %016llx\n",
                       (unsigned long long)seed, (unsigned long long)hash, (unsigned long long)second);
                failed = true;
            }
        }
        if (o->one)
            printf("trace hash %016llx\n", (unsigned long long)hash);
        n_failed += failed;
        totals->n_seeds++;
        if (is_terminal && !o->one && totals->n_seeds % 20 == 0)
            fprintf(stderr, "\r%llu of %llu seeds, %llu failed, %.0f s ", (unsigned long long)totals->n_seeds,
                    (unsigned long long)o->n_seeds, (unsigned long long)n_failed,
                    (double)(clock_process_us() - began_us) / 1e6);
    }
    if (is_terminal && !o->one)
        fprintf(stderr, "\r%60s\r", "");
    return n_failed;
}

static bool parse(struct options *o, int argc, char **argv)
{
    *o = (struct options){.from = 1, .n_seeds = 200, .family = -1};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--verbose") == 0) {
            o->verbose = true;
            continue;
        }
        if (!value)
            return false;
        i++;
        if (strcmp(argv[i - 1], "--seed") == 0) {
            o->one = true;
            o->from = strtoull(value, NULL, 10);
            o->n_seeds = 1;
        } else if (strcmp(argv[i - 1], "--seeds") == 0) {
            o->n_seeds = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i - 1], "--from") == 0) {
            o->from = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i - 1], "--family") == 0) {
            for (int f = 0; f < FAMILY_COUNT; f++)
                if (strcmp(family_name((enum family)f), value) == 0)
                    o->family = f;
            if (o->family < 0)
                return false;
        } else {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct totals totals;
    struct options o;
    struct error err;
    uint64_t began_us = clock_process_us();
    if (!parse(&o, argc, argv)) {
        fprintf(stderr, "usage: sim [--seeds N] [--from N] [--family NAME] [--seed N] [--verbose]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    log_configure(LOG_ERROR, false);
    sim_crypto_seed(0); /* the same key of hash tables in every process */
    if (crypto_start(&err))
        return 1;
    uint64_t n_failed = run(&o, &totals);
    if (!o.one)
        print_totals(&totals, n_failed, (double)(clock_process_us() - began_us) / 1e6);
    return n_failed ? 1 : 0;
}
