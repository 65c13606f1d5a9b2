#include "swarm/discovery.h"

#include "base/jv.h"
#include "base/log.h"
#include "base/mem.h"
#include "wire/announcement.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FAILURES_MAX     64
#define FAILURE_STALE_MS 30000 /* a failed attempt is told of for so long after the last one */
#define SKEW_TOLD_MS     60000
#define UNACKED_TOLD_MS  5000

/* The last failure at one address, until a link to it is up. */
struct failure {
    struct address address;
    char host[256];
    bool inbound;
    enum link_step step;
    enum link_fault fault;
    char text[256];
    uint32_t n_attempts;
    uint64_t first_ms, last_ms;
};

struct discovery {
    const struct clock *clock;
    const struct links *links;
    struct agent *agent;
    const struct roster *roster;
    struct discovery_config config;
    void (*changed)(void *ctx);
    void *ctx;
    struct node_id self;

    uint32_t *shards, n_shards, n_expected;
    bool joined, left, complete, agent_ready;
    uint64_t sequence, announced_ms, acked_ms;
    uint32_t n_acked;
    struct timer *ask_timer, *announce_timer;

    struct failure failures[FAILURES_MAX];
    uint32_t n_failures;
    uint32_t n_dht_good;
    uint64_t n_dht_refused;
    char crash[256];
    uint32_t n_crashes, restart_in_ms;
    uint64_t crashed_ms;
    struct {
        struct node_id id;
        struct address addresses[RECORD_ADDRESSES_MAX];
        uint32_t n_addresses;
    } known[DISCOVERY_KNOWN_MAX];
    uint32_t n_known;
};

/* --- announcing ------------------------------------------------------------------------------------------ */

