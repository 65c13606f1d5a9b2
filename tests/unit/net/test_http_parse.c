/* The rows of SECURITY 4.3 and H2, each with its one allowed answer, and the same inputs in every cut. */
#include "base/mem.h"
#include "net/http_parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HEAD_MAX 16384
#define BODY_MAX 100000

/* What a server makes of one request: 200, or the status it refuses with, or 0 while it waits for more. */
struct outcome {
    int status;
    size_t used;
    struct buffer body;
};

static int run_body(struct outcome *out, const struct http_head *head, struct bytes rest)
{
    struct http_chunks chunks = {0};
    const char *why;
    size_t used = 0;
    int result;
    if (head->chunked) {
        result = http_chunks_take(&chunks, &out->body, BODY_MAX, rest, &used, &why);
    } else {
        used = rest.size < head->content_length ? rest.size : (size_t)head->content_length;
        buffer_bytes(&out->body, rest.data, used);
        result = used == head->content_length ? HTTP_DONE : HTTP_MORE;
    }
    out->used += used;
    return result == HTTP_DONE ? 200 : result == HTTP_MORE ? 0 : result;
}

static void run(struct outcome *out, struct bytes in)
{
    *out = (struct outcome){0};
    buffer_init(&out->body, 0);
    struct http_head head;
    const char *why = "";
    size_t scanned = 0, n_head = 0;
    int result = http_scan_head(in, &scanned, &n_head, HEAD_MAX, &why);
    if (result == HTTP_DONE)
        result = http_parse_head(&head, bytes_of(in.data, n_head), BODY_MAX, &why);
    if (result == HTTP_DONE) {
        char *path, *query;
        if (!http_split_target(head.target, &path, &query)) {
            out->status = 400;
            return;
        }
        mem_free(path);
        mem_free(query);
        out->used = n_head;
        out->status = run_body(out, &head, bytes_of(in.data + n_head, in.size - n_head));
    } else if (result != HTTP_MORE) {
        out->status = result;
        assert_true(*why); /* a sentence goes with it */
    }
}

struct row {
    const char *name, *text;
    size_t n_bytes; /* 0: strlen */
    int status;
    const char *body; /* of a 200 */
};

#define POST    "POST / HTTP/1.1\r\nHost: h\r\n"
#define GET     "GET / HTTP/1.1\r\nHost: h\r\n"
#define TE      "Transfer-Encoding: chunked\r\n\r\n"
#define N(text) text, sizeof(text) - 1

