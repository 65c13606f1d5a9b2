/* A connection's inside, shared by conn.c (opening, ending) and conn_io.c (bytes), and addresses of the
 * kernel. */
#ifndef NET_CONN_PRIVATE_H
#define NET_CONN_PRIVATE_H

#include "net/conn.h"
#include "net/loop_private.h"
#include "net/tls_private.h"

#include <sys/socket.h>

#define CONN_READ_BYTES ((size_t)16 << 10) /* a TLS record's most */
#define CONN_KEPT_BYTES_MAX                                                                                    \
    ((size_t)8 << 20) /* an idle queue keeps no more: new pages for each frame cost more than it */

enum conn_state {
    CONN_CONNECTING,
    CONN_HANDSHAKING,
    CONN_OPEN,
    CONN_FINISHING, /* given up by its owner: sends what waits */
    CONN_LINGERING, /* has sent its end, waits for the peer's */
    CONN_ENDED,
};

struct conn {
    struct loop_guest guest; /* first: while FINISHING and LINGERING */
    struct loop *loop;
    int fd;
    struct watch *watch;
    SSL *ssl;
    enum conn_state state;
    bool dialed, paused, dead, turn_queued, handshake_writes;
    struct endpoint remote;
    struct conn_limits limits;
    const struct conn_events *events;
    void *arg;
    struct buffer in, out;
    size_t out_at; /* bytes of out that were handed over */
    uint64_t bytes_in, bytes_out, connected_us;
    uint64_t moved_us, filled_us; /* when bytes last went out; since when some have waited */
    struct timer *deadline, *stall;
    enum conn_end end;
    char text[TLS_TEXT_BYTES];
};

socklen_t endpoint_to_socket(const struct endpoint *endpoint,
                             struct sockaddr_storage *out); /* 0: not numeric */
void endpoint_of_socket(struct endpoint *out, const struct sockaddr_storage *from);

/* Ends it: the socket closes now, on_end follows from the loop. One that was given up is freed instead. */
void conn_end_with(struct conn *conn, enum conn_end end, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void conn_fail_tls(struct conn *conn, int result, int sys_errno); /* after a call on conn->ssl */
void conn_send_end_mark(struct conn *conn);
void conn_set_interest(struct conn *conn); /* in reading and writing, as its state wants */

void conn_flush(struct conn *conn);
void conn_watch_stall(struct conn *conn);
void conn_on_stall(void *arg); /* a timer's */
void conn_read_input(struct conn *conn);
void conn_queue_turn(struct conn *conn); /* delivers and reads from the loop */
void conn_drain(struct conn *conn);      /* reads and drops until the peer's end, then frees */

#endif
