/* The client against our own server, which runs on a loop in a thread of its own. */
#include "base/mem.h"
#include "net/fetch.h"
#include "net/http.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct loop *loop;
static struct http_server *server, *other;
static pthread_t thread;
static char base[80], other_base[80];

static void on_close(void *arg)
{
    (void)arg;
}

static void handle(void *ctx, struct http_exchange *exchange, const struct http_request *request)
{
    (void)ctx;
    char text[256];
    if (strcmp(request->path, "/echo") == 0) {
        const char *type = http_request_header(request, "Content-Type"),
                   *x = http_request_header(request, "X-Test");
        snprintf(text, sizeof text, "%s|%s|%s|%.*s", request->method, type ? type : "-", x ? x : "-",
                 (int)request->body.size, (const char *)request->body.data);
        http_respond_text(exchange, 200, "text/plain", text);
    } else if (strcmp(request->path, "/busy") == 0) {
        http_add_header(exchange, "Retry-After", "7");
        http_respond_text(exchange, 503, "application/json", "{\"error\":1}");
    } else if (strcmp(request->path, "/events") == 0) {
        http_stream_begin(exchange, 200, "text/event-stream");
        http_sse_send(exchange, NULL, "one\ntwo");
        http_sse_send(exchange, "end", "[DONE]");
        http_stream_end(exchange);
    } else if (strcmp(request->path, "/never") == 0) {
        http_on_close(exchange, on_close, NULL);
    } else if (strcmp(request->path, "/here") == 0) {
        http_add_header(exchange, "Location", "/echo");
        http_respond_text(exchange, 302, "text/plain", "moved");
    } else if (strcmp(request->path, "/there") == 0) {
        snprintf(text, sizeof text, "%s/echo", other_base);
        http_add_header(exchange, "Location", text);
        http_respond_text(exchange, 302, "text/plain", "moved away");
    } else {
        http_respond_text(exchange, 404, "text/plain", "no");
    }
}

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static int start(void **state)
{
    (void)state;
    struct http_config config = {.listen = "127.0.0.1:0"};
    setenv("http_proxy", "http://127.0.0.1:1", 1); /* must not be asked for loopback */
    if (loop_new(&loop, NULL) || http_server_new(&server, loop, &config, handle, NULL, NULL) ||
        http_server_new(&other, loop, &config, handle, NULL, NULL))
        return -1;
    snprintf(base, sizeof base, "http://%s", http_server_address(server));
    snprintf(other_base, sizeof other_base, "http://%s", http_server_address(other));
    return pthread_create(&thread, NULL, run_loop, loop);
}

static int stop(void **state)
{
    (void)state;
    loop_stop(loop);
    pthread_join(thread, NULL);
    http_server_free(server);
    http_server_free(other);
    loop_free(loop);
    return 0;
}

static enum status get(struct fetch_answer *answer, const char *path, struct fetch_request request,
                       struct error *err)
{
    char url[160];
    snprintf(url, sizeof url, "%s%s", base, path);
    request.url = url;
    return fetch_call(answer, &request, err);
}

static void test_calls_carry_method_headers_and_body(void **state)
{
    (void)state;
    struct fetch_answer answer;
    static const char *const headers[] = {"X-Test: a"};
    struct fetch_request request = {.headers = headers, .n_headers = 1};
    assert_int_equal(get(&answer, "/echo", request, NULL), STATUS_OK);
    assert_int_equal(answer.status, 200);
    assert_string_equal(buffer_string(&answer.body), "GET|-|a|");
    assert_string_equal(answer.content_type, "text/plain");
    fetch_answer_free(&answer);
    request = (struct fetch_request){.body = bytes_of_text("{}")};
    assert_int_equal(get(&answer, "/echo", request, NULL), STATUS_OK);
    assert_string_equal(buffer_string(&answer.body), "POST|application/json|-|{}");
    fetch_answer_free(&answer);
    request = (struct fetch_request){.method = "DELETE"};
    assert_int_equal(get(&answer, "/echo", request, NULL), STATUS_OK);
    assert_string_equal(buffer_string(&answer.body), "DELETE|-|-|");
    fetch_answer_free(&answer);
}

static void test_any_status_is_an_answer(void **state)
{
    (void)state;
    struct fetch_answer answer;
    assert_int_equal(get(&answer, "/busy", (struct fetch_request){0}, NULL), STATUS_OK);
    assert_int_equal(answer.status, 503);
    assert_int_equal(answer.retry_after_s, 7);
    assert_string_equal(buffer_string(&answer.body), "{\"error\":1}");
    fetch_answer_free(&answer);
}

