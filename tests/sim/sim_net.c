#include "sim/sim_net.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define TICK_MS          250
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS   5000
#define BACKOFF_SELF_MS  60000
#define AT_ONCE_MS       20
#define LATE_TICK_MS     1000 /* this process was stopped: silence is judged anew */

enum flight_kind { FLIGHT_FRAME, FLIGHT_UP, FLIGHT_CLOSE, FLIGHT_DOWN };

struct sim_flight { /* a frame, or the news of a link, on its way */
    struct sim_flight *next;
    struct sim_end *from, *to;
    enum flight_kind what;
    uint64_t run;
    enum frame_kind kind;
    enum link_fault fault;
    bool is_flying; /* a post that is counted */
    struct buffer payload;
};

static uint64_t now_ms(const struct sim_net *net)
{
    return net->clock->now_us / 1000;
}

static void note(const struct sim_end *at, uint32_t from, const char *what, unsigned kind, size_t bytes)
{
    if (at->net->note)
        at->net->note(at->net->note_ctx, at->index, from, what, kind, bytes);
}

static struct sim_side *side_of(struct sim_end *end, const struct sim_end *peer)
{
    return &end->sides[peer->index];
}

/* --- flights --------------------------------------------------------------------------------------------- */

static void flight_free(struct sim_flight *f)
{
    buffer_free(&f->payload);
    mem_free(f);
}

static struct sim_flight *flight_new(enum flight_kind what, struct sim_end *from, struct sim_end *to,
                                     uint64_t run)
{
    struct sim_flight *f = mem_new(sizeof *f);
    f->what = what;
    f->from = from;
    f->to = to;
    f->run = run;
    buffer_init(&f->payload, 0);
    return f;
}

static void drop_held(struct sim_side *side)
{
    while (side->held) {
        struct sim_flight *f = side->held;
        side->held = f->next;
        flight_free(f);
    }
    side->held_end = &side->held;
}

static void wake(struct sim_end *end, const struct sim_end *peer, bool at_once);

static void go_down(struct sim_end *end, struct sim_end *peer, enum link_fault fault, bool told_later);

static void be_up(struct sim_end *end, struct sim_end *peer, uint64_t run)
{
    struct sim_side *side = side_of(end, peer);
    struct link_info info;
    side->is_up = true;
    side->peer = peer;
    side->run = run;
    side->heard_ms = side->up_since_ms = now_ms(end->net);
    side->peer_clock_ms = clock_ms(&peer->clock->clock);
    for (uint32_t i = 0; i < end->n_dialers; i++)
        if (node_id_equal(&end->dialers[i]->id, &peer->hello.id)) {
            end->dialers[i]->backoff_ms = 0;
            end->dialers[i]->n_rounds = 0;
        }
    note(end, peer->index, "up", 0, 0);
    bool known = end->links.ops->info(end, &peer->hello.id, &info);
    ASSERT(known);
    end->events->on_up(end->ctx, &info);
}

static void land(void *arg);

static void fly(struct sim_flight *f, uint64_t delay_ms)
{
    f->is_flying = true;
    f->to->n_flying++;
    fake_clock_post(f->to->clock, delay_ms, land, f);
}

static struct link_info info_about(const struct sim_end *end, const struct sim_end *peer)
{
    const struct sim_net *net = end->net;
    const struct sim_side *side = &end->sides[peer->index];
    uint64_t rtt_ms =
        net->paths[end->index][peer->index].delay_ms + net->paths[peer->index][end->index].delay_ms;
    return (struct link_info){.hello = peer->hello,
                              .address = net->addresses[peer->index],
                              .up_since_ms = side->up_since_ms,
                              .heard_ms = side->heard_ms,
                              .peer_clock_ms = side->peer_clock_ms,
                              .rtt_us = (uint32_t)(rtt_ms ? rtt_ms * 1000 : 200),
                              .clock_skew_ms = peer->clock->wall_offset_ms - end->clock->wall_offset_ms};
}

