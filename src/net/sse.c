/* Reading server-sent events (fetch.h). */
#include "base/mem.h"
#include "net/fetch.h"

#include <string.h>

#define EVENT_BYTES_MAX ((size_t)4 << 20)

void sse_reader_init(struct sse_reader *reader,
                     void (*on_event)(void *arg, const char *event, const char *data), void *arg)
{
    *reader = (struct sse_reader){.on_event = on_event, .arg = arg};
    buffer_init(&reader->line, EVENT_BYTES_MAX);
    buffer_init(&reader->data, EVENT_BYTES_MAX);
    buffer_init(&reader->event, EVENT_BYTES_MAX);
}

void sse_reader_free(struct sse_reader *reader)
{
    buffer_free(&reader->line);
    buffer_free(&reader->data);
    buffer_free(&reader->event);
}

static void end_event(struct sse_reader *reader)
{
    if (reader->data.size) {
        reader->data.size--; /* the last line's '\n' */
        reader->on_event(reader->arg, reader->event.size ? buffer_string(&reader->event) : "message",
                         buffer_string(&reader->data));
    }
    buffer_clear(&reader->data);
    buffer_clear(&reader->event);
}

static void take_line(struct sse_reader *reader)
{
    const char *line = buffer_string(&reader->line);
    size_t n = reader->line.size, n_name = strcspn(line, ":");
    if (n == 0) {
        end_event(reader);
        return;
    }
    if (n_name > n)
        n_name = n;
    const char *value = n_name < n ? line + n_name + 1 : line + n;
    if (*value == ' ')
        value++;
    size_t n_value = (size_t)(line + n - value);
    if (n_name == 4 && memcmp(line, "data", 4) == 0) {
        buffer_bytes(&reader->data, value, n_value);
        buffer_u8(&reader->data, '\n');
    } else if (n_name == 5 && memcmp(line, "event", 5) == 0) {
        buffer_clear(&reader->event);
        buffer_bytes(&reader->event, value, n_value);
    } /* comments, ids and retry times are of no use here */
}

enum status sse_reader_feed(struct sse_reader *reader, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t c = bytes.data[i];
        bool ends = c == '\n' || c == '\r';
        if (c == '\n' && reader->skip_lf) {
            reader->skip_lf = false;
            continue;
        }
        reader->skip_lf = c == '\r';
        if (!ends) {
            buffer_u8(&reader->line, c);
            continue;
        }
        take_line(reader);
        buffer_clear(&reader->line);
    }
    return reader->line.failed || reader->data.failed || reader->event.failed ? STATUS_LIMIT : STATUS_OK;
}
