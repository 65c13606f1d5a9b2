#include "swarm/roster.h"

#include "base/log.h"
#include "base/mem.h"

#include <string.h>

#define CLOCK_SAID_MAX ((uint64_t)1 << 53) /* what a record holds; a peer may say anything */

struct roster {
    const struct clock *clock;
    const struct links *links;
    const struct key_pair *pair;
    struct roster_events events;
    void *ctx;
    struct roster_entry *entries[ROSTER_NODES_MAX]; /* ascending ids */
    size_t n;
    struct roster_entry *self;
    struct timer *push_timer, *digest_timer, *doubt_timer, *testify_timer;
    bool push_pending, hold_pushes;
    uint64_t outdone_epoch; /* the highest in a record of ours that came from outside */
};

/* The place of id in the table, or where it would be. */
static size_t search(const struct roster *roster, const struct node_id *id, bool *out_found)
{
    size_t low = 0, high = roster->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = node_id_compare(&roster->entries[middle]->record.id, id);
        if (order == 0) {
            *out_found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *out_found = false;
    return low;
}

static struct roster_entry *find(const struct roster *roster, const struct node_id *id)
{
    bool found;
    size_t at = search(roster, id, &found);
    return found ? roster->entries[at] : NULL;
}

static void entry_free(struct roster_entry *entry)
{
    record_free(&entry->record);
    buffer_free(&entry->signed_form);
    mem_free(entry);
}

/* How many unlinked nodes we know of by this peer only; those without links of their own count to nobody. */
static size_t n_brought(const struct roster *roster, const struct node_id *via)
{
    size_t n = 0;
    for (size_t i = 0; i < roster->n; i++)
        n += !roster->entries[i]->linked && !roster->entries[i]->is_self &&
             node_id_equal(&roster->entries[i]->via, via);
    return n;
}

/* Takes out the one that gives way to a newcomer that `via` brings (zero: it comes itself). False: nobody does.
 */
static bool make_room(struct roster *roster, const struct node_id *via)
{
    size_t best = roster->n, most = 0, own = node_id_is_zero(via) ? 0 : n_brought(roster, via);
    for (size_t i = 0; i < roster->n; i++) {
        const struct roster_entry *entry = roster->entries[i];
        if (entry->linked || entry->is_self)
            continue;
        size_t n = n_brought(roster, &entry->via);
        bool may = node_id_is_zero(via) || n > own + 1 || !entry->alive;
        const struct roster_entry *than = best < roster->n ? roster->entries[best] : NULL;
        bool is_worse =
            !than || (than->alive && !entry->alive) ||
            (than->alive == entry->alive && (n > most || (n == most && entry->heard_ms < than->heard_ms)));
        if (may && is_worse) {
            best = i;
            most = n;
        }
    }
    if (best == roster->n)
        return false;
    entry_free(roster->entries[best]);
    roster->n--;
    memmove(&roster->entries[best], &roster->entries[best + 1], (roster->n - best) * sizeof roster->entries[0]);
    return true;
}

static struct roster_entry *insert(struct roster *roster, const struct node_id *id, const struct node_id *via)
{
    bool found;
    size_t at = search(roster, id, &found);
    ASSERT(!found);
    if (roster->n == ROSTER_NODES_MAX) {
        if (!make_room(roster, via))
            return NULL;
        at = search(roster, id, &found);
    }
    struct roster_entry *entry = mem_new(sizeof *entry);
    entry->record.id = *id;
    entry->changed_ms = clock_ms(roster->clock); /* not alive as far as we know, since now */
    buffer_init(&entry->signed_form, RECORD_BYTES_MAX);
    memmove(&roster->entries[at + 1], &roster->entries[at], (roster->n - at) * sizeof roster->entries[0]);
    roster->entries[at] = entry;
    roster->n++;
    return entry;
}

/* The first round trips of a link compete with two processes that start: a slow one counts only when the link
 * has had the time for better ones. 0: not measured. */
static uint32_t believed_rtt(const struct roster *roster, const struct link_info *info)
{
    bool is_young = clock_ms(roster->clock) - info->up_since_ms < ROSTER_RTT_YOUNG_MS;
    return is_young && info->rtt_us > ROSTER_RTT_QUICK_US ? 0 : info->rtt_us;
}

static void fill_links(struct roster *roster, struct node_record *own)
{
    struct node_id peers[RECORD_LINKS_MAX];
    size_t n = roster->links->ops->peers(roster->links->self, peers, RECORD_LINKS_MAX);
    mem_free(own->links);
    own->links = mem_array(n, sizeof *own->links);
    own->n_links = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        struct link_info info;
        own->links[i].peer = peers[i];
        own->links[i].clock_ms = 0;
        if (!roster->links->ops->info(roster->links->self, &peers[i], &info))
            continue;
        own->links[i].rtt_us = believed_rtt(roster, &info);
        if (info.peer_clock_ms <= CLOCK_SAID_MAX)
            own->links[i].clock_ms = info.peer_clock_ms;
    }
}

