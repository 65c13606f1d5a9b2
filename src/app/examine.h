/* examine - `shoal doctor --node ADDR:PORT`: a link tried step by step, by the process that runs here, or with
 * this machine's key by the command itself when none does. Thread: the command's. */
#ifndef APP_EXAMINE_H
#define APP_EXAMINE_H

#include <stdbool.h>

/* Prints it. Returns the exit code: 1 where a step failed. */
int examine_link(const char *api, const char *node, bool as_json);

#endif
