/* The child process of the agent: started, talked to, watched, ended, started again. */
#include "base/mem.h"
#include "net/loop.h"
#include "swarm/agent_private.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ_CHUNK_BYTES 65536

static void on_io(void *arg, unsigned events);

static struct clock *clock_of(const struct agent_real *agent)
{
    return loop_clock(agent->loop);
}

/* --- talking --------------------------------------------------------------------------------------------- */

/* False: the child does not read, or is gone. */
static bool flush(struct agent_real *agent)
{
    while (agent->out.size) {
        ssize_t n = send(agent->fd, agent->out.data, agent->out.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK;
        buffer_consume(&agent->out, (size_t)n);
    }
    return true;
}

void agent_process_say(void *arg, struct jv *command)
{
    struct agent_real *agent = arg;
    if (agent->pid && !agent->out.failed) {
        char *line = jv_print(command, JV_COMPACT);
        buffer_text(&agent->out, line);
        buffer_u8(&agent->out, '\n');
        mem_free(line);
        /* What cannot be sent now, and what went wrong, the loop deals with: no event comes from within. */
        flush(agent);
        if (agent->out.size || agent->out.failed)
            loop_watch_set(agent->watch, LOOP_READ | LOOP_WRITE);
    }
    jv_free(command);
}

/* --- starting -------------------------------------------------------------------------------------------- */

static struct jv *start_command(struct agent_real *agent)
{
    struct jv *start = agent_say_key(AGENT_DO_START, "node_id", &agent->node_id), *dirs = jv_array_new();
    jv_set_int(start, "version", AGENT_PROTOCOL_VERSION);
    jv_set_hex(start, "mac_key", agent->mac_key.bytes, sizeof agent->mac_key.bytes);
    jv_set_int(start, "network", agent->network);
    if (agent->bind4)
        jv_set_text(start, "bind4", agent->bind4);
    if (agent->bind6)
        jv_set_text(start, "bind6", agent->bind6);
    jv_set_int(start, "dht_port", agent->dht_port);
    jv_set_int(start, "torrent_port", agent->torrent_port);
    jv_set_bool(start, "torrent_port_fixed", agent->torrent_port_fixed);
    jv_set_int(start, "value_ttl_s", agent->value_ttl_s);
    jv_set_int(start, "upload_rate", (int64_t)agent->state.upload_rate);
    jv_set_int(start, "download_rate", (int64_t)agent->state.download_rate);
    for (size_t i = 0; i < agent->n_folders; i++)
        jv_append(dirs, jv_text_new(agent->folders[i].absolute));
    jv_set(start, "dirs", dirs);
    return start;
}

static void note_folders(struct agent_real *agent)
{
    for (size_t i = 0; i < agent->n_folders; i++) {
        struct stat at;
        struct agent_folder *folder = &agent->folders[i];
        bool there = stat(folder->absolute, &at) == 0;
        folder->device = there ? (uint64_t)at.st_dev : 0;
        folder->inode = there ? (uint64_t)at.st_ino : 0;
    }
}

/* Everything of ours is close-on-exec, so the child has its end of the pair, stdout and stderr only. */
static int spawn(const char *program, int fd, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    char *argv[] = {(char *)"shoal-agent", NULL}, *envp[] = {NULL};

    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", 0, 0);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO); /* stdout is for results */
    int rc = posix_spawn_file_actions_adddup2(&actions, fd, AGENT_FD);
    if (rc == 0)
        rc = posix_spawn(pid, program, &actions, &attributes, argv, envp);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

enum status agent_process_start(struct agent_real *agent, struct error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return error_set_errno(err, STATUS_IO, errno, "no socket pair for shoal-agent");
    note_folders(agent);
    int rc = spawn(agent->program, pair[1], &agent->pid);
    close(pair[1]);
    if (rc != 0) {
        close(pair[0]);
        agent->pid = 0;
        return error_set_errno(err, rc == ENOENT ? STATUS_NOT_FOUND : STATUS_IO, rc,
                               "cannot start '%s' (it belongs beside the program shoal)", agent->program);
    }
    agent->fd = pair[0];
    agent->ready = false;
    agent->last_error[0] = '\0';
    agent->started_ms = clock_ms(clock_of(agent));
    buffer_init(&agent->in, AGENT_LINE_BYTES_MAX + READ_CHUNK_BYTES);
    buffer_init(&agent->out, AGENT_OUT_BYTES_MAX);
    agent->watch = loop_watch(agent->loop, agent->fd, LOOP_READ, on_io, agent);
    agent_process_say(agent, start_command(agent));
    agent_state_replay(&agent->state, agent_process_say, agent);
    return STATUS_OK;
}

/* Returns the child's wait status. What it wrote to files is in the kernel: killing it loses nothing. */
static int end_child(struct agent_real *agent)
{
    int how = 0;
    if (!agent->pid)
        return 0;
    loop_unwatch(agent->watch);
    agent->watch = NULL;
    close(agent->fd);
    agent->fd = -1;
    kill(agent->pid, SIGKILL); /* where it is ending already, this changes nothing */
    while (waitpid(agent->pid, &how, 0) < 0 && errno == EINTR)
        ;
    agent->pid = 0;
    agent->ready = false;
    if (agent->out.data)
        crypto_wipe(agent->out.data, agent->out.capacity); /* the key may be in it */
    buffer_free(&agent->in);
    buffer_free(&agent->out);
    return how;
}

void agent_process_stop(struct agent_real *agent)
{
    clock_timer_free(clock_of(agent), agent->restart_timer);
    agent->restart_timer = NULL;
    end_child(agent);
}

/* --- dying and coming back ------------------------------------------------------------------------------- */

static uint32_t back_off_ms(uint32_t n_failures)
{
    uint32_t ms = AGENT_RESTART_MS_MIN;
    for (uint32_t i = 1; i < n_failures && ms < AGENT_RESTART_MS_MAX; i++)
        ms *= 2;
    return ms < AGENT_RESTART_MS_MAX ? ms : AGENT_RESTART_MS_MAX;
}

static void crashed(struct agent_real *agent, const char *why)
{
    agent->n_crashes++;
    agent->n_failures++;
    /* A port that was free at first may be taken now; announced addresses follow on_ready. */
    if (agent->n_failures >= 3) {
        agent->dht_port = agent->dht_port_any ? 0 : agent->dht_port;
        agent->torrent_port = agent->torrent_port_any ? 0 : agent->torrent_port;
    }
    uint32_t ms = back_off_ms(agent->n_failures);
    clock_timer_set(clock_of(agent), agent->restart_timer, ms);
    if (agent->events->on_crashed)
        agent->events->on_crashed(agent->ctx, why, ms, agent->n_crashes);
}

static void say_how(char *out, size_t out_bytes, int how, const char *last_error)
{
    if (WIFSIGNALED(how))
        snprintf(out, out_bytes, "shoal-agent was ended by signal %d (%s)", WTERMSIG(how),
                 strsignal(WTERMSIG(how)));
    else if (last_error[0])
        snprintf(out, out_bytes, "shoal-agent gave up: %s", last_error);
    else
        snprintf(out, out_bytes, "shoal-agent ended with code %d", WEXITSTATUS(how));
}

static void child_ended(struct agent_real *agent, const char *because)
{
    char why[400], last_error[sizeof agent->last_error];
    memcpy(last_error, agent->last_error, sizeof last_error);
    if (clock_ms(clock_of(agent)) - agent->started_ms >= AGENT_SETTLED_MS)
        agent->n_failures = 0;
    int how = end_child(agent);
    if (because)
        snprintf(why, sizeof why, "shoal-agent was ended: %s", because);
    else
        say_how(why, sizeof why, how, last_error);
    crashed(agent, why);
}

static void on_restart_time(void *arg)
{
    struct agent_real *agent = arg;
    struct error err;
    if (agent_process_start(agent, &err))
        crashed(agent, err.text);
}

void agent_process_restart(struct agent_real *agent)
{
    struct error err;
    if (!agent->pid)
        return; /* it will be started anyway */
    end_child(agent);
    if (agent_process_start(agent, &err))
        clock_timer_set(clock_of(agent), agent->restart_timer, AGENT_RESTART_MS_MIN);
}

struct timer *agent_process_timer(struct agent_real *agent)
{
    return clock_timer_new(clock_of(agent), on_restart_time, agent);
}

/* --- listening ------------------------------------------------------------------------------------------- */

/* Takes the whole lines out of `in`. An event may end the agent: then pid is another, and we stop. */
static bool take_lines(struct agent_real *agent, struct error *err)
{
    pid_t pid = agent->pid;
    size_t start = 0;
    const uint8_t *end;
    while (agent->pid == pid && start < agent->in.size &&
           (end = memchr(agent->in.data + start, '\n', agent->in.size - start)) != NULL) {
        struct bytes line = bytes_of(agent->in.data + start, (size_t)(end - agent->in.data) - start);
        start = (size_t)(end - agent->in.data) + 1;
        if (!agent_events_take(agent, line, err))
            return false;
    }
    if (agent->pid != pid)
        return true;
    buffer_consume(&agent->in, start);
    if (agent->in.size >= AGENT_LINE_BYTES_MAX) {
        error_set(err, STATUS_BAD_DATA, "it sent a line of more than %d bytes", AGENT_LINE_BYTES_MAX);
        return false;
    }
    return true;
}

/* 1: something came, 0: nothing now, -1: the child is gone. */
static int read_some(struct agent_real *agent)
{
    static uint8_t chunk[READ_CHUNK_BYTES];
    ssize_t n = recv(agent->fd, chunk, sizeof chunk, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
    if (n == 0)
        return -1;
    buffer_bytes(&agent->in, chunk, (size_t)n);
    return 1;
}

static void on_io(void *arg, unsigned events)
{
    struct agent_real *agent = arg;
    struct error err;
    if (events & LOOP_READ) {
        pid_t pid = agent->pid;
        int got = read_some(agent);
        if (got > 0 && !take_lines(agent, &err)) {
            child_ended(agent, err.text);
            return;
        }
        if (got < 0) {
            child_ended(agent, NULL);
            return;
        }
        if (agent->pid != pid)
            return;
    }
    if (agent->out.failed)
        child_ended(agent, "it does not read what it is told");
    else if (!flush(agent))
        child_ended(agent, NULL);
    else if (!agent->out.size)
        loop_watch_set(agent->watch, LOOP_READ);
}
