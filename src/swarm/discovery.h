/* discovery - how a node finds the others and keeps wanting links to them: entries and --peer addresses, the
 * DHT (announcements, listening and asking), records that linked peers pass on, and the peers known from last
 * time. The DHT is never the only way.
 *
 * Announces this node under the cluster's member key and the key of each shard it holds or is assigned; listens
 * under the same keys and asks every 2 s until the roster is complete, then every 10 s. An announcement that
 * nobody acknowledged is repeated after 5, 10, 20 s .. refresh_s. What is heard by announcement is judged by
 * announced.h. Owner: the node. Thread: loop. */
#ifndef SWARM_DISCOVERY_H
#define SWARM_DISCOVERY_H

#include "base/clock.h"
#include "swarm/agent.h"
#include "swarm/credentials.h"
#include "swarm/links.h"
#include "swarm/roster.h"

#define DISCOVERY_HOSTS_MAX     16
#define DISCOVERY_ADDRESSES_MAX 8 /* as in announcements and records */
#define DISCOVERY_ASK_MS        2000
#define DISCOVERY_ASK_SLOW_MS   10000
#define DISCOVERY_TTL_S         600 /* of an announcement */
#define DISCOVERY_SHARDS_MAX    4096
#define DISCOVERY_KNOWN_MAX     256
#define DISCOVERY_ALONE_MS      3000 /* after joining, until nobody's company is a finding */
/* Attempts at one address: from so many on it is a warning (a blocker while we are alone) with its history,
 * before that an info; after so many a peer that is gone is dialed no more until it is heard of again. */
#define DISCOVERY_ATTEMPTS_TOLD 5
#define DISCOVERY_ATTEMPTS_MAX  60
#define DISCOVERY_CRASHES_TOLD  5 /* the same for the agent */

struct discovery_host {
    char host[256];
    uint16_t port;
};

struct discovery_config {
    const struct key_pair *pair; /* borrowed */
    struct swarm_keys keys;
    char cluster[64];
    uint64_t epoch;
    enum node_role role;
    struct address addresses[DISCOVERY_ADDRESSES_MAX]; /* where peers reach us, best first */
    uint32_t n_addresses;
    struct discovery_host entries[DISCOVERY_HOSTS_MAX], peers[DISCOVERY_HOSTS_MAX];
    uint32_t n_entries, n_peers;
    uint32_t refresh_s; /* between announcements */
};

struct discovery;

struct discovery *discovery_new(const struct clock *clock, const struct links *links, struct agent *agent,
                                const struct roster *roster, const struct discovery_config *config,
                                void (*changed)(void *ctx), void *ctx);
void discovery_free(struct discovery *discovery);
void discovery_join(struct discovery *discovery);  /* begins to dial, announce and listen */
void discovery_leave(struct discovery *discovery); /* retracts */

/* Which shards we claim (ascending), and how many there are; 0: unknown. */
void discovery_set_shards(struct discovery *discovery, const uint32_t *ids, uint32_t n, uint32_t n_expected);
/* Complete: every shard is discovered, so asking slows down. */
void discovery_set_complete(struct discovery *discovery, bool complete);

/* From the links. */
void discovery_on_up(struct discovery *discovery, const struct link_info *info);
void discovery_on_failed(struct discovery *discovery, const struct link_attempt *attempt);
/* From the roster: a record may bring addresses. */
void discovery_on_record(struct discovery *discovery, const struct roster_entry *entry);
/* From the agent. */
void discovery_on_agent_ready(struct discovery *discovery);
void discovery_on_value(struct discovery *discovery, struct bytes stored);
void discovery_on_announced(struct discovery *discovery, bool ok, uint32_t n_acked);
void discovery_on_dht(struct discovery *discovery, uint32_t n_good, uint64_t n_refused);
void discovery_on_crashed(struct discovery *discovery, const char *why, uint32_t restart_in_ms,
                          uint32_t n_crashes);

/* Known peers, kept between runs: JSON text, a block for mem_free; and taken back. */
char *discovery_known_text(const struct discovery *discovery);
void discovery_take_known(struct discovery *discovery, struct bytes text);

/* KEY_MISMATCH, IDENTITY_CONFLICT, PROTOCOL_VERSION_MISMATCH, CLOCK_SKEW, AGENT_CRASHED, BOOTSTRAP_UNREACHABLE,
 * BOOTSTRAP_NOT_A_SWARM_NODE, ALONE_IN_CLUSTER, CLUSTER_MISMATCH, ANNOUNCE_UNACKNOWLEDGED, PEER_UNREACHABLE,
 * SECURITY_REFUSED. */
void discovery_explain(const struct discovery *discovery, struct finding_list *out);

#endif
