#include "swarm/link.h"

#include "base/jv.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SIGNED_LABEL   "shoal link 1"
#define EXPORTER_LABEL "EXPORTER-Channel-Binding" /* RFC 9266 */
#define PAIR_LABEL     "EXPORTER-shoal-pair"
#define EXPORT_BYTES   32

enum link_state {
    LINK_OPENING,  /* TCP and TLS */
    LINK_GREETING, /* HELLO is sent, theirs is awaited */
    LINK_PROVING,  /* theirs is fine, AUTH is sent, theirs is awaited */
    LINK_PROVED,
    LINK_OVER
};

struct link {
    const struct link_self *self;
    struct conn *conn; /* NULL once it was given up */
    struct endpoint remote;
    enum link_state state;
    bool dialed, dead, held, frame_begun;
    enum link_channel channel;
    struct node_id wanted; /* zero: anybody */
    uint64_t pair_wanted;  /* what our hello says */
    struct link_greeting peer;
    uint8_t exported[EXPORT_BYTES];
    uint64_t pair;
    struct link_times times;
    uint64_t peer_clock_us;
    const struct link_events *events;
    void *arg;
};

static void free_now(void *arg)
{
    mem_free(arg);
}

void link_free(struct link *link)
{
    if (!link || link->dead)
        return;
    link->dead = true;
    link->state = LINK_OVER;
    conn_free(link->conn);
    loop_defer(link->self->loop, free_now, link);
}

static void send_bye(struct link *link, enum link_fault fault, const char *text)
{
    struct jv *json = jv_object_new();
    jv_set_text(json, "code", link_fault_name(fault));
    jv_set_text(json, "text", text);
    char *printed = jv_print(json, JV_COMPACT);
    struct bytes payload = bytes_of_text(printed);
    if (payload.size <= frame_rule(FRAME_BYE)->payload_bytes_max)
        link_send(link, FRAME_BYE, payload);
    mem_free(printed);
    jv_free(json);
}

void link_close(struct link *link, enum link_fault fault, const char *text)
{
    if (!link || link->dead)
        return;
    if (link->conn && conn_is_open(link->conn)) {
        send_bye(link, fault, text);
        conn_finish(link->conn);
        link->conn = NULL;
    }
    link_free(link);
}

/* Ends it from within: tells the peer (unless it ended it), tells the owner. Call it last: the owner frees. */
__attribute__((format(printf, 4, 5))) static void fail(struct link *link, enum link_step step,
                                                       enum link_fault fault, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (link->state == LINK_OVER)
        return;
    if (link->conn && conn_is_open(link->conn)) {
        send_bye(link, fault, text);
        conn_finish(link->conn);
        link->conn = NULL;
    }
    link->state = LINK_OVER;
    link->events->on_end(link->arg, step, fault, text);
}

static enum link_step step_now(const struct link *link)
{
    switch (link->state) {
    case LINK_OPENING:
        return link->times.connected_us || (link->conn && conn_connected_us(link->conn)) ? LINK_STEP_HANDSHAKE
                                                                                         : LINK_STEP_CONNECT;
    case LINK_GREETING:
    case LINK_PROVING:
        return LINK_STEP_IDENTITY;
    default:
        return LINK_STEP_UP;
    }
}

/* --- sending ---------------------------------------------------------------------------------------------- */

bool link_send(struct link *link, enum frame_kind kind, struct bytes payload)
{
    if (link->state == LINK_OVER || !link->conn)
        return false;
    const struct frame_rule *rule = frame_rule(kind);
    ASSERT(rule && payload.size <= rule->payload_bytes_max);
    const uint8_t head[FRAME_HEAD_BYTES] = {(uint8_t)payload.size, (uint8_t)(payload.size >> 8),
                                            (uint8_t)(payload.size >> 16), (uint8_t)(payload.size >> 24),
                                            (uint8_t)kind};
    return conn_send(link->conn, bytes_of(head, sizeof head), payload);
}

