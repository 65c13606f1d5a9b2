/* http - an HTTP/1.1 server on plain TCP: keep-alive, pipelining in order, Content-Length and chunked
 * bodies, streamed answers. Every ambiguous framing is refused with 400 and the connection closed
 * (http_parse.h). Knows nothing of routes, keys, hosts or origins.
 *
 * An exchange is one request and its answer. It belongs to the server and is valid until it has been
 * answered (http_respond, http_stream_end) or its http_on_close callback ran, whichever is first. The
 * request lives as long. Thread: loop. */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include "base/bytes.h"
#include "net/loop.h"

struct http_server;
struct http_exchange;

/* Zeros mean the defaults in the comments. Deadlines are absolute: a byte now and then buys no time. */
struct http_config {
    const char *listen;       /* "127.0.0.1:8080", "[::1]:0"; port 0: any free */
    uint32_t header_ms;       /* 10,000: for the whole head, from its first byte */
    uint32_t body_ms;         /* 30,000: for the whole body */
    uint32_t idle_ms;         /* 60,000: between requests */
    uint32_t write_stall_ms;  /* 30,000: the client takes no byte of an answer */
    size_t header_bytes_max;  /* 16 KiB */
    size_t body_bytes_max;    /* 4 MiB */
    size_t queue_bytes_max;   /* 16 MiB waiting to be sent to one client; past it, it is dropped */
    uint32_t connections_max; /* 512; the next ones get 503 */
};

struct http_request {
    const char *method;    /* "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" or "OPTIONS" */
    const char *path;      /* decoded once, starts with '/'; no NUL, encoded slash, or dot segment */
    const char *query;     /* raw, after '?'; "" where there is none */
    struct bytes body;     /* empty where there is none */
    const char *remote_ip; /* numeric */
    uint16_t remote_port;
    bool over_loopback; /* the remote end is this machine */
};

/* The header's value without surrounding blanks, NULL where it is absent. Repeated: joined by ", ". */
const char *http_request_header(const struct http_request *request, const char *name);
/* A query parameter, percent-decoded; NULL where it is absent or not valid UTF-8. */
const char *http_request_param(const struct http_request *request, const char *name);

/* Called when the whole request is there. It must answer, or keep the exchange and set http_on_close
 * before it returns: a request left with neither gets 500. */
typedef void http_handler(void *ctx, struct http_exchange *exchange, const struct http_request *request);

/* A port in use is STATUS_BUSY with address, port and, where it can be told, its holder. */
enum status http_server_new(struct http_server **out, struct loop *loop, const struct http_config *config,
                            http_handler *handle, void *ctx, struct error *err);
void http_server_free(struct http_server *server);            /* closes all; on_close callbacks run */
void http_server_stop_accepting(struct http_server *server);  /* for a drain */
const char *http_server_address(const struct http_server *s); /* "127.0.0.1:8080", as bound */
uint16_t http_server_port(const struct http_server *server);
size_t http_server_n_connections(const struct http_server *server);

/* What was refused since the start, by cause (for SECURITY_REFUSED and metrics). */
struct http_counts {
    uint64_t n_requests, n_bad_framing, n_too_large, n_deadline, n_over_connections, n_stalled;
};
struct http_counts http_server_counts(const struct http_server *server);

const struct http_request *http_exchange_request(const struct http_exchange *exchange);
/* Calls fn(arg) at once when the client leaves or is dropped before its answer is whole; the exchange
 * is gone when fn returns. fn NULL takes it back. */
void http_on_close(struct http_exchange *exchange, void (*fn)(void *arg), void *arg);
/* One more header of the answer, before it begins. Values from outside are checked: line ends become spaces. */
void http_add_header(struct http_exchange *exchange, const char *name, const char *value);
/* The whole answer. `content_type` NULL: none (and, for 204 and 304, no body). */
void http_respond(struct http_exchange *exchange, int status, const char *content_type, struct bytes body);
void http_respond_text(struct http_exchange *exchange, int status, const char *content_type, const char *text);

/* An answer in pieces (chunked). A write is sent at once. A client that does not read is dropped, and
 * on_close follows from the loop. */
void http_stream_begin(struct http_exchange *exchange, int status, const char *content_type);
void http_stream_write(struct http_exchange *exchange, struct bytes bytes);
void http_stream_end(struct http_exchange *exchange);
size_t http_stream_queued(const struct http_exchange *exchange); /* bytes the client has yet to take */

/* One server-sent event on a stream begun as "text/event-stream"; each line of `data` becomes a field
 * of its own, so text cannot forge fields. `event` NULL: unnamed. data NULL: a comment that keeps the
 * connection alive. */
void http_sse_send(struct http_exchange *exchange, const char *event, const char *data);

const char *http_status_text(int status);

#endif
