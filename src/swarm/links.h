/* links - the standing links of this process to its peers, behind a table so that the simulator can
 * have a second implementation. swarm/link*.c is the real one (TLS 1.3 over TCP).
 *
 * A link is two connections between two nodes, control and data; it is up when both sides have proved
 * their identity on both (DESIGN section 6). links keeps at most one link per peer, answers
 * heartbeats, measures round-trip time, and redials wanted peers with back-off and jitter until told
 * otherwise. It knows nothing of shards, rosters or commands.
 *
 * Owner: the node. Thread: loop. No event comes from within an operation, except where said. */
#ifndef SWARM_LINKS_H
#define SWARM_LINKS_H

#include "wire/address.h"
#include "wire/frame.h"
#include "wire/node_id.h"

#define LINK_HEARTBEAT_MS    500
#define LINK_SILENT_MS       2000 /* a peer that said nothing for so long is down */
#define LINK_HANDSHAKE_MS    5000
#define LINK_PEERS_MAX       1024
#define LINK_QUEUE_BYTES_MAX ((size_t)256 << 20) /* per connection; past it the peer is dropped */

/* How far an attempt came; the failing one is the finding. */
enum link_step {
    LINK_STEP_RESOLVE,
    LINK_STEP_CONNECT,
    LINK_STEP_HANDSHAKE, /* TLS: a wrong swarm key fails here */
    LINK_STEP_IDENTITY,  /* hello and signature over the exporter; own id */
    LINK_STEP_PROTOCOL,  /* versions, cluster, arithmetic */
    LINK_STEP_UP
};
const char *link_step_name(enum link_step step);

/* Why an attempt failed, as far as it is certain. */
enum link_fault {
    LINK_FAULT_NONE,
    LINK_FAULT_UNREACHABLE, /* resolve or connect failed, or nothing answered */
    LINK_FAULT_WRONG_KEY,   /* the other side has another swarm key */
    LINK_FAULT_NOT_SWARM,   /* something answers that does not speak this protocol */
    LINK_FAULT_IDENTITY,    /* signature wrong, or the id is not the one expected */
    LINK_FAULT_SELF,        /* we reached ourselves */
    LINK_FAULT_VERSION,     /* protocol or arithmetic version differs */
    LINK_FAULT_CLUSTER,     /* same key, another cluster name (the text names it) */
    LINK_FAULT_DUPLICATE,   /* two live processes with one identity */
    LINK_FAULT_SILENT,      /* was up; no heartbeat for LINK_SILENT_MS */
    LINK_FAULT_CLOSED,      /* was up; the connection closed or was reset */
    LINK_FAULT_BROKE_RULES, /* sent what no version of the protocol allows */
    LINK_FAULT_QUEUE_FULL   /* stopped reading */
};
const char *link_fault_name(enum link_fault fault);

enum node_role { ROLE_ENTRY, ROLE_NODE, ROLE_SERVE, ROLE_SEED, ROLE_COUNT };
const char *node_role_name(enum node_role role); /* "entry", "node", "serve", "seed" */

/* What a side says of itself in its hello, proved by its signature. */
struct link_hello {
    struct node_id id;
    enum node_role role;
    uint32_t protocol, arithmetic;
    uint64_t epoch;  /* of this run of the process: higher after every restart */
    int64_t wall_ms; /* its wall clock when it said so */
    uint16_t port;   /* where it listens for links */
    char cluster[64];
    struct address advertised; /* family 0: none given */
};

struct link_info {
    struct link_hello hello;
    struct address address;         /* the remote end as we see it, with its listening port */
    bool dialed;                    /* we made the connection */
    uint64_t up_since_ms, heard_ms; /* clock_ms */
    uint64_t peer_clock_ms;         /* the peer's own clock_ms in its last heartbeat; 0: none came yet */
    uint32_t rtt_us;                /* smallest of the last 8 heartbeats; 0 while unmeasured */
    int64_t clock_skew_ms;          /* its wall clock minus ours, corrected by half the round trip */
    uint64_t bytes_in, bytes_out;
    size_t queued_bytes;
};

