/* demo_children - the processes of a demo: this very program, started again in other roles. Each writes what it
 * says to a log file of its own. None outlives us: the kernel kills them when we die, SIGINT and SIGTERM end
 * them, and demo_children_end waits until the last is gone.
 *
 * One set a process (signal handlers know it). Thread: the command's. */
#ifndef APP_DEMO_CHILDREN_H
#define APP_DEMO_CHILDREN_H

#include "base/error.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define DEMO_CHILDREN_MAX 72

struct demo_child {
    char name[16]; /* "entry", "node 3", "serve" */
    char *log_path;
    pid_t pid;
    int wait_status; /* as of waitpid, once it has ended */
    bool ended;
};

struct demo_children {
    struct demo_child items[DEMO_CHILDREN_MAX];
    uint32_t n;
};

/* From here on SIGINT, SIGTERM and SIGHUP end every child and make demo_is_stopped true. */
void demo_children_begin(void);
bool demo_is_stopped(void);
/* argv[0] is the command ("node"); ends with NULL. Output goes to `log_path`. */
enum status demo_child_start(struct demo_children *children, const char *name, const char *log_path,
                             const char *const *argv, struct error *err);
/* Starts one and waits for its end; anything but exit code 0 is an error whose text has its last line. */
enum status demo_child_run(struct demo_children *children, const char *name, const char *log_path,
                           const char *const *argv, struct error *err);
/* A child that ended since the last call, or NULL. */
const struct demo_child *demo_children_look(struct demo_children *children);
/* "exit code 3", "signal 9 (Killed)" */
void demo_child_outcome(char out[64], const struct demo_child *child);
/* SIGTERM to all, SIGKILL after 2 s, until none is left. */
void demo_children_end(struct demo_children *children);

/* The child whose log says that it is the node with this id (or the beginning of it); NULL: none. */
const struct demo_child *demo_child_of_node(const struct demo_children *children, const char *id);
/* The last lines of its log, each after "  | ". */
void demo_child_print_tail(const struct demo_child *child, FILE *out);

#endif
