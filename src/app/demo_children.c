#include "app/demo_children.h"

#include "base/bytes.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GRACE_MS       2000
#define LOG_BYTES_MAX  ((size_t)16 << 20)
#define TAIL_LINES     12
#define OWN_ID_CHARS   8 /* of a node's id in its first line */
#define EXIT_NOT_BEGUN 127

static volatile sig_atomic_t stopped;
static volatile pid_t running[DEMO_CHILDREN_MAX]; /* 0: ended and reaped; a pid here is always ours */

static void on_signal(int signo)
{
    int saved = errno;
    (void)signo;
    stopped = 1;
    for (size_t i = 0; i < DEMO_CHILDREN_MAX; i++)
        if (running[i] > 0)
            kill(running[i], SIGTERM);
    errno = saved;
}

void demo_children_begin(void)
{
    /* No SA_RESTART: whoever waits for input is to notice. */
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

bool demo_is_stopped(void)
{
    return stopped;
}

/* In the child: output to the log, no input, and gone when the parent is. */
_Noreturn static void become(const char *log_path, const char *const *argv, pid_t parent)
{
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    bool ok = log >= 0 && null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(log, STDOUT_FILENO) >= 0 &&
              dup2(log, STDERR_FILENO) >= 0;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    setpgid(0, 0); /* Ctrl-C is ours to hand on */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (ok && getppid() == parent) {
        const char *full[64] = {"shoal"};
        size_t n = 1;
        for (; argv[n - 1] && n < sizeof full / sizeof *full - 1; n++)
            full[n] = argv[n - 1];
        execv("/proc/self/exe", (char *const *)full);
        dprintf(STDERR_FILENO, "shoal: cannot start again: %s\n", strerror(errno));
    }
    _exit(EXIT_NOT_BEGUN);
}

enum status demo_child_start(struct demo_children *children, const char *name, const char *log_path,
                             const char *const *argv, struct error *err)
{
    pid_t parent = getpid();
    if (children->n == DEMO_CHILDREN_MAX)
        return error_set(err, STATUS_LIMIT, "more than %d processes", DEMO_CHILDREN_MAX);
    fflush(NULL); /* what is buffered is printed once */
    pid_t pid = fork();
    if (pid < 0)
        return error_set_errno(err, STATUS_IO, errno, "starting %s", name);
    if (pid == 0)
        become(log_path, argv, parent);
    struct demo_child *child = &children->items[children->n];
    *child = (struct demo_child){.pid = pid, .log_path = mem_string(log_path)};
    snprintf(child->name, sizeof child->name, "%s", name);
    running[children->n++] = pid;
    return STATUS_OK;
}

static void note_end(struct demo_children *children, uint32_t i, int wait_status)
{
    running[i] = 0;
    children->items[i].ended = true;
    children->items[i].wait_status = wait_status;
}

const struct demo_child *demo_children_look(struct demo_children *children)
{
    for (uint32_t i = 0; i < children->n; i++) {
        int wait_status;
        if (children->items[i].ended || waitpid(children->items[i].pid, &wait_status, WNOHANG) <= 0)
            continue;
        note_end(children, i, wait_status);
        return &children->items[i];
    }
    return NULL;
}

static bool read_log(struct buffer *out, const struct demo_child *child)
{
    buffer_init(out, LOG_BYTES_MAX);
    if (!file_read(out, child->log_path, LOG_BYTES_MAX - 1, NULL))
        return true;
    buffer_free(out);
    return false;
}

/* Where the last n lines of the text begin. */
static const char *last_lines(const char *text, size_t size, unsigned n)
{
    const char *at = text + size;
    if (at > text && at[-1] == '\n')
        at--;
    for (; at > text; at--)
        if (at[-1] == '\n' && --n == 0)
            break;
    return at;
}

void demo_child_outcome(char out[64], const struct demo_child *child)
{
    if (WIFSIGNALED(child->wait_status))
        snprintf(out, 64, "signal %d (%s)", WTERMSIG(child->wait_status),
                 strsignal(WTERMSIG(child->wait_status)));
    else
        snprintf(out, 64, "exit code %d", WEXITSTATUS(child->wait_status));
}

enum status demo_child_run(struct demo_children *children, const char *name, const char *log_path,
                           const char *const *argv, struct error *err)
{
    enum status status = demo_child_start(children, name, log_path, argv, err);
    if (status)
        return status;
    uint32_t i = children->n - 1;
    struct demo_child *child = &children->items[i];
    int wait_status = 0;
    while (waitpid(child->pid, &wait_status, 0) < 0 && errno == EINTR)
        ;
    note_end(children, i, wait_status);
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0)
        return STATUS_OK;
    char outcome[64];
    struct buffer log;
    demo_child_outcome(outcome, child);
    if (stopped)
        return error_set(err, STATUS_CANCELLED, "stopped");
    status = STATUS_IO;
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 4)
        status = STATUS_BAD_DATA;
    if (!read_log(&log, child))
        return error_set(err, status, "%s ended with %s", name, outcome);
    const char *text = buffer_string(&log), *last = last_lines(text, log.size, 1);
    int n = (int)strcspn(last, "\n");
    status = error_set(err, status, "%s ended with %s: %.*s", name, outcome, n > 500 ? 500 : n, last);
    buffer_free(&log);
    return status;
}

void demo_children_end(struct demo_children *children)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    for (uint32_t i = 0; i < children->n; i++)
        if (!children->items[i].ended)
            kill(children->items[i].pid, SIGTERM);
    for (int waited_ms = 0;; waited_ms += 20) {
        bool any = false;
        while (demo_children_look(children))
            ;
        for (uint32_t i = 0; i < children->n; i++) {
            any |= !children->items[i].ended;
            if (!children->items[i].ended && waited_ms == GRACE_MS)
                kill(children->items[i].pid, SIGKILL);
        }
        if (!any)
            break;
        nanosleep(&pause, NULL);
    }
    for (uint32_t i = 0; i < children->n; i++)
        mem_free(children->items[i].log_path);
    children->n = 0;
}

const struct demo_child *demo_child_of_node(const struct demo_children *children, const char *id)
{
    char mark[32];
    if (!id || strlen(id) < OWN_ID_CHARS)
        return NULL;
    for (uint32_t i = 0; i < children->n; i++) {
        struct buffer log;
        if (!read_log(&log, &children->items[i]))
            continue;
        const char *line = strstr(buffer_string(&log), "[START] ");
        snprintf(mark, sizeof mark, " %.*s", OWN_ID_CHARS, id);
        const char *at = line ? strstr(line, mark) : NULL;
        bool is_it = at && at < line + strcspn(line, "\n");
        buffer_free(&log);
        if (is_it)
            return &children->items[i];
    }
    return NULL;
}

void demo_child_print_tail(const struct demo_child *child, FILE *out)
{
    struct buffer log;
    if (!read_log(&log, child))
        return;
    const char *line = last_lines(buffer_string(&log), log.size, TAIL_LINES);
    fprintf(out, "the last lines of %s:\n", child->name);
    while (*line) {
        int n = (int)strcspn(line, "\n");
        fprintf(out, "  | %.*s\n", n, line);
        line += n + (line[n] == '\n');
    }
    buffer_free(&log);
}
