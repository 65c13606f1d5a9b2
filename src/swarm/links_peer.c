/* When connections are a link: choosing, pairing, up, heartbeats, down (links_private.h). */
#include "base/mem.h"
#include "swarm/links_private.h"

#include <stdio.h>
#include <string.h>

/* --- the table of peers ---------------------------------------------------------------------------------- */

static size_t place_of(const struct links_table *table, const struct node_id *id)
{
    size_t first = 0, end = table->n_peers;
    while (first < end) {
        size_t middle = (first + end) / 2;
        if (node_id_compare(&table->peers[middle]->id, id) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

struct links_peer *links_peer_find(const struct links_table *table, const struct node_id *id)
{
    size_t place = place_of(table, id);
    bool found = place < table->n_peers && node_id_equal(&table->peers[place]->id, id);
    return found ? table->peers[place] : NULL;
}

static struct links_peer *find_or_make(struct links_table *table, const struct node_id *id)
{
    struct links_peer *peer = links_peer_find(table, id);
    if (peer || table->n_peers == LINK_PEERS_MAX)
        return peer;
    size_t place = place_of(table, id);
    memmove(table->peers + place + 1, table->peers + place, (table->n_peers - place) * sizeof *table->peers);
    table->n_peers++;
    peer = table->peers[place] = mem_new(sizeof *peer);
    peer->table = table;
    peer->id = *id;
    return peer;
}

void links_peer_free(struct links_peer *peer)
{
    struct links_table *table = peer->table;
    size_t place = place_of(table, &peer->id);
    memmove(table->peers + place, table->peers + place + 1,
            (table->n_peers - place - 1) * sizeof *table->peers);
    table->n_peers--;
    mem_free(peer);
}

static void free_if_unused(struct links_peer *peer)
{
    if (!peer->control && !peer->data && !peer->n_waiting)
        links_peer_free(peer);
}

/* Of two nodes the lower id chooses. */
static bool we_choose(const struct links_peer *peer)
{
    return node_id_compare(&peer->table->self.hello.id, &peer->id) < 0;
}

/* --- down ------------------------------------------------------------------------------------------------ */

/* Where a proved connection failed that did not become a link. */
static enum link_step step_of(enum link_fault fault)
{
    return fault == LINK_FAULT_DUPLICATE ? LINK_STEP_IDENTITY : LINK_STEP_PROTOCOL;
}

static void forget_link(struct links_peer *peer)
{
    peer->control = peer->data = NULL;
    peer->self_ready = peer->peer_ready = peer->up = peer->dropping = false;
    peer->n_rtts = 0;
}

void links_peer_down(struct links_peer *peer, enum link_fault fault, const char *reason, enum link_fault bye)
{
    struct links_table *table = peer->table;
    struct node_id id = peer->id;
    struct link_info last = {.hello = {.id = id}};
    bool was_up = peer->up;
    char text[512]; /* the reason may live in what is freed below */
    snprintf(text, sizeof text, "%s", reason);
    struct links_leg *control = peer->control, *data = peer->data;
    if (was_up)
        links_info_of(peer, &last);
    forget_link(peer);
    if (!was_up && fault != LINK_FAULT_NONE && control)
        links_tell_failed(table, control,
                          fault == LINK_FAULT_DUPLICATE ? LINK_STEP_IDENTITY : LINK_STEP_PROTOCOL, fault, text,
                          0);
    links_leg_close(data, bye, text);
    links_leg_close(control, bye, text);
    free_if_unused(peer);
    bool gently =
        fault == LINK_FAULT_DUPLICATE || fault == LINK_FAULT_BROKE_RULES || fault == LINK_FAULT_QUEUE_FULL;
    links_dialer_wake(table, &id, was_up && !gently);
    if (was_up)
        table->events->on_down(table->ctx, &last, fault, text);
}

/* --- up -------------------------------------------------------------------------------------------------- */

static void send_ping(struct links_peer *peer)
{
    struct buffer payload;
    buffer_init(&payload, 64);
    buffer_u64(&payload, clock_us(peer->table->clock));
    link_send(peer->control->link, FRAME_PING, buffer_view(&payload));
    buffer_free(&payload);
}

static void be_up_if_ready(struct links_peer *peer)
{
    struct links_table *table = peer->table;
    struct link_info info;
    if (peer->up || !peer->self_ready || !peer->peer_ready)
        return;
    peer->up = true;
    peer->up_since_ms = clock_ms(table->clock);
    links_dialer_rest(table, &peer->id);
    link_release(peer->data->link); /* what came early is delivered from the loop, after on_up */
    ASSERT(table->base.ops->info(table, &peer->id, &info));
    table->events->on_up(table->ctx, &info);
}

static void dial_data(struct links_peer *peer)
{
    struct links_table *table = peer->table;
    const struct link *control = peer->control->link;
    struct links_leg *leg = links_leg_new(table);
    leg->peer = peer;
    peer->data = leg;
    leg->link = link_dial(&table->self, link_remote(control), LINK_DATA, &peer->id, link_pair(control),
                          &links_leg_events, leg);
}

/* This is the control connection now. */
static void adopt(struct links_peer *peer, struct links_leg *leg)
{
    if (leg->role == LEG_WAITING)
        peer->n_waiting--;
    leg->role = LEG_CONTROL;
    leg->peer = peer;
    peer->control = leg;
    peer->begun_ms = peer->heard_ms = clock_ms(peer->table->clock);
    peer->clock_skew_ms = 0;
    if (we_choose(peer))
        link_send(leg->link, FRAME_ACCEPT, (struct bytes){0});
    send_ping(peer);
    if (link_is_dialed(leg->link))
        dial_data(peer);
}

/* --- a connection was proved ----------------------------------------------------------------------------- */

static void refuse_duplicate(struct links_leg *leg, const struct link_greeting *current)
{
    char text[256];
    const struct link_greeting *other = link_peer(leg->link);
    snprintf(text, sizeof text,
             "two live processes have this identity (epochs %llu and %llu): was a state folder copied?",
             (unsigned long long)current->hello.epoch, (unsigned long long)other->hello.epoch);
    if (leg->dialer)
        links_dialer_leg_failed(leg, LINK_STEP_IDENTITY, LINK_FAULT_DUPLICATE, text);
    else {
        if (link_gate_may_tell(&leg->table->gate, link_remote(leg->link), clock_ms(leg->table->clock)))
            links_tell_failed(leg->table, leg, LINK_STEP_IDENTITY, LINK_FAULT_DUPLICATE, text, 0);
        links_leg_close(leg, LINK_FAULT_DUPLICATE, text);
    }
}

static void take_control(struct links_leg *leg)
{
    struct links_table *table = leg->table;
    const struct link_greeting *greeting = link_peer(leg->link);
    struct links_peer *peer = links_peer_find(table, &greeting->hello.id);
    if (peer && peer->dropping)
        links_peer_down(peer, peer->drop_fault, peer->drop_text, peer->drop_fault);
    else if (peer && peer->control) {
        const struct link_greeting *current = link_peer(peer->control->link);
        if (greeting->hello.epoch > current->hello.epoch)
            links_peer_down(peer, LINK_FAULT_CLOSED, "a newer process with this identity has connected",
                            LINK_FAULT_DUPLICATE);
        else if (greeting->hello.epoch < current->hello.epoch || greeting->run != current->run) {
            refuse_duplicate(leg, current);
            return;
        }
    }
    peer = find_or_make(table, &greeting->hello.id);
    if (!peer) {
        links_leg_close(leg, LINK_FAULT_NONE, "all places for peers are taken");
    } else if (peer->n_waiting == LINKS_WAITING_MAX) {
        links_leg_close(leg, LINK_FAULT_NONE, "too many connections wait to be taken");
    } else if (peer->control && we_choose(peer)) {
        links_leg_close(leg, LINK_FAULT_NONE, "there is a link already");
    } else if (we_choose(peer)) {
        adopt(peer, leg);
    } else {
        leg->role = LEG_WAITING;
        leg->peer = peer;
        leg->due_ms = clock_ms(table->clock) + LINK_HANDSHAKE_MS;
        peer->n_waiting++;
    }
}

/* The control leg that a data connection names, chosen already or (its ACCEPT still on the way) waiting. */
static struct links_leg *control_named(struct links_table *table, const struct link_greeting *greeting)
{
    for (struct links_leg *leg = table->legs; leg; leg = leg->next)
        if (leg->peer && (leg->role == LEG_CONTROL || leg->role == LEG_WAITING) &&
            node_id_equal(&leg->peer->id, &greeting->hello.id) && link_pair(leg->link) == greeting->pair &&
            link_peer(leg->link)->run == greeting->run)
            return leg;
    return NULL;
}

static void replace_control(struct links_peer *peer, struct links_leg *leg);

static void take_data(struct links_leg *leg)
{
    struct links_peer *peer = leg->peer; /* we dialed it */
    if (!peer) {
        struct links_leg *control = control_named(leg->table, link_peer(leg->link));
        if (control && control->role == LEG_WAITING)
            replace_control(control->peer, control);
        peer = control ? control->peer : NULL;
    }
    if (!peer || (peer->data && peer->data != leg) || peer->dropping) {
        if (peer && peer->data == leg)
            peer->data = NULL;
        links_leg_close(leg, LINK_FAULT_NONE, "no control connection wants this");
        return;
    }
    leg->role = LEG_DATA;
    leg->peer = peer;
    peer->data = leg;
    peer->self_ready = true;
    link_send(peer->control->link, FRAME_READY, (struct bytes){0});
    be_up_if_ready(peer);
}

void links_peer_take(struct links_leg *leg)
{
    if (link_channel(leg->link) == LINK_DATA)
        take_data(leg);
    else
        take_control(leg);
}

/* The other side chose `leg`. What we held for the link before is gone on its side. */
static void replace_control(struct links_peer *peer, struct links_leg *leg)
{
    if (peer->control)
        links_peer_down(peer, LINK_FAULT_CLOSED, "the other side took a new connection", LINK_FAULT_NONE);
    adopt(peer, leg); /* it waits, so the peer is still there */
}

/* --- ends ------------------------------------------------------------------------------------------------ */

static void waiting_ended(struct links_leg *leg, enum link_step step, enum link_fault fault, const char *text)
{
    struct links_peer *peer = leg->peer;
    struct links_table *table = leg->table;
    struct node_id id = peer->id;
    peer->n_waiting--;
    leg->peer = NULL;
    bool is_linked = peer->control;
    free_if_unused(peer);
    if (fault != LINK_FAULT_NONE && !is_linked)
        links_tell_failed(table, leg, step == LINK_STEP_UP ? step_of(fault) : step, fault, text, 0);
    links_leg_close(leg, fault, text);
    if (!is_linked)
        links_dialer_wake(table, &id, false);
}

/* --- frames ---------------------------------------------------------------------------------------------- */

static void on_pong(struct links_peer *peer, struct bytes payload)
{
    struct reader r = reader_over(payload);
    uint64_t sent_us = reader_u64(&r), now_us = clock_us(peer->table->clock);
    int64_t peer_wall_ms = (int64_t)reader_u64(&r);
    if (!reader_done(&r) || sent_us > now_us || now_us - sent_us > UINT32_MAX)
        return;
    uint32_t rtt_us = (uint32_t)(now_us - sent_us);
    peer->rtts_us[peer->n_rtts++ % LINKS_RTT_WINDOW] = rtt_us ? rtt_us : 1;
    /* Wall clocks come from outside: no overflow on absurd ones. */
    int64_t ours = clock_wall_ms(peer->table->clock) - rtt_us / 2000;
    if (__builtin_sub_overflow(peer_wall_ms, ours, &peer->clock_skew_ms))
        peer->clock_skew_ms = INT64_MAX;
}

/* Proved, but the other side has not chosen it: only that may come. */
static void on_waiting_frame(struct links_leg *leg, enum frame_kind kind)
{
    char text[96];
    if (kind == FRAME_ACCEPT) {
        replace_control(leg->peer, leg);
    } else if (kind != FRAME_PONG) {
        snprintf(text, sizeof text, "frame '%s' before the link was up", frame_rule(kind)->name);
        waiting_ended(leg, LINK_STEP_PROTOCOL, LINK_FAULT_BROKE_RULES, text);
    }
}

static void broke_rules(struct links_peer *peer, enum frame_kind kind)
{
    char text[96];
    snprintf(text, sizeof text, "frame '%s' before the link was up", frame_rule(kind)->name);
    links_peer_down(peer, LINK_FAULT_BROKE_RULES, text, LINK_FAULT_BROKE_RULES);
}

static void on_control_frame(struct links_peer *peer, enum frame_kind kind, struct bytes payload)
{
    struct links_table *table = peer->table;
    if (kind == FRAME_PONG) {
        on_pong(peer, payload);
    } else if (kind == FRAME_ACCEPT) {
        return; /* its data connection was quicker, so it was taken already */
    } else if (kind == FRAME_READY) {
        peer->peer_ready = true;
        be_up_if_ready(peer);
    } else if (!peer->up) {
        broke_rules(peer, kind);
    } else {
        struct node_id id = peer->id;
        table->events->on_frame(table->ctx, &id, kind, payload);
    }
}

static bool on_data_frame(struct links_peer *peer, enum frame_kind kind, struct bytes payload)
{
    struct node_id id = peer->id;
    if (!peer->up)
        return false; /* the other side is up already; its READY is on the way */
    if (kind != FRAME_PONG)
        peer->table->events->on_frame(peer->table->ctx, &id, kind, payload);
    return true;
}

bool links_peer_frame(struct links_leg *leg, enum frame_kind kind, struct bytes payload)
{
    struct links_peer *peer = leg->peer;
    if (peer->dropping)
        return true;
    if (leg->role == LEG_WAITING) {
        on_waiting_frame(leg, kind);
        return true;
    }
    peer->heard_ms = clock_ms(peer->table->clock);
    if (leg->role == LEG_DATA)
        return on_data_frame(peer, kind, payload);
    on_control_frame(peer, kind, payload);
    return true;
}

void links_peer_leg_ended(struct links_leg *leg, enum link_step step, enum link_fault fault, const char *text)
{
    struct links_peer *peer = leg->peer;
    if (leg->role == LEG_WAITING) {
        waiting_ended(leg, step, fault, text);
        return;
    }
    if (leg->role == LEG_SHAKING) /* the data connection that we dialed */
        links_tell_failed(leg->table, leg, step, fault, text, 0);
    bool told = leg->role == LEG_SHAKING;
    links_peer_down(peer,
                    told                       ? LINK_FAULT_NONE
                    : fault == LINK_FAULT_NONE ? LINK_FAULT_CLOSED
                                               : fault,
                    text, LINK_FAULT_CLOSED);
}

void links_peer_tick(struct links_peer *peer, uint64_t now_ms, bool with_ping, bool after_a_stop)
{
    char text[128];
    if (!peer->control || peer->dropping)
        return;
    if (after_a_stop)
        peer->heard_ms = now_ms;
    uint64_t silent_ms = now_ms - peer->heard_ms;
    if (silent_ms >= LINK_SILENT_MS) {
        snprintf(text, sizeof text, "nothing heard for %llu ms", (unsigned long long)silent_ms);
        links_peer_down(peer, LINK_FAULT_SILENT, text, LINK_FAULT_SILENT);
    } else if (!peer->up && now_ms - peer->begun_ms >= LINK_HANDSHAKE_MS) {
        links_peer_down(peer, LINK_FAULT_SILENT, "the data connection did not come within 5 s",
                        LINK_FAULT_SILENT);
    } else if (with_ping) {
        send_ping(peer);
    }
}
