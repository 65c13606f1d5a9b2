/* progress - a bar with rate and expected end on stderr, on terminals only, for work on files; and Ctrl-C as a
 * request to stop, so that what is half-written is removed. Owned by its command. Thread: the command's. */
#ifndef APP_PROGRESS_H
#define APP_PROGRESS_H

#include "model/progress.h"

struct progress {
    struct model_progress callbacks; /* what the work is given */
    const char *label;
    bool on_terminal, drawn;
    uint64_t drawn_us, mark_us, mark_bytes; /* rate: since the mark, which moves every few seconds */
    double rate;                            /* bytes a second; 0: not known yet */
};

/* `label` outlives it: "splitting". */
void progress_begin(struct progress *progress, const char *label);
/* Wipes the bar. */
void progress_end(struct progress *progress);

/* From now on the first SIGINT or SIGTERM only sets the flag, which is lent; a second one ends the process. */
const bool *progress_catch_interrupts(void);

/* "splitting: [##########----------] 52% 261.4/502.1 MB 41.2 MB/s ETA 6 s", without rate and end where `rate`
 * is 0. `done` and `total` in bytes. */
void progress_line(char *out, size_t out_bytes, const char *label, uint64_t done, uint64_t total, double rate);

#endif
