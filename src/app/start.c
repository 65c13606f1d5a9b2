#include "app/start.h"

#include "app/commands.h"
#include "app/failed_start.h"
#include "app/run_folder.h"
#include "base/mem.h"
#include "net/port.h"
#include "node/disk.h"
#include "node/node.h"
#include "swarm/credentials.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define DESCRIPTORS_OWN    64 /* loop, log, agent, shard files, the HTTP server's */
#define DESCRIPTORS_A_LINK 2  /* control and data */
#define PEERS_LEAST        32
#define PEERS_ENOUGH       224
#define DESCRIPTORS_LEAST  (DESCRIPTORS_OWN + DESCRIPTORS_A_LINK * PEERS_LEAST)
#define DESCRIPTORS_ENOUGH (DESCRIPTORS_OWN + DESCRIPTORS_A_LINK * PEERS_ENOUGH)
#define PORTS_TRIED        100

enum finding_code start_fault(enum start_step step, const struct error *err)
{
    if (err->status == STATUS_BAD_USAGE || step == START_OPTIONS)
        return FINDING_NONE;
    switch (step) {
    case START_KEY:
        return FINDING_KEY_MISSING;
    case START_STATE_DIR:
        return FINDING_STATE_DIR_UNWRITABLE;
    case START_DESCRIPTORS:
        return FINDING_DESCRIPTORS_SHORT;
    case START_SHARDS_DIR:
        return err->sys_errno == ENOSPC ? FINDING_DISK_FULL : FINDING_PERMISSION_DENIED;
    case START_LINKS:
    case START_API:
        return err->status == STATUS_BUSY ? FINDING_PORT_IN_USE : FINDING_START_FAILED;
    case START_AGENT:
        return FINDING_AGENT_CRASHED;
    default:
        return FINDING_START_FAILED;
    }
}

/* --- what to do: a command for a shell ------------------------------------------------------------------- */

static char *command_with(const struct start_attempt *a, const char *option, const char *value)
{
    return options_command(a->argc, a->argv, option, value);
}

/* A folder of ours that lost its write bit gets it back; otherwise another folder is named. */
static char *folder_action(const struct start_attempt *a, const struct error *err, const char *path,
                           const char *option)
{
    struct stat st;
    if (err->status == STATUS_BUSY)
        return command_with(a, option, NULL);
    if (path && err->sys_errno == EACCES && stat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
        st.st_uid == geteuid() && (st.st_mode & 0700) != 0700)
        return mem_format("chmod u+rwx '%s'", path);
    const char *home = getenv("HOME");
    bool is_full = err->sys_errno == ENOSPC || err->sys_errno == EDQUOT;
    struct disk_room room = is_full ? disk_find_room(path ? path : ".") : (struct disk_room){.bytes = 0};
    char *other =
        room.bytes
            ? mem_format("%s/shoal-%s-%s", room.dir, a->role, strcmp(option, "state-dir") ? "files" : "state")
        : home && access(home, W_OK) == 0
            ? mem_format("%s/shoal-%s-%s", home, a->role, strcmp(option, "state-dir") ? "files" : "state")
            : mem_format("/var/tmp/shoal-%u-%s", (unsigned)geteuid(), a->role);
    char *action = command_with(a, option, other);
    mem_free(other);
    return action;
}

static uint16_t next_free_port(const char *ip, uint16_t taken)
{
    for (uint32_t port = taken + 1U; port <= UINT16_MAX && port < taken + (uint32_t)PORTS_TRIED; port++)
        if (port_is_free(ip, (uint16_t)port, false) && port_is_free(ip, (uint16_t)port, true))
            return (uint16_t)port;
    return 0;
}

static uint16_t port_of(const char *address)
{
    const char *colon = strrchr(address, ':');
    uint64_t port;
    return colon && number_parse(&port, colon + 1, UINT16_MAX) ? (uint16_t)port : 0;
}

/* A second entry or serve is most likely the first one's restart; anything else takes another port. */
static char *port_action(const struct start_attempt *a, const struct run_entry *holder)
{
    bool is_http = a->step == START_API;
    uint16_t port = is_http ? port_of(a->http) : a->port;
    char value[300];
    if (holder && strcmp(holder->role, a->role) == 0 && strcmp(a->role, "node") != 0) {
        char *again = command_with(a, NULL, NULL);
        char *action = mem_format("kill %d && sleep 2 && %s", holder->pid, again);
        mem_free(again);
        return action;
    }
    if (is_http) {
        int n_host = (int)(strrchr(a->http, ':') - a->http);
        snprintf(value, sizeof value, "%.*s:%u", n_host, a->http, next_free_port("127.0.0.1", port));
        return command_with(a, "http", value);
    }
    /* Nodes are found wherever they listen; an entry's port is known to others, so it keeps one. */
    uint16_t other =
        strcmp(a->role, "entry") == 0 ? next_free_port(a->options->listen ? a->options->listen : "", port) : 0;
    snprintf(value, sizeof value, "%u", other);
    return command_with(a, "port", value);
}

