#include "base/mem.h"
#include "net/conn_private.h"
#include "net/port.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define PAUSE_MS         100
#define ACCEPTS_PER_TURN 64
#define BACKLOG          512

struct listener {
    struct loop *loop;
    struct endpoint endpoint;
    int fd;
    struct watch *watch;
    struct timer *pause;
    void (*on_accept)(void *arg, int fd, const struct endpoint *from);
    void *arg;
    uint64_t n_paused;
};

static void go_on(void *arg)
{
    struct listener *listener = arg;
    loop_watch_set(listener->watch, LOOP_READ);
}

static void pause_accepting(struct listener *listener)
{
    listener->n_paused++;
    loop_watch_set(listener->watch, 0);
    clock_timer_set(loop_clock(listener->loop), listener->pause, PAUSE_MS);
}

/* The kernel hands out the lowest free number, so the next number tells how many descriptors are taken. */
static bool in_last_tenth(const struct listener *listener)
{
    struct rlimit limit;
    int next = fcntl(listener->fd, F_DUPFD_CLOEXEC, 0);
    if (next < 0)
        return true;
    close(next);
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && (rlim_t)next >= limit.rlim_cur - limit.rlim_cur / 10;
}

static void on_readable(void *arg, unsigned events)
{
    (void)events;
    struct listener *listener = arg;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        if (in_last_tenth(listener)) { /* whoever waits stays in the backlog */
            pause_accepting(listener);
            return;
        }
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof address;
        int fd = accept4(listener->fd, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0) {
            pause_accepting(listener);
            return;
        }
        struct endpoint from;
        endpoint_of_socket(&from, &address);
        listener->on_accept(listener->arg, fd, &from);
    }
}

static int bound_socket(const struct endpoint *at, int type, bool both_families)
{
    struct sockaddr_storage address;
    socklen_t size = endpoint_to_socket(at, &address);
    if (!size) {
        errno = EINVAL;
        return -1;
    }
    int fd = socket(address.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    const int one = 1;
    int only_v6 = !both_families;
    if (type == SOCK_STREAM) /* UDP would share the port */
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (address.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof only_v6);
    if (bind(fd, (struct sockaddr *)&address, size) == 0 && (type == SOCK_DGRAM || listen(fd, BACKLOG) == 0))
        return fd;
    int failed = errno;
    close(fd);
    errno = failed;
    return -1;
}

static int open_socket(const char *ip, uint16_t port, int type)
{
    struct endpoint at = {.port = port};
    if (*ip) {
        strncpy(at.ip, ip, sizeof at.ip - 1);
        return bound_socket(&at, type, false);
    }
    memcpy(at.ip, "::", 3);
    int fd = bound_socket(&at, type, true);
    if (fd >= 0 || errno == EADDRINUSE)
        return fd;
    memcpy(at.ip, "0.0.0.0", 8); /* a machine without IPv6 */
    return bound_socket(&at, type, false);
}

bool port_is_free(const char *ip, uint16_t port, bool udp)
{
    int fd = open_socket(ip, port, udp ? SOCK_DGRAM : SOCK_STREAM);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

enum status listener_new(struct listener **out, struct loop *loop, const char *ip, uint16_t port,
                         const char *what, void (*on_accept)(void *arg, int fd, const struct endpoint *from),
                         void *arg, struct error *err)
{
    int fd = open_socket(ip, port, SOCK_STREAM);
    if (fd < 0 && errno == EADDRINUSE)
        return port_in_use(err, what, ip, port, false);
    if (fd < 0 && errno == EINVAL)
        return error_set(err, STATUS_BAD_USAGE, "%s: '%s' is not a numeric address to listen on", what, ip);
    if (fd < 0)
        return error_set_errno(err, STATUS_NETWORK, errno, "%s: listening on %s port %u", what,
                               *ip ? ip : "all addresses", port);
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    struct listener *listener = mem_new(sizeof *listener);
    *listener = (struct listener){.loop = loop, .fd = fd, .on_accept = on_accept, .arg = arg};
    getsockname(fd, (struct sockaddr *)&address, &size);
    endpoint_of_socket(&listener->endpoint, &address);
    listener->pause = clock_timer_new(loop_clock(loop), go_on, listener);
    listener->watch = loop_watch(loop, fd, LOOP_READ, on_readable, listener);
    *out = listener;
    return STATUS_OK;
}

void listener_free(struct listener *listener)
{
    if (!listener)
        return;
    loop_unwatch(listener->watch);
    clock_timer_free(loop_clock(listener->loop), listener->pause);
    close(listener->fd);
    mem_free(listener);
}

const struct endpoint *listener_endpoint(const struct listener *listener)
{
    return &listener->endpoint;
}

uint64_t listener_n_paused(const struct listener *listener)
{
    return listener->n_paused;
}
