/* team - the threads that compute one batch together.
 *
 * A job is a list of operations that every member walks through in the same order; each operation is cut
 * into parts, which members take one by one. An operation ends when its parts are done, not when every member
 * has arrived: a worker that the scheduler holds back delays nobody, it skips what others have done. So the
 * code of a job between two operations may only read what does not change during the job, and no part's
 * result may depend on who computes it.
 *
 * Waiting spins for a moment and then sleeps; idle workers sleep. Owned by the engine.
 * Thread: team_run on the owner's only; the owner is member 0. */
#ifndef ENGINE_TEAM_H
#define ENGINE_TEAM_H

#include <stdbool.h>
#include <stdint.h>

#define TEAM_THREADS_MAX 1024

struct team;
struct crew; /* one member's place in a running job */

/* `thread_start` is called once on every worker (not on the owner); NULL is fine. Fewer threads than asked
 * for may come to be; team_n_threads tells. */
struct team *team_new(uint32_t n_threads, void (*thread_start)(void));
void team_free(struct team *team); /* NULL is fine */
uint32_t team_n_threads(const struct team *team);

/* `job` runs on the caller and, unless `alone`, on each worker that comes while it lasts. */
void team_run(struct team *team, void (*job)(struct crew *crew, void *arg), void *arg, bool alone);

/* One operation: part(arg, i, worker) for every i in [0, n_parts), n_parts > 0; `worker` is below
 * team_n_threads and names scratch memory. Returns when all parts are done. */
void crew_share(struct crew *crew, uint32_t n_parts, void (*part)(void *arg, uint32_t index, uint32_t worker),
                void *arg);

#endif
