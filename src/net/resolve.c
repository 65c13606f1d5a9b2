#include "net/resolve.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* getaddrinfo can hang for as long as the name server likes, so each question has a thread of its own,
 * detached, and at most so many at a time. The lock decides between answer and cancel. */
#define THREADS_MAX 16

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned n_threads;

struct resolve {
    struct loop *loop;
    char host[256];
    uint16_t port;
    void (*fn)(void *arg, const struct endpoint *answers, size_t n, const char *text);
    void *arg;
    struct endpoint answers[RESOLVE_ANSWERS_MAX];
    size_t n_answers;
    char text[320];
    bool cancelled; /* under lock */
};

static bool thread_taken(void)
{
    pthread_mutex_lock(&lock);
    bool taken = n_threads < THREADS_MAX;
    n_threads += taken;
    pthread_mutex_unlock(&lock);
    return taken;
}

static void thread_returned(void)
{
    pthread_mutex_lock(&lock);
    n_threads--;
    pthread_mutex_unlock(&lock);
}

static void deliver(void *arg)
{
    struct resolve *resolve = arg;
    if (!resolve->cancelled)
        resolve->fn(resolve->arg, resolve->answers, resolve->n_answers, resolve->text);
    mem_free(resolve);
}

static void add_answer(struct resolve *resolve, const struct addrinfo *info)
{
    struct endpoint *answer = &resolve->answers[resolve->n_answers];
    const void *ip = info->ai_family == AF_INET
                         ? (const void *)&((const struct sockaddr_in *)(const void *)info->ai_addr)->sin_addr
                         : (const void *)&((const struct sockaddr_in6 *)(const void *)info->ai_addr)->sin6_addr;
    if (resolve->n_answers == RESOLVE_ANSWERS_MAX ||
        !inet_ntop(info->ai_family, ip, answer->ip, sizeof answer->ip))
        return;
    answer->port = resolve->port;
    resolve->n_answers++;
}

static void ask(struct resolve *resolve)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(resolve->host, NULL, &hints, &found);
    if (failed) {
        snprintf(resolve->text, sizeof resolve->text, "the name '%s' does not resolve: %s", resolve->host,
                 gai_strerror(failed));
        return;
    }
    for (const struct addrinfo *info = found; info; info = info->ai_next)
        if (info->ai_family == AF_INET || info->ai_family == AF_INET6)
            add_answer(resolve, info);
    freeaddrinfo(found);
    if (!resolve->n_answers)
        snprintf(resolve->text, sizeof resolve->text, "the name '%s' has no address", resolve->host);
}

/* Thread: its own. */
static void *run(void *arg)
{
    struct resolve *resolve = arg;
    ask(resolve);
    thread_returned();
    pthread_mutex_lock(&lock);
    bool cancelled = resolve->cancelled;
    if (!cancelled)
        loop_post(resolve->loop, deliver, resolve);
    pthread_mutex_unlock(&lock);
    if (cancelled)
        mem_free(resolve);
    return NULL;
}

static void start_thread(struct resolve *resolve)
{
    pthread_t thread;
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    if (!thread_taken()) {
        snprintf(resolve->text, sizeof resolve->text, "%d names are being resolved already; '%s' has to wait",
                 THREADS_MAX, resolve->host);
        loop_defer(resolve->loop, deliver, resolve);
    } else if (pthread_create(&thread, &detached, run, resolve)) {
        thread_returned();
        snprintf(resolve->text, sizeof resolve->text, "no thread to resolve '%s' with", resolve->host);
        loop_defer(resolve->loop, deliver, resolve);
    }
    pthread_attr_destroy(&detached);
}

struct resolve *resolve_start(struct loop *loop, const char *host, uint16_t port,
                              void (*fn)(void *arg, const struct endpoint *answers, size_t n, const char *text),
                              void *arg)
{
    struct resolve *resolve = mem_new(sizeof *resolve);
    *resolve = (struct resolve){.loop = loop, .port = port, .fn = fn, .arg = arg};
    snprintf(resolve->host, sizeof resolve->host, "%s", host);
    uint8_t ip[16];
    if (inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1) {
        snprintf(resolve->answers[0].ip, sizeof resolve->answers[0].ip, "%s", host);
        resolve->answers[0].port = port;
        resolve->n_answers = 1;
        loop_defer(loop, deliver, resolve);
    } else {
        start_thread(resolve);
    }
    return resolve;
}

void resolve_cancel(struct resolve *resolve)
{
    if (!resolve)
        return;
    pthread_mutex_lock(&lock);
    resolve->cancelled = true; /* whoever comes next, deliver or the thread, frees it */
    pthread_mutex_unlock(&lock);
}