static const struct row rows[] = {
    /* what is fine */
    {"plain GET", GET "\r\n", 0, 200, ""},
    {"GET with a query", "GET /a/b?x=1&y=%20 HTTP/1.1\r\nHost: h\r\n\r\n", 0, 200, ""},
    {"HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", 0, 200, ""},
    {"a body", POST "Content-Length: 5\r\n\r\nhello", 0, 200, "hello"},
    {"length 0", POST "Content-Length: 0\r\n\r\n", 0, 200, ""},
    {"leading zeros", POST "Content-Length: 0005\r\n\r\nhello", 0, 200, "hello"},
    {"blanks around a value", POST "Content-Length: \t 5 \t\r\n\r\nhello", 0, 200, "hello"},
    {"chunks", POST TE "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", 0, 200, "hello!"},
    {"chunks in capitals", POST "TRANSFER-ENCODING: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", 0, 200,
     "0123456789"},
    {"zeros before a chunk size", POST TE "0000000000000005\r\nhello\r\n0\r\n\r\n", 0, 200, "hello"},
    {"chunk extension", POST TE "5;a=b;c\r\nhello\r\n0\r\n\r\n", 0, 200, "hello"},
    {"trailers are dropped", POST TE "5\r\nhello\r\n0\r\nX-T: 1\r\nContent-Length: 9\r\n\r\n", 0, 200, "hello"},
    {"Expect", POST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi", 0, 200, "hi"},
    /* the length */
    {"negative", POST "Content-Length: -1\r\n\r\n", 0, 400, NULL},
    {"plus sign", POST "Content-Length: +5\r\n\r\nhello", 0, 400, NULL},
    {"hex", POST "Content-Length: 0x5\r\n\r\nhello", 0, 400, NULL},
    {"1e30", POST "Content-Length: 1e30\r\n\r\n", 0, 400, NULL},
    {"empty", POST "Content-Length:\r\n\r\n", 0, 400, NULL},
    {"2^63-1", POST "Content-Length: 9223372036854775807\r\n\r\n", 0, 413, NULL},
    {"2^64+5", POST "Content-Length: 18446744073709551621\r\n\r\nhello", 0, 413, NULL},
    {"limit", POST "Content-Length: 100001\r\n\r\n", 0, 413, NULL},
    {"two different", POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 0, 400, NULL},
    {"two equal", POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 0, 400, NULL},
    {"a list", POST "Content-Length: 5, 5\r\n\r\nhello", 0, 400, NULL},
    {"NUL inside",
     N(POST "Content-Length: 5\0"
            "0\r\n\r\nhello"),
     400, NULL},
    {"blank before the colon", POST "Content-Length : 5\r\n\r\nhello", 0, 400, NULL},
    {"with a coding", POST "Content-Length: 5\r\n" TE "0\r\n\r\n", 0, 400, NULL},
    {"after a coding", POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 0, 400, NULL},
    /* the coding */
    {"gzip, chunked", POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 0, 400, NULL},
    {"chunked, chunked", POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 0, 400, NULL},
    {"identity", POST "Transfer-Encoding: identity\r\n\r\n", 0, 400, NULL},
    {"empty coding", POST "Transfer-Encoding:\r\n\r\n", 0, 400, NULL},
    {"xchunked", POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 0, 400, NULL},
    {"coding twice", POST "Transfer-Encoding: chunked\r\n" TE "0\r\n\r\n", 0, 400, NULL},
    {"coding in 1.0", "POST / HTTP/1.0\r\n" TE "0\r\n\r\n", 0, 400, NULL},
    /* chunks (H2) */
    {"chunk 0x5", POST TE "0x5\r\nhello\r\n0\r\n\r\n", 0, 400, NULL},
    {"chunk +5", POST TE "+5\r\nhello\r\n0\r\n\r\n", 0, 400, NULL},
    {"chunk -1", POST TE "-1\r\nhello\r\n0\r\n\r\n", 0, 400, NULL},
    {"chunk -0", POST TE "-0\r\n\r\n", 0, 400, NULL},
    {"chunk ' 5'", POST TE " 5\r\nhello\r\n0\r\n\r\n", 0, 400, NULL},
    {"chunk '5 '", POST TE "5 \r\nhello\r\n0\r\n\r\n", 0, 400, NULL},
    {"chunk without digits", POST TE "\r\nhello\r\n0\r\n\r\n", 0, 400, NULL},
    {"17 digits", POST TE "00000000000000005\r\nhello\r\n0\r\n\r\n", 0, 400, NULL},
    {"ffffffffffffffff", POST TE "ffffffffffffffff\r\nhello", 0, 413, NULL},
    {"chunk over the limit", POST TE "186a1\r\n", 0, 413, NULL},
    {"extension with LF", POST TE "5;a\nb\r\nhello\r\n0\r\n\r\n", 0, 400, NULL},
    {"extension with NUL", N(POST TE "5;a\0\r\nhello\r\n0\r\n\r\n"), 400, NULL},
    {"chunk longer than its size", POST TE "4\r\nhello\r\n0\r\n\r\n", 0, 400, NULL},
    {"chunk line with bare LF", POST TE "5\nhello\r\n0\r\n\r\n", 0, 400, NULL},
    {"chunk end with bare CR", POST TE "5\r\nhello\r5\r\nhello\r\n0\r\n\r\n", 0, 400, NULL},
    {"bad trailer", POST TE "0\r\nno colon\r\n\r\n", 0, 400, NULL},
    /* lines and fields */
    {"bare LF", "GET / HTTP/1.1\nHost: h\n\n", 0, 400, NULL},
    {"one bare LF", "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 0, 400, NULL},
    {"bare CR", "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", 0, 400, NULL},
    {"folded", GET "X: a\r\n b\r\n\r\n", 0, 400, NULL},
    {"folded first", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", 0, 400, NULL},
    {"NUL in a name", N(GET "X\0Y: a\r\n\r\n"), 400, NULL},
    {"NUL in a value", N(GET "X: a\0b\r\n\r\n"), 400, NULL},
    {"control in a value", GET "X: a\x01\r\n\r\n", 0, 400, NULL},
    {"no colon", GET "X\r\n\r\n", 0, 400, NULL},
    {"no name", GET ": x\r\n\r\n", 0, 400, NULL},
    {"blank in a name", GET "X Y: x\r\n\r\n", 0, 400, NULL},
    {"no Host", "GET / HTTP/1.1\r\n\r\n", 0, 400, NULL},
    {"two Hosts", GET "Host: h\r\n\r\n", 0, 400, NULL},
    {"other Expect", GET "Expect: 200-ok\r\n\r\n", 0, 417, NULL},
    /* the request line */
    {"no version", "GET /\r\nHost: h\r\n\r\n", 0, 400, NULL},
    {"HTTP/9.9", "GET / HTTP/9.9\r\nHost: h\r\n\r\n", 0, 400, NULL},
    {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, 400, NULL},
    {"two blanks", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 0, 400, NULL},
    {"blank in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 0, 400, NULL},
    {"tab", "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", 0, 400, NULL},
    {"absolute form", "GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", 0, 400, NULL},
    {"fragment", "GET /#x HTTP/1.1\r\nHost: h\r\n\r\n", 0, 400, NULL},
    {"raw UTF-8", "GET /\xc3\xa4 HTTP/1.1\r\nHost: h\r\n\r\n", 0, 400, NULL},
    {"TLS", N("\x16\x03\x01\x02\x00\x01\x00\x01"), 400, NULL},
    {"empty line first", "\r\n" GET "\r\n", 0, 400, NULL},
    /* paths */
    {"%00", "GET /a%00b HTTP/1.1\r\nHost: h\r\n\r\n", 0, 400, NULL},
    {"..%2f", "GET /..%2fetc HTTP/1.1\r\nHost: h\r\n\r\n", 0, 400, NULL},
    {"%2F", "GET /a%2Fb HTTP/1.1\r\nHost: h\r\n\r\n", 0, 400, NULL},
    {"%5c", "GET /a%5cb HTTP/1.1\r\nHost: h\r\n\r\n", 0, 400, NULL},
    {"..", "GET /a/../b HTTP/1.1\r\nHost: h\r\n\r\n", 0, 400, NULL},
    {"%2e%2e", "GET /a/%2e%2e HTTP/1.1\r\nHost: h\r\n\r\n", 0, 400, NULL},
    {".", "GET /./b HTTP/1.1\r\nHost: h\r\n\r\n", 0, 400, NULL},
    {"broken escape", "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", 0, 400, NULL},
    {"cut escape", "GET /%4 HTTP/1.1\r\nHost: h\r\n\r\n", 0, 400, NULL},
    {"overlong UTF-8", "GET /%c0%af HTTP/1.1\r\nHost: h\r\n\r\n", 0, 400, NULL},
    {"decoded once only", "GET /%252e%252e HTTP/1.1\r\nHost: h\r\n\r\n", 0, 200, ""},
    {"three dots", "GET /... HTTP/1.1\r\nHost: h\r\n\r\n", 0, 200, ""},
};

static struct bytes row_bytes(const struct row *row)
{
    return bytes_of(row->text, row->n_bytes ? row->n_bytes : strlen(row->text));
}

static void test_each_request_has_its_one_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct outcome outcome;
        run(&outcome, row_bytes(&rows[i]));
        if (outcome.status != rows[i].status)
            fail_msg("%s: %d instead of %d", rows[i].name, outcome.status, rows[i].status);
        if (rows[i].body) {
            assert_string_equal(buffer_string(&outcome.body), rows[i].body);
            assert_int_equal(outcome.used, row_bytes(&rows[i]).size);
        }
        buffer_free(&outcome.body);
    }
}

/* A prefix waits for more, or is refused as the whole is; it never succeeds early. */
static void test_a_cut_request_is_never_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t n = 0; n < row_bytes(&rows[i]).size; n++) {
            struct outcome outcome;
            char *copy = mem_copy(rows[i].text, n); /* so that the sanitizer sees the end */
            run(&outcome, bytes_of(copy, n));
            bool ok = outcome.status == 0 || outcome.status == rows[i].status;
            /* a refused row may have a whole request in front of what makes it wrong */
            if (!ok || (outcome.status == 200 && rows[i].status == 200))
                fail_msg("%s, cut at %zu: %d", rows[i].name, n, outcome.status);
            buffer_free(&outcome.body);
            mem_free(copy);
        }
}

