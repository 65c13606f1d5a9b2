/* shoal - one program, many commands: see commands.c. */
#include "app/commands.h"
#include "base/crypto.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static int print_overview(FILE *out)
{
    fputs("shoal runs a language model too large for one machine across the machines you have,\n"
          "and always says what it is waiting for.\n\nusage: shoal COMMAND [OPTIONS]\n\n",
          out);
    for (const struct command *c = command_table(); c->name; c++)
        fprintf(out, "  %-11s %s\n", c->name, c->summary);
    fputs("\n`shoal help COMMAND` tells its options. Eight nodes on this machine: `shoal demo`.\n", out);
    return out == stdout ? 0 : 2;
}

static int run(int argc, char **argv)
{
    if (argc < 2)
        return print_overview(stderr);
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        puts("shoal " SHOAL_VERSION);
        return 0;
    }
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return argc > 2 ? command_help(argv[2]) : print_overview(stdout);
    const struct command *command = command_find(name);
    if (!command)
        return command_help(name); /* says that there is none */
    for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0)
            return command_help(name);
    return command->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    struct error err;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file-size limit becomes EFBIG, told like any other error */
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (crypto_start(&err)) {
        fprintf(stderr, "shoal: %s\n", err.text);
        return 3;
    }
    int code = run(argc, argv);
    if (fflush(stdout) != 0 && code == 0) {
        perror("shoal: writing the result");
        code = 3;
    }
    return code;
}
