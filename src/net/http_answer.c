/* Answers: whole, in pieces, and as server-sent events. */
#include "base/mem.h"
#include "net/http_private.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

const char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } known[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].status == status)
            return known[i].text;
    return "Unknown";
}

void http_add_header(struct http_exchange *exchange, const char *name, const char *value)
{
    ASSERT(!exchange->answering);
    buffer_format(&exchange->head, "%s: ", name);
    for (const char *c = value; *c; c++)
        buffer_u8(&exchange->head, (uint8_t)((unsigned char)*c < ' ' ? ' ' : *c));
    buffer_text(&exchange->head, "\r\n");
}

static bool has_no_body(int status)
{
    return status < 200 || status == 204 || status == 304;
}

/* length: of the body; -1: it comes in chunks. */
static void begin(struct buffer *out, struct http_exchange *exchange, int status, const char *type,
                  int64_t length)
{
    char date[64];
    struct tm broken;
    time_t now = time(NULL);
    gmtime_r(&now, &broken);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &broken);
    ASSERT(!exchange->answering);
    exchange->answering = true;
    buffer_format(out, "HTTP/1.1 %d %s\r\nDate: %s\r\n", status, http_status_text(status), date);
    if (type)
        buffer_format(out, "Content-Type: %s\r\n", type);
    if (length >= 0 && !has_no_body(status))
        buffer_format(out, "Content-Length: %lld\r\n", (long long)length);
    else if (length < 0 && !exchange->is_http_10) /* HTTP/1.0 reads to the end */
        buffer_text(out, "Transfer-Encoding: chunked\r\n");
    if (!exchange->keep_alive)
        buffer_text(out, "Connection: close\r\n");
    buffer_bytes(out, exchange->head.data, exchange->head.size);
    buffer_text(out, "\r\n");
}

static void finish(struct http_exchange *exchange)
{
    exchange->answered = true;
    http_client_answered(exchange->client);
}

void http_respond(struct http_exchange *exchange, int status, const char *content_type, struct bytes body)
{
    struct buffer head;
    buffer_init(&head, 0);
    begin(&head, exchange, status, content_type, (int64_t)body.size);
    if (exchange->is_head || has_no_body(status))
        body.size = 0;
    conn_send(exchange->client->conn, buffer_view(&head), body);
    buffer_free(&head);
    finish(exchange);
}

void http_respond_text(struct http_exchange *exchange, int status, const char *content_type, const char *text)
{
    http_respond(exchange, status, content_type, bytes_of_text(text));
}

void http_stream_begin(struct http_exchange *exchange, int status, const char *content_type)
{
    struct buffer head;
    buffer_init(&head, 0);
    begin(&head, exchange, status, content_type, -1);
    conn_send(exchange->client->conn, buffer_view(&head), (struct bytes){0});
    buffer_free(&head);
}

void http_stream_write(struct http_exchange *exchange, struct bytes bytes)
{
    ASSERT(exchange->answering && !exchange->answered);
    if (!bytes.size || exchange->is_head)
        return; /* an empty chunk would be the end */
    if (exchange->is_http_10) {
        conn_send(exchange->client->conn, bytes, (struct bytes){0});
        return;
    }
    struct buffer chunk;
    buffer_init(&chunk, 0);
    buffer_format(&chunk, "%zx\r\n", bytes.size);
    buffer_bytes(&chunk, bytes.data, bytes.size);
    buffer_text(&chunk, "\r\n");
    conn_send(exchange->client->conn, buffer_view(&chunk), (struct bytes){0});
    buffer_free(&chunk);
}

void http_stream_end(struct http_exchange *exchange)
{
    ASSERT(exchange->answering && !exchange->answered);
    if (!exchange->is_head && !exchange->is_http_10)
        conn_send(exchange->client->conn, bytes_of_text("0\r\n\r\n"), (struct bytes){0});
    finish(exchange);
}

size_t http_stream_queued(const struct http_exchange *exchange)
{
    return conn_queued(exchange->client->conn);
}

/* CR, LF and CR LF all end a line for whoever reads events, so each begins a new field here. */
void http_sse_send(struct http_exchange *exchange, const char *event, const char *data)
{
    struct buffer out;
    buffer_init(&out, 0);
    if (!data) {
        buffer_text(&out, ":\n\n");
    } else {
        if (event)
            buffer_format(&out, "event: %.*s\n", (int)strcspn(event, "\r\n"), event);
        for (;;) {
            size_t n = strcspn(data, "\r\n");
            buffer_text(&out, "data: ");
            buffer_bytes(&out, data, n);
            buffer_u8(&out, '\n');
            data += n;
            if (!*data)
                break;
            data += data[0] == '\r' && data[1] == '\n' ? 2 : 1;
        }
        buffer_u8(&out, '\n');
    }
    http_stream_write(exchange, buffer_view(&out));
    buffer_free(&out);
}