static void test_large_heads_are_refused_while_they_come(void **state)
{
    (void)state;
    struct buffer in;
    struct outcome outcome;
    buffer_init(&in, 0);
    buffer_text(&in, "GET /");
    while (in.size < HEAD_MAX + 1)
        buffer_text(&in, "a");
    run(&outcome, buffer_view(&in));
    assert_int_equal(outcome.status, 414);
    buffer_clear(&in);
    buffer_text(&in, GET "X: ");
    while (in.size < HEAD_MAX + 1)
        buffer_text(&in, "a");
    run(&outcome, buffer_view(&in));
    assert_int_equal(outcome.status, 431);
    buffer_clear(&in);
    buffer_text(&in, GET);
    for (int i = 0; i < 100; i++) /* with Host 101 */
        buffer_format(&in, "X%d: y\r\n", i);
    buffer_text(&in, "\r\n");
    run(&outcome, buffer_view(&in));
    assert_int_equal(outcome.status, 431);
    buffer_clear(&in);
    buffer_text(&in, "GET /");
    for (int i = 0; i < 8192; i++)
        buffer_text(&in, "a");
    buffer_text(&in, " HTTP/1.1\r\nHost: h\r\n\r\n");
    run(&outcome, buffer_view(&in));
    assert_int_equal(outcome.status, 414);
    buffer_free(&in);
}