struct link_attempt {
    struct address address;
    char host[256];    /* as the user gave it, or "" */
    struct node_id id; /* whom we wanted, or zero */
    bool inbound;      /* they came to us */
    enum link_step step;
    enum link_fault fault;
    const char *text; /* one sentence with numbers */
    char cluster[64]; /* CLUSTER: the other side's, where it said so; "" */
    uint32_t n_attempts;
    uint64_t retry_in_ms; /* 0: no retry (inbound) */
};

struct links_events {
    void (*on_up)(void *ctx, const struct link_info *info);
    /* `last`: what was known of the link when it ended. */
    void (*on_down)(void *ctx, const struct link_info *last, enum link_fault fault, const char *text);
    /* The payload is valid during the call only. */
    void (*on_frame)(void *ctx, const struct node_id *peer, enum frame_kind kind, struct bytes payload);
    /* An attempt, ours or theirs, did not become a link. */
    void (*on_failed)(void *ctx, const struct link_attempt *attempt);
};

struct links_ops {
    /* Wants a link to this peer at these addresses, best first, until unwant. Calling it again replaces
     * the addresses. */
    void (*want)(void *self, const struct node_id *peer, const struct address *addresses, size_t n);
    /* Wants a link to whoever answers at HOST:PORT (an entry, a --peer). Names are resolved anew at
     * each attempt, off the loop. */
    void (*want_host)(void *self, const char *host, uint16_t port);
    void (*unwant)(void *self, const struct node_id *peer);
    /* STATUS_NOT_FOUND when there is no link. Frames go to the connection that their kind names, in
     * order. */
    enum status (*send)(void *self, const struct node_id *peer, enum frame_kind kind, struct bytes payload);
    /* Closes with a reason that the other side is told. on_down follows from the loop. */
    void (*drop)(void *self, const struct node_id *peer, enum link_fault fault, const char *text);
    bool (*info)(void *self, const struct node_id *peer, struct link_info *out);
    /* Up to `max` ids of peers that are up, ascending; returns how many. */
    size_t (*peers)(void *self, struct node_id *out, size_t max);
};

struct links {
    const struct links_ops *ops;
    void *self;
};

/* --- the real ones (tests/sim has its own) ------------------------------------------------------------ */

struct loop;
struct identity;

struct links_config {
    const struct identity *identity; /* outlives the links */
    struct shared_key psk;           /* swarm_keys.link_psk */
    enum node_role role;
    const char *cluster;
    const char *listen_ip;     /* numeric; "" : all addresses of both families */
    uint16_t port;             /* 0: any free one that is free for UDP too, and the next one for TCP and UDP */
    struct address advertised; /* family 0: none */
    uint32_t arithmetic;
};

/* BUSY: the port is taken (says by whom); NETWORK: it cannot be listened on. Everything else (who dials
 * whom, failures) comes with events. */
enum status links_new(struct links **out, struct loop *loop, const struct links_config *config,
                      const struct links_events *events, void *ctx, struct error *err);
/* Tells every peer that we go, and closes; no event comes any more. Not from within an event. NULL is fine. */
void links_free(struct links *links);
uint16_t links_port(const struct links *links);

/* What happened at one address, step by step, for `doctor --node HOST:PORT`. */
struct links_examination {
    char host[256];
    uint16_t port;
    struct address address; /* the one that was tried; family 0: none was found */
    struct {
        enum { EXAMINED_NOT_TRIED, EXAMINED_OK, EXAMINED_FAILED } outcome;
        double ms;
    } steps[LINK_STEP_UP + 1]; /* LINK_STEP_UP: one ping and its answer */
    enum link_fault fault;     /* NONE: all is well */
    char text[512];            /* why it failed */
    struct link_hello hello;   /* who answered, once identity is OK */
};
/* Makes a connection of its own, which never becomes a link. Calls done once, unless the links are freed. */
void links_examine(struct links *links, const char *host, uint16_t port,
                   void (*done)(void *ctx, const struct links_examination *result), void *ctx);

/* What was refused since the start, by cause. */
struct links_counts {
    uint64_t n_accepted, n_wrong_key, n_not_swarm, n_other, n_throttled, n_pushed_out;
};
struct links_counts links_counts(const struct links *links);

static inline enum status links_send(const struct links *links, const struct node_id *peer,
                                     enum frame_kind kind, struct bytes payload)
{
    return links->ops->send(links->self, peer, kind, payload);
}

#endif
