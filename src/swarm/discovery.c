#include "swarm/discovery.h"

#include "base/log.h"
#include "base/mem.h"
#include "swarm/discovery_private.h"

#include <stdio.h>
#include <string.h>

/* --- announcing ------------------------------------------------------------------------------------------ */

static void seal(struct discovery *d, struct buffer *out)
{
    struct announcement a = {.id = d->self,
                             .epoch = d->config.epoch,
                             .sequence = d->sequence,
                             .issued_ms = d->issued_ms,
                             .expires_ms = d->issued_ms + DISCOVERY_TTL_S * 1000,
                             .role = d->config.role,
                             .n_addresses = d->config.n_addresses};
    memcpy(a.cluster, d->config.cluster, sizeof a.cluster);
    memcpy(a.addresses, d->config.addresses, d->config.n_addresses * sizeof a.addresses[0]);
    announcement_seal(out, &a, d->config.pair, &d->config.keys.announce);
}

static void put(struct discovery *d, const struct agent_key *key)
{
    struct buffer value;
    buffer_init(&value, ANNOUNCEMENT_BYTES_MAX);
    seal(d, &value);
    agent_announce(d->agent, key, announcement_value_id(&d->self), buffer_view(&value));
    buffer_free(&value);
}

static bool is_linked(const struct discovery *d)
{
    struct node_id any;
    return d->links->ops->peers(d->links->self, &any, 1) > 0;
}

/* At the usual time; while nobody acknowledges it, though somebody could: after 5, 10, 20 s .. the usual time.
 */
static uint64_t announce_again_ms(const struct discovery *d)
{
    uint64_t usual = (uint64_t)d->config.refresh_s * 1000, soon = UNACKED_TOLD_MS;
    for (uint32_t i = 1; i < d->n_unanswered && soon < usual; i++)
        soon *= 2;
    return soon < usual && d->agent_ready && is_linked(d) ? soon : usual;
}

static void announce(struct discovery *d)
{
    struct agent_key key;
    if (!d->joined || d->left || !d->agent || !d->config.n_addresses)
        return;
    d->sequence++;
    d->issued_ms = clock_wall_ms(d->clock);
    d->announced_ms = clock_ms(d->clock);
    d->n_unanswered++;
    announcement_member_key(key.bytes, &d->config.keys.lookup, d->config.cluster);
    put(d, &key);
    for (uint32_t i = 0; i < d->n_shards; i++) {
        announcement_shard_key(key.bytes, &d->config.keys.lookup, d->config.cluster, d->shards[i]);
        put(d, &key);
    }
    clock_timer_set(d->clock, d->announce_timer, announce_again_ms(d));
}

static void on_announce_time(void *arg)
{
    announce(arg);
}

/* --- listening and asking -------------------------------------------------------------------------------- */

static void each_key(struct discovery *d, bool listen)
{
    struct agent_key key;
    announcement_member_key(key.bytes, &d->config.keys.lookup, d->config.cluster);
    if (listen)
        agent_listen(d->agent, &key);
    else
        agent_get(d->agent, &key);
}

/* Who is gone and does not answer is not dialed for ever; heard of again, it is. */
static void give_up(struct discovery *d)
{
    for (uint32_t i = 0; i < d->n_failures; i++) {
        struct failure *f = &d->failures[i];
        const struct roster_entry *entry = roster_find(d->roster, &f->id);
        if (f->inbound || f->given_up || f->host[0] || node_id_is_zero(&f->id) || (entry && entry->alive) ||
            f->n_attempts < DISCOVERY_ATTEMPTS_MAX)
            continue;
        f->given_up = true;
        d->links->ops->unwant(d->links->self, &f->id);
        discovery_forget(d, &f->id);
    }
}

static void on_ask_time(void *arg)
{
    struct discovery *d = arg;
    if (d->agent_ready && !d->left)
        each_key(d, false);
    give_up(d);
    d->changed(d->ctx); /* failures grow old, waits grow long */
    clock_timer_set(d->clock, d->ask_timer, d->complete ? DISCOVERY_ASK_SLOW_MS : DISCOVERY_ASK_MS);
}