static void send_hello(struct link *link)
{
    struct link_greeting greeting = {.hello = link->self->hello,
                                     .run = link->self->run,
                                     .channel = link->channel,
                                     .pair = link->pair_wanted};
    greeting.hello.wall_ms = clock_wall_ms(loop_clock(link->self->loop));
    char *text = link_greeting_print(&greeting);
    link_send(link, FRAME_HELLO, bytes_of_text(text));
    mem_free(text);
}

struct signed_text {
    uint8_t bytes[sizeof SIGNED_LABEL + 1 + EXPORT_BYTES + 2 * NODE_ID_BYTES];
};

static struct signed_text what_is_signed(const struct link *link, bool by_client, const struct node_id *signer,
                                         const struct node_id *other)
{
    struct signed_text text;
    uint8_t *at = text.bytes;
    memcpy(at, SIGNED_LABEL, sizeof SIGNED_LABEL); /* with its NUL */
    at += sizeof SIGNED_LABEL;
    *at++ = by_client ? 'c' : 's';
    memcpy(at, link->exported, EXPORT_BYTES);
    memcpy(at + EXPORT_BYTES, signer->bytes, NODE_ID_BYTES);
    memcpy(at + EXPORT_BYTES + NODE_ID_BYTES, other->bytes, NODE_ID_BYTES);
    return text;
}

static void send_auth(struct link *link)
{
    const struct link_self *self = link->self;
    struct signed_text text = what_is_signed(link, link->dialed, &self->hello.id, &link->peer.hello.id);
    struct signature signature =
        signature_new(identity_pair(self->identity), bytes_of(text.bytes, sizeof text.bytes));
    link_send(link, FRAME_AUTH, bytes_of(signature.bytes, sizeof signature.bytes));
}

/* --- receiving ---------------------------------------------------------------------------------------------
 */

static void on_hello(struct link *link, struct bytes payload)
{
    const struct link_hello *own = &link->self->hello;
    struct error err;
    uint32_t protocol;
    enum status status = link_greeting_parse(&link->peer, &protocol, payload, &err);
    if (protocol && protocol != own->protocol) {
        fail(link, LINK_STEP_PROTOCOL, LINK_FAULT_VERSION,
             "the other side speaks protocol %u, we speak %u: install the same version of shoal on both",
             protocol, own->protocol);
        return;
    }
    if (status) {
        fail(link, LINK_STEP_IDENTITY, LINK_FAULT_BROKE_RULES, "%s", err.text);
        return;
    }
    if (node_id_equal(&link->peer.hello.id, &own->id)) {
        fail(link, LINK_STEP_IDENTITY, LINK_FAULT_SELF,
             "this address is our own (or another process has our identity)");
        return;
    }
    if (link->dialed && link->peer.channel != link->channel) {
        fail(link, LINK_STEP_IDENTITY, LINK_FAULT_BROKE_RULES, "the answer is for another channel");
        return;
    }
    link->channel = link->peer.channel;
    link->state = LINK_PROVING;
    if (!link->dialed)
        send_hello(link);
    send_auth(link);
}

static bool protocol_is_ours(struct link *link)
{
    const struct link_hello *own = &link->self->hello, *peer = &link->peer.hello;
    if (strcmp(peer->cluster, own->cluster) != 0) {
        fail(link, LINK_STEP_PROTOCOL, LINK_FAULT_CLUSTER,
             "same swarm key, but cluster '%s' on one side and '%s' on "
             "the other; start both with the same --cluster",
             peer->cluster, own->cluster);
        return false;
    }
    if (peer->arithmetic != own->arithmetic) {
        fail(link, LINK_STEP_PROTOCOL, LINK_FAULT_VERSION,
             "the other side computes by arithmetic %u, we by %u, and their results would differ: install %s",
             peer->arithmetic, own->arithmetic,
             peer->arithmetic < own->arithmetic ? "this version of shoal there"
                                                : "its newer version of shoal here");
        return false;
    }
    return true;
}

