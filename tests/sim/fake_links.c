#include "sim/fake_links.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

struct flight { /* a frame, or the news of a link, on its way */
    struct fake_links *to, *from;
    bool is_frame, is_up;
    enum frame_kind kind;
    enum link_fault fault;
    struct buffer payload;
};

static struct link_info info_about(const struct fake_links *links, const struct fake_links *to)
{
    uint64_t heard_ms = to->quiet_since_ms ? to->quiet_since_ms : clock_ms(&links->net->clock->clock);
    return (struct link_info){.hello = to->hello,
                              .address = to->address,
                              .up_since_ms = links->linked_ms,
                              .heard_ms = heard_ms,
                              .peer_clock_ms = heard_ms, /* one clock */
                              .rtt_us = links->rtt_us > to->rtt_us ? links->rtt_us : to->rtt_us,
                              .clock_skew_ms = to->skew_ms - links->skew_ms};
}

static void land(void *arg)
{
    struct flight *f = arg;
    const struct links_events *events = f->to->events;
    bool up = f->to->net->up[f->to->index][f->from->index];
    if (events && f->is_frame && up) {
        events->on_frame(f->to->ctx, &f->from->hello.id, f->kind, buffer_view(&f->payload));
    } else if (events && !f->is_frame && f->is_up && up) {
        struct link_info info;
        bool known = f->to->links.ops->info(f->to, &f->from->hello.id, &info);
        ASSERT(known);
        events->on_up(f->to->ctx, &info);
    } else if (events && !f->is_frame && !f->is_up && !up) {
        struct link_info last = info_about(f->to, f->from);
        events->on_down(f->to->ctx, &last, f->fault, link_fault_name(f->fault));
    }
    buffer_free(&f->payload);
    mem_free(f);
}

static struct flight *flight_new(struct fake_links *from, struct fake_links *to)
{
    struct flight *f = mem_new(sizeof *f);
    f->from = from;
    f->to = to;
    buffer_init(&f->payload, 0);
    return f;
}

static struct fake_links *peer_of(const struct fake_links *links, const struct node_id *id)
{
    const struct fake_net *net = links->net;
    for (uint32_t i = 0; i < net->n; i++)
        if (net->up[links->index][i] && node_id_equal(&net->all[i]->hello.id, id))
            return net->all[i];
    return NULL;
}

static struct fake_wanted *wanted_slot(struct fake_links *links)
{
    ASSERT(links->n_wanted < FAKE_WANTED_MAX);
    return &links->wanted[links->n_wanted++];
}

static void want(void *self, const struct node_id *peer, const struct address *addresses, size_t n)
{
    struct fake_links *links = self;
    struct fake_wanted *w = (struct fake_wanted *)(uintptr_t)fake_links_wanted(links, peer);
    if (!w)
        w = wanted_slot(links);
    *w = (struct fake_wanted){.id = *peer, .n = n};
    ASSERT(n >= 1 && n <= FAKE_WANTED_ADDR);
    memcpy(w->addresses, addresses, n * sizeof *addresses);
}

static void want_host(void *self, const char *host, uint16_t port)
{
    struct fake_wanted *w = wanted_slot(self);
    *w = (struct fake_wanted){.port = port};
    snprintf(w->host, sizeof w->host, "%s", host);
}

static void unwant(void *self, const struct node_id *peer)
{
    struct fake_links *links = self;
    struct fake_wanted *w = (struct fake_wanted *)(uintptr_t)fake_links_wanted(links, peer);
    if (w)
        *w = links->wanted[--links->n_wanted];
}

static enum status send_frame(void *self, const struct node_id *peer, enum frame_kind kind,
                              struct bytes payload)
{
    struct fake_links *links = self, *to = peer_of(links, peer);
    if (!to)
        return STATUS_NOT_FOUND;
    ASSERT(payload.size <= frame_rule(kind)->payload_bytes_max);
    links->n_sent[kind]++;
    if (links->n_lose && (!links->lose_kind || links->lose_kind == kind)) {
        links->n_lose--;
        return STATUS_OK;
    }
    struct flight *f = flight_new(links, to);
    f->is_frame = true;
    f->kind = kind;
    buffer_bytes(&f->payload, payload.data, payload.size);
    fake_clock_post(links->net->clock, links->net->delay_ms, land, f);
    return STATUS_OK;
}

static void drop(void *self, const struct node_id *peer, enum link_fault fault, const char *text)
{
    struct fake_links *links = self, *to = peer_of(links, peer);
    (void)text;
    links->n_drops++;
    links->drop_fault = fault;
    if (to)
        fake_net_cut(links, to, fault);
}

static bool info(void *self, const struct node_id *peer, struct link_info *out)
{
    const struct fake_links *links = self, *to = peer_of(links, peer);
    if (!to)
        return false;
    *out = info_about(links, to);
    return true;
}

static size_t peers(void *self, struct node_id *out, size_t max)
{
    const struct fake_links *links = self;
    size_t n = 0;
    for (uint32_t i = 0; i < links->net->n && n < max; i++) {
        if (!links->net->up[links->index][i])
            continue;
        struct node_id id = links->net->all[i]->hello.id;
        size_t at = n++;
        for (; at && node_id_compare(&out[at - 1], &id) > 0; at--)
            out[at] = out[at - 1];
        out[at] = id;
    }
    return n;
}

void fake_net_init(struct fake_net *net, struct fake_clock *clock)
{
    *net = (struct fake_net){.clock = clock, .delay_ms = 1};
}

void fake_links_init(struct fake_links *links, struct fake_net *net, const struct node_id *id,
                     const struct links_events *events, void *ctx)
{
    static const struct links_ops ops = {.want = want,
                                         .want_host = want_host,
                                         .unwant = unwant,
                                         .send = send_frame,
                                         .drop = drop,
                                         .info = info,
                                         .peers = peers};
    ASSERT(net->n < FAKE_LINKS_MAX);
    *links = (struct fake_links){.net = net, .index = net->n, .events = events, .ctx = ctx};
    links->links = (struct links){.ops = &ops, .self = links};
    links->hello.id = *id;
    links->rtt_us = 100;
    links->address = (struct address){.family = 4, .ip = {10, 0, 0, (uint8_t)(1 + net->n)}, .port = 7400};
    net->all[net->n++] = links;
}

static void tell(struct fake_links *from, struct fake_links *to, bool is_up, enum link_fault fault)
{
    struct flight *f = flight_new(from, to);
    f->is_up = is_up;
    f->fault = fault;
    fake_clock_post(from->net->clock, from->net->delay_ms, land, f);
}

static void set(struct fake_links *a, struct fake_links *b, bool up, enum link_fault fault)
{
    if (a->net->up[a->index][b->index] == up)
        return;
    a->net->up[a->index][b->index] = a->net->up[b->index][a->index] = up;
    tell(a, b, up, fault);
    tell(b, a, up, fault);
}

void fake_net_connect(struct fake_links *a, struct fake_links *b)
{
    a->linked_ms = b->linked_ms = clock_ms(&a->net->clock->clock);
    set(a, b, true, LINK_FAULT_NONE);
}

void fake_net_cut(struct fake_links *a, struct fake_links *b, enum link_fault fault)
{
    set(a, b, false, fault);
}

const struct fake_wanted *fake_links_wanted(const struct fake_links *links, const struct node_id *id)
{
    for (size_t i = 0; i < links->n_wanted; i++)
        if (node_id_equal(&links->wanted[i].id, id))
            return &links->wanted[i];
    return NULL;
}
