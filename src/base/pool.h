/* pool - background threads for work that blocks: hashing, verifying, reading files.
 *
 * A job owns its data. `run` is called on a pool thread; it hands its result back with loop_post (or
 * whatever the caller chose) and touches no loop object. Jobs start in the order given.
 * Thread: pool_submit from any; the rest from the owner's. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/error.h"

#include <stdint.h>

struct pool;

#define POOL_QUEUE_MAX 4096

struct pool *pool_new(uint32_t n_threads, const char *name);
/* Waits for running jobs, drops queued ones (their `drop` is called, NULL is fine). */
void pool_free(struct pool *pool);
/* STATUS_LIMIT when POOL_QUEUE_MAX jobs wait. */
enum status pool_submit(struct pool *pool, void (*run)(void *job), void (*drop)(void *job), void *job);

#endif
