/* The inside of links, shared by links.c (the table and what comes in), links_peer.c (when connections are a
 * link), links_dial.c (whom we dial when) and links_examine.c.
 *
 * A leg is one connection. It shakes hands first; proved, it is a peer's control or data connection, or
 * waits to be chosen. Of two nodes the one with the lower id chooses the control connection: it takes the first
 * that is proved, says ACCEPT on it and closes the others, so two nodes that dial each other at the same time
 * agree without a flap. Whoever dialed the control connection dials the data connection; its hello names the
 * control connection by a number that both get from TLS (link_pair). A side that has both says READY, and
 * the link is up for it when it has heard the other's. */
#ifndef SWARM_LINKS_PRIVATE_H
#define SWARM_LINKS_PRIVATE_H

#include "base/rand.h"
#include "net/resolve.h"
#include "net/tls.h"
#include "swarm/link.h"
#include "swarm/link_gate.h"

#define LINKS_TICK_MS        250
#define LINKS_ADDRESSES_MAX  8
#define LINKS_HALF_OPEN_MAX  256 /* inbound legs that shake hands; the oldest is pushed out */
#define LINKS_HALF_OPEN_EACH 64  /* the same for one address */
#define LINKS_RTT_WINDOW     8
#define LINKS_WAITING_MAX    4 /* proved control connections of one peer that wait to be chosen */

struct links_table;
struct links_peer;
struct links_dialer;
struct links_examiner;

enum links_leg_role { LEG_SHAKING, LEG_WAITING, LEG_CONTROL, LEG_DATA, LEG_PROBE };

struct links_leg {
    struct links_table *table;
    struct link *link;
    enum links_leg_role role;
    struct links_dialer *dialer; /* whose attempt it is; NULL: inbound, or data */
    struct links_peer *peer;     /* once proved, and for a data leg that we dial */
    bool counted;                /* in dialer->n_shaking */
    uint64_t due_ms;             /* WAITING and PROBE: given up then */
    struct links_leg *next, **before;
};

struct links_peer {
    struct links_table *table;
    struct node_id id;
    struct links_leg *control, *data; /* data: also while it shakes hands */
    uint32_t n_waiting;
    bool self_ready, peer_ready, up;
    bool dropping; /* by links_ops.drop: the reason is below, the rest follows from the loop */
    enum link_fault drop_fault;
    char drop_text[256];
    uint64_t begun_ms, up_since_ms, heard_ms;
    uint32_t rtts_us[LINKS_RTT_WINDOW];
    uint64_t n_rtts;
    int64_t clock_skew_ms;
};

struct links_dialer {
    struct links_table *table;
    struct node_id id; /* wanted, or for a host: who answered last; zero: not known */
    char host[256];    /* "" : wanted by id */
    uint16_t port;
    struct endpoint addresses[LINKS_ADDRESSES_MAX];
    size_t n_addresses, next_address; /* of this round */
    uint32_t n_shaking, n_rounds;
    uint64_t backoff_ms;
    struct resolve *resolve;
    struct timer *timer;
    struct links_dialer *next;
};

struct links_table {
    struct links base; /* first */
    struct loop *loop;
    const struct clock *clock;
    struct tls *tls;
    struct link_self self;
    struct listener *listener;
    const struct links_events *events;
    void *ctx;
    struct links_peer **peers; /* ascending ids */
    size_t n_peers;
    struct links_leg *legs; /* newest first */
    struct links_dialer *dialers;
    struct links_examiner *examiners;
    struct link_gate gate;
    struct links_counts counts;
    struct timer *tick;
    uint64_t tick_due_ms;
    uint32_t n_ticks;
    struct rng rng;
    bool closed;
};

/* links.c */
struct links_leg *links_leg_new(struct links_table *table);
void links_leg_drop(struct links_leg *leg); /* out of the list; its link is freed silently */
void links_leg_close(struct links_leg *leg, enum link_fault fault, const char *text); /* the same, saying why */
extern const struct link_events links_leg_events;                                     /* their arg is the leg */
/* An attempt that did not become a link. */
void links_tell_failed(struct links_table *table, const struct links_leg *leg, enum link_step step,
                       enum link_fault fault, const char *text, uint64_t retry_in_ms);

/* links_peer.c */
struct links_peer *links_peer_find(const struct links_table *table, const struct node_id *id);
void links_peer_take(struct links_leg *leg); /* a leg that was just proved */
bool links_peer_frame(struct links_leg *leg, enum frame_kind kind, struct bytes payload);
void links_peer_leg_ended(struct links_leg *leg, enum link_step step, enum link_fault fault, const char *text);
/* The link, or what was to become one, is over. bye: what the other side is told. */
void links_peer_down(struct links_peer *peer, enum link_fault fault, const char *text, enum link_fault bye);
void links_peer_tick(struct links_peer *peer, uint64_t now_ms, bool with_ping, bool after_a_stop);
void links_peer_free(struct links_peer *peer);                            /* out of the table */
void links_info_of(const struct links_peer *peer, struct link_info *out); /* of one that is up */

/* links_dial.c */
void links_want(void *self, const struct node_id *peer, const struct address *addresses, size_t n);
void links_want_host(void *self, const char *host, uint16_t port);
void links_unwant(void *self, const struct node_id *peer);
void links_dialer_free(struct links_dialer *dialer); /* out of the table */
void links_dialer_leg_failed(struct links_leg *leg, enum link_step step, enum link_fault fault,
                             const char *text);
void links_dialer_leg_proved(struct links_leg *leg);
/* There may be no link to this peer: whoever wants one sees to it, at once or after its back-off. */
void links_dialer_wake(struct links_table *table, const struct node_id *id, bool at_once);
void links_dialer_rest(struct links_table *table, const struct node_id *id); /* the link is up */

/* links_examine.c */
void links_examiner_free(struct links_examiner *examiner); /* out of the table; done is not called */

#endif