/* H4: a body over the limit in chunks of one byte is refused, and the memory stays below the limit. */
static void test_many_small_chunks_meet_the_limit(void **state)
{
    (void)state;
    struct http_chunks chunks = {0};
    struct buffer body;
    const char *why;
    size_t used;
    int result = HTTP_MORE;
    buffer_init(&body, 0);
    uint32_t n = 0;
    for (; result == HTTP_MORE && n <= BODY_MAX + 1; n++) {
        result = http_chunks_take(&chunks, &body, BODY_MAX, bytes_of_text("1\r\nx\r\n"), &used, &why);
        assert_true(result != HTTP_MORE || used == 6);
    }
    assert_int_equal(result, 413);
    assert_int_equal(body.size, BODY_MAX);
    buffer_free(&body);
}

static void test_chunks_in_any_cut_give_the_same_body(void **state)
{
    (void)state;
    static const char text[] = "5;x=y\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nT: u\r\n\r\n";
    for (size_t step = 1; step < sizeof text; step++) {
        struct http_chunks chunks = {0};
        struct buffer body, in;
        buffer_init(&body, 0);
        buffer_init(&in, 0);
        int result = HTTP_MORE;
        for (size_t at = 0; at < sizeof text - 1 && result == HTTP_MORE; at += step) {
            const char *why;
            size_t used, n = sizeof text - 1 - at < step ? sizeof text - 1 - at : step;
            buffer_bytes(&in, text + at, n);
            result = http_chunks_take(&chunks, &body, BODY_MAX, buffer_view(&in), &used, &why);
            buffer_consume(&in, used);
        }
        assert_int_equal(result, HTTP_DONE);
        assert_string_equal(buffer_string(&body), "hello0123456789abcdef");
        assert_int_equal(in.size, 0);
        buffer_free(&body);
        buffer_free(&in);
    }
}

static void test_targets_are_decoded_once(void **state)
{
    (void)state;
    char *path, *query;
    assert_true(http_split_target(bytes_of_text("/a%20b/%C3%A4%25?x=%2f&y"), &path, &query));
    assert_string_equal(path, "/a b/\xc3\xa4%");
    assert_string_equal(query, "x=%2f&y");
    mem_free(path);
    mem_free(query);
    char *value = http_decode_value(bytes_of_text("a+b%2F%c3%a4"));
    assert_string_equal(value, "a b/\xc3\xa4");
    mem_free(value);
    assert_null(http_decode_value(bytes_of_text("%00")));
    assert_null(http_decode_value(bytes_of_text("%ff")));
    assert_null(http_decode_value(bytes_of_text("%f")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_request_has_its_one_answer),
        cmocka_unit_test(test_a_cut_request_is_never_taken),
        cmocka_unit_test(test_large_heads_are_refused_while_they_come),
        cmocka_unit_test(test_many_small_chunks_meet_the_limit),
        cmocka_unit_test(test_chunks_in_any_cut_give_the_same_body),
        cmocka_unit_test(test_targets_are_decoded_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
