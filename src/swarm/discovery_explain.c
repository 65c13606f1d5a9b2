/* What discovery says of itself: findings (discovery.h). Changes nothing. */
#include "base/mem.h"
#include "base/shell.h"
#include "swarm/discovery_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LAST_SEEN_MAX 16

/* --- company --------------------------------------------------------------------------------------------- */

/* A peer whose record has not come yet is what its hello says. */
static uint32_t role_of(const struct discovery *d, const struct roster_entry *entry)
{
    struct link_info info;
    if (!entry->record.version && d->links->ops->info(d->links->self, &entry->record.id, &info))
        return info.hello.role;
    return entry->record.role;
}

struct company {
    bool any, entry;   /* somebody is here; an entry is */
    uint32_t n_others; /* that are no entries */
    uint32_t n_lost;   /* were here and are not */
    uint64_t lost_ms;  /* when the last of them went */
    const struct roster_entry *last;
};

static struct company company_of(const struct discovery *d)
{
    struct company c = {.entry = d->config.role == ROLE_ENTRY};
    for (size_t i = 0; i < roster_count(d->roster); i++) {
        const struct roster_entry *entry = roster_at(d->roster, i);
        if (entry->is_self)
            continue;
        bool is_entry = role_of(d, entry) == ROLE_ENTRY;
        if (entry->alive) {
            c.any = true;
            c.entry |= is_entry;
            c.n_others += !is_entry;
        } else if (!is_entry && entry->record.version) {
            c.n_lost++;
            if (!c.last || entry->changed_ms > c.lost_ms) {
                c.lost_ms = entry->changed_ms;
                c.last = entry;
            }
        }
    }
    return c;
}

static struct jv *last_seen(const struct discovery *d)
{
    struct jv *list = jv_array_new();
    uint64_t now = clock_ms(d->clock);
    for (size_t i = 0; i < roster_count(d->roster) && jv_count(list) < LAST_SEEN_MAX; i++) {
        const struct roster_entry *entry = roster_at(d->roster, i);
        const struct node_record *r = &entry->record;
        if (entry->is_self || entry->alive || !r->version)
            continue;
        struct jv *row = jv_object_new(), *shards = jv_array_new();
        char address[ADDRESS_TEXT_BYTES] = "";
        if (r->n_addresses)
            address_text(address, &r->addresses[0]);
        jv_set_hex(row, "node", r->id.bytes, NODE_ID_BYTES);
        jv_set_text(row, "address", address);
        for (uint32_t k = 0; k < r->n_shards && k < 64; k++)
            jv_append(shards, jv_int_new(r->shards[k].id));
        jv_set(row, "shards", shards);
        jv_set_real(row, "ago_s", (double)(now - entry->changed_ms) / 1000);
        jv_append(list, row);
    }
    return list;
}

static struct finding *add_alone(const struct discovery *d, const struct company *c, struct finding_list *out)
{
    uint64_t now = clock_ms(d->clock);
    const char *cluster = d->config.cluster;
    double waited_s = (double)(now - d->joined_ms) / 1000, ago_s = (double)(now - c->lost_ms) / 1000;
    char id[NODE_ID_SHORT_BYTES] = "";
    if (c->last)
        node_id_short(id, &c->last->record.id);
    const char *cut = c->entry || !d->config.n_entries ? "" : " and cut off from its entry";
    if (c->n_lost == 1)
        return finding_add(out, FINDING_ALONE_IN_CLUSTER, FINDING_NO_SHARD, &d->self,
                           "this node is alone in cluster '%s'%s: the only other node, %s, was lost %.1f s ago",
                           cluster, cut, id, ago_s);
    if (c->n_lost)
        return finding_add(
            out, FINDING_ALONE_IN_CLUSTER, FINDING_NO_SHARD, &d->self,
            "this node is alone in cluster '%s'%s: %u other nodes were here, the last of them, %s, was lost "
            "%.1f s ago",
            cluster, cut, c->n_lost, id, ago_s);
    if (d->config.role == ROLE_ENTRY)
        return finding_add(out, FINDING_ALONE_IN_CLUSTER, FINDING_NO_SHARD, &d->self,
                           "no node of cluster '%s' has come to this entry in %.0f s", cluster, waited_s);
    if (c->entry)
        return finding_add(
            out, FINDING_ALONE_IN_CLUSTER, FINDING_NO_SHARD, &d->self,
            "this node is alone in cluster '%s': the entry is reached, and in %.0f s no other node "
            "was seen there",
            cluster, waited_s);
    return finding_add(
        out, FINDING_ALONE_IN_CLUSTER, FINDING_NO_SHARD, &d->self,
        "this node has reached nobody of cluster '%s' in %.0f s; %u entries, %u peers of the command "
        "line and %u known from before are tried",
        cluster, waited_s, d->config.n_entries, d->config.n_peers, d->n_known);
}

