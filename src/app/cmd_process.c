/* shoal bootstrap, node, serve: one kind of process in three roles. */
#include "app/commands.h"
#include "app/process.h"

int cmd_bootstrap(int argc, char **argv)
{
    return process_run(ROLE_ENTRY, argc, argv);
}

int cmd_node(int argc, char **argv)
{
    return process_run(ROLE_NODE, argc, argv);
}

int cmd_serve(int argc, char **argv)
{
    return process_run(ROLE_SERVE, argc, argv);
}