/* What passes a record's limit loses its evidence, then its last findings: better than to be unknown. */
static void sign(struct roster *roster)
{
    struct node_record *own = &roster->self->record;
    struct buffer *out = &roster->self->signed_form;
    buffer_clear(out);
    record_sign(out, own, roster->pair);
    for (uint32_t i = 0; out->failed && i < own->findings.n; i++) {
        jv_free(own->findings.items[i].evidence);
        own->findings.items[i].evidence = NULL;
    }
    while (out->failed && own->findings.n) {
        buffer_clear(out);
        record_sign(out, own, roster->pair);
        if (out->failed)
            finding_list_cut(&own->findings, own->findings.n / 2);
    }
    if (!out->failed)
        return;
    buffer_clear(out);
    record_sign(out, own, roster->pair);
}

static void publish(struct roster *roster)
{
    struct node_record *own = &roster->self->record;
    finding_list_free(&own->findings);
    roster->events.fill(roster->ctx, own);
    fill_links(roster, own);
    own->version++;
    own->now_ms = clock_ms(roster->clock);
    own->wall_ms = clock_wall_ms(roster->clock);
    roster->self->heard_ms = own->now_ms;
    sign(roster);
    if (roster->self->signed_form.failed) {
        log_error("our own record passes %d bytes and cannot be published", RECORD_BYTES_MAX);
        return;
    }
    if (roster->hold_pushes)
        return;
    for (uint32_t i = 0; i < own->n_links; i++)
        (void)links_send(roster->links, &own->links[i].peer, FRAME_RECORD,
                         buffer_view(&roster->self->signed_form));
}

static const struct record_link *link_listed(const struct node_record *record, const struct node_id *peer)
{
    for (uint32_t i = 0; i < record->n_links; i++)
        if (node_id_equal(&record->links[i].peer, peer))
            return &record->links[i];
    return NULL;
}

static bool in_grace(const struct roster *roster, const struct roster_entry *entry)
{
    return !entry->linked && entry->lost_ms && clock_ms(roster->clock) - entry->lost_ms < entry->grace_ms;
}

/* `via` tells of a link to `entry`. Where we have lost our own, its word may be older than that: both may have
 * gone at once, or it has not noticed yet. */
static bool vouches(const struct roster *roster, const struct roster_entry *via,
                    const struct roster_entry *entry)
{
    struct link_info info;
    const struct record_link *link =
        via->linked && !via->outlived ? link_listed(&via->record, &entry->record.id) : NULL;
    if (!link || entry->linked || !entry->lost_ms)
        return link;
    if (in_grace(roster, entry))
        return roster->links->ops->info(roster->links->self, &via->record.id, &info) &&
               clock_ms(roster->clock) - info.heard_ms < ROSTER_WITNESS_MS;
    return link->clock_ms >= entry->lost_clock_ms + ROSTER_NEWS_MS;
}

/* Who is alive follows from links, ours and those that linked peers tell of. */
static void refresh_alive(struct roster *roster)
{
    for (size_t i = 0; i < roster->n; i++) {
        struct roster_entry *entry = roster->entries[i];
        bool alive = entry->is_self || entry->linked;
        for (size_t k = 0; k < roster->n && !alive; k++)
            alive = vouches(roster, roster->entries[k], entry);
        alive = alive && !entry->outlived;
        if (alive == entry->alive)
            continue;
        entry->alive = alive;
        entry->changed_ms = clock_ms(roster->clock);
        roster->events.changed(roster->ctx, entry);
    }
}

/* Nothing else tells that a witness has fallen silent, or that the grace is over. */
static void on_doubt_time(void *arg)
{
    struct roster *roster = arg;
    bool any = false;
    refresh_alive(roster);
    for (size_t i = 0; i < roster->n; i++)
        any |= in_grace(roster, roster->entries[i]);
    if (any)
        clock_timer_set(roster->clock, roster->doubt_timer, ROSTER_GRACE_DUMB_MS / 2);
}

static void on_testify_time(void *arg)
{
    roster_touch(arg);
}