/* A blocker where nothing else can be known: nobody was ever seen, or all went at once, the entry too. Nodes
 * that died while the entry is here are no finding of their own: their shards are. */
static void explain_alone(const struct discovery *d, const struct company *c, struct finding_list *out)
{
    uint64_t now = clock_ms(d->clock);
    if (!d->joined || d->left || d->complete || c->n_others || now - d->joined_ms < DISCOVERY_ALONE_MS)
        return;
    struct finding *f = add_alone(d, c, out);
    if (!f)
        return;
    f->severity = c->entry && c->n_lost ? SEVERITY_INFO : SEVERITY_BLOCKER;
    f->since_ms = c->n_lost ? c->lost_ms : d->joined_ms;
    jv_set_text(finding_evidence(f), "cluster", d->config.cluster);
    jv_set_bool(finding_evidence(f), "entry_reached", c->entry);
    jv_set(finding_evidence(f), "last_seen", last_seen(d));
    if (!c->entry && d->config.n_entries)
        finding_set_action(f, "shoal doctor --node %s:%u", d->config.entries[0].host,
                           d->config.entries[0].port);
    else
        finding_set_action(f, "shoal node --cluster '%s'", d->config.cluster);
}

/* --- attempts -------------------------------------------------------------------------------------------- */

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
        return entry        ? FINDING_BOOTSTRAP_NOT_A_SWARM_NODE
               : f->inbound ? FINDING_NONE
                            : FINDING_PEER_UNREACHABLE;
    default:
        return entry ? FINDING_BOOTSTRAP_UNREACHABLE : f->inbound ? FINDING_NONE : FINDING_PEER_UNREACHABLE;
    }
}

/* The command that starts a process like this one. */
static const char *starter(const struct discovery *d)
{
    return d->config.role == ROLE_ENTRY   ? "shoal bootstrap"
           : d->config.role == ROLE_SERVE ? "shoal serve"
                                          : "shoal node";
}

static void set_own_state_action(struct finding *finding, const char *command)
{
    finding_set_action(finding,
                       "%s --state-dir ~/shoal-state-$(date +%%s) # in place of one of the two: end that one",
                       command);
}

static void set_cluster_action(struct finding *finding, const struct discovery *d, const struct failure *f,
                               const char *place)
{
    char *ours = shell_word(d->config.cluster), *theirs = shell_word(f->cluster);
    if (f->inbound)
        finding_set_action(finding,
                           "shoal node --cluster %s # at %s, in place of the process that is of another", ours,
                           place);
    else if (f->cluster[0])
        finding_set_action(finding, "%s --cluster %s # in place of this process, if that one is meant",
                           starter(d), theirs);
    else
        finding_set_action(finding, "shoal doctor --node %s", place);
    mem_free(ours);
    mem_free(theirs);
}

