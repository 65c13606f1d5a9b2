#include "net/conn_private.h"

#include "base/mem.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INPUT_BYTES_MAX  (((size_t)64 << 20) + ((size_t)64 << 10))
#define OUTPUT_BYTES_MAX ((size_t)256 << 20)
#define OPEN_MS          5000
#define STALL_MS         10000

/* --- ends --------------------------------------------------------------------------------------------- */

static void free_now(void *arg)
{
    struct conn *conn = arg;
    const struct clock *clock = loop_clock(conn->loop);
    clock_timer_free(clock, conn->deadline);
    clock_timer_free(clock, conn->stall);
    buffer_free(&conn->in);
    buffer_free(&conn->out);
    mem_free(conn);
}

static void close_socket(struct conn *conn)
{
    loop_unwatch(conn->watch);
    conn->watch = NULL;
    SSL_free(conn->ssl);
    conn->ssl = NULL;
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = -1;
    clock_timer_stop(loop_clock(conn->loop), conn->deadline);
    clock_timer_stop(loop_clock(conn->loop), conn->stall);
}

void conn_send_end_mark(struct conn *conn)
{
    if (conn->ssl && SSL_is_init_finished(conn->ssl)) {
        ERR_clear_error();
        SSL_shutdown(conn->ssl);
    }
}

void conn_free(struct conn *conn)
{
    if (!conn || conn->dead)
        return;
    conn->dead = true;
    if (conn->state != CONN_ENDED)
        conn_send_end_mark(conn);
    conn->state = CONN_ENDED;
    close_socket(conn);
    loop_guest_remove(&conn->guest);
    loop_defer(conn->loop, free_now, conn);
}

static void tell_end(void *arg)
{
    struct conn *conn = arg;
    if (!conn->dead)
        conn->events->on_end(conn->arg, conn->end, conn->text);
}

void conn_end_with(struct conn *conn, enum conn_end end, const char *format, ...)
{
    if (conn->state == CONN_ENDED)
        return;
    if (conn->state == CONN_FINISHING || conn->state == CONN_LINGERING) {
        conn_free(conn);
        return;
    }
    if (end != CONN_END_RESET)
        conn_send_end_mark(conn);
    conn->state = CONN_ENDED;
    conn->end = end;
    va_list args;
    va_start(args, format);
    vsnprintf(conn->text, sizeof conn->text, format, args);
    va_end(args);
    close_socket(conn);
    loop_defer(conn->loop, tell_end, conn);
}

static void on_deadline(void *arg)
{
    struct conn *conn = arg;
    static const char *const waiting_for[] = {
        [CONN_CONNECTING] = "no answer to the connection request",
        [CONN_HANDSHAKING] = "connected, but no answer to the TLS handshake",
        [CONN_OPEN] = "the time for this phase is over",
        [CONN_FINISHING] = "",
        [CONN_LINGERING] = "",
        [CONN_ENDED] = "",
    };
    conn_end_with(conn, CONN_END_DEADLINE, "%s", waiting_for[conn->state]);
}

void conn_fail_tls(struct conn *conn, int result, int sys_errno)
{
    char text[TLS_TEXT_BYTES];
    enum conn_end end = tls_explain(conn->ssl, result, sys_errno, conn->state == CONN_HANDSHAKING, text);
    conn_end_with(conn, end, "%s", text);
}

void conn_set_interest(struct conn *conn)
{
    if (!conn->watch)
        return;
    unsigned events = conn->paused ? 0 : (unsigned)LOOP_READ;
    if (conn->state == CONN_CONNECTING || conn->handshake_writes)
        events = LOOP_WRITE;
    else if (conn_queued(conn))
        events |= LOOP_WRITE;
    loop_watch_set(conn->watch, events);
}

static void leave(struct loop_guest *guest)
{
    conn_free((struct conn *)guest);
}

void conn_finish(struct conn *conn)
{
    if (!conn || conn->dead)
        return;
    if (conn->state != CONN_OPEN) {
        conn_free(conn);
        return;
    }
    conn->guest.leave = leave;
    loop_guest_add(conn->loop, &conn->guest);
    conn->state = CONN_FINISHING;
    conn->paused = true;
    conn_deadline(conn, 0);
    conn_flush(conn);
    conn_watch_stall(conn);
}