static void land(void *arg)
{
    struct sim_flight *f = arg;
    f->to->n_flying -= f->is_flying;
    struct sim_end *to = f->to, *from = f->from;
    struct sim_side *side = side_of(to, from);
    bool is_ours = !to->is_over && side->is_up && side->run == f->run;
    if (f->what == FLIGHT_FRAME && is_ours) {
        note(to, from->index, frame_rule(f->kind)->name, f->kind, f->payload.size);
        to->events->on_frame(to->ctx, &from->hello.id, f->kind, buffer_view(&f->payload));
    } else if (f->what == FLIGHT_UP && !to->is_over) {
        side->coming = 0;
        if (side->is_up)
            go_down(to, side->peer, LINK_FAULT_CLOSED, false);
        be_up(to, from, f->run);
    } else if (f->what == FLIGHT_CLOSE && is_ours) {
        go_down(to, from, f->fault, false);
    } else if (f->what == FLIGHT_DOWN && !to->is_over) {
        note(to, from->index, link_fault_name(f->fault), 0, 0);
        struct link_info last = info_about(to, from);
        to->events->on_down(to->ctx, &last, f->fault, link_fault_name(f->fault));
        wake(to, from, true);
    }
    flight_free(f);
}

static void depart(struct sim_flight *f)
{
    struct sim_net *net = f->to->net;
    const struct sim_path *path = &net->paths[f->from->index][f->to->index];
    struct sim_side *side = side_of(f->to, f->from);
    uint64_t now = now_ms(net), at = now + path->delay_ms;
    bool is_data = f->what == FLIGHT_FRAME && frame_rule(f->kind)->channel == FRAME_ON_DATA;
    if (path->jitter_ms)
        at += rng_below(&net->rng, path->jitter_ms);
    if (at < side->arrives_ms[is_data])
        at = side->arrives_ms[is_data];
    side->arrives_ms[is_data] = at;
    if (f->what == FLIGHT_UP && side->arrives_ms[1] < at)
        side->arrives_ms[1] = at;
    fly(f, at - now);
}

/* Ends our side. The other hears of it if anything reaches it. */
static void go_down(struct sim_end *end, struct sim_end *peer, enum link_fault fault, bool told_later)
{
    struct sim_side *side = side_of(end, peer), *theirs = side_of(peer, end);
    struct sim_net *net = end->net;
    uint64_t run = side->run;
    side->is_up = false;
    net->n_cuts++;
    drop_held(side);
    if (theirs->run == run)
        drop_held(theirs);
    bool they_have_it = !peer->is_over && ((theirs->is_up && theirs->run == run) || theirs->coming == run);
    if (they_have_it && !net->paths[end->index][peer->index].is_cut && !net->is_off[end->index]) {
        struct sim_flight *close = flight_new(FLIGHT_CLOSE, end, peer, run);
        close->fault = fault == LINK_FAULT_SILENT || fault == LINK_FAULT_NONE ? LINK_FAULT_CLOSED : fault;
        depart(close);
    }
    if (end->is_over)
        return;
    struct sim_flight *down = flight_new(FLIGHT_DOWN, peer, end, run);
    down->fault = fault;
    if (told_later)
        fly(down, 0);
    else
        land(down);
}

/* --- hearing nothing ------------------------------------------------------------------------------------- */

static bool is_audible(const struct sim_end *end, uint32_t peer)
{
    const struct sim_net *net = end->net;
    const struct sim_end *other = net->ends[peer];
    const struct sim_side *theirs = other ? &other->sides[end->index] : NULL;
    return other && !other->clock->is_stopped && !net->paths[peer][end->index].is_cut &&
           ((theirs->is_up && theirs->run == end->sides[peer].run) || theirs->coming == end->sides[peer].run);
}

static void on_tick(void *arg)
{
    struct sim_end *end = arg;
    uint64_t now = now_ms(end->net);
    bool after_a_stop = now - end->ticked_ms > LATE_TICK_MS;
    end->ticked_ms = now;
    clock_timer_set(&end->clock->clock, end->tick, TICK_MS);
    for (uint32_t i = 0; i < end->net->n; i++) {
        struct sim_side *side = &end->sides[i];
        if (!side->is_up)
            continue;
        bool audible = is_audible(end, i);
        if (audible)
            side->peer_clock_ms = clock_ms(&end->net->ends[i]->clock->clock);
        if (after_a_stop || audible)
            side->heard_ms = now;
        else if (now - side->heard_ms >= LINK_SILENT_MS)
            go_down(end, side->peer, LINK_FAULT_SILENT, true);
    }
}