static void set_action(struct finding *finding, const struct discovery *d, const struct failure *f,
                       const char *place)
{
    switch (finding->code) {
    case FINDING_KEY_MISMATCH:
        if (f->inbound)
            finding_set_action(finding, "shoal init # prints the join token; give it to the node at %s", place);
        else
            finding_set_action(finding,
                               "shoal init # on the machine of %s: prints the token to start this process with",
                               place);
        break;
    case FINDING_IDENTITY_CONFLICT:
        set_own_state_action(finding, starter(d));
        break;
    case FINDING_CLUSTER_MISMATCH:
        set_cluster_action(finding, d, f, place);
        break;
    case FINDING_PROTOCOL_VERSION_MISMATCH:
        finding_set_action(finding, "shoal --version # here and at %s: install the newer of the two on both",
                           place);
        break;
    case FINDING_BOOTSTRAP_UNREACHABLE:
        if (f->step == LINK_STEP_CONNECT && strstr(f->text, "refused"))
            finding_set_action(finding, "shoal bootstrap --port %u # on the machine %s: nothing listens there",
                               f->address.port, f->host);
        else
            finding_set_action(finding, "shoal doctor --node %s", place);
        break;
    default:
        finding_set_action(finding, "shoal doctor --node %s", place);
        break;
    }
}

/* An attempt at a peer is told as the repair that it is; where it was asked for by name and nobody else is
 * here, it blocks after a few. Whether a plan needs the link is readiness's to say. */
static enum severity severity_of(const struct discovery *d, const struct failure *f, enum finding_code code,
                                 bool alone)
{
    if (code != FINDING_PEER_UNREACHABLE)
        return f->inbound || !alone ? SEVERITY_WARNING : SEVERITY_BLOCKER;
    const struct roster_entry *entry = roster_find(d->roster, &f->id);
    bool by_name = f->host[0] && discovery_is_peer_host(d, f->host, f->address.port);
    if (f->n_attempts < DISCOVERY_ATTEMPTS_TOLD || !(by_name || (entry && entry->alive)))
        return SEVERITY_INFO; /* just begun, or it is gone anyway */
    return by_name && alone ? SEVERITY_BLOCKER : SEVERITY_WARNING;
}

static void place_of(char out[320], const struct failure *f)
{
    char address[ADDRESS_TEXT_BYTES] = "";
    if (f->inbound)
        address_ip_text(address, &f->address);
    else if (f->address.family)
        address_text(address, &f->address);
    if (f->host[0])
        snprintf(out, 320, "%s:%u", f->host, f->address.port);
    else
        snprintf(out, 320, "%s", address);
}

static void explain_failure(const struct discovery *d, const struct failure *f, bool alone,
                            struct finding_list *out)
{
    bool entry = !f->inbound && discovery_is_entry(d, f->host, f->address.port);
    enum finding_code code = code_of(f, entry);
    if (code == FINDING_NONE)
        return;
    char place[320];
    place_of(place, f);
    bool of_peer = code == FINDING_PEER_UNREACHABLE && !node_id_is_zero(&f->id);
    struct finding *finding = finding_add(out, code, FINDING_NO_SHARD,
                                          f->inbound ? NULL
                                          : of_peer  ? &f->id
                                                     : &d->self,
                                          "%s %s: %s (%u attempt%s%s)",
                                          f->inbound ? "a process at"
                                          : entry    ? "the entry"
                                                     : "the peer",
                                          place, f->text, f->n_attempts, f->n_attempts == 1 ? "" : "s",
                                          f->given_up ? ", given up until it is heard of again" : "");
    if (!finding)
        return;
    uint64_t now = clock_ms(d->clock);
    finding->severity = severity_of(d, f, code, alone);
    finding->since_ms = f->first_ms;
    struct jv *evidence = finding_evidence(finding);
    jv_set_text(evidence, "address", place);
    jv_set_text(evidence, "step", link_step_name(f->step));
    jv_set_text(evidence, "fault", link_fault_name(f->fault));
    jv_set_int(evidence, "attempts", f->n_attempts);
    jv_set_real(evidence, "tried_for_s", (double)(now - f->first_ms) / 1000);
    if (f->retry_in_ms && f->last_ms + f->retry_in_ms > now)
        jv_set_real(evidence, "retry_in_s", (double)(f->last_ms + f->retry_in_ms - now) / 1000);
    if (f->cluster[0])
        jv_set_text(evidence, "cluster", f->cluster);
    set_action(finding, d, f, place);
}

