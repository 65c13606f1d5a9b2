/* The server over real sockets: raw clients on the same loop. */
#include "base/mem.h"
#include "net/conn.h"
#include "net/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop *loop;
static struct http_server *server;
static char handled[4096]; /* what the handler saw, in order */
static struct http_exchange *kept;
static uint32_t n_closed;

static void on_close(void *arg)
{
    (void)arg;
    n_closed++;
    kept = NULL;
}

static void handle(void *ctx, struct http_exchange *exchange, const struct http_request *request)
{
    (void)ctx;
    size_t used = strlen(handled);
    snprintf(handled + used, sizeof handled - used, "%s %s[%.*s];", request->method, request->path,
             (int)(request->body.size < 64 ? request->body.size : 64), (const char *)request->body.data);
    if (strcmp(request->path, "/keep") == 0) {
        kept = exchange;
        http_on_close(exchange, on_close, NULL);
    } else if (strcmp(request->path, "/forget") == 0) {
        return;
    } else if (strcmp(request->path, "/echo") == 0) {
        http_respond(exchange, 200, "application/octet-stream", request->body);
    } else if (strcmp(request->path, "/headers") == 0) {
        const char *x = http_request_header(request, "x-test"), *q = http_request_param(request, "q");
        char text[256];
        snprintf(text, sizeof text, "%s|%s|%s|%d", x ? x : "-", q ? q : "-", request->remote_ip,
                 request->over_loopback);
        http_add_header(exchange, "X-Answer", "a\r\nSet-Cookie: b");
        http_respond_text(exchange, 201, "text/plain", text);
    } else {
        http_respond_text(exchange, 200, "text/plain", "ok");
    }
}

static void start(struct http_config config)
{
    struct error err;
    config.listen = "127.0.0.1:0";
    handled[0] = '\0';
    kept = NULL;
    n_closed = 0;
    assert_int_equal(loop_new(&loop, &err), STATUS_OK);
    if (http_server_new(&server, loop, &config, handle, NULL, &err))
        fail_msg("%s", err.text);
}

static int stop(void **state)
{
    (void)state;
    http_server_free(server);
    loop_free(loop);
    return 0;
}

/* --- a raw client
 * ------------------------------------------------------------------------------------------------ */

struct client {
    struct conn *conn;
    struct buffer got;
    bool open, ended;
    const char *wanted;
    size_t wanted_bytes;
};

static void on_open(void *arg)
{
    ((struct client *)arg)->open = true;
}

static size_t on_input(void *arg, struct bytes in)
{
    buffer_bytes(&((struct client *)arg)->got, in.data, in.size);
    return in.size;
}

static void on_end(void *arg, enum conn_end end, const char *text)
{
    (void)end, (void)text;
    ((struct client *)arg)->ended = true;
}

static const struct conn_events client_events = {.on_open = on_open, .on_input = on_input, .on_end = on_end};

static void dial(struct client *client)
{
    struct endpoint to;
    *client = (struct client){0};
    buffer_init(&client->got, 0);
    assert_true(endpoint_parse(&to, http_server_address(server)));
    client->conn = conn_dial(loop, &to, NULL, NULL, &client_events, client);
}

static void say(struct client *client, const char *text)
{
    conn_send(client->conn, bytes_of_text(text), (struct bytes){0});
}

static void hang_up(struct client *client)
{
    conn_free(client->conn);
    buffer_free(&client->got);
}

static bool has_wanted(void *arg)
{
    struct client *client = arg;
    return (client->wanted && strstr(buffer_string(&client->got), client->wanted)) ||
           (client->wanted_bytes && client->got.size >= client->wanted_bytes);
}
static bool has_ended(void *arg)
{
    return ((struct client *)arg)->ended;
}
static bool never(void *arg)
{
    (void)arg;
    return false;
}
static bool is_kept(void *arg)
{
    (void)arg;
    return kept;
}
static bool is_closed(void *arg)
{
    (void)arg;
    return n_closed;
}

