#include "api/stop_filter.h"

#include <string.h>

void stop_filter_init(struct stop_filter *filter, const char *const *stops, size_t n_stops)
{
    *filter = (struct stop_filter){.stops = stops, .n_stops = n_stops};
    buffer_init(&filter->held, 0);
}

void stop_filter_free(struct stop_filter *filter)
{
    buffer_free(&filter->held);
}

/* Where the first whole stop begins, or size. */
static size_t find_stop(const struct stop_filter *filter)
{
    size_t first = filter->held.size;
    for (size_t i = 0; i < filter->n_stops; i++) {
        size_t n = strlen(filter->stops[i]);
        if (filter->held.size < n)
            continue;
        const uint8_t *at = memmem(filter->held.data, filter->held.size, filter->stops[i], n);
        if (at && (size_t)(at - filter->held.data) < first)
            first = (size_t)(at - filter->held.data);
    }
    return first;
}

/* How many bytes at the end may be the beginning of a stop. */
static size_t n_unsure(const struct stop_filter *filter)
{
    size_t most = 0;
    for (size_t i = 0; i < filter->n_stops; i++)
        for (size_t n = strlen(filter->stops[i]) - 1; n > most; n--)
            if (n <= filter->held.size &&
                memcmp(filter->held.data + filter->held.size - n, filter->stops[i], n) == 0)
                most = n;
    return most;
}

bool stop_filter_push(struct stop_filter *filter, struct bytes text, struct buffer *out)
{
    if (filter->stopped)
        return true;
    buffer_bytes(&filter->held, text.data, text.size);
    size_t stop = find_stop(filter);
    size_t n_shown = stop;
    if (stop < filter->held.size)
        filter->stopped = true;
    else
        n_shown = filter->held.size - n_unsure(filter);
    buffer_bytes(out, filter->held.data, n_shown);
    buffer_consume(&filter->held, n_shown);
    return filter->stopped;
}

void stop_filter_finish(struct stop_filter *filter, struct buffer *out)
{
    if (!filter->stopped)
        buffer_bytes(out, filter->held.data, filter->held.size);
    buffer_clear(&filter->held);
}
