/* sim_net - links of a whole swarm without sockets: peers that are wanted are dialed, links come up, carry
 * frames in order on two connections each (between connections order is free), fall silent and close, as
 * swarm/links over TCP does it: nothing that was sent is lost while the link lives, nor arrives twice.
 *
 * One sim_net for a swarm, one sim_end for each run of a process. */
#ifndef SIM_SIM_NET_H
#define SIM_SIM_NET_H

#include "base/rand.h"
#include "sim/fake_clock.h"
#include "swarm/links.h"

#define SIM_ENDS_MAX    64
#define SIM_DIALERS_MAX 160
#define SIM_ADDRESSES   8

struct sim_path { /* from one machine to another */
    bool is_cut;
    uint32_t delay_ms, jitter_ms; /* one way */
};

struct sim_side { /* one end's view of its link to a peer */
    bool is_up;
    struct sim_end *peer; /* whom it is with, or was last */
    uint64_t run;         /* of the link: both sides of one link have the same */
    uint64_t coming;      /* the run of a link that the other side has made, its news on the way */
    uint64_t heard_ms, up_since_ms;
    uint64_t peer_clock_ms;              /* of the peer, when it was heard last */
    uint64_t arrives_ms[2];              /* the last frame on its way to here, by connection */
    struct sim_flight *held, **held_end; /* sent to here, and stuck behind a cut */
};

struct sim_dialer {
    struct sim_end *end;
    struct node_id id; /* zero: a host */
    char host[64];
    uint16_t port;
    struct address addresses[SIM_ADDRESSES];
    size_t n_addresses, next_address;
    uint32_t n_rounds;
    uint64_t backoff_ms;
    bool is_busy, is_gone; /* an attempt is under way; nobody wants it any more */
    struct timer *timer;
};

struct sim_net {
    struct fake_clock *clock; /* the root */
    struct rng rng;
    struct sim_end *ends[SIM_ENDS_MAX]; /* NULL: that machine runs no process now */
    struct address addresses[SIM_ENDS_MAX];
    bool is_off[SIM_ENDS_MAX]; /* no power: not even a refusal comes back */
    struct sim_path paths[SIM_ENDS_MAX][SIM_ENDS_MAX];
    uint32_t n;
    uint64_t n_runs;
    uint64_t n_frames, n_links, n_cuts;
    struct sim_end *over; /* ended processes */
    /* Every event that a process sees, for the trace. */
    void (*note)(void *ctx, uint32_t at, uint32_t from, const char *what, unsigned kind, size_t bytes);
    void *note_ctx;
};

struct sim_end {
    struct links links;
    struct sim_net *net;
    uint32_t index;
    struct fake_clock *clock; /* the machine's */
    struct link_hello hello;
    uint64_t swarm_key; /* differing ones cannot link */
    const struct links_events *events;
    void *ctx;
    struct sim_side sides[SIM_ENDS_MAX];
    struct sim_dialer *dialers[SIM_DIALERS_MAX];
    uint32_t n_dialers;
    struct timer *tick;
    uint64_t ticked_ms;
    bool is_over;      /* its process has ended; only flights still know it */
    const char *loses; /* frames that it sends with this text in them vanish; NULL: none */
    uint64_t n_lost;
    uint64_t n_flying; /* frames and news of links on their way to it: posts on its clock */
    struct sim_end *next_over;
};

void sim_net_init(struct sim_net *net, struct fake_clock *root, uint64_t seed);
void sim_net_free(struct sim_net *net);
/* A process at this machine begins to listen. `events` and ctx may be set a little later, before time passes.
 */
struct sim_end *sim_end_new(struct sim_net *net, uint32_t machine, struct fake_clock *clock,
                            const struct node_id *id, enum node_role role, uint64_t epoch);
/* It ends: peers are told by the closing of connections, unless the machine has no power any more. */
void sim_end_free(struct sim_end *end);
/* Frames that were sent wait behind a cut; those on their way arrive. */
void sim_net_cut(struct sim_net *net, uint32_t from, uint32_t to, bool cut);
/* Closes a link as a reset of both connections does. */
void sim_net_reset(struct sim_net *net, uint32_t a, uint32_t b);
bool sim_net_linked(const struct sim_net *net, uint32_t a, uint32_t b); /* both sides say so */

#endif
