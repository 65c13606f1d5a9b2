/* The table of links: what comes in, what the node asks for, and the beat. */
#include "base/mem.h"
#include "net/port.h"
#include "swarm/links_private.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PORT_TRIES 64

/* --- legs ------------------------------------------------------------------------------------------------- */

struct links_leg *links_leg_new(struct links_table *table)
{
    struct links_leg *leg = mem_new(sizeof *leg);
    leg->table = table;
    leg->before = &table->legs;
    leg->next = table->legs;
    if (leg->next)
        leg->next->before = &leg->next;
    table->legs = leg;
    return leg;
}

static void unlist(struct links_leg *leg)
{
    *leg->before = leg->next;
    if (leg->next)
        leg->next->before = leg->before;
    mem_free(leg);
}

void links_leg_drop(struct links_leg *leg)
{
    if (!leg)
        return;
    link_free(leg->link);
    unlist(leg);
}

void links_leg_close(struct links_leg *leg, enum link_fault fault, const char *text)
{
    if (!leg)
        return;
    link_close(leg->link, fault, text);
    unlist(leg);
}

static void on_proved(void *arg)
{
    struct links_leg *leg = arg;
    if (link_channel(leg->link) == LINK_PROBE) {
        leg->role = LEG_PROBE;
        leg->due_ms = clock_ms(leg->table->clock) + 2 * LINK_HANDSHAKE_MS;
        return;
    }
    struct links_table *table = leg->table;
    struct node_id id = link_peer(leg->link)->hello.id;
    if (leg->dialer)
        links_dialer_leg_proved(leg);
    links_peer_take(leg);
    links_dialer_wake(table, &id, false); /* if it was not taken */
}

static void count_fault(struct links_counts *counts, enum link_fault fault)
{
    if (fault == LINK_FAULT_WRONG_KEY)
        counts->n_wrong_key++;
    else if (fault == LINK_FAULT_NOT_SWARM)
        counts->n_not_swarm++;
    else
        counts->n_other++;
}

/* Somebody came and did not become a link. A mere knock (a connection closed before a word) is no event. */
static void guest_failed(struct links_leg *leg, enum link_step step, enum link_fault fault, const char *text)
{
    struct links_table *table = leg->table;
    uint64_t now = clock_ms(table->clock);
    const struct endpoint *from = link_remote(leg->link);
    link_gate_charge(&table->gate, from, now);
    count_fault(&table->counts, fault);
    if (fault != LINK_FAULT_UNREACHABLE && fault != LINK_FAULT_NONE &&
        link_gate_may_tell(&table->gate, from, now))
        links_tell_failed(table, leg, step, fault, text, 0);
}

static void on_leg_end(void *arg, enum link_step step, enum link_fault fault, const char *text)
{
    struct links_leg *leg = arg;
    if (leg->role == LEG_PROBE) {
        links_leg_drop(leg);
    } else if (leg->peer) {
        links_peer_leg_ended(leg, step, fault, text);
    } else if (leg->dialer) {
        links_dialer_leg_failed(leg, step, fault, text);
    } else {
        guest_failed(leg, step, fault, text);
        links_leg_drop(leg);
    }
}

static bool on_leg_frame(void *arg, enum frame_kind kind, struct bytes payload)
{
    struct links_leg *leg = arg;
    return leg->role == LEG_PROBE || links_peer_frame(leg, kind, payload);
}

const struct link_events links_leg_events = {
    .on_proved = on_proved, .on_frame = on_leg_frame, .on_end = on_leg_end};

void links_tell_failed(struct links_table *table, const struct links_leg *leg, enum link_step step,
                       enum link_fault fault, const char *text, uint64_t retry_in_ms)
{
    const struct links_dialer *dialer = leg->dialer;
    struct link_attempt attempt = {.step = step, .fault = fault, .text = text, .retry_in_ms = retry_in_ms};
    attempt.inbound = leg->link && !link_is_dialed(leg->link);
    if (leg->link)
        link_address_of(&attempt.address, link_remote(leg->link));
    if (leg->link && fault == LINK_FAULT_CLUSTER)
        memcpy(attempt.cluster, link_peer(leg->link)->hello.cluster, sizeof attempt.cluster);
    if (leg->peer)
        attempt.id = leg->peer->id;
    if (dialer) {
        attempt.n_attempts = dialer->n_rounds;
        memcpy(attempt.host, dialer->host, sizeof attempt.host);
        if (!*dialer->host)
            attempt.id = dialer->id;
    }
    table->events->on_failed(table->ctx, &attempt);
}

/* --- what comes in ------------------------------------------------------------------------------------------
 */

static bool is_guest(const struct links_leg *leg)
{
    return leg->role == LEG_SHAKING && !link_is_dialed(leg->link);
}

