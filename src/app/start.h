/* start - how the start of a process that stays ends: what a failed one is called (a finding code), what to do
 * about it as a command to paste, said on stderr and remembered for `shoal doctor`; a good one settles what was
 * remembered. And the check of the descriptor limit. Thread: the command's. */
#ifndef APP_START_H
#define APP_START_H

#include "app/options.h"
#include "wire/finding.h"

enum start_step {
    START_OPTIONS,
    START_KEY,
    START_STATE_DIR,
    START_DESCRIPTORS,
    START_SHARDS_DIR,
    START_LINKS,
    START_AGENT,
    START_API,
    START_OTHER
};

struct start_attempt { /* borrows everything */
    const char *role;
    enum start_step step; /* the one that failed */
    int argc;
    char **argv; /* [0]: the command's name */
    const struct options *options;
    const char *state_dir; /* NULL: not known yet */
    const char *shards_dir;
    uint16_t port;    /* of links; 0: any free one */
    const char *http; /* ADDR:PORT */
};

/* NONE: wrong usage, which concerns only whoever typed it. */
enum finding_code start_fault(enum start_step step, const struct error *err);
/* Says it on stderr (code and cause, then the action), remembers it. Returns the exit code. */
int start_failed(const struct start_attempt *attempt, const struct error *err);
void start_succeeded(const struct start_attempt *attempt);

/* IO: too few for a handful of links. (The loop has raised the soft limit to the hard one.) */
enum status start_check_descriptors(struct error *err);
struct node;
/* Enough to run, not for a swarm of some size: a warning among the node's findings. */
void start_warn_descriptors(struct node *node);

#endif