/* --- opening ------------------------------------------------------------------------------------------ */

static void become_open(struct conn *conn)
{
    conn->state = CONN_OPEN;
    conn->handshake_writes = false;
    conn_deadline(conn, 0);
    conn->events->on_open(conn->arg);
    if (conn->dead || conn->state != CONN_OPEN)
        return;
    if (conn_queued(conn)) {
        conn_flush(conn);
        conn_watch_stall(conn);
    }
    conn_set_interest(conn);
    if (conn->ssl && !conn->dead)
        conn_queue_turn(conn); /* the other side's first words may have come with the handshake */
}

static void shake_hands(struct conn *conn)
{
    ERR_clear_error();
    int result = SSL_do_handshake(conn->ssl), sys_errno = errno;
    if (result == 1) {
        if (!tls_is_proved(conn->ssl))
            conn_end_with(conn, CONN_END_NOT_TLS, "the other side did not use the swarm key");
        else
            become_open(conn);
        return;
    }
    int kind = SSL_get_error(conn->ssl, result);
    conn->handshake_writes = kind == SSL_ERROR_WANT_WRITE;
    if (kind == SSL_ERROR_WANT_WRITE || kind == SSL_ERROR_WANT_READ)
        conn_set_interest(conn);
    else
        conn_fail_tls(conn, result, sys_errno);
}

static void be_connected(struct conn *conn, struct tls *tls)
{
    if (!tls) {
        become_open(conn);
        return;
    }
    conn->state = CONN_HANDSHAKING;
    if (!conn->ssl)
        conn->ssl = tls_session(tls, conn->fd, conn->dialed);
    shake_hands(conn);
}

static void on_connected(struct conn *conn)
{
    int failed = 0;
    socklen_t size = sizeof failed;
    getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &failed, &size);
    /* Dialing a free local port can meet itself: TCP's simultaneous open (RFC 9293 section 3.5). */
    struct endpoint local;
    bool is_self = !failed && conn_local(conn, &local) && local.port == conn->remote.port &&
                   strcmp(local.ip, conn->remote.ip) == 0;
    if (failed || is_self) {
        conn_end_with(conn, CONN_END_UNREACHED, "%s", strerror(failed ? failed : ECONNREFUSED));
        return;
    }
    conn->connected_us = clock_us(loop_clock(conn->loop));
    if (conn->ssl)
        be_connected(conn, SSL_get_app_data(conn->ssl));
    else
        become_open(conn);
}

static void on_ready(void *arg, unsigned events)
{
    struct conn *conn = arg;
    if (conn->state == CONN_CONNECTING) {
        on_connected(conn);
        return;
    }
    if (conn->state == CONN_HANDSHAKING) {
        shake_hands(conn);
        return;
    }
    if (conn->state == CONN_LINGERING) {
        conn_drain(conn);
        return;
    }
    if (events & LOOP_WRITE) {
        bool had = conn_queued(conn);
        conn_flush(conn);
        if (conn->state == CONN_OPEN && had && !conn_queued(conn) && conn->events->on_drained)
            conn->events->on_drained(conn->arg);
    }
    if (!conn->dead && (events & LOOP_READ))
        conn_read_input(conn);
}

static struct conn *conn_new(struct loop *loop, const struct endpoint *remote, const struct conn_limits *limits,
                             const struct conn_events *events, void *arg)
{
    struct conn *conn = mem_new(sizeof *conn);
    *conn = (struct conn){.loop = loop, .fd = -1, .remote = *remote, .events = events, .arg = arg};
    if (limits)
        conn->limits = *limits;
    struct conn_limits *set = &conn->limits;
    set->input_bytes_max = set->input_bytes_max ? set->input_bytes_max : INPUT_BYTES_MAX;
    set->output_bytes_max = set->output_bytes_max ? set->output_bytes_max : OUTPUT_BYTES_MAX;
    set->open_ms = set->open_ms ? set->open_ms : OPEN_MS;
    set->stall_ms = set->stall_ms ? set->stall_ms : STALL_MS;
    set->drain_ms = set->drain_ms ? set->drain_ms : UINT32_MAX;
    buffer_init(&conn->in, set->input_bytes_max + CONN_READ_BYTES);
    buffer_init(&conn->out, 2 * set->output_bytes_max + CONN_KEPT_BYTES_MAX); /* with the part already sent */
    conn->deadline = clock_timer_new(loop_clock(loop), on_deadline, conn);
    conn->stall = clock_timer_new(loop_clock(loop), conn_on_stall, conn);
    conn_deadline(conn, set->open_ms);
    return conn;
}