/* A flood of connections that never finish pushes out its own oldest, so an honest one gets through. */
static void make_room(struct links_table *table, const struct endpoint *from)
{
    struct links_leg *oldest = NULL, *oldest_of_it = NULL;
    size_t n = 0, n_of_it = 0;
    for (struct links_leg *leg = table->legs; leg; leg = leg->next) {
        if (!is_guest(leg))
            continue;
        n++;
        oldest = leg; /* the list has the newest first */
        if (strcmp(link_remote(leg->link)->ip, from->ip) == 0) {
            n_of_it++;
            oldest_of_it = leg;
        }
    }
    struct links_leg *victim = n_of_it >= LINKS_HALF_OPEN_EACH ? oldest_of_it
                               : n >= LINKS_HALF_OPEN_MAX      ? oldest
                                                               : NULL;
    if (victim) {
        table->counts.n_pushed_out++;
        links_leg_drop(victim);
    }
}

static void on_accept(void *arg, int fd, const struct endpoint *from)
{
    struct links_table *table = arg;
    if (!link_gate_admits(&table->gate, from, clock_ms(table->clock))) {
        table->counts.n_throttled++;
        close(fd);
        return;
    }
    table->counts.n_accepted++;
    make_room(table, from);
    struct links_leg *leg = links_leg_new(table);
    leg->link = link_accept(&table->self, fd, from, &links_leg_events, leg);
}

/* --- what the node asks for ------------------------------------------------------------------------------ */

static enum status table_send(void *self, const struct node_id *id, enum frame_kind kind, struct bytes payload)
{
    struct links_table *table = self;
    struct links_peer *peer = links_peer_find(table, id);
    const struct frame_rule *rule = frame_rule(kind);
    ASSERT(rule);
    if (!peer || !peer->up || peer->dropping)
        return STATUS_NOT_FOUND;
    if (payload.size > rule->payload_bytes_max)
        return STATUS_LIMIT;
    struct links_leg *leg = rule->channel == FRAME_ON_DATA ? peer->data : peer->control;
    return link_send(leg->link, kind, payload) ? STATUS_OK : STATUS_LIMIT; /* its end follows from the loop */
}

static void do_drops(void *arg)
{
    struct links_table *table = arg;
    for (size_t i = table->n_peers; !table->closed && i-- > 0;)
        if (i < table->n_peers && table->peers[i]->dropping)
            links_peer_down(table->peers[i], table->peers[i]->drop_fault, table->peers[i]->drop_text,
                            table->peers[i]->drop_fault);
}

static void table_drop(void *self, const struct node_id *id, enum link_fault fault, const char *text)
{
    struct links_table *table = self;
    struct links_peer *peer = links_peer_find(table, id);
    if (!peer || peer->dropping)
        return;
    peer->dropping = true;
    peer->drop_fault = fault;
    snprintf(peer->drop_text, sizeof peer->drop_text, "%s", text);
    loop_defer(table->loop, do_drops, table);
}

static uint32_t smallest_rtt(const struct links_peer *peer)
{
    uint32_t smallest = 0;
    for (uint64_t i = 0; i < peer->n_rtts && i < LINKS_RTT_WINDOW; i++)
        if (!smallest || peer->rtts_us[i] < smallest)
            smallest = peer->rtts_us[i];
    return smallest;
}

void links_info_of(const struct links_peer *peer, struct link_info *out)
{
    const struct link *control = peer->control->link, *data = peer->data->link;
    *out = (struct link_info){
        .hello = link_peer(control)->hello,
        .address = link_remote_address(control),
        .dialed = link_is_dialed(control),
        .up_since_ms = peer->up_since_ms,
        .heard_ms = peer->heard_ms,
        .peer_clock_ms = link_peer_clock_us(control) / 1000,
        .rtt_us = smallest_rtt(peer),
        .clock_skew_ms = peer->clock_skew_ms,
        .bytes_in = link_bytes_in(control) + link_bytes_in(data),
        .bytes_out = link_bytes_out(control) + link_bytes_out(data),
        .queued_bytes = link_queued(control) + link_queued(data),
    };
}

static bool table_info(void *self, const struct node_id *id, struct link_info *out)
{
    struct links_table *table = self;
    const struct links_peer *peer = links_peer_find(table, id);
    if (!peer || !peer->up || peer->dropping)
        return false;
    links_info_of(peer, out);
    return true;
}

static size_t table_peers(void *self, struct node_id *out, size_t max)
{
    struct links_table *table = self;
    size_t n = 0;
    for (size_t i = 0; i < table->n_peers && n < max; i++)
        if (table->peers[i]->up && !table->peers[i]->dropping)
            out[n++] = table->peers[i]->id;
    return n;
}

static const struct links_ops table_ops = {
    .want = links_want,
    .want_host = links_want_host,
    .unwant = links_unwant,
    .send = table_send,
    .drop = table_drop,
    .info = table_info,
    .peers = table_peers,
};

/* --- the beat -------------------------------------------------------------------------------------------- */

static struct links_leg *first_overdue(const struct links_table *table, uint64_t now)
{
    for (struct links_leg *leg = table->legs; leg; leg = leg->next)
        if ((leg->role == LEG_PROBE || leg->role == LEG_WAITING) && now >= leg->due_ms)
            return leg;
    return NULL;
}