/* --- dialing --------------------------------------------------------------------------------------------- */

struct attempt {
    struct sim_dialer *dialer;
    uint32_t target;
    bool has_target, is_second; /* has waited for an answer that did not come */
    struct address address;
    uint64_t began_ms;
};

static void dial_next(struct sim_dialer *d);

static bool is_satisfied(const struct sim_dialer *d)
{
    const struct sim_end *end = d->end;
    for (uint32_t i = 0; i < end->net->n && !node_id_is_zero(&d->id); i++) {
        const struct sim_side *side = &end->sides[i];
        const struct sim_end *other = side->is_up ? side->peer : end->net->ends[i];
        if (other && node_id_equal(&other->hello.id, &d->id))
            return side->is_up || side->coming;
    }
    return false;
}

static uint64_t next_backoff(struct sim_dialer *d)
{
    uint64_t ms = d->backoff_ms ? d->backoff_ms : BACKOFF_FIRST_MS;
    d->backoff_ms = ms * 2 < BACKOFF_MAX_MS ? ms * 2 : BACKOFF_MAX_MS;
    return ms - ms / 4 + rng_below(&d->end->net->rng, ms / 2 + 1);
}

static void wait_for(struct sim_dialer *d, uint64_t ms)
{
    clock_timer_set(&d->end->clock->clock, d->timer, ms);
}

static void wake(struct sim_end *end, const struct sim_end *peer, bool at_once)
{
    for (uint32_t i = 0; i < end->n_dialers; i++) {
        struct sim_dialer *d = end->dialers[i];
        if (d->is_gone || d->is_busy || !node_id_equal(&d->id, &peer->hello.id))
            continue;
        if (at_once)
            d->backoff_ms = 0;
        wait_for(d, at_once ? AT_ONCE_MS + rng_below(&end->net->rng, AT_ONCE_MS) : next_backoff(d));
    }
}

static void tell_failed(struct sim_end *end, const struct link_attempt *attempt)
{
    note(end, UINT32_MAX, "attempt failed", attempt->fault, 0);
    end->events->on_failed(end->ctx, attempt);
}

static void fail(struct attempt *a, enum link_step step, enum link_fault fault, const char *text)
{
    struct sim_dialer *d = a->dialer;
    struct link_attempt attempt = {.address = a->address,
                                   .id = d->id,
                                   .step = step,
                                   .fault = fault,
                                   .text = text,
                                   .n_attempts = d->n_rounds};
    snprintf(attempt.host, sizeof attempt.host, "%s", d->host);
    d->is_busy = false;
    if (d->next_address < d->n_addresses && !is_satisfied(d)) {
        attempt.retry_in_ms = 1;
        dial_next(d);
    } else {
        attempt.retry_in_ms = fault == LINK_FAULT_SELF ? BACKOFF_SELF_MS : next_backoff(d);
        wait_for(d, attempt.retry_in_ms);
    }
    tell_failed(d->end, &attempt);
}

static void establish(struct sim_end *a, struct sim_end *b)
{
    struct sim_net *net = a->net;
    uint64_t run = ++net->n_runs;
    net->n_links++;
    if (side_of(a, b)->is_up)
        go_down(a, side_of(a, b)->peer, LINK_FAULT_CLOSED, false);
    side_of(b, a)->coming = run;
    depart(flight_new(FLIGHT_UP, a, b, run));
    be_up(a, b, run);
}

