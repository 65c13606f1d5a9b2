/* demo_watch - shows how the demo's swarm comes to life, from what its serve says (GET /api/v1/status and
 * verdict) and nothing else. On a terminal the last line is rewritten in place. Thread: the command's. */
#ifndef APP_DEMO_WATCH_H
#define APP_DEMO_WATCH_H

#include "app/client.h"
#include "app/demo_box.h"

struct demo_watch {
    FILE *out;
    bool terminal;
    uint64_t began_us;       /* when the demo did */
    uint32_t n_linked_shown; /* lines that were printed */
    bool *loaded_shown;      /* [n_shards] */
    bool line_open;          /* a line that the next one rewrites */
};

void demo_watch_begin(struct demo_watch *watch, FILE *out);
void demo_watch_end(struct demo_watch *watch);
/* One line: "  1.2 s  TEXT". */
void demo_watch_say(struct demo_watch *watch, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Until the serve answers with ready. TIMEOUT: the verdict's first blocker and the log of its node were
 * printed; IO: a process ended, the same; CANCELLED: a signal. *client is filled. */
enum status demo_watch_until_ready(struct demo_watch *watch, const struct demo_box *box,
                                   struct demo_children *children, struct client *client, struct error *err);

#endif
