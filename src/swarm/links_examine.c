/* One address, step by step (links.h). */
#include "base/mem.h"
#include "swarm/links_private.h"

#include <stdio.h>
#include <string.h>

struct links_examiner {
    struct links_table *table;
    struct links_examination result;
    struct resolve *resolve;
    struct link *link;
    struct endpoint addresses[RESOLVE_ANSWERS_MAX];
    size_t n_addresses, next_address;
    uint64_t begun_us, pinged_us;
    struct timer *timer;
    void (*done)(void *ctx, const struct links_examination *result);
    void *ctx;
    struct links_examiner *next;
};

void links_examiner_free(struct links_examiner *examiner)
{
    struct links_examiner **at = &examiner->table->examiners;
    while (*at != examiner)
        at = &(*at)->next;
    *at = examiner->next;
    resolve_cancel(examiner->resolve);
    link_close(examiner->link, LINK_FAULT_NONE, "the examination is over");
    clock_timer_free(examiner->table->clock, examiner->timer);
    mem_free(examiner);
}

static void finish(struct links_examiner *examiner)
{
    struct links_examination result = examiner->result;
    void (*done)(void *, const struct links_examination *) = examiner->done;
    void *ctx = examiner->ctx;
    links_examiner_free(examiner);
    done(ctx, &result);
}

static void set_step(struct links_examiner *examiner, enum link_step step, bool ok, uint64_t from_us,
                     uint64_t to_us)
{
    examiner->result.steps[step].outcome = ok ? EXAMINED_OK : EXAMINED_FAILED;
    examiner->result.steps[step].ms = from_us && to_us > from_us ? (double)(to_us - from_us) / 1000 : 0;
}

/* The steps before the one that failed, or all, from the connection's own record. */
static void set_steps(struct links_examiner *examiner, enum link_step end)
{
    struct link_times times = link_times(examiner->link);
    uint64_t identity_us = times.identity_us ? times.identity_us : clock_us(examiner->table->clock);
    if (end > LINK_STEP_CONNECT)
        set_step(examiner, LINK_STEP_CONNECT, true, times.begun_us, times.connected_us);
    if (end > LINK_STEP_HANDSHAKE)
        set_step(examiner, LINK_STEP_HANDSHAKE, true, times.connected_us, times.handshake_us);
    if (end > LINK_STEP_IDENTITY)
        set_step(examiner, LINK_STEP_IDENTITY, true, times.handshake_us, identity_us);
    if (end > LINK_STEP_PROTOCOL)
        set_step(examiner, LINK_STEP_PROTOCOL, true, identity_us, identity_us);
}

static void fail(struct links_examiner *examiner, enum link_step step, enum link_fault fault, const char *text)
{
    uint64_t now = clock_us(examiner->table->clock), since = examiner->begun_us;
    if (examiner->link) {
        struct link_times times = link_times(examiner->link);
        set_steps(examiner, step);
        since = step == LINK_STEP_UP ? examiner->pinged_us : times.handshake_us;
        since = since ? since : times.connected_us ? times.connected_us : times.begun_us;
    }
    set_step(examiner, step, false, since, now);
    examiner->result.fault = fault;
    snprintf(examiner->result.text, sizeof examiner->result.text, "%s", text);
    finish(examiner);
}

static void on_proved(void *arg)
{
    struct links_examiner *examiner = arg;
    struct buffer ping;
    buffer_init(&ping, 64);
    examiner->pinged_us = clock_us(examiner->table->clock);
    examiner->result.hello = link_peer(examiner->link)->hello;
    buffer_u64(&ping, examiner->pinged_us);
    link_send(examiner->link, FRAME_PING, buffer_view(&ping));
    buffer_free(&ping);
}

static bool on_frame(void *arg, enum frame_kind kind, struct bytes payload)
{
    struct links_examiner *examiner = arg;
    (void)payload;
    if (kind != FRAME_PONG)
        return true;
    set_steps(examiner, LINK_STEP_UP);
    set_step(examiner, LINK_STEP_UP, true, examiner->pinged_us, clock_us(examiner->table->clock));
    finish(examiner);
    return true;
}

static void dial_next(struct links_examiner *examiner);

static void on_end(void *arg, enum link_step step, enum link_fault fault, const char *text)
{
    struct links_examiner *examiner = arg;
    if (step == LINK_STEP_CONNECT && examiner->next_address < examiner->n_addresses)
        dial_next(examiner);
    else
        fail(examiner, step, fault, text);
}

static const struct link_events examiner_events = {
    .on_proved = on_proved, .on_frame = on_frame, .on_end = on_end};

static void dial_next(struct links_examiner *examiner)
{
    const struct endpoint *to = &examiner->addresses[examiner->next_address++];
    link_free(examiner->link);
    link_address_of(&examiner->result.address, to);
    examiner->link = link_dial(&examiner->table->self, to, LINK_PROBE, NULL, 0, &examiner_events, examiner);
}

static void on_resolved(void *arg, const struct endpoint *answers, size_t n, const char *text)
{
    struct links_examiner *examiner = arg;
    examiner->resolve = NULL;
    if (!n) {
        fail(examiner, LINK_STEP_RESOLVE, LINK_FAULT_UNREACHABLE, text);
        return;
    }
    set_step(examiner, LINK_STEP_RESOLVE, true, examiner->begun_us, clock_us(examiner->table->clock));
    examiner->n_addresses = n;
    memcpy(examiner->addresses, answers, n * sizeof *answers);
    dial_next(examiner);
}

static void on_late(void *arg)
{
    struct links_examiner *examiner = arg;
    if (examiner->resolve)
        fail(examiner, LINK_STEP_RESOLVE, LINK_FAULT_UNREACHABLE, "the name server did not answer within 15 s");
    else
        fail(examiner, LINK_STEP_UP, LINK_FAULT_SILENT, "no answer to a ping");
}

void links_examine(struct links *links, const char *host, uint16_t port,
                   void (*done)(void *ctx, const struct links_examination *result), void *ctx)
{
    struct links_table *table = links->self;
    struct links_examiner *examiner = mem_new(sizeof *examiner);
    *examiner = (struct links_examiner){.table = table, .done = done, .ctx = ctx, .next = table->examiners};
    table->examiners = examiner;
    examiner->begun_us = clock_us(table->clock);
    examiner->result.port = port;
    snprintf(examiner->result.host, sizeof examiner->result.host, "%s", host);
    examiner->timer = clock_timer_new(table->clock, on_late, examiner);
    clock_timer_set(table->clock, examiner->timer, 3 * LINK_HANDSHAKE_MS);
    examiner->resolve = resolve_start(table->loop, host, port, on_resolved, examiner);
}