/* The owner of this record says no more that it has a link with somebody: whether we still have one is news.
 * Once more later, as what we heard must be later than what the other heard. */
static void testify(struct roster *roster, const struct node_record *before, const struct node_record *now)
{
    for (uint32_t i = 0; i < before->n_links; i++) {
        const struct roster_entry *about = find(roster, &before->links[i].peer);
        if (!about || !about->linked || link_listed(now, &about->record.id))
            continue;
        roster_touch(roster);
        clock_timer_set(roster->clock, roster->testify_timer, ROSTER_TESTIFY_MS);
        return;
    }
}

static void on_push(void *arg)
{
    struct roster *roster = arg;
    roster->push_pending = false;
    publish(roster);
    refresh_alive(roster);
    roster->events.changed(roster->ctx, roster->self);
}

void roster_touch(struct roster *roster)
{
    if (roster->push_pending)
        return;
    roster->push_pending = true;
    clock_timer_set(roster->clock, roster->push_timer, ROSTER_PUSH_MS);
}

static void send_digest(struct roster *roster, const struct node_id *peer)
{
    struct buffer out;
    buffer_init(&out, frame_rule(FRAME_DIGEST)->payload_bytes_max);
    for (size_t i = 0; i < roster->n; i++) {
        const struct roster_entry *entry = roster->entries[i];
        struct digest_entry digest = {
            .id = entry->record.id, .epoch = entry->record.epoch, .version = entry->record.version};
        if (entry->signed_form.size)
            digest_encode(&out, &digest, 1);
    }
    (void)links_send(roster->links, peer, FRAME_DIGEST, buffer_view(&out));
    buffer_free(&out);
}

static void forget_dead(struct roster *roster)
{
    uint64_t now = clock_ms(roster->clock);
    size_t kept = 0;
    for (size_t i = 0; i < roster->n; i++) {
        struct roster_entry *entry = roster->entries[i];
        if (entry->is_self || entry->alive || now - entry->changed_ms < ROSTER_FORGET_MS)
            roster->entries[kept++] = entry;
        else
            entry_free(entry);
    }
    roster->n = kept;
}

/* A round trip that is another than what we said of it by far. */
static bool links_changed(const struct roster *roster)
{
    const struct node_record *own = &roster->self->record;
    for (uint32_t i = 0; i < own->n_links; i++) {
        struct link_info info;
        uint32_t said = own->links[i].rtt_us;
        if (!roster->links->ops->info(roster->links->self, &own->links[i].peer, &info) || !info.rtt_us)
            continue;
        uint32_t least = info.rtt_us < said ? info.rtt_us : said,
                 most = info.rtt_us > said ? info.rtt_us : said;
        if (!said || (most - least > ROSTER_RTT_CHANGE_US && most / 2 > least))
            return true;
    }
    return false;
}

static void on_digest_time(void *arg)
{
    struct roster *roster = arg;
    if (links_changed(roster))
        roster_touch(roster);
    for (size_t i = 0; i < roster->n; i++)
        if (roster->entries[i]->linked)
            send_digest(roster, &roster->entries[i]->record.id);
    forget_dead(roster);
    clock_timer_set(roster->clock, roster->digest_timer, ROSTER_DIGEST_MS);
}

struct roster *roster_new(const struct clock *clock, const struct links *links, const struct key_pair *pair,
                          uint64_t epoch, const struct roster_events *events, void *ctx)
{
    struct roster *roster = mem_new(sizeof *roster);
    roster->clock = clock;
    roster->links = links;
    roster->pair = pair;
    roster->events = *events;
    roster->ctx = ctx;
    struct node_id id;
    memcpy(id.bytes, pair->public_key.bytes, sizeof id.bytes);
    roster->self = insert(roster, &id, &(struct node_id){0});
    roster->self->is_self = roster->self->alive = true;
    roster->self->record.epoch = epoch;
    roster->push_timer = clock_timer_new(clock, on_push, roster);
    roster->digest_timer = clock_timer_new(clock, on_digest_time, roster);
    roster->doubt_timer = clock_timer_new(clock, on_doubt_time, roster);
    roster->testify_timer = clock_timer_new(clock, on_testify_time, roster);
    clock_timer_set(clock, roster->digest_timer, ROSTER_DIGEST_MS);
    roster_touch(roster);
    return roster;
}

void roster_free(struct roster *roster)
{
    if (!roster)
        return;
    clock_timer_free(roster->clock, roster->push_timer);
    clock_timer_free(roster->clock, roster->digest_timer);
    clock_timer_free(roster->clock, roster->doubt_timer);
    clock_timer_free(roster->clock, roster->testify_timer);
    for (size_t i = 0; i < roster->n; i++)
        entry_free(roster->entries[i]);
    mem_free(roster);
}

