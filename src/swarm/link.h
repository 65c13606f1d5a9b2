/* link - one connection of a link: TLS, hello, proof of identity, then frames. A state machine over
 * net/conn; which connections make a link is links.c's business.
 *
 *   TLS up -> each side sends HELLO -> on HELLO each sends AUTH, its signature over
 *   "shoal link 1" | 'c' or 's' (its TLS side) | exporter(32) | its id | the other id
 *   -> on a good AUTH the link is proved.
 *
 * Events come from the loop only; a link may be freed inside them. Thread: loop. */
#ifndef SWARM_LINK_H
#define SWARM_LINK_H

#include "net/conn.h"
#include "swarm/identity.h"
#include "swarm/links.h"

#define LINK_FRAME_MS 60000 /* a frame that began must be whole by then */
#define LINK_STALL_MS 8000  /* a peer that takes nothing for so long is dropped */

enum link_channel { LINK_CONTROL, LINK_DATA, LINK_PROBE, LINK_CHANNEL_COUNT };

/* What the links of a process share; outlives them. */
struct link_self {
    struct loop *loop;
    struct tls *tls;
    const struct identity *identity;
    struct link_hello hello; /* ours; wall_ms is filled in when it is said */
    uint64_t run;            /* drawn at start: tells two processes of one epoch apart */
};

/* Ours or theirs as it travels: link_hello and what only links.c needs. */
struct link_greeting {
    struct link_hello hello;
    uint64_t run;
    enum link_channel channel;
    uint64_t pair; /* data: the pair number of its control connection */
};
enum link_fault link_fault_parse(const char *name);              /* unknown: LINK_FAULT_CLOSED */
char *link_greeting_print(const struct link_greeting *greeting); /* JSON; a block for mem_free */
/* VERSION is told apart from damage: *out_protocol is what the other side speaks, 0 where it says nothing. */
enum status link_greeting_parse(struct link_greeting *out, uint32_t *out_protocol, struct bytes json,
                                struct error *err);

struct link;

struct link_events {
    void (*on_proved)(void *arg);
    /* After proof; PING and BYE are handled before. False: leave it and all that follows until link_release. */
    bool (*on_frame)(void *arg, enum frame_kind kind, struct bytes payload);
    /* It is over; only link_free is allowed now. */
    void (*on_end)(void *arg, enum link_step step, enum link_fault fault, const char *text);
};

/* `wanted` NULL: anybody. `pair`: see link_greeting. */
struct link *link_dial(const struct link_self *self, const struct endpoint *to, enum link_channel channel,
                       const struct node_id *wanted, uint64_t pair, const struct link_events *events,
                       void *arg);
struct link *link_accept(const struct link_self *self, int fd, const struct endpoint *from,
                         const struct link_events *events, void *arg);
void link_set_owner(struct link *link, const struct link_events *events, void *arg);
void link_free(struct link *link); /* at once and silently; NULL is fine */
/* Tells the other side why, and frees. NULL is fine. */
void link_close(struct link *link, enum link_fault fault, const char *text);

bool link_send(struct link *link, enum frame_kind kind, struct bytes payload); /* false: on_end follows */
void link_release(struct link *link); /* frames that were left come again */

bool link_is_proved(const struct link *link);
bool link_is_dialed(const struct link *link);
enum link_channel link_channel(const struct link *link);
const struct link_greeting *link_peer(const struct link *link); /* once proved */
uint64_t link_pair(const struct link *link); /* of this connection, once proved; equal on both sides */
const struct endpoint *link_remote(const struct link *link);
struct address link_remote_address(const struct link *link); /* with the port it listens on, once proved */
size_t link_queued(const struct link *link);
uint64_t link_bytes_in(const struct link *link);
uint64_t link_bytes_out(const struct link *link);
uint64_t link_peer_clock_us(const struct link *link); /* what its last PING said; 0: none came */

/* When each step was done (clock_us; 0: not yet). */
struct link_times {
    uint64_t begun_us, connected_us, handshake_us, identity_us;
};
struct link_times link_times(const struct link *link);

void link_address_of(struct address *out, const struct endpoint *endpoint);
void link_endpoint_of(struct endpoint *out, const struct address *address);

#endif