void discovery_want(struct discovery *d, const struct node_id *id, const struct address *addresses, uint32_t n)
{
    struct address dialable[RECORD_ADDRESSES_MAX];
    uint32_t n_dialable = 0;
    bool local = d->config.n_addresses && address_is_loopback(&d->config.addresses[0]);
    for (uint32_t i = 0; i < n && i < RECORD_ADDRESSES_MAX; i++) /* loopback only for those who listen there */
        if (address_is_dialable(&addresses[i]) && (local || n == 1 || !address_is_loopback(&addresses[i])))
            dialable[n_dialable++] = addresses[i];
    if (n_dialable && d->joined && !d->left && !node_id_equal(id, &d->self))
        d->links->ops->want(d->links->self, id, dialable, n_dialable);
}

/* Sealed and signed, so its number counts; is it news? */
static bool believe(struct discovery *d, const struct announcement *a)
{
    uint64_t now = clock_ms(d->clock);
    switch (announced_judge(d->announced, a, now)) {
    case ANNOUNCED_OLD:
        d->refused.n_replayed++;
        return false;
    case ANNOUNCED_EQUIVOCAL:
        d->refused.n_equivocal++;
        d->refused.equivocal = a->id;
        d->refused.equivocal_ms = now;
        d->refused.sequence = a->sequence;
        d->changed(d->ctx);
        return false;
    default:
        return true;
    }
}

static void refuse(struct discovery *d, const struct announcement *a, enum status status, const char *text)
{
    log_debug("an announcement is refused: %s", text);
    if (status != STATUS_TIMEOUT) {
        d->refused.n_bad++;
    } else if (a->issued_ms <= clock_wall_ms(d->clock)) {
        d->refused.n_expired++;
    } else {
        d->refused.n_future++;
        d->refused.future = a->id;
        d->refused.future_ms = clock_ms(d->clock);
        snprintf(d->refused.future_text, sizeof d->refused.future_text, "%.159s", text);
        d->changed(d->ctx);
    }
}

void discovery_on_value(struct discovery *d, struct bytes stored)
{
    struct announcement a = {0};
    struct error err;
    struct node_id dropped;
    enum status status = announcement_open(&a, stored, &d->config.keys.announce, clock_wall_ms(d->clock), &err);
    if (status) {
        refuse(d, &a, status, err.text);
        return;
    }
    bool is_self = node_id_equal(&a.id, &d->self);
    if (is_self || strcmp(a.cluster, d->config.cluster) != 0 || !believe(d, &a) || !d->joined || d->left)
        return;
    if (!announced_may_dial(d->announced, &a.id, clock_ms(d->clock), &dropped))
        return;
    if (!node_id_is_zero(&dropped))
        d->links->ops->unwant(d->links->self, &dropped);
    discovery_want(d, &a.id, a.addresses, a.n_addresses);
}

/* --- interface ------------------------------------------------------------------------------------------- */

struct discovery *discovery_new(const struct clock *clock, const struct links *links, struct agent *agent,
                                const struct roster *roster, const struct discovery_config *config,
                                void (*changed)(void *ctx), void *ctx)
{
    struct discovery *d = mem_new(sizeof *d);
    d->clock = clock;
    d->links = links;
    d->agent = agent;
    d->roster = roster;
    d->config = *config;
    d->changed = changed;
    d->ctx = ctx;
    memcpy(d->self.bytes, config->pair->public_key.bytes, sizeof d->self.bytes);
    d->announced = announced_new();
    /* The epoch is on disk before it is used and grows with every start: so does this, whatever the wall clock
     * does, and a crash forgets nothing. */
    d->sequence = config->epoch << SEQUENCE_SHIFT;
    d->ask_timer = clock_timer_new(clock, on_ask_time, d);
    d->announce_timer = clock_timer_new(clock, on_announce_time, d);
    return d;
}

void discovery_free(struct discovery *d)
{
    if (!d)
        return;
    clock_timer_free(d->clock, d->ask_timer);
    clock_timer_free(d->clock, d->announce_timer);
    crypto_wipe(&d->config.keys, sizeof d->config.keys);
    announced_free(d->announced);
    mem_free(d->shards);
    mem_free(d);
}