/* --- the rest -------------------------------------------------------------------------------------------- */

static void explain_clocks(const struct discovery *d, struct finding_list *out)
{
    char self[NODE_ID_SHORT_BYTES], id[NODE_ID_SHORT_BYTES];
    node_id_short(self, &d->self);
    for (size_t i = 0; i < roster_count(d->roster); i++) {
        struct link_info info;
        const struct roster_entry *entry = roster_at(d->roster, i);
        if (entry->is_self || !d->links->ops->info(d->links->self, &entry->record.id, &info))
            continue;
        int64_t skew = info.clock_skew_ms < 0 ? -info.clock_skew_ms : info.clock_skew_ms;
        if (skew < SKEW_TOLD_MS)
            continue;
        node_id_short(id, &entry->record.id);
        struct finding *f = finding_add(out, FINDING_CLOCK_SKEW, FINDING_NO_SHARD, &entry->record.id,
                                        "the clock of node %s is %" PRId64 " s %s that of node %s", id,
                                        skew / 1000, info.clock_skew_ms > 0 ? "ahead of" : "behind", self);
        if (!f)
            return;
        f->severity = SEVERITY_WARNING;
        jv_set_real(finding_evidence(f), "skew_s", (double)info.clock_skew_ms / 1000);
        finding_set_action(f, "timedatectl set-ntp true # on the machine of node %s", id);
    }
    uint64_t now = clock_ms(d->clock);
    if (d->refused.n_future && now - d->refused.future_ms < REPAIR_TOLD_MS) {
        node_id_short(id, &d->refused.future);
        struct finding *f = finding_add(out, FINDING_CLOCK_SKEW, FINDING_NO_SHARD, &d->refused.future,
                                        "node %s is not believed: %s by the clock of node %s", id,
                                        d->refused.future_text, self);
        if (f)
            f->severity = SEVERITY_WARNING;
        finding_set_action(f, "timedatectl set-ntp true # on the machine of node %s", id);
    }
}

static struct jv *crash_history(const struct discovery *d)
{
    struct jv *list = jv_array_new();
    uint64_t now = clock_ms(d->clock);
    uint32_t first = d->n_crashes_heard > CRASHES_MAX ? d->n_crashes_heard - CRASHES_MAX : 0;
    for (uint32_t i = first; i < d->n_crashes_heard; i++) {
        char text[260];
        snprintf(text, sizeof text, "%" PRIu64 " s ago: %s", (now - d->crashes[i % CRASHES_MAX].at_ms) / 1000,
                 d->crashes[i % CRASHES_MAX].why);
        jv_append(list, jv_text_new(text));
    }
    return list;
}

static void explain_crash(const struct discovery *d, bool alone, struct finding_list *out)
{
    uint64_t now = clock_ms(d->clock);
    if (!d->n_crashes_heard || (!d->agent_down && now - d->crashed_ms >= REPAIR_TOLD_MS))
        return;
    const char *why = d->crashes[(d->n_crashes_heard - 1) % CRASHES_MAX].why;
    struct finding *f =
        d->agent_down
            ? finding_add(out, FINDING_AGENT_CRASHED, FINDING_NO_SHARD, &d->self,
                          "the agent (DHT and BitTorrent) ended: %s; %u times so far, started again in %.1f s",
                          why, d->n_crashes, (double)d->restart_in_ms / 1000)
            : finding_add(
                  out, FINDING_AGENT_CRASHED, FINDING_NO_SHARD, &d->self,
                  "the agent (DHT and BitTorrent) ended %.0f s ago: %s; it was started again and runs (%u "
                  "times so far)",
                  (double)(now - d->crashed_ms) / 1000, why, d->n_crashes);
    if (!f)
        return;
    bool hopeless = d->n_crashes >= DISCOVERY_CRASHES_TOLD && alone && !d->complete;
    f->severity = !d->agent_down ? SEVERITY_INFO : hopeless ? SEVERITY_BLOCKER : SEVERITY_WARNING;
    f->since_ms = d->crashed_ms;
    f->eta_s = d->agent_down ? (int32_t)(d->restart_in_ms / 1000 + 1) : -1;
    jv_set_int(finding_evidence(f), "attempts", d->n_crashes);
    jv_set(finding_evidence(f), "history", crash_history(d));
    finding_set_action(f, "shoal status");
}

