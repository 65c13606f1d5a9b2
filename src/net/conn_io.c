#include "net/conn_private.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#define READS_PER_TURN   32
#define WRITE_BYTES_TURN ((size_t)4 << 20)
#define LINGER_MS        1000

static void fail_socket(struct conn *conn, int sys_errno)
{
    conn_end_with(conn, CONN_END_RESET, "connection lost: %s", strerror(sys_errno));
}

/* --- output ------------------------------------------------------------------------------------------- */

void conn_on_stall(void *arg)
{
    struct conn *conn = arg;
    const struct clock *clock = loop_clock(conn->loop);
    if (!conn_queued(conn))
        return;
    uint64_t now = clock_us(clock);
    uint64_t still_ms = (now - conn->moved_us) / 1000, full_ms = (now - conn->filled_us) / 1000;
    if (still_ms >= conn->limits.stall_ms)
        conn_end_with(conn, CONN_END_STALLED, "the other side took none of %zu waiting bytes for %llu ms",
                      conn_queued(conn), (unsigned long long)still_ms);
    else if (full_ms >= conn->limits.drain_ms)
        conn_end_with(conn, CONN_END_STALLED, "the other side is too slow: %zu bytes still wait after %llu ms",
                      conn_queued(conn), (unsigned long long)full_ms);
    else
        conn_watch_stall(conn);
}

void conn_watch_stall(struct conn *conn)
{
    const struct clock *clock = loop_clock(conn->loop);
    if (conn->state == CONN_ENDED || !conn_queued(conn))
        return;
    uint64_t now = clock_us(clock);
    uint64_t stall_at = conn->moved_us + (uint64_t)conn->limits.stall_ms * 1000;
    uint64_t drain_at = conn->filled_us + (uint64_t)conn->limits.drain_ms * 1000;
    uint64_t at = stall_at < drain_at ? stall_at : drain_at;
    clock_timer_set(clock, conn->stall, at > now ? (at - now) / 1000 + 1 : 0);
}