/* Handshakes have gone to and fro, or nothing has. */
static void on_answer(void *arg)
{
    struct attempt *a = arg;
    struct sim_dialer *d = a->dialer;
    struct sim_end *end = d->end;
    struct sim_net *net = end->net;
    struct sim_end *other = a->has_target ? net->ends[a->target] : NULL;
    uint64_t waited = now_ms(net) - a->began_ms;
    bool is_cut =
        a->has_target && (net->paths[end->index][a->target].is_cut || net->paths[a->target][end->index].is_cut);
    bool no_answer = !a->has_target || net->is_off[a->target] || is_cut || (other && other->clock->is_stopped);
    if (end->is_over) {
        mem_free(a);
        return;
    }
    if (no_answer && waited < LINK_HANDSHAKE_MS) {
        fake_clock_post(end->clock, LINK_HANDSHAKE_MS - waited, on_answer, a);
        return;
    }
    if (no_answer)
        fail(a, other && !is_cut ? LINK_STEP_HANDSHAKE : LINK_STEP_CONNECT, LINK_FAULT_UNREACHABLE,
             "no answer within 5 s");
    else if (!other)
        fail(a, LINK_STEP_CONNECT, LINK_FAULT_UNREACHABLE, "connection refused");
    else if (other == end)
        fail(a, LINK_STEP_IDENTITY, LINK_FAULT_SELF, "we reached ourselves");
    else if (other->swarm_key != end->swarm_key) {
        struct link_attempt theirs = {.address = net->addresses[end->index],
                                      .inbound = true,
                                      .step = LINK_STEP_HANDSHAKE,
                                      .fault = LINK_FAULT_WRONG_KEY,
                                      .text = "it has another swarm key"};
        tell_failed(other, &theirs);
        fail(a, LINK_STEP_HANDSHAKE, LINK_FAULT_WRONG_KEY, "it has another swarm key");
    } else if (!node_id_is_zero(&d->id) && !*d->host && !node_id_equal(&d->id, &other->hello.id)) {
        fail(a, LINK_STEP_IDENTITY, LINK_FAULT_IDENTITY, "another node answers there");
    } else {
        d->is_busy = false;
        d->id = other->hello.id;
        if (!side_of(end, other)->is_up && !side_of(end, other)->coming)
            establish(end, other);
    }
    mem_free(a);
}

static void dial_next(struct sim_dialer *d)
{
    struct sim_end *end = d->end;
    struct sim_net *net = end->net;
    struct attempt *a = mem_new(sizeof *a);
    uint64_t delay = 1;
    *a = (struct attempt){.dialer = d, .address = d->addresses[d->next_address++], .began_ms = now_ms(net)};
    for (uint32_t i = 0; i < net->n && !a->has_target; i++)
        if (address_equal(&net->addresses[i], &a->address)) {
            a->has_target = true;
            a->target = i;
        }
    if (a->has_target && a->target != end->index)
        delay = 2 * ((uint64_t)net->paths[end->index][a->target].delay_ms +
                     net->paths[a->target][end->index].delay_ms);
    d->is_busy = true;
    fake_clock_post(end->clock, delay ? delay : 1, on_answer, a);
}

static void on_dial_time(void *arg)
{
    struct sim_dialer *d = arg;
    if (d->is_gone || d->is_busy || is_satisfied(d) || (!d->n_addresses && !*d->host))
        return;
    if (*d->host) {
        d->n_addresses = address_parse_ip(&d->addresses[0], d->host, d->port);
        ASSERT(d->n_addresses == 1);
    }
    d->n_rounds++;
    d->next_address = 0;
    dial_next(d);
}

/* --- operations ------------------------------------------------------------------------------------------ */

static struct sim_dialer *dialer_new(struct sim_end *end)
{
    struct sim_dialer *d = NULL;
    for (uint32_t i = 0; i < end->n_dialers && !d; i++)
        if (end->dialers[i]->is_gone && !end->dialers[i]->is_busy) {
            d = end->dialers[i];
            clock_timer_free(&end->clock->clock, d->timer);
        }
    if (!d) {
        ASSERT(end->n_dialers < SIM_DIALERS_MAX);
        d = end->dialers[end->n_dialers++] = mem_new(sizeof *d);
    }
    *d = (struct sim_dialer){.end = end};
    d->timer = clock_timer_new(&end->clock->clock, on_dial_time, d);
    return d;
}

static struct sim_dialer *find_dialer(struct sim_end *end, const struct node_id *id)
{
    for (uint32_t i = 0; i < end->n_dialers; i++)
        if (!end->dialers[i]->is_gone && !*end->dialers[i]->host && node_id_equal(&end->dialers[i]->id, id))
            return end->dialers[i];
    return NULL;
}

