/* The server: connections, and the way of a request through them. */
#include "base/mem.h"
#include "net/http_private.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REFUSALS_MAX 64 /* connections over the limit that are told so at a time */

struct http_server {
    struct loop *loop;
    struct http_config config;
    struct listener *listener;
    http_handler *handle;
    void *ctx;
    struct http_client *clients;
    size_t n_clients;
    struct http_counts counts;
    struct conn_limits limits;
    char address[ENDPOINT_TEXT_BYTES];
};

/* --- connections ----------------------------------------------------------------------------------------- */

static void free_client(void *arg)
{
    mem_free(arg);
}

/* Out of the table; the connection closes in order, or is closed already. on_close runs for what was not
 * answered. */
static void give_up(struct http_client *client)
{
    if (client->gone)
        return;
    struct http_exchange *exchange = client->exchange;
    client->gone = true;
    client->exchange = NULL;
    *client->before = client->next;
    if (client->next)
        client->next->before = client->before;
    client->server->n_clients--;
    conn_finish(client->conn);
    loop_defer(client->server->loop, free_client, client);
    if (exchange && !exchange->answered && client->phase == HTTP_HANDLED && exchange->on_close)
        exchange->on_close(exchange->on_close_arg);
    http_exchange_free(exchange);
}

static void refuse(struct http_client *client, int status, const char *why)
{
    struct http_server *server = client->server;
    char text[512], body[256];
    if (status == 413 || status == 414 || status == 431)
        server->counts.n_too_large++;
    else
        server->counts.n_bad_framing++;
    int n_body = snprintf(body, sizeof body, "%d %s: %s\n", status, http_status_text(status), why);
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
                     "Connection: close\r\n%s\r\n%s",
                     status, http_status_text(status), n_body,
                     status == 405 ? "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n" : "", body);
    conn_send(client->conn, bytes_of(text, (size_t)n), (struct bytes){0});
    give_up(client);
}

static void set_phase(struct http_client *client, enum http_phase phase)
{
    const struct http_config *config = &client->server->config;
    const uint32_t deadlines[] = {[HTTP_IDLE] = config->idle_ms,
                                  [HTTP_HEAD] = config->header_ms,
                                  [HTTP_BODY] = config->body_ms,
                                  [HTTP_HANDLED] = 0};
    if (phase != client->phase || phase == HTTP_IDLE)
        conn_deadline(client->conn, deadlines[phase]);
    client->phase = phase;
}

/* --- one request ----------------------------------------------------------------------------------------- */

static void hand_over(struct http_client *client)
{
    struct http_server *server = client->server;
    struct http_exchange *exchange = client->exchange;
    exchange->request.body = buffer_view(&exchange->body);
    set_phase(client, HTTP_HANDLED);
    server->counts.n_requests++;
    server->handle(server->ctx, exchange, &exchange->request);
    if (!client->gone && client->exchange == exchange && !exchange->answering && !exchange->on_close)
        http_respond_text(exchange, 500, "text/plain; charset=utf-8", "the handler gave no answer\n");
}

/* 0: we know it; else the status to refuse with. */
static int check_method(struct bytes method)
{
    static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (bytes_equal(method, bytes_of_text(known[i])))
            return 0;
    bool refused = bytes_equal(method, bytes_of_text("TRACE")) || bytes_equal(method, bytes_of_text("CONNECT"));
    return refused ? 405 : 501;
}

static void begin_body(struct http_client *client, const struct http_head *head)
{
    client->chunks = (struct http_chunks){0};
    client->body_left = head->content_length;
    set_phase(client, HTTP_BODY);
    if (!head->chunked && !head->content_length)
        hand_over(client);
    else if (head->expects_continue)
        conn_send(client->conn, bytes_of_text("HTTP/1.1 100 Continue\r\n\r\n"), (struct bytes){0});
}

/* Each take_ returns the bytes it took; 0: more must come, or the client is gone. */
static size_t take_head(struct http_client *client, struct bytes in)
{
    const struct http_config *config = &client->server->config;
    struct http_head head;
    const char *why = "";
    size_t n_bytes = 0;
    if (client->phase == HTTP_IDLE) {
        set_phase(client, HTTP_HEAD);
        client->scanned = 0;
    }
    int result = http_scan_head(in, &client->scanned, &n_bytes, config->header_bytes_max, &why);
    if (result == HTTP_MORE)
        return 0;
    if (result == HTTP_DONE)
        result = http_parse_head(&head, bytes_of(in.data, n_bytes), config->body_bytes_max, &why);
    if (result == HTTP_DONE && check_method(head.method)) {
        result = check_method(head.method);
        why = "GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS are served";
    }
    if (result == HTTP_DONE) {
        client->exchange = http_exchange_new(client, &head);
        if (client->exchange) {
            begin_body(client, &head);
            return n_bytes;
        }
        result = 400;
        why = "the path has a broken escape, an encoded slash or NUL, or a dot segment";
    }
    refuse(client, result, why);
    return 0;
}

static size_t take_body(struct http_client *client, struct bytes in)
{
    struct http_exchange *exchange = client->exchange;
    const char *why = "";
    size_t used;
    int result;
    if (exchange->chunked) {
        result = http_chunks_take(&client->chunks, &exchange->body, client->server->config.body_bytes_max, in,
                                  &used, &why);
    } else {
        used = in.size < client->body_left ? in.size : (size_t)client->body_left;
        buffer_bytes(&exchange->body, in.data, used);
        client->body_left -= used;
        result = client->body_left ? HTTP_MORE : HTTP_DONE;
    }
    if (result == HTTP_DONE)
        hand_over(client);
    else if (result != HTTP_MORE)
        refuse(client, result, why);
    return used;
}

