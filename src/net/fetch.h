/* fetch - HTTP requests of this program as a client: blocking, for commands and background threads,
 * never for the loop. The only door to libcurl. http and https only; no proxy for loopback; a redirect
 * is followed only to the same host and never from https to http, and only if allowed.
 * Thread: any; each call is on its own. */
#ifndef NET_FETCH_H
#define NET_FETCH_H

#include "base/bytes.h"

struct fetch_request {
    const char *method; /* NULL: GET, or POST when there is a body */
    const char *url;
    const char *const *headers; /* "Name: value", n_headers of them */
    size_t n_headers;
    struct bytes body;
    const char *content_type; /* of the body; NULL: application/json */
    uint32_t connect_ms;      /* 0: 5,000 */
    uint32_t total_ms;        /* 0: 30,000 for fetch_call, none for fetch_stream */
    uint32_t silent_ms;       /* give up when no byte came for so long; 0: never */
    size_t answer_bytes_max;  /* of what is kept in memory; 0: 64 MiB */
    uint32_t redirects_max;   /* 0: none */
};

struct fetch_answer {
    int status;          /* of HTTP */
    struct buffer body;  /* fetch_stream: only when the status is not 2xx */
    char *content_type;  /* NULL: none said */
    int retry_after_s;   /* of the header; -1: none */
    int64_t total_bytes; /* of the body as announced; -1: not told */
};
void fetch_answer_free(struct fetch_answer *answer);

/* OK whenever there was an answer, whatever its status. NETWORK (cannot resolve, connect, TLS), TIMEOUT,
 * LIMIT (answer too large) or BAD_USAGE (not a URL): the text names the host, port and step. */
enum status fetch_call(struct fetch_answer *out, const struct fetch_request *request, struct error *err);

/* Hands over the body of a 2xx answer as it comes. on_bytes returns false to stop: STATUS_CANCELLED. */
enum status fetch_stream(struct fetch_answer *out, const struct fetch_request *request,
                         bool (*on_bytes)(void *arg, struct bytes bytes), void *arg, struct error *err);

/* sse_reader - cuts a stream of server-sent events into its events (WHATWG HTML, section 9.2.6): feed
 * it bytes in any pieces, it calls on_event for each. `data` has its lines joined by '\n'; event is
 * "message" where none was named. Event and data are limited to 4 MiB; past it feed returns LIMIT. */
struct sse_reader {
    struct buffer line, data, event;
    bool skip_lf;
    void (*on_event)(void *arg, const char *event, const char *data);
    void *arg;
};
void sse_reader_init(struct sse_reader *reader,
                     void (*on_event)(void *arg, const char *event, const char *data), void *arg);
enum status sse_reader_feed(struct sse_reader *reader, struct bytes bytes);
void sse_reader_free(struct sse_reader *reader);

#endif
