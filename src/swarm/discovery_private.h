/* The inside of discovery, shared by discovery.c (whom it tells and asks, what it believes), discovery_known.c
 * (the peers known from last time) and discovery_explain.c (what it says of it). */
#ifndef SWARM_DISCOVERY_PRIVATE_H
#define SWARM_DISCOVERY_PRIVATE_H

#include "swarm/announced.h"
#include "swarm/discovery.h"

#define FAILURES_MAX     64
#define FAILURE_STALE_MS 30000 /* a failed attempt is told of for so long after the last one */
#define INBOUND_STALE_MS 12000 /* whoever still wants to come in tries twice in this time */
#define SKEW_TOLD_MS     60000
#define UNACKED_TOLD_MS  5000
#define REPAIR_TOLD_MS   60000 /* what mended itself is told of for so long */
#define CRASHES_MAX      8
#define SEQUENCE_SHIFT   22 /* announcements of one run; the epoch is above them */

/* The last failure at one address, until a link to it is up. */
struct failure {
    struct address address;
    char host[256], cluster[64];
    struct node_id id; /* whom we wanted there; zero: whoever answers */
    bool inbound, given_up;
    enum link_step step;
    enum link_fault fault;
    char text[256];
    uint32_t n_attempts;
    uint64_t first_ms, last_ms, retry_in_ms;
};

struct known_peer {
    struct node_id id;
    bool proved; /* a link to it was up */
    struct address addresses[RECORD_ADDRESSES_MAX];
    uint32_t n_addresses;
};

/* Announcements refused since the start, by cause. */
struct refusals {
    uint64_t n_bad, n_expired, n_future, n_replayed, n_equivocal;
    struct node_id equivocal, future; /* the last one */
    uint64_t equivocal_ms, future_ms, sequence;
    char future_text[160];
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
    uint64_t joined_ms;
    uint64_t sequence, announced_ms, acked_ms;
    int64_t issued_ms;              /* of the last announcement: all copies of it are equal */
    uint32_t n_acked, n_unanswered; /* announcements in a row that nobody acknowledged */
    struct timer *ask_timer, *announce_timer;

    struct announced *announced;
    struct refusals refused;
    struct failure failures[FAILURES_MAX];
    uint32_t n_failures;
    uint32_t n_dht_good;
    uint64_t n_dht_refused;
    struct {
        uint64_t at_ms;
        char why[200];
    } crashes[CRASHES_MAX]; /* ring */
    bool agent_down;
    uint32_t n_crashes, n_crashes_heard, restart_in_ms;
    uint64_t crashed_ms;
    struct known_peer known[DISCOVERY_KNOWN_MAX];
    uint32_t n_known;
};

/* discovery.c */
bool discovery_is_entry(const struct discovery *discovery, const char *host, uint16_t port);
bool discovery_is_peer_host(const struct discovery *discovery, const char *host, uint16_t port);
void discovery_want(struct discovery *discovery, const struct node_id *id, const struct address *addresses,
                    uint32_t n);

/* discovery_known.c: who was heard of; those that a link proved stay when there are too many. */
void discovery_remember(struct discovery *discovery, const struct node_id *id, const struct address *addresses,
                        uint32_t n, bool proved);
void discovery_forget(struct discovery *discovery, const struct node_id *id);

#endif
