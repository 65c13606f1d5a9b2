/* process - a long-running member of a swarm: entry, node or serve. Puts the real ports under a node, gives it
 * an API, and runs the loop until SIGINT or SIGTERM. Returns the exit code. */
#ifndef APP_PROCESS_H
#define APP_PROCESS_H

#include "swarm/links.h"

int process_run(enum node_role role, int argc, char **argv);

#endif