void discovery_join(struct discovery *d)
{
    d->joined = true;
    d->joined_ms = clock_ms(d->clock);
    for (uint32_t i = 0; i < d->config.n_entries; i++)
        d->links->ops->want_host(d->links->self, d->config.entries[i].host, d->config.entries[i].port);
    for (uint32_t i = 0; i < d->config.n_peers; i++)
        d->links->ops->want_host(d->links->self, d->config.peers[i].host, d->config.peers[i].port);
    for (uint32_t i = 0; i < d->n_known; i++)
        discovery_want(d, &d->known[i].id, d->known[i].addresses, d->known[i].n_addresses);
    if (d->agent_ready)
        each_key(d, true);
    announce(d);
    clock_timer_set(d->clock, d->ask_timer, DISCOVERY_ASK_MS / 4);
}

void discovery_leave(struct discovery *d)
{
    struct agent_key key;
    uint64_t value_id = announcement_value_id(&d->self);
    d->left = true;
    clock_timer_stop(d->clock, d->ask_timer);
    clock_timer_stop(d->clock, d->announce_timer);
    if (!d->agent_ready)
        return;
    announcement_member_key(key.bytes, &d->config.keys.lookup, d->config.cluster);
    agent_retract(d->agent, &key, value_id);
    for (uint32_t i = 0; i < d->n_shards; i++) {
        announcement_shard_key(key.bytes, &d->config.keys.lookup, d->config.cluster, d->shards[i]);
        agent_retract(d->agent, &key, value_id);
    }
}

void discovery_set_shards(struct discovery *d, const uint32_t *ids, uint32_t n, uint32_t n_expected)
{
    d->n_expected = n_expected;
    if (n == d->n_shards && (n == 0 || memcmp(ids, d->shards, n * sizeof *ids) == 0))
        return;
    mem_free(d->shards);
    d->shards = mem_copy(ids, n * sizeof *ids);
    d->n_shards = n;
    d->n_unanswered = 0;
    announce(d);
}

void discovery_set_complete(struct discovery *d, bool complete)
{
    d->complete = complete;
}

/* --- links ----------------------------------------------------------------------------------------------- */

static bool is_among(const struct discovery_host *hosts, uint32_t n, const char *host, uint16_t port)
{
    for (uint32_t i = 0; i < n; i++)
        if (hosts[i].port == port && strcmp(hosts[i].host, host) == 0)
            return true;
    return false;
}

bool discovery_is_entry(const struct discovery *d, const char *host, uint16_t port)
{
    return is_among(d->config.entries, d->config.n_entries, host, port);
}

bool discovery_is_peer_host(const struct discovery *d, const char *host, uint16_t port)
{
    return is_among(d->config.peers, d->config.n_peers, host, port);
}

/* Whoever is linked is also a way into the DHT: UDP and TCP share the port. */
static void bootstrap(struct discovery *d, const struct address *address)
{
    if (d->agent_ready && address->family && address->port)
        agent_bootstrap(d->agent, address);
}

static void drop_failures(struct discovery *d, const struct link_info *info)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < d->n_failures; i++) {
        const struct failure *f = &d->failures[i];
        if (!address_equal(&f->address, &info->address) && !node_id_equal(&f->id, &info->hello.id))
            d->failures[kept++] = *f;
    }
    d->n_failures = kept;
}

void discovery_on_up(struct discovery *d, const struct link_info *info)
{
    drop_failures(d, info);
    announced_proved(d->announced, &info->hello.id);
    bootstrap(d, &info->address);
    if (d->n_unanswered && d->announced_ms) /* now somebody could hold it */
        clock_timer_set(d->clock, d->announce_timer, UNACKED_TOLD_MS);
    discovery_remember(d, &info->hello.id, &info->address, 1, true);
    d->changed(d->ctx);
}

void discovery_on_record(struct discovery *d, const struct roster_entry *entry)
{
    if (entry->is_self || entry->linked)
        return;
    discovery_remember(d, &entry->record.id, entry->record.addresses, entry->record.n_addresses, false);
    discovery_want(d, &entry->record.id, entry->record.addresses, entry->record.n_addresses);
}