/* How many bytes went out; 0: the socket is full, or the connection failed. */
static size_t write_some(struct conn *conn)
{
    const uint8_t *from = conn->out.data + conn->out_at;
    size_t left = conn->out.size - conn->out_at, written = 0;
    if (conn->ssl) {
        ERR_clear_error();
        int result = SSL_write_ex(conn->ssl, from, left, &written), sys_errno = errno;
        if (result != 1) {
            int kind = SSL_get_error(conn->ssl, result);
            if (kind != SSL_ERROR_WANT_WRITE && kind != SSL_ERROR_WANT_READ)
                conn_fail_tls(conn, result, sys_errno);
            return 0;
        }
        return written;
    }
    ssize_t n = send(conn->fd, from, left, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        fail_socket(conn, errno);
    return n > 0 ? (size_t)n : 0;
}

static void drop_sent(struct conn *conn)
{
    if (conn->out_at == conn->out.size) {
        buffer_clear(&conn->out);
        conn->out_at = 0;
        if (conn->out.capacity > CONN_KEPT_BYTES_MAX)
            buffer_free(&conn->out);
    } else if (conn->out_at > CONN_KEPT_BYTES_MAX && conn->out_at > conn->out.size / 2) {
        buffer_consume(&conn->out, conn->out_at);
        conn->out_at = 0;
    }
}

static void end_output(struct conn *conn)
{
    conn_send_end_mark(conn);
    shutdown(conn->fd, SHUT_WR);
    conn->state = CONN_LINGERING;
    conn->paused = false;
    conn_deadline(conn, LINGER_MS);
}

void conn_flush(struct conn *conn)
{
    size_t moved = 0;
    while (conn->out_at < conn->out.size && moved < WRITE_BYTES_TURN) {
        size_t written = write_some(conn);
        if (!written)
            break;
        conn->out_at += written;
        moved += written;
    }
    conn->bytes_out += moved;
    bool failed = false;
    if (conn->state != CONN_ENDED && conn->ssl && !tls_flush(conn->ssl, &failed) && failed)
        fail_socket(conn, errno);
    if (conn->state == CONN_ENDED)
        return;
    if (moved)
        conn->moved_us = clock_us(loop_clock(conn->loop));
    drop_sent(conn);
    if (conn->state == CONN_FINISHING && !conn_queued(conn))
        end_output(conn);
    conn_set_interest(conn);
}

bool conn_send(struct conn *conn, struct bytes head, struct bytes body)
{
    if (conn->state >= CONN_FINISHING)
        return false;
    bool was_empty = !conn_queued(conn);
    if (head.size + body.size > conn->limits.output_bytes_max - conn_queued(conn)) {
        conn_end_with(conn, CONN_END_QUEUE_FULL, "%zu bytes wait to be sent and %zu more pass the limit of %zu",
                      conn_queued(conn), head.size + body.size, conn->limits.output_bytes_max);
        return false;
    }
    buffer_bytes(&conn->out, head.data, head.size);
    buffer_bytes(&conn->out, body.data, body.size);
    ASSERT(!conn->out.failed);
    if (was_empty && conn->state == CONN_OPEN) {
        conn->moved_us = conn->filled_us = clock_us(loop_clock(conn->loop));
        conn_flush(conn);
        conn_watch_stall(conn);
    }
    return conn->state != CONN_ENDED;
}

size_t conn_queued(const struct conn *conn)
{
    return conn->out.size - conn->out_at + (conn->ssl ? tls_waiting(conn->ssl) : 0);
}

/* --- input -------------------------------------------------------------------------------------------- */

static void deliver(struct conn *conn)
{
    if (conn->dead || conn->state != CONN_OPEN || conn->paused || !conn->in.size)
        return;
    size_t taken = conn->events->on_input(conn->arg, buffer_view(&conn->in));
    if (conn->dead)
        return;
    ASSERT(taken <= conn->in.size);
    buffer_consume(&conn->in, taken);
    if (!conn->in.size && conn->in.capacity > CONN_KEPT_BYTES_MAX)
        buffer_free(&conn->in);
    if (conn->in.size > conn->limits.input_bytes_max)
        conn_end_with(conn, CONN_END_INPUT_FULL, "%zu bytes came that make no whole message", conn->in.size);
}

/* Reads once; false: nothing to read now, or the connection ended. */
static bool read_some(struct conn *conn)
{
    uint8_t *room = buffer_room(&conn->in, CONN_READ_BYTES);
    ASSERT(room);
    size_t n_read = 0;
    if (conn->ssl) {
        ERR_clear_error();
        int result = SSL_read_ex(conn->ssl, room, CONN_READ_BYTES, &n_read), sys_errno = errno;
        if (result != 1) {
            int kind = SSL_get_error(conn->ssl, result);
            if (kind != SSL_ERROR_WANT_READ && kind != SSL_ERROR_WANT_WRITE)
                conn_fail_tls(conn, result, sys_errno);
            return false;
        }
    } else {
        ssize_t n = recv(conn->fd, room, CONN_READ_BYTES, 0);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
            return false;
        if (n < 0) {
            fail_socket(conn, errno);
            return false;
        }
        if (n == 0) {
            conn_end_with(conn, CONN_END_CLOSED, "the other side closed the connection");
            return false;
        }
        n_read = (size_t)n;
    }
    conn->in.size += n_read;
    conn->bytes_in += n_read;
    return true;
}

void conn_queue_turn(struct conn *conn);

void conn_read_input(struct conn *conn)
{
    int n_reads = 0;
    while (!conn->dead && conn->state == CONN_OPEN && !conn->paused && n_reads < READS_PER_TURN &&
           read_some(conn)) {
        n_reads++;
        deliver(conn);
    }
    /* What OpenSSL has read ahead does not make the socket readable again. */
    if (!conn->dead && n_reads == READS_PER_TURN && conn->ssl && SSL_has_pending(conn->ssl))
        conn_queue_turn(conn);
}

static void take_turn(void *arg)
{
    struct conn *conn = arg;
    conn->turn_queued = false;
    deliver(conn);
    if (!conn->dead)
        conn_read_input(conn);
}

void conn_queue_turn(struct conn *conn)
{
    if (conn->turn_queued)
        return;
    conn->turn_queued = true;
    loop_defer(conn->loop, take_turn, conn); /* runs before a free_now that comes after it */
}

void conn_pause(struct conn *conn)
{
    conn->paused = true;
    conn_set_interest(conn);
}

void conn_resume(struct conn *conn)
{
    if (conn->state >= CONN_FINISHING)
        return;
    conn->paused = false;
    conn_set_interest(conn);
    conn_queue_turn(conn);
}

/* The peer's last words are of no interest: read until its end. */
void conn_drain(struct conn *conn)
{
    uint8_t rest[4096];
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t n = recv(conn->fd, rest, sizeof rest, 0);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n == 0 || (n < 0 && errno != EINTR)) {
            conn_free(conn);
            return;
        }
    }
}