static void on_auth(struct link *link, struct bytes payload)
{
    const struct link_self *self = link->self;
    const struct node_id *peer = &link->peer.hello.id;
    struct signature signature;
    char wanted[NODE_ID_SHORT_BYTES], found[NODE_ID_SHORT_BYTES];
    node_id_short(found, peer);
    if (payload.size != sizeof signature.bytes) {
        fail(link, LINK_STEP_IDENTITY, LINK_FAULT_BROKE_RULES, "a signature of %zu bytes", payload.size);
        return;
    }
    memcpy(signature.bytes, payload.data, sizeof signature.bytes);
    struct signed_text text = what_is_signed(link, !link->dialed, peer, &self->hello.id);
    struct public_key key;
    memcpy(key.bytes, peer->bytes, sizeof key.bytes);
    if (!crypto_verify(&key, bytes_of(text.bytes, sizeof text.bytes), &signature)) {
        fail(link, LINK_STEP_IDENTITY, LINK_FAULT_IDENTITY, "the other side says it is %s and cannot prove it",
             found);
        return;
    }
    if (!node_id_is_zero(&link->wanted) && !node_id_equal(&link->wanted, peer)) {
        node_id_short(wanted, &link->wanted);
        fail(link, LINK_STEP_IDENTITY, LINK_FAULT_IDENTITY, "node %s answers here, not %s", found, wanted);
        return;
    }
    if (!protocol_is_ours(link))
        return;
    link->state = LINK_PROVED;
    link->times.identity_us = clock_us(loop_clock(self->loop));
    conn_deadline(link->conn, 0);
    link->events->on_proved(link->arg);
}

static void on_ping(struct link *link, struct bytes payload)
{
    struct buffer pong;
    buffer_init(&pong, 64);
    if (payload.size == 8) {
        struct reader r = reader_over(payload);
        link->peer_clock_us = reader_u64(&r);
        buffer_bytes(&pong, payload.data, payload.size);
        buffer_u64(&pong, (uint64_t)clock_wall_ms(loop_clock(link->self->loop)));
        link_send(link, FRAME_PONG, buffer_view(&pong));
    } else {
        fail(link, step_now(link), LINK_FAULT_BROKE_RULES, "a ping of %zu bytes", payload.size);
    }
    buffer_free(&pong);
}

static void on_bye(struct link *link, struct bytes payload)
{
    static const struct jv_limits limits = {.bytes_max = 4096, .depth_max = 4, .values_max = 16};
    struct jv *json = NULL;
    enum link_step step = step_now(link);
    bool parsed = jv_parse(&json, payload, &limits, NULL) == STATUS_OK;
    enum link_fault fault = link_fault_parse(parsed ? jv_get_text(json, "code", "") : "");
    if (fault == LINK_FAULT_CLUSTER || fault == LINK_FAULT_VERSION)
        step = LINK_STEP_PROTOCOL;
    conn_free(link->conn);
    link->conn = NULL;
    link->state = LINK_OVER;
    char *text = mem_format("the other side closed: %.400s", parsed ? jv_get_text(json, "text", "") : "");
    jv_free(json);
    link->events->on_end(link->arg, step, fault, text);
    mem_free(text);
}

/* False: stays where it is until link_release. */
static bool on_frame(struct link *link, const struct frame *frame)
{
    if (frame->kind == FRAME_BYE) {
        on_bye(link, frame->payload);
    } else if (link->state == LINK_GREETING && frame->kind == FRAME_HELLO) {
        on_hello(link, frame->payload);
    } else if (link->state == LINK_PROVING && frame->kind == FRAME_AUTH) {
        on_auth(link, frame->payload);
    } else if (link->state != LINK_PROVED || frame->kind == FRAME_HELLO || frame->kind == FRAME_AUTH) {
        fail(link, step_now(link), LINK_FAULT_BROKE_RULES, "frame '%s' at the wrong time",
             frame_rule(frame->kind)->name);
    } else if (frame->kind == FRAME_PING) {
        on_ping(link, frame->payload);
    } else {
        return link->events->on_frame(link->arg, frame->kind, frame->payload);
    }
    return true;
}