static char *key_action(const struct start_attempt *a, const struct error *err)
{
    if (err->status == STATUS_REFUSED && strstr(err->text, "chmod 600"))
        return mem_string(strstr(err->text, "chmod 600"));
    struct credentials stored;
    if (a->options->key_file && credentials_load(&stored, NULL, NULL) == STATUS_OK) {
        credentials_wipe(&stored);
        return command_with(a, "key", NULL);
    }
    if (strcmp(a->role, "entry") == 0)
        return mem_string("shoal init");
    char *command = command_with(a, NULL, NULL);
    char *action = mem_format(
        "shoal init # on the swarm's first machine; on the others: %s TOKEN, as printed there", command);
    mem_free(command);
    return action;
}

static char *other_action(const struct start_attempt *a, const struct error *err)
{
    if (err->sys_errno == EADDRNOTAVAIL)
        return a->step == START_API ? command_with(a, "http", "127.0.0.1:0") : command_with(a, "listen", NULL);
    if (err->sys_errno == EACCES && a->step == START_LINKS)
        return command_with(a, "port", "0");
    if (err->sys_errno == EACCES && a->step == START_API)
        return command_with(a, "http", "127.0.0.1:0");
    return mem_string("");
}

/* What is beside this program: the agent should be, and executable. */
static char *agent_action(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0)
        return mem_string("");
    path[n] = '\0';
    return mem_format("ls -l '%s-agent' # it is built and installed with the program: make install", path);
}

static char *find_action(const struct start_attempt *a, enum finding_code code, const struct error *err,
                         const struct run_entry *holder)
{
    char *again, *action;
    switch (code) {
    case FINDING_KEY_MISSING:
        return key_action(a, err);
    case FINDING_STATE_DIR_UNWRITABLE:
        return folder_action(a, err, a->state_dir, "state-dir");
    case FINDING_DISK_FULL:
    case FINDING_PERMISSION_DENIED:
        return folder_action(a, err, a->shards_dir, "shards-dir");
    case FINDING_PORT_IN_USE:
        return port_action(a, holder);
    case FINDING_DESCRIPTORS_SHORT:
        again = command_with(a, NULL, NULL);
        action = mem_format("$(command -v sudo) prlimit --pid $$ --nofile=%d && %s", DESCRIPTORS_ENOUGH, again);
        mem_free(again);
        return action;
    case FINDING_AGENT_CRASHED:
        return agent_action();
    default:
        return other_action(a, err);
    }
}

/* --- the end of a start ---------------------------------------------------------------------------------- */

static struct failed_start record_of(const struct start_attempt *a)
{
    return (struct failed_start){.role = a->role,
                                 .state_dir = a->state_dir,
                                 .shards_dir = a->shards_dir,
                                 .key_file = a->options->key_file,
                                 .port = a->port,
                                 .shard_ids = a->options->shard_ids,
                                 .n_shard_ids = a->options->n_shard_ids};
}

int start_failed(const struct start_attempt *a, const struct error *err)
{
    enum finding_code code = start_fault(a->step, err);
    if (!code)
        return command_failed(a->argv[0], err);
    struct run_entry holder;
    struct error told = *err;
    uint16_t port = a->step == START_API ? port_of(a->http) : a->port;
    bool ours = code == FINDING_PORT_IN_USE && run_folder_holder(&holder, port);
    /* Where the kernel told only that somebody has the port, the run folder may know who. */
    if (ours)
        error_set(&told, err->status, "port %u is in use by process %d, the %s that you run", port, holder.pid,
                  holder.role);
    char *action = find_action(a, code, err, ours ? &holder : NULL);
    char *command = options_command(a->argc, a->argv, NULL, NULL);
    struct failed_start record = record_of(a);
    record.code = code;
    record.cause = told.text;
    record.action = action;
    record.command = command;
    failed_start_remember(&record);
    fprintf(stderr, "shoal %s: %s: %s\n", a->argv[0], finding_code_name(code), told.text);
    if (*action)
        fprintf(stderr, "  do this: %s\n", action);
    mem_free(action);
    mem_free(command);
    return status_exit_code(err->status);
}

void start_succeeded(const struct start_attempt *a)
{
    struct failed_start record = record_of(a);
    failed_start_settle(&record);
}

/* --- descriptors ----------------------------------------------------------------------------------------- */

/* The limit, or a large number where there is none to learn. */
static unsigned long descriptors_max(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) ? ~0UL : (unsigned long)limit.rlim_cur;
}

enum status start_check_descriptors(struct error *err)
{
    unsigned long max = descriptors_max();
    if (max >= DESCRIPTORS_LEAST)
        return STATUS_OK;
    return error_set(
        err, STATUS_IO,
        "this process may have %lu files and connections open (hard limit); it needs %d for itself "
        "and %d for each link: at least %d",
        max, DESCRIPTORS_OWN, DESCRIPTORS_A_LINK, DESCRIPTORS_LEAST);
}

void start_warn_descriptors(struct node *node)
{
    unsigned long max = descriptors_max();
    char cause[200], action[80];
    if (max >= DESCRIPTORS_ENOUGH)
        return;
    snprintf(cause, sizeof cause,
             "this process may have %lu files and connections open (hard limit): links to about %lu nodes; %d "
             "are enough for %d",
             max, (max - DESCRIPTORS_OWN) / DESCRIPTORS_A_LINK, DESCRIPTORS_ENOUGH, PEERS_ENOUGH);
    snprintf(action, sizeof action, "$(command -v sudo) prlimit --pid %d --nofile=%d", (int)getpid(),
             DESCRIPTORS_ENOUGH);
    node_set_finding(node, FINDING_DESCRIPTORS_SHORT, SEVERITY_WARNING, cause, action);
}
