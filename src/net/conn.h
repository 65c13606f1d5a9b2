/* conn - one non-blocking stream connection, plain TCP or TLS under the swarm key, and the listener
 * that takes connections in. Bounded on both sides, with an absolute deadline for each phase.
 *
 * The owner makes a conn (dial or accept), gets its events, and frees it. Events come from the loop
 * only, never from within a call; a conn may be freed inside its own events. After on_end the conn is
 * closed and only conn_free is allowed. Thread: loop. */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "base/bytes.h"
#include "net/loop.h"

struct tls;
struct conn;
struct listener;

#define ENDPOINT_IP_BYTES   46
#define ENDPOINT_TEXT_BYTES 56

struct endpoint {
    char ip[ENDPOINT_IP_BYTES]; /* numeric; IPv6 without brackets */
    uint16_t port;
};
void endpoint_text(char out[ENDPOINT_TEXT_BYTES], const struct endpoint *endpoint);
bool endpoint_parse(struct endpoint *out, const char *text); /* "1.2.3.4:5", "[::1]:5"; numeric only */
bool endpoint_is_loopback(const struct endpoint *endpoint);

enum conn_end {
    CONN_END_CLOSED,     /* the peer ended it in order */
    CONN_END_UNREACHED,  /* connect failed; the text says how */
    CONN_END_RESET,      /* reset, or a socket error */
    CONN_END_TRUNCATED,  /* TLS: closed without close_notify */
    CONN_END_DEADLINE,   /* the phase's time is over (conn_deadline) */
    CONN_END_STALLED,    /* the peer takes nothing of what we send */
    CONN_END_QUEUE_FULL, /* more waits to be sent than output_bytes_max */
    CONN_END_INPUT_FULL, /* more waits to be taken than input_bytes_max */
    CONN_END_WRONG_KEY,  /* TLS: the other side has another key */
    CONN_END_NOT_TLS,    /* handshake: not our protocol */
    CONN_END_BROKEN,     /* TLS: a record that cannot be opened */
};

struct conn_limits {         /* zeros: the defaults */
    size_t input_bytes_max;  /* 64 MiB + 64 KiB */
    size_t output_bytes_max; /* 256 MiB */
    uint32_t open_ms;        /* 5,000: connect and handshake together */
    uint32_t stall_ms;       /* 10,000: something waits to be sent and nothing is taken */
    uint32_t drain_ms;       /* none: the queue must have been empty within so long, whatever trickles out */
};

struct conn_events {
    void (*on_open)(void *arg); /* connected, and for TLS: the handshake is done */
    /* What has come and was not taken yet; returns how many bytes it takes. Called again when more has
     * come, or after conn_resume. */
    size_t (*on_input)(void *arg, struct bytes in);
    void (*on_drained)(void *arg); /* the last waiting byte was handed to the kernel; may be NULL */
    void (*on_end)(void *arg, enum conn_end end, const char *text);
};

/* Both always give a conn; what fails comes with on_end. `tls` NULL: plain. */
struct conn *conn_dial(struct loop *loop, const struct endpoint *to, struct tls *tls,
                       const struct conn_limits *limits, const struct conn_events *events, void *arg);
struct conn *conn_accept(struct loop *loop, int fd, const struct endpoint *from, struct tls *tls,
                         const struct conn_limits *limits, const struct conn_events *events, void *arg);
/* Closes at once (TLS: with close_notify where the socket takes it). NULL is fine. */
void conn_free(struct conn *conn);

/* Queues, and hands over to the kernel at once as much as it takes: a frame does not wait for a turn
 * of the loop. Past output_bytes_max the conn ends (QUEUE_FULL) and false comes back. */
bool conn_send(struct conn *conn, struct bytes head, struct bytes body);
size_t conn_queued(const struct conn *conn);
/* Instead of conn_free: takes the conn away, sends what waits, closes in order and frees it, within
 * stall_ms. No event comes any more. NULL is fine. */
void conn_finish(struct conn *conn);
/* Ends with CONN_END_DEADLINE in so many ms unless set anew; 0: no deadline. */
void conn_deadline(struct conn *conn, uint32_t ms);
void conn_pause(struct conn *conn);  /* takes no input */
void conn_resume(struct conn *conn); /* also unpaused: what was left is delivered again, from the loop */
/* The kernel ends the connection when sent bytes stay unacknowledged for so long. */
void conn_unacknowledged_max(struct conn *conn, uint32_t ms);

const struct endpoint *conn_remote(const struct conn *conn);
bool conn_local(const struct conn *conn, struct endpoint *out);
bool conn_is_open(const struct conn *conn);
bool conn_is_dialed(const struct conn *conn);
uint64_t conn_connected_us(const struct conn *conn); /* clock_us when TCP was connected; 0: not yet */
uint64_t conn_bytes_in(const struct conn *conn);
uint64_t conn_bytes_out(const struct conn *conn);
/* The TLS exporter (RFC 8446 section 7.5): equal on both sides of this connection and on no other. */
void conn_export(const struct conn *conn, const char *label, uint8_t out[32]);

/* listener - accepts on an address. ip "" takes all addresses of both families. It pauses for 100 ms
 * when accept fails or 90 % of the descriptors are taken, so that a flood costs no spinning. */
enum status listener_new(struct listener **out, struct loop *loop, const char *ip, uint16_t port,
                         const char *what, void (*on_accept)(void *arg, int fd, const struct endpoint *from),
                         void *arg, struct error *err);                    /* BUSY: port.h */
void listener_free(struct listener *listener);                             /* NULL is fine */
const struct endpoint *listener_endpoint(const struct listener *listener); /* as bound */
uint64_t listener_n_paused(const struct listener *listener);

#endif