static void expect(struct client *client, const char *text)
{
    client->wanted = text;
    if (!loop_run_until(loop, has_wanted, client, 3000))
        fail_msg("no '%s' in '%s'", text, buffer_string(&client->got));
}

#define REQUEST(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

/* --- what works
 * ----------------------------------------------------------------------------------------------------- */

static void test_keep_alive_serves_one_request_after_another(void **state)
{
    (void)state;
    struct client client;
    start((struct http_config){0});
    dial(&client);
    say(&client, REQUEST("/a"));
    expect(&client, "\r\n\r\nok");
    assert_non_null(strstr(buffer_string(&client.got), "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(buffer_string(&client.got), "Content-Length: 2\r\n"));
    assert_null(strstr(buffer_string(&client.got), "Connection: close"));
    buffer_clear(&client.got);
    say(&client, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhel");
    say(&client, "lo");
    expect(&client, "\r\n\r\nhello");
    assert_non_null(strstr(buffer_string(&client.got), "Connection: close\r\n"));
    assert_true(loop_run_until(loop, has_ended, &client, 3000));
    assert_string_equal(handled, "GET /a[];POST /echo[hello];");
    hang_up(&client);
}

static void test_pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    struct client client;
    start((struct http_config){0});
    dial(&client);
    say(&client,
        REQUEST("/1") REQUEST("/keep") REQUEST("/3") "POST /echo HTTP/1.1\r\nHost: h\r\n"
                                                     "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_true(loop_run_until(loop, is_kept, NULL, 3000));
    loop_run_until(loop, never, NULL, 30);
    assert_string_equal(handled, "GET /1[];GET /keep[];"); /* the third waits for the second's answer */
    http_respond_text(kept, 200, "text/plain", "kept");
    expect(&client, "\r\n\r\nabc");
    assert_string_equal(handled, "GET /1[];GET /keep[];GET /3[];POST /echo[abc];");
    const char *all = buffer_string(&client.got);
    assert_true(strstr(all, "kept") < strstr(all, "\r\n\r\nabc"));
    assert_int_equal(http_server_counts(server).n_requests, 4);
    assert_int_equal(n_closed, 0);
    hang_up(&client);
}

static void test_bodies_of_4_mib_pass_in_both_forms(void **state)
{
    (void)state;
    struct client client;
    const size_t n = (size_t)4 << 20;
    uint8_t *body = mem_array(n, 1);
    memset(body, 'x', n);
    start((struct http_config){0});
    dial(&client);
    char head[128];
    snprintf(head, sizeof head, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", n);
    conn_send(client.conn, bytes_of_text(head), bytes_of(body, n));
    client.wanted_bytes = n;
    assert_true(loop_run_until(loop, has_wanted, &client, 20000));
    loop_run_until(loop, never, NULL, 50);
    buffer_clear(&client.got);
    snprintf(head, sizeof head, "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n",
             n);
    conn_send(client.conn, bytes_of_text(head), bytes_of(body, n));
    say(&client, "\r\n0\r\n\r\n");
    assert_true(loop_run_until(loop, has_wanted, &client, 20000));
    buffer_clear(&client.got);
    client.wanted_bytes = 0;
    snprintf(head, sizeof head, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", n + 1);
    say(&client, head);
    expect(&client, "HTTP/1.1 413 ");
    mem_free(body);
    hang_up(&client);
}

static void test_headers_and_params_reach_the_handler(void **state)
{
    (void)state;
    struct client client;
    start((struct http_config){0});
    dial(&client);
    say(&client, "GET /headers?p=1&q=a%26b+c HTTP/1.1\r\nHost: h\r\nX-Test: one\r\nx-TEST: two\r\n\r\n");
    expect(&client, "one, two|a&b c|127.0.0.1|1");
    assert_non_null(strstr(buffer_string(&client.got), "HTTP/1.1 201 Created\r\n"));
    assert_non_null(
        strstr(buffer_string(&client.got), "X-Answer: a  Set-Cookie: b\r\n")); /* no header of its own */
    hang_up(&client);
}

static void test_head_has_no_body_and_continue_is_said(void **state)
{
    (void)state;
    struct client client;
    start((struct http_config){0});
    dial(&client);
    say(&client, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&client, "Content-Length: 2\r\n");
    loop_run_until(loop, never, NULL, 20);
    assert_null(strstr(buffer_string(&client.got), "ok"));
    say(&client, "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    expect(&client, "HTTP/1.1 100 Continue\r\n\r\n");
    say(&client, "abc");
    expect(&client, "\r\n\r\nabc");
    hang_up(&client);
}

static void test_streams_come_in_pieces_and_text_cannot_forge_fields(void **state)
{
    (void)state;
    struct client client;
    start((struct http_config){0});
    dial(&client);
    say(&client, REQUEST("/keep"));
    assert_true(loop_run_until(loop, is_kept, NULL, 3000));
    http_stream_begin(kept, 200, "text/event-stream");
    http_sse_send(kept, NULL, "a\n\ndata: [DONE]\r\rb\r\nc");
    expect(&client, "data: c\n\n");
    assert_non_null(strstr(buffer_string(&client.got), "Transfer-Encoding: chunked\r\n"));
    assert_non_null(strstr(buffer_string(&client.got),
                           "data: a\ndata: \ndata: data: [DONE]\ndata: \ndata: b\ndata: c\n\n"));
    http_sse_send(kept, "named\nevil: x", "d");
    expect(&client, "event: named\ndata: d\n\n");
    http_stream_end(kept);
    expect(&client, "0\r\n\r\n");
    say(&client, REQUEST("/after"));
    expect(&client, "\r\n\r\nok");
    hang_up(&client);
}

static void test_http_10_gets_a_stream_without_chunks(void **state)
{
    (void)state;
    struct client client;
    start((struct http_config){0});
    dial(&client);
    say(&client, "GET /keep HTTP/1.0\r\n\r\n");
    assert_true(loop_run_until(loop, is_kept, NULL, 3000));
    http_stream_begin(kept, 200, "text/plain");
    http_stream_write(kept, bytes_of_text("abc"));
    http_stream_end(kept);
    assert_true(loop_run_until(loop, has_ended, &client, 3000));
    assert_non_null(strstr(buffer_string(&client.got), "\r\n\r\nabc"));
    assert_null(strstr(buffer_string(&client.got), "chunked"));
    hang_up(&client);
}

/* --- clients that leave, and handlers that forget
 * --------------------------------------------------------------------- */

static void test_a_client_that_leaves_is_noticed_at_once(void **state)
{
    (void)state;
    struct client client;
    start((struct http_config){0});
    for (int with_stream = 0; with_stream < 2; with_stream++) {
        n_closed = 0;
        dial(&client);
        say(&client, REQUEST("/keep"));
        assert_true(loop_run_until(loop, is_kept, NULL, 3000));
        if (with_stream) {
            http_stream_begin(kept, 200, "text/event-stream");
            http_sse_send(kept, NULL, "x");
        }
        uint64_t since = clock_ms(loop_clock(loop));
        hang_up(&client);
        assert_true(loop_run_until(loop, is_closed, NULL, 3000));
        assert_in_range(clock_ms(loop_clock(loop)) - since, 0, 1000);
        assert_int_equal(n_closed, 1);
    }
    loop_run_until(loop, never, NULL, 20);
    assert_int_equal(http_server_n_connections(server), 0);
}

static void test_a_handler_that_forgets_is_a_500(void **state)
{
    (void)state;
    struct client client;
    start((struct http_config){0});
    dial(&client);
    say(&client, REQUEST("/forget"));
    expect(&client, "HTTP/1.1 500 ");
    hang_up(&client);
}

static void test_freeing_the_server_ends_what_is_open(void **state)
{
    (void)state;
    struct client client;
    start((struct http_config){0});
    dial(&client);
    say(&client, REQUEST("/keep"));
    assert_true(loop_run_until(loop, is_kept, NULL, 3000));
    http_server_free(server);
    server = NULL;
    assert_int_equal(n_closed, 1);
    assert_true(loop_run_until(loop, has_ended, &client, 3000));
    hang_up(&client);
}

static void test_a_half_closed_client_with_a_short_body_is_dropped(void **state)
{
    (void)state;
    struct client client;
    start((struct http_config){0});
    dial(&client);
    say(&client, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
    loop_run_until(loop, never, NULL, 30);
    conn_finish(client.conn);
    loop_run_until(loop, never, NULL, 50);
    assert_string_equal(handled, ""); /* no callback */
    assert_int_equal(http_server_n_connections(server), 0);
    buffer_free(&client.got);
}

/* --- refusals
 * --------------------------------------------------------------------------------------------------------- */

static void test_a_refusal_closes_and_hides_nothing_behind_it(void **state)
{
    (void)state;
    static const struct {
        const char *text, *status;
    } rows[] = {
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello" REQUEST("/hidden"),
         "400"},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length : 5\r\n\r\nhello" REQUEST("/hidden"), "400"},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: "
         "chunked\r\n\r\n0\r\n\r\n" REQUEST("/hidden"),
         "400"},
        {"GET / HTTP/1.1\nHost: h\n\n" REQUEST("/hidden"), "400"},
        {"TRACE / HTTP/1.1\r\nHost: h\r\n\r\n" REQUEST("/hidden"), "405"},
        {"CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n", "405"},
        {"BREW / HTTP/1.1\r\nHost: h\r\n\r\n" REQUEST("/hidden"), "501"},
        {"GET /..%2fetc/passwd HTTP/1.1\r\nHost: h\r\n\r\n" REQUEST("/hidden"), "400"},
        {"\x16\x03\x01 hello", "400"},
    };
    start((struct http_config){0});
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct client client;
        char status[32];
        dial(&client);
        say(&client, rows[i].text);
        snprintf(status, sizeof status, "HTTP/1.1 %s ", rows[i].status);
        expect(&client, status);
        assert_true(loop_run_until(loop, has_ended, &client, 3000));
        assert_non_null(strstr(buffer_string(&client.got), "Connection: close"));
        assert_ptr_equal(strstr(buffer_string(&client.got), "HTTP/1.1"), buffer_string(&client.got));
        assert_null(strstr(buffer_string(&client.got) + 8, "HTTP/1.1")); /* one answer */
        hang_up(&client);
    }
    assert_string_equal(handled, "");
    assert_int_equal(http_server_counts(server).n_bad_framing, sizeof rows / sizeof *rows);
}

static void test_too_many_connections_get_503_and_places_come_back(void **state)
{
    (void)state;
    struct client clients[4];
    start((struct http_config){.connections_max = 3});
    for (int i = 0; i < 3; i++) {
        dial(&clients[i]);
        say(&clients[i], REQUEST("/"));
        expect(&clients[i], "ok");
    }
    dial(&clients[3]);
    say(&clients[3], REQUEST("/"));
    expect(&clients[3], "HTTP/1.1 503 ");
    assert_non_null(strstr(buffer_string(&clients[3].got), "Retry-After: 1\r\n"));
    assert_true(loop_run_until(loop, has_ended, &clients[3], 3000));
    hang_up(&clients[3]);
    hang_up(&clients[0]);
    loop_run_until(loop, never, NULL, 20);
    dial(&clients[0]);
    say(&clients[0], REQUEST("/"));
    expect(&clients[0], "ok");
    for (int i = 0; i < 3; i++)
        hang_up(&clients[i]);
}

/* H6: a byte now and then buys no time, in the head, in the body, or in reading the answer. */
static void drip(const char *first, uint64_t deadline_ms)
{
    struct client clients[10];
    for (int i = 0; i < 10; i++) {
        dial(&clients[i]);
        say(&clients[i], first);
    }
    uint64_t start_ms = clock_ms(loop_clock(loop));
    bool all_ended = false;
    while (!all_ended && clock_ms(loop_clock(loop)) - start_ms < 10 * deadline_ms) {
        loop_run_until(loop, never, NULL, 20);
        all_ended = true;
        for (int i = 0; i < 10; i++) {
            if (!clients[i].ended)
                say(&clients[i], "a");
            all_ended &= clients[i].ended;
        }
    }
    uint64_t took = clock_ms(loop_clock(loop)) - start_ms;
    assert_true(all_ended);
    assert_in_range(took, deadline_ms - 30, 5 * deadline_ms);
    for (int i = 0; i < 10; i++)
        hang_up(&clients[i]);
}

static void test_slow_drips_meet_absolute_deadlines(void **state)
{
    (void)state;
    start((struct http_config){.header_ms = 200, .body_ms = 300});
    drip("GET / HTTP/1.1\r\nHost: h\r\nX: ", 200);
    drip("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n", 300);
    assert_int_equal(http_server_counts(server).n_deadline, 20);
    assert_string_equal(handled, "");
}

static bool has_stalled(void *arg)
{
    (void)arg;
    return http_server_counts(server).n_stalled;
}

static void test_a_client_that_does_not_read_its_stream_is_dropped(void **state)
{
    (void)state;
    struct client client;
    start((struct http_config){.write_stall_ms = 200});
    dial(&client);
    say(&client, REQUEST("/keep"));
    assert_true(loop_run_until(loop, is_kept, NULL, 3000));
    conn_pause(client.conn);
    uint8_t *much = mem_array((size_t)8 << 20, 1);
    http_stream_begin(kept, 200, "text/plain");
    http_stream_write(kept, bytes_of(much, (size_t)8 << 20));
    mem_free(much);
    assert_true(http_stream_queued(kept) > 0);
    assert_true(loop_run_until(loop, has_stalled, NULL, 3000));
    assert_int_equal(n_closed, 1);
    hang_up(&client);
}

static void test_a_taken_port_is_told(void **state)
{
    (void)state;
    struct error err;
    struct http_server *second;
    start((struct http_config){0});
    struct http_config config = {.listen = http_server_address(server)};
    assert_int_equal(http_server_new(&second, loop, &config, handle, NULL, &err), STATUS_BUSY);
    char wanted[64];
    snprintf(wanted, sizeof wanted, "TCP port %u of 127.0.0.1 is in use by process %d",
             http_server_port(server), getpid());
    assert_non_null(strstr(err.text, wanted));
    config.listen = "localhost:80";
    assert_int_equal(http_server_new(&second, loop, &config, handle, NULL, &err), STATUS_BAD_USAGE);
    assert_non_null(strstr(err.text, "'localhost:80'"));
}

int main(void)
{
#define HTTP_TEST(name) cmocka_unit_test_teardown(name, stop)
    const struct CMUnitTest tests[] = {
        HTTP_TEST(test_keep_alive_serves_one_request_after_another),
        HTTP_TEST(test_pipelined_requests_are_answered_in_order),
        HTTP_TEST(test_bodies_of_4_mib_pass_in_both_forms),
        HTTP_TEST(test_headers_and_params_reach_the_handler),
        HTTP_TEST(test_head_has_no_body_and_continue_is_said),
        HTTP_TEST(test_streams_come_in_pieces_and_text_cannot_forge_fields),
        HTTP_TEST(test_http_10_gets_a_stream_without_chunks),
        HTTP_TEST(test_a_client_that_leaves_is_noticed_at_once),
        HTTP_TEST(test_a_handler_that_forgets_is_a_500),
        HTTP_TEST(test_freeing_the_server_ends_what_is_open),
        HTTP_TEST(test_a_half_closed_client_with_a_short_body_is_dropped),
        HTTP_TEST(test_a_refusal_closes_and_hides_nothing_behind_it),
        HTTP_TEST(test_too_many_connections_get_503_and_places_come_back),
        HTTP_TEST(test_slow_drips_meet_absolute_deadlines),
        HTTP_TEST(test_a_client_that_does_not_read_its_stream_is_dropped),
        HTTP_TEST(test_a_taken_port_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
