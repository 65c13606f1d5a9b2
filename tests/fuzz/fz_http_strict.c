/* links: net */
/* One request to the server's parser, whole and in two pieces: the cut changes nothing, a body keeps its limit,
 * and a path that is accepted has no NUL, dot segment or invalid UTF-8. */
#include "base/mem.h"
#include "net/http_parse.h"

#include <string.h>

#define HEAD_MAX 4096
#define BODY_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_target(struct bytes target)
{
    char *path, *query;
    if (!http_split_target(target, &path, &query))
        return;
    ASSERT(path[0] == '/' && strlen(path) <= target.size && strlen(query) <= target.size);
    ASSERT(utf8_valid_prefix((const uint8_t *)path, strlen(path)) == strlen(path));
    ASSERT(!strstr(path, "/../") && !strstr(path, "/./"));
    mem_free(http_decode_value(bytes_of_text(query)));
    mem_free(path);
    mem_free(query);
}

/* The body in pieces of `step` bytes; *out_used counts what was taken. */
static int take_chunked(struct bytes in, size_t step, struct buffer *body, size_t *out_used)
{
    struct http_chunks chunks = {0};
    size_t have = 0;
    int result = HTTP_MORE;
    *out_used = 0;
    buffer_init(body, 0);
    while (result == HTTP_MORE && have < in.size) {
        const char *why;
        size_t used;
        have = have + step < in.size ? have + step : in.size;
        result = http_chunks_take(&chunks, body, BODY_MAX, bytes_of(in.data + *out_used, have - *out_used),
                                  &used, &why);
        *out_used += used;
        ASSERT(*out_used <= have && body->size <= BODY_MAX && body->size <= *out_used);
    }
    return result;
}

static void check_chunks(struct bytes in, size_t step)
{
    struct buffer whole, pieces;
    size_t used_whole, used_pieces;
    int a = take_chunked(in, in.size, &whole, &used_whole), b = take_chunked(in, step, &pieces, &used_pieces);
    ASSERT(a == b && bytes_equal(buffer_view(&whole), buffer_view(&pieces)));
    ASSERT(a != HTTP_DONE || used_whole == used_pieces);
    buffer_free(&whole);
    buffer_free(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t step = 1 + data[0] % 17;
    struct bytes in = bytes_of(data + 1, size - 1);
    struct http_head head;
    const char *why = "";
    size_t scanned = 0, n_head = 0, scanned_in_pieces = 0, n_in_pieces = 0;
    int result = http_scan_head(in, &scanned, &n_head, HEAD_MAX, &why), in_pieces = HTTP_MORE;
    for (size_t n = 0; n < in.size && in_pieces == HTTP_MORE;) {
        n = n + step < in.size ? n + step : in.size;
        in_pieces = http_scan_head(bytes_of(in.data, n), &scanned_in_pieces, &n_in_pieces, HEAD_MAX, &why);
    }
    ASSERT(result == in_pieces && n_head == n_in_pieces);
    if (result != HTTP_DONE || http_parse_head(&head, bytes_of(in.data, n_head), BODY_MAX, &why) != HTTP_DONE)
        return 0;
    ASSERT(head.n_fields <= HTTP_FIELDS_MAX && head.content_length <= BODY_MAX);
    ASSERT(!(head.chunked && http_head_field(&head, "Content-Length")));
    check_target(head.target);
    if (head.chunked && in.size > n_head)
        check_chunks(bytes_of(in.data + n_head, in.size - n_head), step);
    return 0;
}
