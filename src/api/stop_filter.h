/* stop_filter - ends a growing text at the first stop text and never lets a part of one out: what might still
 * become a stop is held back. Pure. The stops are borrowed. */
#ifndef API_STOP_FILTER_H
#define API_STOP_FILTER_H

#include "base/bytes.h"

struct stop_filter {
    const char *const *stops;
    size_t n_stops;
    struct buffer held;
    bool stopped;
};

void stop_filter_init(struct stop_filter *filter, const char *const *stops, size_t n_stops);
void stop_filter_free(struct stop_filter *filter);
/* Appends to `out` what may be shown. True once a stop text was met; nothing comes after it. */
bool stop_filter_push(struct stop_filter *filter, struct bytes text, struct buffer *out);
/* The text ended: what is held back is shown after all. */
void stop_filter_finish(struct stop_filter *filter, struct buffer *out);

#endif