/* Told by the head alone, so that nobody unproved can make us hold a large frame. */
static bool may_come(const struct link *link, struct bytes in)
{
    const struct frame_rule *rule = in.size >= FRAME_HEAD_BYTES ? frame_rule(in.data[4]) : NULL;
    if (!rule)
        return true; /* too early to tell, or frame_decode names it */
    enum frame_kind kind = (enum frame_kind)in.data[4];
    if (link->state != LINK_PROVED)
        return kind == FRAME_HELLO || kind == FRAME_AUTH || kind == FRAME_BYE;
    enum frame_channel channel = link->channel == LINK_DATA ? FRAME_ON_DATA : FRAME_ON_CONTROL;
    return rule->channel == FRAME_ON_ANY || (rule->channel == channel && link->channel != LINK_PROBE);
}

static void watch_partial_frame(struct link *link, size_t n_left)
{
    bool begun = n_left > 0 && !link->held && link->state == LINK_PROVED;
    if (begun != link->frame_begun)
        conn_deadline(link->conn, begun ? LINK_FRAME_MS : 0);
    link->frame_begun = begun;
}

/* What comes now waits in the kernel, so that the other side feels it. */
static void hold(struct link *link)
{
    link->held = true;
    conn_pause(link->conn);
}

static size_t take_input(void *arg, struct bytes in)
{
    struct link *link = arg;
    size_t taken = 0;
    bool whole = false;
    while (link->state != LINK_OVER && taken < in.size && !link->held) {
        struct bytes rest = bytes_of(in.data + taken, in.size - taken);
        struct frame frame;
        struct error err;
        size_t used;
        if (!may_come(link, rest)) {
            fail(link, step_now(link), LINK_FAULT_BROKE_RULES,
                 "frame '%s' at the wrong time or on the wrong connection", frame_rule(rest.data[4])->name);
            return in.size;
        }
        if (frame_decode(&frame, &used, rest, &err)) {
            fail(link, step_now(link), LINK_FAULT_BROKE_RULES, "%s", err.text);
            return in.size;
        }
        if (!used)
            break;
        whole = true;
        if (on_frame(link, &frame))
            taken += used;
        else
            hold(link);
    }
    if (link->state == LINK_OVER)
        return in.size;
    if (whole)
        watch_partial_frame(link, 0); /* each frame has its own time */
    watch_partial_frame(link, in.size - taken);
    return taken;
}

void link_release(struct link *link)
{
    if (!link->held)
        return;
    link->held = false;
    if (link->conn)
        conn_resume(link->conn);
}

/* --- the connection's events ---------------------------------------------------------------------------------
 */

static void on_open(void *arg)
{
    struct link *link = arg;
    uint8_t pair[EXPORT_BYTES];
    link->times.connected_us = conn_connected_us(link->conn);
    link->times.handshake_us = clock_us(loop_clock(link->self->loop));
    link->state = LINK_GREETING;
    conn_export(link->conn, EXPORTER_LABEL, link->exported);
    conn_export(link->conn, PAIR_LABEL, pair);
    memcpy(&link->pair, pair, sizeof link->pair);
    conn_deadline(link->conn, LINK_HANDSHAKE_MS);
    conn_unacknowledged_max(link->conn, LINK_STALL_MS);
    if (link->dialed) /* the other side answers with its own, for the same channel */
        send_hello(link);
}

