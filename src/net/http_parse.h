/* http_parse - the head of an HTTP/1.1 request and the framing of its body, stricter than RFC 9112 has
 * to be: what two parsers could read in two ways is refused (SECURITY 3.5 H1, H2 and 4.3). Pure functions
 * over bytes; no socket, no memory of their own. */
#ifndef NET_HTTP_PARSE_H
#define NET_HTTP_PARSE_H

#include "base/bytes.h"

#define HTTP_FIELDS_MAX       100
#define HTTP_TARGET_BYTES_MAX 8192
#define HTTP_CHUNK_LINE_MAX   256
#define HTTP_TRAILER_MAX      4096

/* What a parser answers: one of these two, or the status (400, 413, 414, 417, 431, ...) to refuse with. */
enum { HTTP_MORE = 0, HTTP_DONE = 1 };

struct http_field {
    struct bytes name, value; /* the value without blanks around it */
};

struct http_head { /* views of the input */
    struct bytes method, target;
    struct http_field fields[HTTP_FIELDS_MAX];
    size_t n_fields;
    bool is_http_10, keep_alive, chunked, expects_continue;
    uint64_t content_length; /* 0 where there is none */
};

/* Looks for the end of a head in what came so far, from *scanned on, and refuses at once what can be no
 * head. DONE: *out_bytes is its size, with the empty line. */
int http_scan_head(struct bytes in, size_t *scanned, size_t *out_bytes, size_t bytes_max, const char **why);
/* `in`: exactly one head. DONE or a status; *why says it in words. */
int http_parse_head(struct http_head *out, struct bytes in, size_t body_bytes_max, const char **why);
const struct http_field *http_head_field(const struct http_head *head, const char *name);

/* The path of a target, decoded once: no NUL, encoded slash, dot segment or broken UTF-8; *query is
 * what follows '?', or "" at its end. Both as blocks for mem_free. False: 400. */
bool http_split_target(struct bytes target, char **out_path, char **out_query);
/* Percent-decoding of a query's value ('+' is a blank); NULL unless it is valid UTF-8 without NUL. */
char *http_decode_value(struct bytes text);

/* The state of a chunked body. Zeroed: at its begin. */
struct http_chunks {
    enum { CHUNK_SIZE, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER } at;
    uint64_t left;
    size_t trailer_bytes;
};
/* Takes what it can, appends data to `body`. */
int http_chunks_take(struct http_chunks *chunks, struct buffer *body, size_t body_bytes_max, struct bytes in,
                     size_t *out_used, const char **why);

#endif