static void judge_outlived(struct roster_entry *entry)
{
    entry->outlived = entry->linked && entry->linked_epoch && entry->record.epoch > entry->linked_epoch;
}

void roster_on_up(struct roster *roster, const struct node_id *peer)
{
    struct roster_entry *entry = find(roster, peer);
    if (!entry)
        entry = insert(roster, peer, &(struct node_id){0});
    if (!entry) {
        roster->links->ops->drop(roster->links->self, peer, LINK_FAULT_QUEUE_FULL, "the roster is full");
        return;
    }
    struct link_info info;
    entry->linked = true;
    entry->linked_epoch = roster->links->ops->info(roster->links->self, peer, &info) ? info.hello.epoch : 0;
    judge_outlived(entry);
    entry->heard_ms = clock_ms(roster->clock);
    if (roster->self->signed_form.size)
        (void)links_send(roster->links, peer, FRAME_RECORD, buffer_view(&roster->self->signed_form));
    send_digest(roster, peer);
    refresh_alive(roster);
    roster_touch(roster);
}

void roster_on_down(struct roster *roster, const struct link_info *last, enum link_fault fault)
{
    struct roster_entry *entry = find(roster, &last->hello.id);
    if (!entry)
        return;
    entry->linked = entry->outlived = false;
    entry->lost_ms = clock_ms(roster->clock);
    entry->grace_ms = fault == LINK_FAULT_SILENT ? ROSTER_GRACE_DUMB_MS : ROSTER_GRACE_MS;
    entry->lost_clock_ms = last->peer_clock_ms;
    clock_timer_set(roster->clock, roster->doubt_timer, ROSTER_GRACE_DUMB_MS / 2);
    refresh_alive(roster);
    roster_touch(roster);
}

/* Peers that have no link with its owner hear of it from us now, others from itself. */
static void pass_on(struct roster *roster, const struct roster_entry *entry, const struct node_id *from)
{
    for (size_t i = 0; i < roster->n; i++) {
        const struct node_id *to = &roster->entries[i]->record.id;
        if (roster->entries[i]->linked && !node_id_equal(to, from) && !node_id_equal(to, &entry->record.id) &&
            !roster_linked(roster, to, &entry->record.id))
            (void)links_send(roster->links, to, FRAME_RECORD, buffer_view(&entry->signed_form));
    }
}

static enum status take_record(struct roster *roster, const struct node_id *from, struct bytes payload,
                               struct error *err)
{
    struct node_record record;
    enum status status = record_open(&record, payload, err);
    if (status)
        return status;
    struct roster_entry *entry = find(roster, &record.id);
    if (entry && entry->is_self && record.epoch > roster->outdone_epoch)
        roster->outdone_epoch = record.epoch;
    if (entry && node_id_equal(from, &record.id) && record.epoch > entry->linked_epoch)
        entry->linked_epoch = record.epoch; /* the same process: its record goes on after another's */
    if (entry && (entry->is_self || !record_is_newer(&record, entry->record.epoch, entry->record.version))) {
        judge_outlived(entry);
        refresh_alive(roster);
        record_free(&record);
        return STATUS_OK;
    }
    if (!entry)
        entry = insert(roster, &record.id, from);
    if (!entry) {
        record_free(&record);
        return STATUS_OK;
    }
    testify(roster, &entry->record, &record);
    if (record.epoch > entry->record.epoch)
        entry->lost_ms = 0; /* another process: what we lost is gone, and so is its clock */
    record_free(&entry->record);
    entry->record = record;
    judge_outlived(entry);
    buffer_clear(&entry->signed_form);
    buffer_bytes(&entry->signed_form, payload.data, payload.size);
    entry->heard_ms = clock_ms(roster->clock);
    if (!roster->hold_pushes)
        pass_on(roster, entry, from);
    refresh_alive(roster);
    roster->events.changed(roster->ctx, entry);
    return STATUS_OK;
}

