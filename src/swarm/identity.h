/* identity - who this process is: an Ed25519 pair that survives restarts, and an epoch that grows with
 * each of them, both in the state folder. The folder is locked for as long as the identity is open, so two
 * processes never share one.
 *
 * Owned by whoever opened it. Thread: any. */
#ifndef SWARM_IDENTITY_H
#define SWARM_IDENTITY_H

#include "wire/node_id.h"

#define IDENTITY_FOLDERS_MAX 1024

struct identity;

/* state_dir NULL: $XDG_STATE_HOME/shoal/CLUSTER/K (or ~/.local/state/...), K the first that is unlocked of 0,
 * 1, 2, ... BUSY: another process has the folder (its pid); IO or REFUSED with path and errno: it cannot be
 * written. The epoch is on disk before this returns. */
enum status identity_open(struct identity **out, const char *state_dir, const char *cluster, struct error *err);
void identity_close(struct identity *identity); /* wipes; NULL is fine */
/* One for tests and for commands that only look: lives in memory, locks nothing. pair NULL: a new one. */
struct identity *identity_new_in_memory(const struct key_pair *pair, uint64_t epoch);

struct node_id identity_id(const struct identity *identity);
const struct key_pair *identity_pair(const struct identity *identity);
uint64_t identity_epoch(const struct identity *identity);
const char *identity_dir(const struct identity *identity); /* "" in memory */

#endif
