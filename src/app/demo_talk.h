/* demo_talk - prompts to the demo's swarm, through the API that everybody uses; the text streams to stdout.
 * Thread: the command's. */
#ifndef APP_DEMO_TALK_H
#define APP_DEMO_TALK_H

#include "app/client.h"

struct demo_talk {
    uint32_t n_prompt, n_generated; /* tokens, as the API counted them */
    double first_s, rest_s;         /* to the first piece of text; from there to the end */
};

/* Continues `prompt` and prints what comes. temperature 0 is greedy. BUSY: the swarm is not ready; CANCELLED: a
 * signal. */
enum status demo_talk_once(struct demo_talk *out, const struct client *client, const char *prompt,
                           uint32_t n_tokens, double temperature, uint64_t seed, struct error *err);

#endif