static enum link_fault fault_of(const struct link *link, enum conn_end end)
{
    bool was_up = link->state == LINK_PROVED;
    switch (end) {
    case CONN_END_WRONG_KEY:
        return LINK_FAULT_WRONG_KEY;
    case CONN_END_NOT_TLS:
        return LINK_FAULT_NOT_SWARM;
    case CONN_END_QUEUE_FULL:
    case CONN_END_STALLED:
        return LINK_FAULT_QUEUE_FULL;
    case CONN_END_INPUT_FULL:
    case CONN_END_BROKEN:
        return LINK_FAULT_BROKE_RULES;
    case CONN_END_DEADLINE:
        return was_up                        ? LINK_FAULT_BROKE_RULES
               : link->state == LINK_OPENING ? LINK_FAULT_UNREACHABLE
                                             : LINK_FAULT_SILENT;
    default:
        return was_up ? LINK_FAULT_CLOSED : LINK_FAULT_UNREACHABLE;
    }
}

static void on_conn_end(void *arg, enum conn_end end, const char *text)
{
    struct link *link = arg;
    if (link->state == LINK_OVER)
        return;
    enum link_step step = step_now(link);
    enum link_fault fault = fault_of(link, end);
    link->state = LINK_OVER;
    link->events->on_end(link->arg, step, fault, text);
}

static const struct conn_events conn_events = {
    .on_open = on_open, .on_input = take_input, .on_end = on_conn_end};

static struct link *link_new(const struct link_self *self, const struct endpoint *remote,
                             const struct link_events *events, void *arg)
{
    struct link *link = mem_new(sizeof *link);
    *link = (struct link){.self = self, .remote = *remote, .events = events, .arg = arg};
    link->times.begun_us = clock_us(loop_clock(self->loop));
    return link;
}

static const struct conn_limits limits = {
    .output_bytes_max = LINK_QUEUE_BYTES_MAX, .open_ms = LINK_HANDSHAKE_MS, .stall_ms = LINK_STALL_MS};

struct link *link_dial(const struct link_self *self, const struct endpoint *to, enum link_channel channel,
                       const struct node_id *wanted, uint64_t pair, const struct link_events *events, void *arg)
{
    struct link *link = link_new(self, to, events, arg);
    link->dialed = true;
    link->channel = channel;
    link->pair_wanted = pair;
    if (wanted)
        link->wanted = *wanted;
    link->conn = conn_dial(self->loop, to, self->tls, &limits, &conn_events, link);
    return link;
}

struct link *link_accept(const struct link_self *self, int fd, const struct endpoint *from,
                         const struct link_events *events, void *arg)
{
    struct link *link = link_new(self, from, events, arg);
    link->conn = conn_accept(self->loop, fd, from, self->tls, &limits, &conn_events, link);
    return link;
}

/* --- the rest ------------------------------------------------------------------------------------------------
 */

void link_set_owner(struct link *link, const struct link_events *events, void *arg)
{
    link->events = events;
    link->arg = arg;
}

bool link_is_proved(const struct link *link)
{
    return link->state == LINK_PROVED;
}

bool link_is_dialed(const struct link *link)
{
    return link->dialed;
}

enum link_channel link_channel(const struct link *link)
{
    return link->channel;
}

const struct link_greeting *link_peer(const struct link *link)
{
    return &link->peer;
}

uint64_t link_pair(const struct link *link)
{
    return link->pair;
}

const struct endpoint *link_remote(const struct link *link)
{
    return &link->remote;
}

struct address link_remote_address(const struct link *link)
{
    struct address address;
    link_address_of(&address, &link->remote);
    if (link->peer.hello.port)
        address.port = link->peer.hello.port;
    return address;
}

size_t link_queued(const struct link *link)
{
    return link->conn ? conn_queued(link->conn) : 0;
}

uint64_t link_bytes_in(const struct link *link)
{
    return link->conn ? conn_bytes_in(link->conn) : 0;
}

uint64_t link_peer_clock_us(const struct link *link)
{
    return link->peer_clock_us;
}

uint64_t link_bytes_out(const struct link *link)
{
    return link->conn ? conn_bytes_out(link->conn) : 0;
}

struct link_times link_times(const struct link *link)
{
    struct link_times times = link->times;
    if (!times.connected_us && link->conn)
        times.connected_us = conn_connected_us(link->conn);
    return times;
}