static void seal(struct discovery *d, struct buffer *out)
{
    int64_t now = clock_wall_ms(d->clock);
    struct announcement a = {.id = d->self,
                             .epoch = d->config.epoch,
                             .sequence = d->sequence,
                             .issued_ms = now,
                             .expires_ms = now + DISCOVERY_TTL_S * 1000,
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

static void announce(struct discovery *d)
{
    struct agent_key key;
    if (!d->joined || d->left || !d->agent || !d->config.n_addresses)
        return;
    /* Higher after a restart, too: the wall clock in ms, and never lower than the last one. */
    uint64_t wall = (uint64_t)clock_wall_ms(d->clock);
    d->sequence = wall > d->sequence ? wall : d->sequence + 1;
    d->announced_ms = clock_ms(d->clock);
    announcement_member_key(key.bytes, &d->config.keys.lookup, d->config.cluster);
    put(d, &key);
    for (uint32_t i = 0; i < d->n_shards; i++) {
        announcement_shard_key(key.bytes, &d->config.keys.lookup, d->config.cluster, d->shards[i]);
        put(d, &key);
    }
    clock_timer_set(d->clock, d->announce_timer, (uint64_t)d->config.refresh_s * 1000);
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

static void on_ask_time(void *arg)
{
    struct discovery *d = arg;
    if (d->agent_ready && !d->left)
        each_key(d, false);
    d->changed(d->ctx); /* failures grow old, waits grow long */
    clock_timer_set(d->clock, d->ask_timer, d->complete ? DISCOVERY_ASK_SLOW_MS : DISCOVERY_ASK_MS);
}

static void want(struct discovery *d, const struct node_id *id, const struct address *addresses, uint32_t n)
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

void discovery_on_value(struct discovery *d, struct bytes stored)
{
    struct announcement a;
    struct error err;
    if (announcement_open(&a, stored, &d->config.keys.announce, clock_wall_ms(d->clock), &err)) {
        log_debug("an announcement is refused: %s", err.text);
        return;
    }
    if (strcmp(a.cluster, d->config.cluster) == 0)
        want(d, &a.id, a.addresses, a.n_addresses);
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
    mem_free(d->shards);
    mem_free(d);
}

void discovery_join(struct discovery *d)
{
    d->joined = true;
    for (uint32_t i = 0; i < d->config.n_entries; i++)
        d->links->ops->want_host(d->links->self, d->config.entries[i].host, d->config.entries[i].port);
    for (uint32_t i = 0; i < d->config.n_peers; i++)
        d->links->ops->want_host(d->links->self, d->config.peers[i].host, d->config.peers[i].port);
    for (uint32_t i = 0; i < d->n_known; i++)
        want(d, &d->known[i].id, d->known[i].addresses, d->known[i].n_addresses);
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
    announce(d);
}

void discovery_set_complete(struct discovery *d, bool complete)
{
    d->complete = complete;
}

/* --- links ----------------------------------------------------------------------------------------------- */

static bool is_entry(const struct discovery *d, const char *host, uint16_t port)
{
    for (uint32_t i = 0; i < d->config.n_entries; i++)
        if (d->config.entries[i].port == port && strcmp(d->config.entries[i].host, host) == 0)
            return true;
    return false;
}

/* Whoever is linked is also a way into the DHT: UDP and TCP share the port. */
static void bootstrap(struct discovery *d, const struct address *address)
{
    if (d->agent_ready && address->family && address->port)
        agent_bootstrap(d->agent, address);
}

static void drop_failures(struct discovery *d, const struct address *address)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < d->n_failures; i++)
        if (!address_equal(&d->failures[i].address, address))
            d->failures[kept++] = d->failures[i];
    d->n_failures = kept;
}

static void remember_known(struct discovery *d, const struct node_id *id, const struct address *addresses,
                           uint32_t n)
{
    uint32_t i = 0;
    while (i < d->n_known && !node_id_equal(&d->known[i].id, id))
        i++;
    if (i == DISCOVERY_KNOWN_MAX || n == 0)
        return;
    d->n_known += i == d->n_known;
    d->known[i].id = *id;
    d->known[i].n_addresses = n < RECORD_ADDRESSES_MAX ? n : RECORD_ADDRESSES_MAX;
    memcpy(d->known[i].addresses, addresses, d->known[i].n_addresses * sizeof *addresses);
}

void discovery_on_up(struct discovery *d, const struct link_info *info)
{
    drop_failures(d, &info->address);
    bootstrap(d, &info->address);
    remember_known(d, &info->hello.id, &info->address, 1);
    d->changed(d->ctx);
}

void discovery_on_record(struct discovery *d, const struct roster_entry *entry)
{
    if (entry->is_self || entry->linked)
        return;
    remember_known(d, &entry->record.id, entry->record.addresses, entry->record.n_addresses);
    want(d, &entry->record.id, entry->record.addresses, entry->record.n_addresses);
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
    snprintf(f->host, sizeof f->host, "%s", attempt->host);
    snprintf(f->text, sizeof f->text, "%s", attempt->text);
    if (attempt->step > LINK_STEP_RESOLVE && is_entry(d, attempt->host, attempt->address.port))
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
    d->crash[0] = '\0';
    d->changed(d->ctx);
}

void discovery_on_announced(struct discovery *d, bool ok, uint32_t n_acked)
{
    d->n_acked = ok ? n_acked : 0;
    if (ok && n_acked)
        d->acked_ms = clock_ms(d->clock);
}

void discovery_on_dht(struct discovery *d, uint32_t n_good, uint64_t n_refused)
{
    d->n_dht_good = n_good;
    d->n_dht_refused = n_refused;
}

void discovery_on_crashed(struct discovery *d, const char *why, uint32_t restart_in_ms, uint32_t n_crashes)
{
    snprintf(d->crash, sizeof d->crash, "%s", why);
    d->agent_ready = false;
    d->n_crashes = n_crashes;
    d->restart_in_ms = restart_in_ms;
    d->crashed_ms = clock_ms(d->clock);
    d->changed(d->ctx);
}

/* --- known peers ----------------------------------------------------------------------------------------- */

char *discovery_known_text(const struct discovery *d)
{
    struct jv *array = jv_array_new();
    for (uint32_t i = 0; i < d->n_known; i++) {
        struct jv *row = jv_object_new(), *addresses = jv_array_new();
        jv_set_hex(row, "id", d->known[i].id.bytes, NODE_ID_BYTES);
        for (uint32_t k = 0; k < d->known[i].n_addresses; k++) {
            char text[ADDRESS_TEXT_BYTES];
            address_text(text, &d->known[i].addresses[k]);
            jv_append(addresses, jv_text_new(text));
        }
        jv_set(row, "addresses", addresses);
        jv_append(array, row);
    }
    char *text = jv_print(array, JV_INDENTED);
    jv_free(array);
    return text;
}

void discovery_take_known(struct discovery *d, struct bytes text)
{
    struct jv *array;
    if (jv_parse(&array, text, NULL, NULL))
        return; /* a damaged file is only a lost hint */
    for (size_t i = 0; i < jv_count(array) && i < DISCOVERY_KNOWN_MAX; i++) {
        const struct jv *row = jv_at(array, i), *list = jv_get(row, "addresses");
        struct node_id id;
        struct address addresses[RECORD_ADDRESSES_MAX];
        uint32_t n = 0;
        for (size_t k = 0; k < jv_count(list) && n < RECORD_ADDRESSES_MAX; k++)
            n += address_parse(&addresses[n], jv_text(jv_at(list, k), ""));
        if (!jv_get_hex(row, "id", id.bytes, NODE_ID_BYTES))
            continue;
        remember_known(d, &id, addresses, n);
        want(d, &id, addresses, n);
    }
    jv_free(array);
}

/* --- diagnosis ------------------------------------------------------------------------------------------- */

static bool is_alone(const struct discovery *d)
{
    for (size_t i = 0; i < roster_count(d->roster); i++)
        if (!roster_at(d->roster, i)->is_self && roster_at(d->roster, i)->alive)
            return false;
    return true;
}

static enum finding_code code_of(const struct failure *f, bool entry)
{
    switch (f->fault) {
    case LINK_FAULT_WRONG_KEY:
        return FINDING_KEY_MISMATCH;
    case LINK_FAULT_DUPLICATE:
        return FINDING_IDENTITY_CONFLICT;
    case LINK_FAULT_VERSION:
        return FINDING_PROTOCOL_VERSION_MISMATCH;
    case LINK_FAULT_CLUSTER:
        return FINDING_CLUSTER_MISMATCH;
    case LINK_FAULT_NOT_SWARM:
        return entry ? FINDING_BOOTSTRAP_NOT_A_SWARM_NODE : FINDING_NONE;
    default:
        return entry ? FINDING_BOOTSTRAP_UNREACHABLE : FINDING_NONE;
    }
}

static void set_action(struct finding *finding, const struct failure *f, const char *place)
{
    switch (finding->code) {
    case FINDING_KEY_MISMATCH:
        if (f->inbound)
            finding_set_action(finding, "shoal init # prints the join token; give it to the node at %s", place);
        else
            finding_set_action(finding, "shoal node TOKEN # the token that `shoal init` prints at %s", place);
        break;
    case FINDING_IDENTITY_CONFLICT:
        finding_set_action(finding, "shoal node --state-dir DIR # one of its own for each process");
        break;
    case FINDING_CLUSTER_MISMATCH:
        finding_set_action(finding, "shoal node --cluster NAME # the same for all");
        break;
    default:
        finding_set_action(finding, "shoal doctor --node %s", place);
        break;
    }
}

static void explain_failure(const struct discovery *d, const struct failure *f, bool alone,
                            struct finding_list *out)
{
    bool entry = !f->inbound && is_entry(d, f->host, f->address.port);
    enum finding_code code = code_of(f, entry);
    if (code == FINDING_NONE)
        return;
    char place[320], address[ADDRESS_TEXT_BYTES] = "";
    if (f->address.family)
        address_text(address, &f->address);
    if (f->inbound)
        address_ip_text(address, &f->address);
    if (f->host[0])
        snprintf(place, sizeof place, "%s:%u", f->host, f->address.port);
    else
        snprintf(place, sizeof place, "%s", address);
    struct finding *finding =
        finding_add(out, code, FINDING_NO_SHARD, f->inbound ? NULL : &d->self, "%s %s: %s (%u attempt%s)",
                    f->inbound ? "a process at"
                    : entry    ? "the entry"
                               : "the peer",
                    place, f->text, f->n_attempts, f->n_attempts == 1 ? "" : "s");
    if (!finding)
        return;
    finding->severity = f->inbound || !alone ? SEVERITY_WARNING : SEVERITY_BLOCKER;
    finding->since_ms = f->first_ms;
    jv_set_text(finding_evidence(finding), "address", place);
    jv_set_text(finding_evidence(finding), "step", link_step_name(f->step));
    jv_set_text(finding_evidence(finding), "fault", link_fault_name(f->fault));
    jv_set_int(finding_evidence(finding), "attempts", f->n_attempts);
    set_action(finding, f, place);
}

static void explain_clocks(const struct discovery *d, struct finding_list *out)
{
    for (size_t i = 0; i < roster_count(d->roster); i++) {
        struct link_info info;
        const struct roster_entry *entry = roster_at(d->roster, i);
        if (entry->is_self || !d->links->ops->info(d->links->self, &entry->record.id, &info))
            continue;
        int64_t skew = info.clock_skew_ms < 0 ? -info.clock_skew_ms : info.clock_skew_ms;
        if (skew < SKEW_TOLD_MS)
            continue;
        char id[NODE_ID_SHORT_BYTES];
        node_id_short(id, &entry->record.id);
        struct finding *f = finding_add(out, FINDING_CLOCK_SKEW, FINDING_NO_SHARD, &entry->record.id,
                                        "the clock of node %s is %" PRId64 " s %s ours", id, skew / 1000,
                                        info.clock_skew_ms > 0 ? "ahead of" : "behind");
        if (f)
            f->severity = SEVERITY_WARNING;
        finding_set_action(f, "timedatectl set-ntp true");
    }
}

static void explain_agent(const struct discovery *d, struct finding_list *out)
{
    uint64_t now = clock_ms(d->clock);
    if (d->crash[0]) {
        struct finding *f =
            finding_add(out, FINDING_AGENT_CRASHED, FINDING_NO_SHARD, &d->self,
                        "the agent (DHT and BitTorrent) ended: %s; %u times so far, started again in "
                        "%.1f s",
                        d->crash, d->n_crashes, (double)d->restart_in_ms / 1000);
        if (f) {
            f->severity = SEVERITY_WARNING; /* links, records and loading go on without it */
            f->since_ms = d->crashed_ms;
            f->eta_s = (int32_t)(d->restart_in_ms / 1000 + 1);
            finding_set_action(f, "shoal status");
        }
    }
    bool entry_only = d->config.role == ROLE_ENTRY;
    if (d->agent_ready && !entry_only && !is_alone(d) && d->announced_ms && !d->acked_ms &&
        now - d->announced_ms > UNACKED_TOLD_MS) {
        struct finding *f =
            finding_add(out, FINDING_ANNOUNCE_UNACKNOWLEDGED, FINDING_NO_SHARD, &d->self,
                        "this node's announcement was acknowledged by nobody in the DHT (%u good DHT "
                        "nodes known)",
                        d->n_dht_good);
        if (f) {
            f->severity = SEVERITY_WARNING; /* links and gossip carry the swarm */
            f->since_ms = d->announced_ms;
            finding_set_action(f, "shoal doctor");
        }
    }
}

static void explain_refused(const struct discovery *d, struct finding_list *out)
{
    if (!d->n_dht_refused)
        return;
    struct finding *f = finding_add(
        out, FINDING_SECURITY_REFUSED, FINDING_NO_SHARD, &d->self,
        "%" PRIu64 " datagrams without this swarm's key were dropped at the DHT port", d->n_dht_refused);
    if (f) {
        f->severity = SEVERITY_INFO;
        jv_set_int(finding_evidence(f), "datagrams", (int64_t)d->n_dht_refused);
    }
}

void discovery_explain(const struct discovery *d, struct finding_list *out)
{
    uint64_t now = clock_ms(d->clock);
    bool alone = is_alone(d);
    for (uint32_t i = 0; i < d->n_failures; i++)
        if (now - d->failures[i].last_ms < FAILURE_STALE_MS)
            explain_failure(d, &d->failures[i], alone, out);
    explain_clocks(d, out);
    explain_agent(d, out);
    explain_refused(d, out);
}
