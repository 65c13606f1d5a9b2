/* client - commands that ask a running process: which one (--api URL, else the run folder), and how.
 * Thread: the command's; calls block. */
#ifndef APP_CLIENT_H
#define APP_CLIENT_H

#include "base/jv.h"

struct client {
    char url[256]; /* without a slash at the end */
    char token[128];
};

/* `api` NULL: the run folder's. */
enum status client_find(struct client *out, const char *api, struct error *err);
/* OK whenever there was an answer that is JSON: *out_http tells its status. `body` NULL: GET. */
enum status client_call(const struct client *client, const char *path, const struct jv *body,
                        uint32_t timeout_ms, struct jv **out, int *out_http, struct error *err);
/* The answer's error text, or a sentence with its HTTP status. */
const char *client_error_text(const struct jv *answer);
/* Streams a POST's (`body` NULL: a GET's) server-sent events; on_data gets each event's data, false stops. When
 * the answer is not 2xx *out_error has its JSON (may be NULL). */
enum status client_stream(const struct client *client, const char *path, const struct jv *body,
                          bool (*on_data)(void *arg, const char *data), void *arg, struct jv **out_error,
                          int *out_http, struct error *err);
/* Duration in people's units ("3.2 s", "5 min"). */
void client_duration(char out[32], double seconds);
/* "261.4 MB" in powers of 1000, as progress lines have it. */
void client_size(char out[32], double bytes);

#endif