static void want(void *self, const struct node_id *peer, const struct address *addresses, size_t n)
{
    struct sim_end *end = self;
    struct sim_dialer *d = find_dialer(end, peer);
    bool is_new = false;
    if (end->is_over || node_id_equal(peer, &end->hello.id))
        return;
    if (!d) {
        d = dialer_new(end);
        d->id = *peer;
    }
    for (size_t i = 0; i < n && i < SIM_ADDRESSES; i++) {
        bool known = false;
        for (size_t k = 0; k < d->n_addresses; k++)
            known |= address_equal(&d->addresses[k], &addresses[i]);
        is_new |= !known;
    }
    d->n_addresses = n < SIM_ADDRESSES ? n : SIM_ADDRESSES;
    memcpy(d->addresses, addresses, d->n_addresses * sizeof *addresses);
    d->next_address = d->n_addresses;
    if (is_new && !d->is_busy && !is_satisfied(d)) {
        d->backoff_ms = 0;
        wait_for(d, 0);
    } else if (is_new && d->is_busy) {
        d->next_address = 0;
    }
}

static void want_host(void *self, const char *host, uint16_t port)
{
    struct sim_end *end = self;
    for (uint32_t i = 0; i < end->n_dialers; i++)
        if (strcmp(end->dialers[i]->host, host) == 0 && end->dialers[i]->port == port)
            return;
    if (end->is_over)
        return;
    struct sim_dialer *d = dialer_new(end);
    snprintf(d->host, sizeof d->host, "%s", host);
    d->port = port;
    wait_for(d, 0);
}

static void unwant(void *self, const struct node_id *peer)
{
    struct sim_dialer *d = find_dialer(self, peer);
    if (d)
        d->is_gone = true;
}

static struct sim_end *linked_peer(const struct sim_end *end, const struct node_id *id)
{
    for (uint32_t i = 0; i < end->net->n; i++)
        if (end->sides[i].is_up && node_id_equal(&end->sides[i].peer->hello.id, id))
            return end->sides[i].peer;
    return NULL;
}

static bool has_text(struct bytes payload, const char *text)
{
    return memmem(payload.data, payload.size, text, strlen(text)) != NULL;
}

static enum status send_frame(void *self, const struct node_id *id, enum frame_kind kind, struct bytes payload)
{
    struct sim_end *end = self, *peer = end->is_over ? NULL : linked_peer(end, id);
    if (!peer)
        return STATUS_NOT_FOUND;
    ASSERT(payload.size <= frame_rule(kind)->payload_bytes_max);
    end->net->n_frames++;
    if (end->loses && has_text(payload, end->loses)) {
        end->n_lost++;
        return STATUS_OK;
    }
    if (peer->is_over)
        return STATUS_OK; /* it will be told of the end, or hear nothing */
    struct sim_flight *f = flight_new(FLIGHT_FRAME, end, peer, side_of(end, peer)->run);
    f->kind = kind;
    buffer_bytes(&f->payload, payload.data, payload.size);
    struct sim_side *theirs = side_of(peer, end);
    if (end->net->paths[end->index][peer->index].is_cut) {
        *theirs->held_end = f;
        theirs->held_end = &f->next;
    } else {
        depart(f);
    }
    return STATUS_OK;
}

static void drop(void *self, const struct node_id *id, enum link_fault fault, const char *text)
{
    struct sim_end *end = self, *peer = linked_peer(end, id);
    (void)text;
    if (peer && !end->is_over)
        go_down(end, peer, fault, true);
}

static bool info(void *self, const struct node_id *id, struct link_info *out)
{
    const struct sim_end *end = self, *peer = linked_peer(end, id);
    if (!peer)
        return false;
    *out = info_about(end, peer);
    return true;
}

static size_t peers(void *self, struct node_id *out, size_t max)
{
    const struct sim_end *end = self;
    size_t n = 0;
    for (uint32_t i = 0; i < end->net->n && n < max; i++) {
        if (!end->sides[i].is_up)
            continue;
        struct node_id id = end->sides[i].peer->hello.id;
        size_t at = n++;
        for (; at && node_id_compare(&out[at - 1], &id) > 0; at--)
            out[at] = out[at - 1];
        out[at] = id;
    }
    return n;
}

