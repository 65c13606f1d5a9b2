/* commands - the program's table of commands. Each is a function in its own file cmd_NAME.c; argv[0] is the
 * command's name; the value returned is the exit code of INTERFACE section 1 (0 done, 1 check failed, 2 wrong
 * usage, 3 cannot reach or use what it needs, 4 bad input file). Results on stdout, everything else on stderr.
 */
#ifndef APP_COMMANDS_H
#define APP_COMMANDS_H

#include "base/error.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *usage;   /* after the name */
    const char *summary; /* one line */
    const char *help;    /* its options, a line each */
};

const struct command *command_find(const char *name); /* NULL: none */
const struct command *command_table(void);            /* ends with a NULL name */
/* `shoal help NAME`, and NAME --help: usage, summary and options on stdout. Returns 0. */
int command_help(const char *name);
/* "shoal NAME: TEXT" and where to read on, on stderr. Returns 2. */
int command_usage_error(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "shoal NAME: TEXT" on stderr. Returns the status's exit code. */
int command_failed(const char *name, const struct error *err);

int cmd_ask(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_bootstrap(int argc, char **argv);
int cmd_chat(int argc, char **argv);
int cmd_demo(int argc, char **argv);
int cmd_detokenize(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_files(int argc, char **argv);
int cmd_init(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_load(int argc, char **argv);
int cmd_logits(int argc, char **argv);
int cmd_merge(int argc, char **argv);
int cmd_node(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_split(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_timeline(int argc, char **argv);
int cmd_tokenize(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_unload(int argc, char **argv);
int cmd_verify(int argc, char **argv);

#endif