static void prepare_socket(int fd)
{
    const int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
}

struct conn *conn_dial(struct loop *loop, const struct endpoint *to, struct tls *tls,
                       const struct conn_limits *limits, const struct conn_events *events, void *arg)
{
    struct conn *conn = conn_new(loop, to, limits, events, arg);
    conn->dialed = true;
    conn->state = CONN_CONNECTING;
    struct sockaddr_storage address;
    socklen_t size = endpoint_to_socket(to, &address);
    conn->fd = size ? socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1;
    if (conn->fd < 0) {
        conn_end_with(conn, CONN_END_UNREACHED, "%s", size ? strerror(errno) : "not a numeric address");
        return conn;
    }
    prepare_socket(conn->fd);
    if (tls)
        conn->ssl = tls_session(tls, conn->fd, true);
    if (connect(conn->fd, (struct sockaddr *)&address, size) && errno != EINPROGRESS)
        conn_end_with(conn, CONN_END_UNREACHED, "%s", strerror(errno));
    else
        conn->watch = loop_watch(loop, conn->fd, LOOP_WRITE, on_ready, conn);
    return conn;
}

static void start_accepted(void *arg)
{
    struct conn *conn = arg;
    if (conn->dead || conn->state == CONN_ENDED)
        return;
    be_connected(conn, conn->ssl ? SSL_get_app_data(conn->ssl) : NULL);
}

struct conn *conn_accept(struct loop *loop, int fd, const struct endpoint *from, struct tls *tls,
                         const struct conn_limits *limits, const struct conn_events *events, void *arg)
{
    struct conn *conn = conn_new(loop, from, limits, events, arg);
    conn->fd = fd;
    conn->connected_us = clock_us(loop_clock(loop));
    prepare_socket(fd);
    if (tls)
        conn->ssl = tls_session(tls, fd, false);
    conn->state = CONN_HANDSHAKING;
    conn->watch = loop_watch(loop, fd, 0, on_ready, conn);
    loop_defer(loop, start_accepted, conn);
    return conn;
}

/* --- the rest ------------------------------------------------------------------------------------------- */

void conn_deadline(struct conn *conn, uint32_t ms)
{
    const struct clock *clock = loop_clock(conn->loop);
    if (ms)
        clock_timer_set(clock, conn->deadline, ms);
    else
        clock_timer_stop(clock, conn->deadline);
}

void conn_unacknowledged_max(struct conn *conn, uint32_t ms)
{
    unsigned value = ms;
    if (conn->fd >= 0)
        setsockopt(conn->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof value);
}

const struct endpoint *conn_remote(const struct conn *conn)
{
    return &conn->remote;
}

bool conn_local(const struct conn *conn, struct endpoint *out)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    if (conn->fd < 0 || getsockname(conn->fd, (struct sockaddr *)&address, &size))
        return false;
    endpoint_of_socket(out, &address);
    return true;
}

bool conn_is_open(const struct conn *conn)
{
    return conn->state == CONN_OPEN;
}

bool conn_is_dialed(const struct conn *conn)
{
    return conn->dialed;
}

uint64_t conn_connected_us(const struct conn *conn)
{
    return conn->connected_us;
}

uint64_t conn_bytes_in(const struct conn *conn)
{
    return conn->bytes_in;
}

uint64_t conn_bytes_out(const struct conn *conn)
{
    return conn->bytes_out;
}

void conn_export(const struct conn *conn, const char *label, uint8_t out[32])
{
    ASSERT(conn->ssl && SSL_is_init_finished(conn->ssl));
    ASSERT(SSL_export_keying_material(conn->ssl, out, 32, label, strlen(label), NULL, 0, 0) == 1);
}
