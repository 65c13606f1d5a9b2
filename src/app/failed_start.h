/* failed_start - what is remembered of processes that could not start: one small file each in the run folder
 * (failed-*.start), so that `shoal doctor` can tell why long after the terminal is gone. The same fault met
 * again is one record that counts. Records go after FAILED_START_KEPT_S, when FAILED_STARTS_MAX newer ones are
 * there, or when the process that failed has started well: one of that role with its state folder, port, key or
 * shards.
 *
 * Thread: the command's; the calls read and write files. */
#ifndef APP_FAILED_START_H
#define APP_FAILED_START_H

#include "wire/finding.h"

#define FAILED_STARTS_MAX   16
#define FAILED_START_KEPT_S 900

struct failed_start {       /* texts are borrowed; NULL: not known, not given */
    enum finding_code code; /* NONE: the start went well */
    const char *role, *cause, *action, *command;
    const char *state_dir, *shards_dir, *key_file;
    uint16_t port; /* that was asked for; 0: any */
    const uint32_t *shard_ids;
    uint32_t n_shard_ids;
};

/* Best effort: where the run folder cannot be written nothing is remembered. */
void failed_start_remember(const struct failed_start *failed);
void failed_start_settle(const struct failed_start *good);
/* The records as findings (the objects of GET /api/v1/verdict), the ladder's order; a new array. evidence has
 * role, command, shards, times and pid. */
struct jv *failed_starts_list(void);

#endif
