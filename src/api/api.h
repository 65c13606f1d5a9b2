/* api - the HTTP routes of a process: INTERFACE section 4. A serve has all, a node's own API all but /v1.
 *
 * Answers come from the node; nothing is kept here but requests under way, the model's tokenizer and its chat
 * template. By default it listens on loopback; Host and Origin are checked (SECURITY 3.5 H10); changing routes
 * need the access token of the run folder. Thread: loop. */
#ifndef API_API_H
#define API_API_H

#include "net/http.h"
#include "node/node.h"

struct api;

struct api_config {
    const char *listen;      /* "127.0.0.1:8080" */
    bool has_v1;             /* serve */
    const char *token;       /* access token of changing routes */
    uint32_t n_requests_max; /* of /v1 at one time, beyond the front door's queue: 429; 0: 256 */
};

enum status api_new(struct api **out, struct loop *loop, struct node *node, const struct api_config *config,
                    struct error *err);
void api_free(struct api *api);
const char *api_address(const struct api *api); /* "127.0.0.1:8080" */

#endif
