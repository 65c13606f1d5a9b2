/* links: net */
/* A stream of server-sent events, whole and in pieces (first byte: how long): the same events. */
#include "net/fetch.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_event(void *arg, const char *event, const char *data)
{
    struct buffer *all = arg;
    buffer_text(all, event);
    buffer_u8(all, 0);
    buffer_text(all, data);
    buffer_u8(all, 0);
}

static void read_all(struct buffer *all, struct bytes in, size_t step)
{
    struct sse_reader reader;
    buffer_init(all, 0);
    sse_reader_init(&reader, on_event, all);
    for (size_t at = 0; at < in.size; at += step) {
        size_t n = in.size - at < step ? in.size - at : step;
        enum status status = sse_reader_feed(&reader, bytes_of(in.data + at, n));
        ASSERT(status == STATUS_OK); /* the input is far smaller than the limit */
    }
    sse_reader_free(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer whole, pieces;
    if (!size)
        return 0;
    struct bytes in = bytes_of(data + 1, size - 1);
    read_all(&whole, in, in.size ? in.size : 1);
    read_all(&pieces, in, data[0] % 16 + 1U);
    ASSERT(bytes_equal(buffer_view(&whole), buffer_view(&pieces)));
    buffer_free(&whole);
    buffer_free(&pieces);
    return 0;
}