static struct failure *failure_of(struct discovery *d, const struct link_attempt *attempt)
{
    for (uint32_t i = 0; i < d->n_failures; i++) {
        struct failure *f = &d->failures[i];
        bool same_place = attempt->host[0]
                              ? strcmp(f->host, attempt->host) == 0 && f->address.port == attempt->address.port
                              : address_equal(&f->address, &attempt->address);
        bool same_inbound = attempt->inbound && f->inbound &&
                            memcmp(f->address.ip, attempt->address.ip, sizeof f->address.ip) == 0;
        if (f->inbound == attempt->inbound && (same_place || same_inbound))
            return f;
    }
    if (d->n_failures == FAILURES_MAX) { /* the oldest gives way */
        uint32_t oldest = 0;
        for (uint32_t i = 1; i < FAILURES_MAX; i++)
            if (d->failures[i].last_ms < d->failures[oldest].last_ms)
                oldest = i;
        d->failures[oldest] = d->failures[--d->n_failures];
    }
    struct failure *f = &d->failures[d->n_failures++];
    *f = (struct failure){.first_ms = clock_ms(d->clock)};
    return f;
}

void discovery_on_failed(struct discovery *d, const struct link_attempt *attempt)
{
    if (attempt->fault == LINK_FAULT_SELF)
        return;
    struct failure *f = failure_of(d, attempt);
    if (f->fault != attempt->fault)
        f->first_ms = clock_ms(d->clock);
    f->address = attempt->address;
    f->inbound = attempt->inbound;
    f->step = attempt->step;
    f->fault = attempt->fault;
    f->n_attempts = attempt->inbound ? f->n_attempts + 1 : attempt->n_attempts;
    f->last_ms = clock_ms(d->clock);
    f->retry_in_ms = attempt->retry_in_ms;
    f->given_up = false;
    if (!attempt->inbound)
        f->id = attempt->id;
    memcpy(f->cluster, attempt->cluster, sizeof f->cluster);
    snprintf(f->host, sizeof f->host, "%s", attempt->host);
    snprintf(f->text, sizeof f->text, "%s", attempt->text);
    if (attempt->step > LINK_STEP_RESOLVE && discovery_is_entry(d, attempt->host, attempt->address.port))
        bootstrap(d, &attempt->address); /* TCP may be blocked where UDP is not */
    d->changed(d->ctx);
}

/* --- agent ----------------------------------------------------------------------------------------------- */

void discovery_on_agent_ready(struct discovery *d)
{
    d->agent_ready = true;
    struct node_id peers[LINK_PEERS_MAX];
    size_t n = d->links->ops->peers(d->links->self, peers, LINK_PEERS_MAX);
    for (size_t i = 0; i < n; i++) {
        struct link_info info;
        if (d->links->ops->info(d->links->self, &peers[i], &info))
            bootstrap(d, &info.address);
    }
    if (d->joined && !d->left) {
        each_key(d, true);
        announce(d);
    }
    d->agent_down = false;
    d->changed(d->ctx);
}

void discovery_on_announced(struct discovery *d, bool ok, uint32_t n_acked)
{
    d->n_acked = ok ? n_acked : 0;
    if (ok && n_acked) {
        d->acked_ms = clock_ms(d->clock);
        d->n_unanswered = 0;
    }
}

void discovery_on_dht(struct discovery *d, uint32_t n_good, uint64_t n_refused)
{
    d->n_dht_good = n_good;
    d->n_dht_refused = n_refused;
}

void discovery_on_crashed(struct discovery *d, const char *why, uint32_t restart_in_ms, uint32_t n_crashes)
{
    uint32_t at = d->n_crashes_heard++ % CRASHES_MAX;
    snprintf(d->crashes[at].why, sizeof d->crashes[at].why, "%.199s", why);
    d->crashes[at].at_ms = clock_ms(d->clock);
    d->agent_down = true;
    d->agent_ready = false;
    d->n_crashes = n_crashes;
    d->restart_in_ms = restart_in_ms;
    d->crashed_ms = clock_ms(d->clock);
    d->changed(d->ctx);
}