/* --- life ------------------------------------------------------------------------------------------------ */

void sim_net_init(struct sim_net *net, struct fake_clock *root, uint64_t seed)
{
    *net = (struct sim_net){.clock = root, .rng = rng_seeded(seed)};
}

static void end_destroy(struct sim_end *end)
{
    for (uint32_t i = 0; i < SIM_ENDS_MAX; i++)
        drop_held(&end->sides[i]);
    for (uint32_t i = 0; i < end->n_dialers; i++)
        mem_free(end->dialers[i]);
    mem_free(end);
}

void sim_net_free(struct sim_net *net)
{
    while (net->over) {
        struct sim_end *end = net->over;
        net->over = end->next_over;
        end_destroy(end);
    }
}

struct sim_end *sim_end_new(struct sim_net *net, uint32_t machine, struct fake_clock *clock,
                            const struct node_id *id, enum node_role role, uint64_t epoch)
{
    static const struct links_ops ops = {.want = want,
                                         .want_host = want_host,
                                         .unwant = unwant,
                                         .send = send_frame,
                                         .drop = drop,
                                         .info = info,
                                         .peers = peers};
    struct sim_end *end = mem_new(sizeof *end);
    *end = (struct sim_end){.net = net, .index = machine, .clock = clock, .ticked_ms = now_ms(net)};
    end->links = (struct links){.ops = &ops, .self = end};
    end->hello.id = *id;
    end->hello.role = role;
    end->hello.epoch = epoch;
    end->hello.port = net->addresses[machine].port;
    for (uint32_t i = 0; i < SIM_ENDS_MAX; i++)
        end->sides[i].held_end = &end->sides[i].held;
    end->tick = clock_timer_new(&clock->clock, on_tick, end);
    clock_timer_set(&clock->clock, end->tick, 1 + rng_below(&net->rng, TICK_MS));
    ASSERT(!net->ends[machine]);
    net->ends[machine] = end;
    return end;
}

void sim_end_free(struct sim_end *end)
{
    struct sim_net *net = end->net;
    end->is_over = true;
    net->ends[end->index] = NULL;
    for (uint32_t i = 0; i < net->n; i++) {
        struct sim_end *other = net->ends[i];
        bool they_know = other && ((other->sides[end->index].is_up && other->sides[end->index].peer == end) ||
                                   (other->sides[end->index].coming && other != end));
        uint64_t run = !they_know                        ? 0
                       : other->sides[end->index].coming ? other->sides[end->index].coming
                                                         : other->sides[end->index].run;
        if (they_know && !net->is_off[end->index] && !net->paths[end->index][i].is_cut) {
            struct sim_flight *close = flight_new(FLIGHT_CLOSE, end, other, run);
            close->fault = LINK_FAULT_CLOSED;
            depart(close);
        }
    }
    clock_timer_free(&end->clock->clock, end->tick);
    for (uint32_t i = 0; i < end->n_dialers; i++) {
        clock_timer_free(&end->clock->clock, end->dialers[i]->timer);
        end->dialers[i]->timer = NULL;
    }
    end->next_over = net->over;
    net->over = end;
}

void sim_net_cut(struct sim_net *net, uint32_t from, uint32_t to, bool cut)
{
    net->paths[from][to].is_cut = cut;
    struct sim_end *end = net->ends[to];
    if (cut || !end)
        return;
    struct sim_side *side = &end->sides[from];
    while (side->held) {
        struct sim_flight *f = side->held;
        side->held = f->next;
        f->next = NULL;
        depart(f);
    }
    side->held_end = &side->held;
}

void sim_net_reset(struct sim_net *net, uint32_t a, uint32_t b)
{
    struct sim_end *end = net->ends[a];
    if (end && end->sides[b].is_up)
        go_down(end, end->sides[b].peer, LINK_FAULT_CLOSED, true);
}

bool sim_net_linked(const struct sim_net *net, uint32_t a, uint32_t b)
{
    const struct sim_end *x = net->ends[a], *y = net->ends[b];
    return x && y && x->sides[b].is_up && y->sides[a].is_up && x->sides[b].run == y->sides[a].run;
}
