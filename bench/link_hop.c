/* What a hop costs: a frame goes to the other side of a link on loopback and comes back, against the same bytes
 * over bare TCP (blocking sockets, TCP_NODELAY). Two threads, one loop each.
 *
 *   build/bench/link_hop [BYTES] [ROUNDS]      prints one JSON object */
#include "base/mem.h"
#include "net/loop.h"
#include "swarm/identity.h"
#include "swarm/links.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct side {
    struct loop *loop;
    struct links *links;
    struct identity *identity;
    bool asks;
    size_t n_bytes, n_rounds, n_done;
    uint8_t *payload;
    uint64_t sent_us, *took_us;
};

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* --- a link
 * --------------------------------------------------------------------------------------------------- */

static void ask(struct side *side, const struct node_id *peer)
{
    side->sent_us = clock_process_us();
    links_send(side->links, peer, FRAME_STEP, bytes_of(side->payload, side->n_bytes));
}

static void on_up(void *ctx, const struct link_info *info)
{
    struct side *side = ctx;
    if (side->asks)
        ask(side, &info->hello.id);
}

static void on_down(void *ctx, const struct node_id *peer, enum link_fault fault, const char *text)
{
    (void)peer, (void)fault;
    struct side *side = ctx;
    if (side->asks && side->n_done < side->n_rounds)
        fprintf(stderr, "link_hop: the link went down: %s\n", text);
}

static void on_frame(void *ctx, const struct node_id *peer, enum frame_kind kind, struct bytes payload)
{
    struct side *side = ctx;
    if (!side->asks) {
        links_send(side->links, peer, kind, payload);
        return;
    }
    side->took_us[side->n_done++] = clock_process_us() - side->sent_us;
    if (side->n_done < side->n_rounds)
        ask(side, peer);
    else
        loop_stop(side->loop);
}

static void on_failed(void *ctx, const struct link_attempt *attempt)
{
    (void)ctx;
    fprintf(stderr, "link_hop: %s: %s\n", link_step_name(attempt->step), attempt->text);
}

static const struct links_events events = {
    .on_up = on_up, .on_down = on_down, .on_frame = on_frame, .on_failed = on_failed};

static void side_open(struct side *side)
{
    struct error err;
    side->identity = identity_new_in_memory(NULL, 1);
    struct links_config config = {.identity = side->identity, .cluster = "bench", .listen_ip = "127.0.0.1"};
    if (loop_new(&side->loop, &err) || links_new(&side->links, side->loop, &config, &events, side, &err)) {
        fprintf(stderr, "link_hop: %s\n", err.text);
        exit(3);
    }
}

static void *run_side(void *arg)
{
    struct side *side = arg;
    loop_run(side->loop);
    return NULL;
}

static void over_link(uint64_t *took_us, size_t n_bytes, size_t n_rounds)
{
    struct side asking = {.asks = true, .n_bytes = n_bytes, .n_rounds = n_rounds, .took_us = took_us};
    struct side answering = {0};
    struct address address;
    pthread_t thread;
    asking.payload = mem_array(n_bytes, 1);
    side_open(&asking);
    side_open(&answering);
    pthread_create(&thread, NULL, run_side, &answering);
    address_parse_ip(&address, "127.0.0.1", links_port(answering.links));
    struct node_id id = identity_id(answering.identity);
    asking.links->ops->want(asking.links->self, &id, &address, 1);
    loop_run(asking.loop);
    loop_stop(answering.loop);
    pthread_join(thread, NULL);
    links_free(asking.links);
    links_free(answering.links);
    loop_free(asking.loop);
    loop_free(answering.loop);
    identity_close(asking.identity);
    identity_close(answering.identity);
    mem_free(asking.payload);
}

/* --- bare TCP
 * --------------------------------------------------------------------------------------------------- */

static void move_all(int fd, uint8_t *bytes, size_t n, bool out)
{
    while (n) {
        ssize_t done = out ? write(fd, bytes, n) : read(fd, bytes, n);
        if (done <= 0)
            return;
        bytes += done;
        n -= (size_t)done;
    }
}

struct tcp {
    int listener;
    size_t n_bytes, n_rounds;
};

static void *answer_tcp(void *arg)
{
    struct tcp *tcp = arg;
    const int one = 1;
    uint8_t *bytes = mem_array(tcp->n_bytes, 1);
    int fd = accept(tcp->listener, NULL, NULL);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    for (size_t i = 0; i < tcp->n_rounds; i++) {
        move_all(fd, bytes, tcp->n_bytes, false);
        move_all(fd, bytes, tcp->n_bytes, true);
    }
    close(fd);
    mem_free(bytes);
    return NULL;
}

static void over_tcp(uint64_t *took_us, size_t n_bytes, size_t n_rounds)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    const int one = 1;
    struct tcp tcp = {
        .listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .n_bytes = n_bytes, .n_rounds = n_rounds};
    pthread_t thread;
    uint8_t *bytes = mem_array(n_bytes, 1);
    if (bind(tcp.listener, (struct sockaddr *)&at, size) || listen(tcp.listener, 1) ||
        getsockname(tcp.listener, (struct sockaddr *)&at, &size))
        exit(3);
    pthread_create(&thread, NULL, answer_tcp, &tcp);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&at, size))
        exit(3);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    for (size_t i = 0; i < n_rounds; i++) {
        uint64_t start = clock_process_us();
        move_all(fd, bytes, n_bytes, true);
        move_all(fd, bytes, n_bytes, false);
        took_us[i] = clock_process_us() - start;
    }
    pthread_join(thread, NULL);
    close(fd);
    close(tcp.listener);
    mem_free(bytes);
}

int main(int argc, char **argv)
{
    size_t n_bytes = argc > 1 ? strtoull(argv[1], NULL, 10) : 8192;
    size_t n_rounds = argc > 2 ? strtoull(argv[2], NULL, 10) : 2000;
    if (n_bytes < 1 || n_bytes > ((size_t)64 << 20) || n_rounds < 1 || crypto_start(NULL)) {
        fprintf(stderr, "usage: link_hop [BYTES] [ROUNDS]\n");
        return 2;
    }
    uint64_t *tcp_us = mem_array(n_rounds, sizeof *tcp_us), *link_us = mem_array(n_rounds, sizeof *link_us);
    over_tcp(tcp_us, n_bytes, n_rounds);
    over_link(link_us, n_bytes, n_rounds);
    qsort(tcp_us, n_rounds, sizeof *tcp_us, by_size);
    qsort(link_us, n_rounds, sizeof *link_us, by_size);
    /* of round trips; a hop is half of one */
    printf("{\"bytes\": %zu, \"rounds\": %zu, \"tcp_us\": {\"p50\": %llu, \"p99\": %llu}, "
           "\"link_us\": {\"p50\": %llu, \"p99\": %llu}, \"hop_over_tcp_us\": %.1f}\n",
           n_bytes, n_rounds, (unsigned long long)tcp_us[n_rounds / 2],
           (unsigned long long)tcp_us[n_rounds * 99 / 100], (unsigned long long)link_us[n_rounds / 2],
           (unsigned long long)link_us[n_rounds * 99 / 100],
           ((double)link_us[n_rounds / 2] - (double)tcp_us[n_rounds / 2]) / 2);
    mem_free(tcp_us);
    mem_free(link_us);
    return 0;
}