static void drop_overdue(struct links_table *table, uint64_t now)
{
    for (struct links_leg *leg; (leg = first_overdue(table, now));) {
        if (leg->role == LEG_WAITING)
            links_peer_leg_ended(leg, LINK_STEP_PROTOCOL, LINK_FAULT_SILENT,
                                 "the other side did not take the connection");
        else
            links_leg_close(leg, LINK_FAULT_NONE, "the examination took too long");
    }
}

static void on_tick(void *arg)
{
    struct links_table *table = arg;
    uint64_t now = clock_ms(table->clock);
    /* After we were stopped ourselves (SIGSTOP, suspend) what the peers said waits unread: hear it first. */
    bool after_a_stop = now > table->tick_due_ms + LINK_SILENT_MS / 2;
    table->tick_due_ms = now + LINKS_TICK_MS;
    clock_timer_set(table->clock, table->tick, LINKS_TICK_MS);
    bool with_ping = ++table->n_ticks % (LINK_HEARTBEAT_MS / LINKS_TICK_MS) == 0;
    for (size_t i = table->n_peers; i-- > 0;)
        if (i < table->n_peers)
            links_peer_tick(table->peers[i], now, with_ping, after_a_stop);
    drop_overdue(table, now);
}

/* --- life ------------------------------------------------------------------------------------------------ */

/* Link port P goes with UDP P (DHT) and TCP and UDP P + 1 (torrents). */
static bool has_its_neighbours(const char *ip, uint16_t port)
{
    return port < UINT16_MAX && port_is_free(ip, port, true) && port_is_free(ip, (uint16_t)(port + 1), true) &&
           port_is_free(ip, (uint16_t)(port + 1), false);
}

static enum status listen_for(struct links_table *table, const struct links_config *config, struct error *err)
{
    const char *ip = config->listen_ip ? config->listen_ip : "";
    for (int i = 0; i < PORT_TRIES; i++) {
        enum status status =
            listener_new(&table->listener, table->loop, ip, config->port, "links", on_accept, table, err);
        if (status || config->port || has_its_neighbours(ip, listener_endpoint(table->listener)->port))
            return status;
        listener_free(table->listener);
        table->listener = NULL;
    }
    return error_set(err, STATUS_BUSY,
                     "links: no free port whose UDP twin and successor are free in %d tries; use --port",
                     PORT_TRIES);
}

static void say_who_we_are(struct links_table *table, const struct links_config *config)
{
    struct link_hello *own = &table->self.hello;
    *own = (struct link_hello){.id = identity_id(config->identity),
                               .role = config->role,
                               .protocol = PROTOCOL_VERSION,
                               .arithmetic = config->arithmetic,
                               .epoch = identity_epoch(config->identity),
                               .port = listener_endpoint(table->listener)->port,
                               .advertised = config->advertised};
    snprintf(own->cluster, sizeof own->cluster, "%s", config->cluster);
    table->self.loop = table->loop;
    table->self.tls = table->tls;
    table->self.identity = config->identity;
    table->self.run = crypto_random_u64();
}

enum status links_new(struct links **out, struct loop *loop, const struct links_config *config,
                      const struct links_events *events, void *ctx, struct error *err)
{
    struct links_table *table = mem_new(sizeof *table);
    table->base = (struct links){.ops = &table_ops, .self = table};
    table->loop = loop;
    table->clock = loop_clock(loop);
    table->events = events;
    table->ctx = ctx;
    table->rng = rng_seeded(crypto_random_u64());
    table->peers = mem_array(LINK_PEERS_MAX, sizeof(struct links_peer *));
    table->tick = clock_timer_new(table->clock, on_tick, table);
    enum status status = tls_new(&table->tls, config->psk.bytes, err);
    if (!status)
        status = listen_for(table, config, err);
    if (status) {
        links_free(&table->base);
        return status;
    }
    say_who_we_are(table, config);
    table->tick_due_ms = clock_ms(table->clock) + LINKS_TICK_MS;
    clock_timer_set(table->clock, table->tick, LINKS_TICK_MS);
    *out = &table->base;
    return STATUS_OK;
}

static void free_table(void *arg)
{
    struct links_table *table = arg;
    mem_free(table->peers);
    mem_free(table);
}

void links_free(struct links *links)
{
    if (!links)
        return;
    struct links_table *table = links->self;
    table->closed = true;
    listener_free(table->listener);
    clock_timer_free(table->clock, table->tick);
    while (table->examiners)
        links_examiner_free(table->examiners);
    while (table->legs)
        links_leg_close(table->legs, LINK_FAULT_CLOSED, "the node shuts down");
    while (table->dialers)
        links_dialer_free(table->dialers);
    while (table->n_peers)
        links_peer_free(table->peers[table->n_peers - 1]);
    tls_free(table->tls);
    loop_defer(table->loop, free_table, table); /* after what was deferred for it */
}

uint16_t links_port(const struct links *links)
{
    const struct links_table *table = links->self;
    return table->self.hello.port;
}

struct links_counts links_counts(const struct links *links)
{
    const struct links_table *table = links->self;
    return table->counts;
}