static void test_redirects_stay_on_the_host(void **state)
{
    (void)state;
    struct fetch_answer answer;
    struct fetch_request request = {.redirects_max = 3};
    assert_int_equal(get(&answer, "/here", request, NULL), STATUS_OK);
    assert_int_equal(answer.status, 200);
    assert_string_equal(buffer_string(&answer.body), "GET|-|-|");
    fetch_answer_free(&answer);
    assert_int_equal(get(&answer, "/there", request, NULL), STATUS_OK);
    assert_int_equal(answer.status, 302); /* another port is another host */
    fetch_answer_free(&answer);
    assert_int_equal(get(&answer, "/here", (struct fetch_request){0}, NULL), STATUS_OK);
    assert_int_equal(answer.status, 302);
    fetch_answer_free(&answer);
}

static void test_failures_say_where(void **state)
{
    (void)state;
    struct fetch_answer answer;
    struct error err;
    struct fetch_request request = {.url = "http://127.0.0.1:1/x"};
    assert_int_equal(fetch_call(&answer, &request, &err), STATUS_NETWORK);
    assert_non_null(strstr(err.text, "connecting to http://127.0.0.1:1"));
    request.url = "http://no such host/";
    assert_int_equal(fetch_call(&answer, &request, &err), STATUS_BAD_USAGE);
    request.url = "file:///etc/passwd";
    assert_int_equal(fetch_call(&answer, &request, &err), STATUS_BAD_USAGE);
    assert_non_null(strstr(err.text, "'file:///etc/passwd'"));
    unsetenv("http_proxy");
    request.url = "http://no-such-host.invalid/";
    assert_int_equal(fetch_call(&answer, &request, &err), STATUS_NETWORK);
    assert_non_null(strstr(err.text, "resolving http://no-such-host.invalid:80"));
    request = (struct fetch_request){.total_ms = 150};
    assert_int_equal(get(&answer, "/never", request, &err), STATUS_TIMEOUT);
    assert_non_null(strstr(err.text, "waiting for http://127.0.0.1:"));
    request = (struct fetch_request){.answer_bytes_max = 4};
    assert_int_equal(get(&answer, "/echo", request, &err), STATUS_LIMIT);
}

static void on_event(void *arg, const char *event, const char *data)
{
    char *text = arg;
    size_t used = strlen(text);
    snprintf(text + used, 256 - used, "%s=%s;", event, data);
}

static bool feed(void *arg, struct bytes bytes)
{
    return sse_reader_feed(arg, bytes) == STATUS_OK;
}

static bool refuse(void *arg, struct bytes bytes)
{
    (void)arg, (void)bytes;
    return false;
}

static void test_streams_are_handed_over_as_they_come(void **state)
{
    (void)state;
    struct fetch_answer answer;
    struct error err;
    struct sse_reader reader;
    char text[256] = "", url[160];
    sse_reader_init(&reader, on_event, text);
    snprintf(url, sizeof url, "%s/events", base);
    struct fetch_request request = {.url = url};
    assert_int_equal(fetch_stream(&answer, &request, feed, &reader, &err), STATUS_OK);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.body.size, 0);
    assert_string_equal(text, "message=one\ntwo;end=[DONE];");
    fetch_answer_free(&answer);
    sse_reader_free(&reader);
    assert_int_equal(fetch_stream(&answer, &request, refuse, NULL, &err), STATUS_CANCELLED);
    snprintf(url, sizeof url, "%s/busy", base); /* not 2xx: kept, not streamed */
    assert_int_equal(fetch_stream(&answer, &request, refuse, NULL, &err), STATUS_OK);
    assert_string_equal(buffer_string(&answer.body), "{\"error\":1}");
    fetch_answer_free(&answer);
}

static void test_events_in_any_cut_and_with_any_line_end(void **state)
{
    (void)state;
    static const char stream[] =
        ": hello\r\ndata: a\r\ndata:b\r\rdata\n\nevent: x\ndata:  c\nid: 1\n\ndata: lost";
    for (size_t step = 1; step < sizeof stream; step++) {
        struct sse_reader reader;
        char text[256] = "";
        sse_reader_init(&reader, on_event, text);
        for (size_t at = 0; at < sizeof stream - 1; at += step) {
            size_t n = sizeof stream - 1 - at < step ? sizeof stream - 1 - at : step;
            assert_int_equal(sse_reader_feed(&reader, bytes_of(stream + at, n)), STATUS_OK);
        }
        assert_string_equal(text, "message=a\nb;message=;x= c;");
        sse_reader_free(&reader);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_carry_method_headers_and_body),
        cmocka_unit_test(test_any_status_is_an_answer),
        cmocka_unit_test(test_redirects_stay_on_the_host),
        cmocka_unit_test(test_failures_say_where),
        cmocka_unit_test(test_streams_are_handed_over_as_they_come),
        cmocka_unit_test(test_events_in_any_cut_and_with_any_line_end),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