/* Sends what the peer lacks, asks for what we lack. */
static enum status take_digest(struct roster *roster, const struct node_id *peer, struct bytes payload,
                               struct error *err)
{
    static struct digest_entry theirs[DIGEST_ENTRIES_MAX]; /* loop thread only; too large for the stack */
    size_t n;
    enum status status = digest_decode(theirs, DIGEST_ENTRIES_MAX, &n, payload, err);
    if (status)
        return status;
    struct buffer wanted;
    buffer_init(&wanted, frame_rule(FRAME_WANT)->payload_bytes_max);
    for (size_t i = 0; i < n; i++) {
        const struct roster_entry *entry = find(roster, &theirs[i].id);
        struct node_record as_digest = {.epoch = theirs[i].epoch, .version = theirs[i].version};
        bool is_wanted = !entry || (entry->is_self ? theirs[i].epoch > entry->record.epoch
                                                   : record_is_newer(&as_digest, entry->record.epoch,
                                                                     entry->record.version));
        if (is_wanted)
            want_encode(&wanted, &theirs[i].id, 1);
    }
    if (wanted.size)
        (void)links_send(roster->links, peer, FRAME_WANT, buffer_view(&wanted));
    buffer_free(&wanted);
    for (size_t i = 0; i < roster->n; i++) {
        const struct roster_entry *entry = roster->entries[i];
        bool lacks = entry->signed_form.size > 0;
        for (size_t k = 0; k < n && lacks; k++)
            if (node_id_equal(&theirs[k].id, &entry->record.id))
                lacks = record_is_newer(&entry->record, theirs[k].epoch, theirs[k].version);
        if (lacks)
            (void)links_send(roster->links, peer, FRAME_RECORD, buffer_view(&entry->signed_form));
    }
    return STATUS_OK;
}

static enum status take_want(struct roster *roster, const struct node_id *peer, struct bytes payload,
                             struct error *err)
{
    static struct node_id ids[DIGEST_ENTRIES_MAX];
    size_t n;
    enum status status = want_decode(ids, DIGEST_ENTRIES_MAX, &n, payload, err);
    for (size_t i = 0; !status && i < n; i++) {
        const struct roster_entry *entry = find(roster, &ids[i]);
        if (entry && entry->signed_form.size)
            (void)links_send(roster->links, peer, FRAME_RECORD, buffer_view(&entry->signed_form));
    }
    return status;
}

enum status roster_on_frame(struct roster *roster, const struct node_id *peer, enum frame_kind kind,
                            struct bytes payload, struct error *err)
{
    switch (kind) {
    case FRAME_RECORD:
        return take_record(roster, peer, payload, err);
    case FRAME_DIGEST:
        return take_digest(roster, peer, payload, err);
    case FRAME_WANT:
        return take_want(roster, peer, payload, err);
    default:
        assert_failed("a frame that is the roster's", __FILE__, __LINE__);
    }
}

size_t roster_count(const struct roster *roster)
{
    return roster->n;
}

const struct roster_entry *roster_at(const struct roster *roster, size_t index)
{
    ASSERT(index < roster->n);
    return roster->entries[index];
}

const struct roster_entry *roster_find(const struct roster *roster, const struct node_id *id)
{
    return find(roster, id);
}

const struct roster_entry *roster_self(const struct roster *roster)
{
    return roster->self;
}

enum status roster_find_prefix(const struct roster *roster, const char *digits, const struct roster_entry **out,
                               struct error *err)
{
    const struct roster_entry *match = NULL;
    for (size_t i = 0; i < roster->n; i++) {
        if (!node_id_has_prefix(&roster->entries[i]->record.id, digits))
            continue;
        if (match)
            return error_set(err, STATUS_BAD_USAGE, "node '%s' is not unique: give more digits of the id",
                             digits);
        match = roster->entries[i];
    }
    if (!match)
        return error_set(
            err, STATUS_NOT_FOUND,
            "no node '%s' is known here; `shoal status` lists the ids (at least 4 digits are needed)", digits);
    *out = match;
    return STATUS_OK;
}

bool roster_linked(const struct roster *roster, const struct node_id *a, const struct node_id *b)
{
    const struct roster_entry *x = find(roster, a), *y = find(roster, b);
    if (!x || !y)
        return false;
    if (x->is_self)
        return y->linked;
    if (y->is_self)
        return x->linked;
    return link_listed(&x->record, b) || link_listed(&y->record, a);
}

uint64_t roster_outdone_epoch(const struct roster *roster)
{
    return roster->outdone_epoch > roster->self->record.epoch ? roster->outdone_epoch : 0;
}

void roster_renew(struct roster *roster, uint64_t epoch)
{
    ASSERT(epoch > roster->self->record.epoch);
    roster->self->record.epoch = epoch;
    publish(roster);
    roster->events.changed(roster->ctx, roster->self);
}

void roster_hold_pushes(struct roster *roster, bool hold)
{
    roster->hold_pushes = hold;
}