/* Links and gossip carry the swarm: never more than a warning. */
static void explain_announcement(const struct discovery *d, bool alone, struct finding_list *out)
{
    uint64_t now = clock_ms(d->clock);
    if (!d->agent_ready || d->config.role == ROLE_ENTRY || alone || !d->announced_ms || d->acked_ms ||
        now - d->announced_ms <= UNACKED_TOLD_MS / 2 || now - d->joined_ms <= UNACKED_TOLD_MS)
        return;
    struct finding *f = finding_add(out, FINDING_ANNOUNCE_UNACKNOWLEDGED, FINDING_NO_SHARD, &d->self,
                                    "this node's announcement was acknowledged by nobody in the DHT (%u good "
                                    "DHT nodes known, announced %u times)",
                                    d->n_dht_good, d->n_unanswered);
    if (!f)
        return;
    f->severity = SEVERITY_WARNING;
    f->since_ms = d->joined_ms;
    jv_set_int(finding_evidence(f), "attempts", d->n_unanswered);
    finding_set_action(
        f,
        "$(command -v sudo) iptables -I INPUT -p udp --dport %u -j ACCEPT # or in the firewall that "
        "is in use; and the entry's UDP port there",
        d->config.n_addresses ? d->config.addresses[0].port : 0);
}

static void explain_refused(const struct discovery *d, struct finding_list *out)
{
    const struct refusals *r = &d->refused;
    uint64_t now = clock_ms(d->clock);
    if (r->n_equivocal && now - r->equivocal_ms < 10 * REPAIR_TOLD_MS) {
        char id[NODE_ID_SHORT_BYTES];
        node_id_short(id, &r->equivocal);
        struct finding *f =
            finding_add(out, FINDING_SECURITY_REFUSED, FINDING_NO_SHARD, &r->equivocal,
                        "node %s signed two different announcements with one sequence number (%" PRIu64
                        "), %" PRIu64 " times: a copied identity, or a liar; the first is kept",
                        id, r->sequence, r->n_equivocal);
        if (f) {
            f->severity = SEVERITY_WARNING;
            f->since_ms = r->equivocal_ms;
            set_own_state_action(f, "shoal node");
        }
    }
    if (!d->n_dht_refused && !r->n_bad)
        return;
    struct finding *f = finding_add(out, FINDING_SECURITY_REFUSED, FINDING_NO_SHARD, &d->self,
                                    "%" PRIu64 " datagrams without this swarm's key and %" PRIu64
                                    " announcements that were not sealed or signed rightly were dropped",
                                    d->n_dht_refused, r->n_bad);
    if (!f)
        return;
    f->severity = SEVERITY_INFO;
    struct jv *evidence = finding_evidence(f);
    jv_set_int(evidence, "datagrams", (int64_t)d->n_dht_refused);
    jv_set_int(evidence, "announcements_bad", (int64_t)r->n_bad);
    jv_set_int(evidence, "announcements_replayed", (int64_t)r->n_replayed);
    jv_set_int(evidence, "announcements_expired", (int64_t)r->n_expired);
    jv_set_int(evidence, "announcements_of_the_future", (int64_t)r->n_future);
    finding_set_action(f, "shoal status");
}

void discovery_explain(const struct discovery *d, struct finding_list *out)
{
    uint64_t now = clock_ms(d->clock);
    struct company company = company_of(d);
    bool alone = !company.any;
    for (uint32_t i = 0; i < d->n_failures; i++)
        if (now - d->failures[i].last_ms < (d->failures[i].inbound ? INBOUND_STALE_MS : FAILURE_STALE_MS))
            explain_failure(d, &d->failures[i], alone, out);
    explain_alone(d, &company, out);
    explain_clocks(d, out);
    explain_crash(d, alone, out);
    explain_announcement(d, alone, out);
    explain_refused(d, out);
}
