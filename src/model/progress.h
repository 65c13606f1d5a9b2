/* progress - how long work on files reports what it has done and learns that it should stop. */
#ifndef MODEL_PROGRESS_H
#define MODEL_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct model_progress {
    void (*report)(void *arg, uint64_t bytes_done, uint64_t bytes_total); /* NULL is fine */
    void *arg;
    const bool *cancel; /* NULL, or set from another thread to stop (STATUS_CANCELLED) */
};

/* All accept a NULL progress. */
static inline void model_progress_report(const struct model_progress *p, uint64_t done, uint64_t total)
{
    if (p && p->report)
        p->report(p->arg, done, total);
}
static inline bool model_progress_cancelled(const struct model_progress *p)
{
    return p && p->cancel && __atomic_load_n(p->cancel, __ATOMIC_RELAXED);
}

#endif