static size_t on_input(void *arg, struct bytes in)
{
    struct http_client *client = arg;
    size_t taken = 0;
    client->taking = true;
    while (!client->gone && client->phase != HTTP_HANDLED && taken < in.size) {
        struct bytes rest = bytes_of(in.data + taken, in.size - taken);
        size_t used = client->phase == HTTP_BODY ? take_body(client, rest) : take_head(client, rest);
        if (!used)
            break;
        taken += used;
    }
    client->taking = false;
    return taken;
}

void http_client_answered(struct http_client *client)
{
    struct http_exchange *exchange = client->exchange;
    if (!exchange->keep_alive) {
        give_up(client);
        return;
    }
    client->exchange = NULL;
    http_exchange_free(exchange);
    set_phase(client, HTTP_IDLE);
    if (!client->taking)
        conn_resume(client->conn); /* the next request may have come already */
}

/* --- the connection's events ----------------------------------------------------------------------------- */

static void on_open(void *arg)
{
    set_phase(arg, HTTP_IDLE);
}

static void on_end(void *arg, enum conn_end end, const char *text)
{
    struct http_client *client = arg;
    (void)text;
    client->server->counts.n_deadline += end == CONN_END_DEADLINE && client->phase != HTTP_IDLE;
    client->server->counts.n_stalled += end == CONN_END_STALLED || end == CONN_END_QUEUE_FULL;
    give_up(client);
}

static const struct conn_events client_events = {.on_open = on_open, .on_input = on_input, .on_end = on_end};

/* One too many: told so and closed, in a way that takes no place. */
static void on_open_refused(void *arg)
{
    struct http_client *client = arg;
    client->server->counts.n_over_connections++;
    conn_send(client->conn,
              bytes_of_text("HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
                            "Content-Length: 40\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
                            "503 Service Unavailable: no free places\n"),
              (struct bytes){0});
    give_up(client);
}

static const struct conn_events refused_events = {
    .on_open = on_open_refused, .on_input = on_input, .on_end = on_end};

static void on_accept(void *arg, int fd, const struct endpoint *from)
{
    struct http_server *server = arg;
    if (server->n_clients >= server->config.connections_max + REFUSALS_MAX) {
        server->counts.n_over_connections++;
        close(fd);
        return;
    }
    bool has_place = server->n_clients < server->config.connections_max;
    struct http_client *client = mem_new(sizeof *client);
    client->server = server;
    client->before = &server->clients;
    client->next = server->clients;
    if (client->next)
        client->next->before = &client->next;
    server->clients = client;
    server->n_clients++;
    client->conn = conn_accept(server->loop, fd, from, NULL, &server->limits,
                               has_place ? &client_events : &refused_events, client);
}

/* --- life ------------------------------------------------------------------------------------------------ */

#define OR_DEFAULT(field, value) config->field = config->field ? config->field : (value)

static void fill_defaults(struct http_server *server)
{
    struct http_config *config = &server->config;
    OR_DEFAULT(header_ms, 10000);
    OR_DEFAULT(body_ms, 30000);
    OR_DEFAULT(idle_ms, 60000);
    OR_DEFAULT(write_stall_ms, 30000);
    OR_DEFAULT(header_bytes_max, (size_t)16 << 10);
    OR_DEFAULT(body_bytes_max, (size_t)4 << 20);
    OR_DEFAULT(queue_bytes_max, (size_t)16 << 20);
    OR_DEFAULT(connections_max, 512);
    server->limits = (struct conn_limits){
        .input_bytes_max = config->header_bytes_max + config->body_bytes_max,
        .output_bytes_max = config->queue_bytes_max,
        .stall_ms = config->write_stall_ms,
        .drain_ms = config->write_stall_ms,
    };
}

enum status http_server_new(struct http_server **out, struct loop *loop, const struct http_config *config,
                            http_handler *handle, void *ctx, struct error *err)
{
    struct endpoint at;
    if (!config->listen || !endpoint_parse(&at, config->listen))
        return error_set(err, STATUS_BAD_USAGE,
                         "HTTP: '%s' is not ADDR:PORT with a numeric address (127.0.0.1:8080, [::1]:0)",
                         config->listen ? config->listen : "");
    struct http_server *server = mem_new(sizeof *server);
    *server = (struct http_server){.loop = loop, .config = *config, .handle = handle, .ctx = ctx};
    server->config.listen = NULL; /* the caller's; the address is kept as bound */
    fill_defaults(server);
    enum status status = listener_new(&server->listener, loop, at.ip, at.port, "HTTP", on_accept, server, err);
    if (status) {
        mem_free(server);
        return status;
    }
    endpoint_text(server->address, listener_endpoint(server->listener));
    *out = server;
    return STATUS_OK;
}

static void free_server(void *arg)
{
    mem_free(arg);
}

void http_server_free(struct http_server *server)
{
    if (!server)
        return;
    listener_free(server->listener);
    while (server->clients)
        give_up(server->clients);
    loop_defer(server->loop, free_server, server);
}

void http_server_stop_accepting(struct http_server *server)
{
    listener_free(server->listener);
    server->listener = NULL;
}

const char *http_server_address(const struct http_server *server)
{
    return server->address;
}

uint16_t http_server_port(const struct http_server *server)
{
    struct endpoint at;
    return endpoint_parse(&at, server->address) ? at.port : 0;
}

size_t http_server_n_connections(const struct http_server *server)
{
    return server->n_clients;
}

struct http_counts http_server_counts(const struct http_server *server)
{
    return server->counts;
}

const struct http_request *http_exchange_request(const struct http_exchange *exchange)
{
    return &exchange->request;
}

void http_on_close(struct http_exchange *exchange, void (*fn)(void *arg), void *arg)
{
    exchange->on_close = fn;
    exchange->on_close_arg = arg;
}
