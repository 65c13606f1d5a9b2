#include "base/mem.h"
#include "net/conn.h"
#include "net/tls.h"
#include "swarm/identity.h"
#include "swarm/link.h"
#include "swarm/links.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* --- a node that only has links, and what happened to it
 * ------------------------------------------------------- */

#define NODES_MAX 8

/* Bounds of time are those of the real program; sanitizers slow it down. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WITHIN(ms) ((ms)*10)
#else
#define WITHIN(ms) (ms)
#endif

struct node {
    struct loop *loop;
    struct identity *identity;
    struct links *links;
    uint32_t n_up, n_down, n_failed, n_frames;
    struct link_info last_up;
    enum link_fault down_fault, failed_fault;
    enum link_step failed_step;
    struct link_attempt failed;
    char text[512];
    struct buffer frames; /* of all frames: kind, payload */
    bool echoes;
};

static void on_up(void *ctx, const struct link_info *info)
{
    struct node *node = ctx;
    node->n_up++;
    node->last_up = *info;
}

static void on_down(void *ctx, const struct link_info *last, enum link_fault fault, const char *text)
{
    struct node *node = ctx;
    (void)last;
    node->n_down++;
    node->down_fault = fault;
    snprintf(node->text, sizeof node->text, "%s", text);
}

static void on_frame(void *ctx, const struct node_id *peer, enum frame_kind kind, struct bytes payload)
{
    struct node *node = ctx;
    node->n_frames++;
    buffer_u8(&node->frames, (uint8_t)kind);
    buffer_bytes(&node->frames, payload.data, payload.size);
    if (node->echoes)
        links_send(node->links, peer, kind, payload);
}

static void on_failed(void *ctx, const struct link_attempt *attempt)
{
    struct node *node = ctx;
    node->n_failed++;
    node->failed = *attempt;
    node->failed_fault = attempt->fault;
    node->failed_step = attempt->step;
    snprintf(node->text, sizeof node->text, "%s", attempt->text);
}

static const struct links_events node_events = {
    .on_up = on_up, .on_down = on_down, .on_frame = on_frame, .on_failed = on_failed};

struct how {
    const char *key, *cluster;
    const struct key_pair *pair;
    uint64_t epoch;
    uint32_t arithmetic;
    uint16_t port;
};

static void node_start(struct node *node, struct loop *loop, struct how how)
{
    struct error err;
    *node = (struct node){.loop = loop, .identity = identity_new_in_memory(how.pair, how.epoch)};
    struct links_config config = {.identity = node->identity,
                                  .role = ROLE_NODE,
                                  .cluster = how.cluster ? how.cluster : "test",
                                  .listen_ip = "127.0.0.1",
                                  .port = how.port,
                                  .arithmetic = how.arithmetic ? how.arithmetic : 1};
    memcpy(config.psk.bytes, how.key ? how.key : "0123456789abcdef0123456789abcdef", 32);
    buffer_init(&node->frames, 0);
    if (links_new(&node->links, loop, &config, &node_events, node, &err))
        fail_msg("%s", err.text);
}

static void node_stop(struct node *node)
{
    links_free(node->links);
    identity_close(node->identity);
    buffer_free(&node->frames);
    node->links = NULL;
}

static struct address address_of(const struct node *node)
{
    struct address address;
    assert_true(address_parse_ip(&address, "127.0.0.1", links_port(node->links)));
    return address;
}

static void want(struct node *from, const struct node *to)
{
    struct address address = address_of(to);
    struct node_id id = identity_id(to->identity);
    from->links->ops->want(from->links->self, &id, &address, 1);
}

/* --- the rig: up to eight nodes on one loop
 * --------------------------------------------------------------------- */

static struct loop *loop;
static struct node nodes[NODES_MAX];
static size_t n_nodes;

static int rig_open(void **state)
{
    (void)state;
    n_nodes = 0;
    return crypto_start(NULL) || loop_new(&loop, NULL);
}

static struct node *add(struct how how)
{
    node_start(&nodes[n_nodes], loop, how);
    return &nodes[n_nodes++];
}

static int rig_close(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_nodes; i++)
        node_stop(&nodes[i]);
    loop_free(loop);
    return 0;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static void run_for(uint64_t ms)
{
    loop_run_until(loop, never, NULL, ms);
}

static bool is_at_least(void *arg)
{
    const uint32_t *const *pair = arg;
    return *pair[0] >= *pair[1];
}

/* Waits until the counter is n; the time it took. */
static uint64_t wait_count(const uint32_t *counter, uint32_t n, uint64_t timeout_ms)
{
    const uint32_t *pair[2] = {counter, &n};
    uint64_t start = clock_ms(loop_clock(loop));
    if (!loop_run_until(loop, is_at_least, pair, timeout_ms)) {
        for (size_t i = 0; i < n_nodes; i++)
            print_message("node %zu: up %u down %u failed %u '%s'\n", i, nodes[i].n_up, nodes[i].n_down,
                          nodes[i].n_failed, nodes[i].text);
        fail_msg("waited %llu ms in vain", (unsigned long long)timeout_ms);
    }
    return clock_ms(loop_clock(loop)) - start;
}

/* --- a link
 * ------------------------------------------------------------------------------------------------------- */

static void test_a_link_is_up_in_200_ms_and_carries_frames(void **state)
{
    (void)state;
    struct node *a = add((struct how){0}), *b = add((struct how){.epoch = 9});
    struct node_id id_a = identity_id(a->identity), id_b = identity_id(b->identity);
    b->echoes = true;
    want(a, b);
    uint64_t took = wait_count(&a->n_up, 1, 2000);
    wait_count(&b->n_up, 1, 2000);
    assert_in_range(took, 0, WITHIN(200));
    assert_true(node_id_equal(&a->last_up.hello.id, &id_b));
    assert_int_equal(a->last_up.hello.epoch, 9);
    assert_int_equal(a->last_up.hello.role, ROLE_NODE);
    assert_string_equal(a->last_up.hello.cluster, "test");
    assert_true(a->last_up.dialed && !b->last_up.dialed);
    struct address at_a = address_of(a), at_b = address_of(b);
    assert_true(address_equal(&a->last_up.address, &at_b));
    assert_true(
        address_equal(&b->last_up.address, &at_a)); /* the port it listens on, not the one it came from */

    assert_int_equal(links_send(a->links, &id_b, FRAME_COMMAND, bytes_of_text("{}")), STATUS_OK);
    wait_count(&a->n_frames, 1, 2000);
    assert_int_equal(a->frames.data[0], FRAME_COMMAND);
    size_t n_bytes = (size_t)3 << 20;
    uint8_t *step = mem_array(n_bytes, 1);
    for (size_t i = 0; i < n_bytes; i++)
        step[i] = (uint8_t)(i * 7 + i / 256);
    buffer_clear(&a->frames);
    assert_int_equal(links_send(a->links, &id_b, FRAME_STEP, bytes_of(step, n_bytes)), STATUS_OK);
    wait_count(&a->n_frames, 2, 10000);
    assert_int_equal(a->frames.size, n_bytes + 1);
    assert_int_equal(a->frames.data[0], FRAME_STEP);
    assert_memory_equal(a->frames.data + 1, step, n_bytes);
    mem_free(step);

    struct node_id nobody = {{1}}, listed[4];
    assert_int_equal(links_send(a->links, &nobody, FRAME_COMMAND, bytes_of_text("{}")), STATUS_NOT_FOUND);
    assert_int_equal(a->links->ops->peers(a->links->self, listed, 4), 1);
    assert_true(node_id_equal(&listed[0], &id_b));
    struct link_info info;
    run_for(600);
    assert_true(b->links->ops->info(b->links->self, &id_a, &info));
    assert_in_range(info.rtt_us, 1, 200000);
    assert_in_range(info.clock_skew_ms + 200, 0, 400); /* one clock */
    assert_true(info.bytes_in > n_bytes && info.bytes_out > n_bytes);
    assert_int_equal(a->n_failed + b->n_failed + a->n_down + b->n_down, 0);
}

static void test_two_that_dial_each_other_agree_without_a_flap(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        struct node *a = add((struct how){0}), *b = add((struct how){0});
        want(a, b);
        want(b, a);
        wait_count(&a->n_up, 1, 2000);
        wait_count(&b->n_up, 1, 2000);
        run_for(50);
        assert_int_equal(a->n_up + b->n_up, 2);
        assert_int_equal(a->n_down + b->n_down, 0);
        assert_int_equal(a->n_failed + b->n_failed, 0);
        assert_true(a->last_up.dialed != b->last_up.dialed);
        node_stop(b);
        node_stop(a);
        n_nodes = 0;
    }
}

static void test_eight_nodes_that_start_together_are_linked_in_1_s(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++)
        add((struct how){0});
    uint64_t start = clock_ms(loop_clock(loop));
    for (int i = 0; i < 8; i++)
        for (int k = 0; k < 8; k++)
            if (i != k)
                want(&nodes[i], &nodes[k]);
    for (int i = 0; i < 8; i++)
        wait_count(&nodes[i].n_up, 7, 5000);
    uint64_t took = clock_ms(loop_clock(loop)) - start;
    print_message("28 links in %llu ms\n", (unsigned long long)took);
    run_for(300);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(nodes[i].n_up, 7);
        assert_int_equal(nodes[i].n_down + nodes[i].n_failed, 0);
    }
    assert_in_range(took, 0, WITHIN(1000));
}

static void test_a_host_is_dialed_and_its_id_learnt(void **state)
{
    (void)state;
    struct addrinfo *known;
    if (getaddrinfo("localhost", NULL, NULL, &known) != 0) {
        print_message("this machine does not know the name localhost\n");
        skip();
    }
    freeaddrinfo(known);
    struct node *a = add((struct how){0}), *b = add((struct how){0});
    a->links->ops->want_host(a->links->self, "localhost", links_port(b->links));
    wait_count(&a->n_up, 1, 5000);
    struct node_id id = identity_id(b->identity);
    assert_true(node_id_equal(&a->last_up.hello.id, &id));
}

static void test_a_dropped_link_tells_why_and_comes_back(void **state)
{
    (void)state;
    struct node *a = add((struct how){0}), *b = add((struct how){0});
    struct node_id id_b = identity_id(b->identity);
    want(a, b);
    wait_count(&a->n_up, 1, 2000);
    wait_count(&b->n_up, 1, 2000);
    a->links->ops->drop(a->links->self, &id_b, LINK_FAULT_CLOSED, "a test");
    assert_int_equal(a->n_down, 0); /* not from within */
    assert_int_equal(links_send(a->links, &id_b, FRAME_COMMAND, bytes_of_text("{}")), STATUS_NOT_FOUND);
    wait_count(&b->n_down, 1, 2000);
    assert_int_equal(a->n_down, 1);
    assert_int_equal(b->down_fault, LINK_FAULT_CLOSED);
    assert_non_null(strstr(b->text, "a test"));
    assert_in_range(wait_count(&a->n_up, 2, 2000), 0, WITHIN(1000));
    wait_count(&b->n_up, 2, 2000);
}

static void test_a_peer_that_ends_is_known_at_once(void **state)
{
    (void)state;
    struct node *a = add((struct how){0}), *b = add((struct how){0});
    want(a, b);
    wait_count(&a->n_up, 1, 2000);
    wait_count(&b->n_up, 1, 2000);
    node_stop(b);
    n_nodes = 1;
    assert_in_range(wait_count(&a->n_down, 1, 2000), 0, WITHIN(100));
    assert_int_equal(a->down_fault, LINK_FAULT_CLOSED);
    assert_non_null(strstr(a->text, "shuts down"));
    wait_count(&a->n_failed, 3, 5000); /* it goes on trying, ever slower */
    assert_int_equal(a->failed_step, LINK_STEP_CONNECT);
    assert_int_equal(a->failed_fault, LINK_FAULT_UNREACHABLE);
    assert_non_null(strstr(a->text, "Connection refused"));
    assert_int_equal(a->failed.n_attempts, 3);
    assert_in_range(a->failed.retry_in_ms, 300, 500); /* 0.4 s, a quarter more or less */
}

static void test_a_peer_is_found_again_at_its_address(void **state)
{
    (void)state;
    struct key_pair pair;
    key_pair_new(&pair);
    struct node *a = add((struct how){0}), *b = add((struct how){.pair = &pair, .epoch = 1});
    struct node_id id = identity_id(b->identity);
    struct address addresses[2] = {address_of(b), address_of(b)};
    address_parse(&addresses[0], "127.0.0.1:1"); /* the first one never answers */
    uint16_t port = links_port(b->links);
    a->links->ops->want(a->links->self, &id, addresses, 2);
    wait_count(&a->n_up, 1, 2000);
    for (uint64_t epoch = 2; epoch < 5; epoch++) {
        node_stop(b);
        n_nodes--;
        wait_count(&a->n_down, (uint32_t)epoch - 1, 2000);
        run_for(150);
        b = add((struct how){.pair = &pair, .epoch = epoch, .port = port});
        assert_in_range(wait_count(&a->n_up, (uint32_t)epoch, 5000), 0, WITHIN(1000));
        assert_int_equal(a->last_up.hello.epoch, epoch);
    }
}

/* --- who does not get in
 * -------------------------------------------------------------------------------------------- */

static void test_a_wrong_key_is_named_on_both_sides(void **state)
{
    (void)state;
    struct node *a = add((struct how){0}), *b = add((struct how){.key = "0123456789abcdef0123456789abcdeX"});
    want(a, b);
    wait_count(&a->n_failed, 1, 2000);
    wait_count(&b->n_failed, 1, 2000);
    assert_int_equal(a->failed_fault, LINK_FAULT_WRONG_KEY);
    assert_int_equal(b->failed_fault, LINK_FAULT_WRONG_KEY);
    assert_int_equal(a->failed_step, LINK_STEP_HANDSHAKE);
    assert_int_equal(b->failed_step, LINK_STEP_HANDSHAKE);
    assert_false(a->failed.inbound);
    assert_true(b->failed.inbound);
    assert_in_range(a->failed.retry_in_ms, 1, 200);
    wait_count(&a->n_failed, 4, 5000);
    assert_int_equal(b->n_failed, 1); /* one event an address in 5 s */
    assert_int_equal(a->n_up + b->n_up + a->n_frames + b->n_frames, 0);
    assert_true(links_counts(b->links).n_wrong_key >= 3);
}

static void test_another_cluster_is_named_on_both_sides(void **state)
{
    (void)state;
    struct node *a = add((struct how){0}), *b = add((struct how){.cluster = "other"});
    want(a, b);
    wait_count(&a->n_failed, 1, 2000);
    wait_count(&b->n_failed, 1, 2000);
    assert_int_equal(a->failed_fault, LINK_FAULT_CLUSTER);
    assert_int_equal(b->failed_fault, LINK_FAULT_CLUSTER);
    assert_int_equal(a->failed_step, LINK_STEP_PROTOCOL);
    assert_int_equal(b->failed_step, LINK_STEP_PROTOCOL);
    assert_non_null(strstr(a->text, "'test'"));
    assert_non_null(strstr(a->text, "'other'"));
    assert_non_null(strstr(b->text, "'other'"));
    assert_int_equal(a->n_up + b->n_up, 0);
}

static void test_other_arithmetic_is_another_version(void **state)
{
    (void)state;
    struct node *a = add((struct how){0}), *b = add((struct how){.arithmetic = 2});
    want(a, b);
    wait_count(&a->n_failed, 1, 2000);
    wait_count(&b->n_failed, 1, 2000);
    assert_int_equal(a->failed_fault, LINK_FAULT_VERSION);
    assert_int_equal(b->failed_fault, LINK_FAULT_VERSION);
    assert_int_equal(a->failed_step, LINK_STEP_PROTOCOL);
    assert_non_null(strstr(a->text, "by arithmetic 2, we by 1"));
    assert_non_null(strstr(a->text, "install its newer version of shoal here"));
    assert_non_null(strstr(b->text, "by arithmetic 1, we by 2"));
    assert_non_null(strstr(b->text, "install this version of shoal there"));
}

static void test_our_own_address_is_ourselves(void **state)
{
    (void)state;
    struct node *a = add((struct how){0});
    a->links->ops->want_host(a->links->self, "127.0.0.1", links_port(a->links));
    wait_count(&a->n_failed, 2, 2000); /* as the one that dials and as the one that answers */
    assert_int_equal(a->failed_fault, LINK_FAULT_SELF);
    run_for(400);
    assert_in_range(a->n_failed, 2, 2); /* and does not go on */
    assert_int_equal(a->n_up, 0);
}

static void test_somebody_else_at_the_address_is_an_identity_fault(void **state)
{
    (void)state;
    struct node *a = add((struct how){0}), *b = add((struct how){0}), *c = add((struct how){0});
    struct address at_c = address_of(c);
    struct node_id id_b = identity_id(b->identity), id_c = identity_id(c->identity);
    a->links->ops->want(a->links->self, &id_b, &at_c, 1);
    wait_count(&a->n_failed, 1, 2000);
    assert_int_equal(a->failed_fault, LINK_FAULT_IDENTITY);
    assert_int_equal(a->failed_step, LINK_STEP_IDENTITY);
    char short_b[NODE_ID_SHORT_BYTES], short_c[NODE_ID_SHORT_BYTES];
    node_id_short(short_b, &id_b);
    node_id_short(short_c, &id_c);
    assert_non_null(strstr(a->text, short_b));
    assert_non_null(strstr(a->text, short_c));
    /* The right address, given later, is dialed at once. */
    want(a, b);
    assert_in_range(wait_count(&a->n_up, 1, 2000), 0, WITHIN(200));
}

static int raw_dial(const struct node *to)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(links_port(to->links))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static void test_plain_http_is_told_and_counted(void **state)
{
    (void)state;
    struct node *a = add((struct how){0});
    int fd = raw_dial(a);
    static const char request[] = "GET / HTTP/1.1\r\n\r\n";
    assert_int_equal(write(fd, request, sizeof request - 1), sizeof request - 1);
    wait_count(&a->n_failed, 1, 2000);
    assert_int_equal(a->failed_fault, LINK_FAULT_NOT_SWARM);
    assert_true(a->failed.inbound);
    assert_non_null(strstr(a->text, "HTTP"));
    assert_int_equal(links_counts(a->links).n_not_swarm, 1);
    close(fd);
}

static void test_a_flood_of_half_open_connections_does_not_keep_a_node_out(void **state)
{
    (void)state;
    struct node *a = add((struct how){0}), *b = add((struct how){0});
    int fds[400];
    for (size_t i = 0; i < 400; i++) {
        fds[i] = raw_dial(a);
        assert_int_equal(write(fds[i], "\x16", 1), 1);
        if (i % 50 == 0)
            run_for(1);
    }
    want(b, a);
    assert_in_range(wait_count(&b->n_up, 1, 5000), 0, WITHIN(2000));
    assert_true(links_counts(a->links).n_pushed_out > 100);
    for (size_t i = 0; i < 400; i++)
        close(fds[i]);
}

/* --- identities that meet themselves
 * ------------------------------------------------------------------------------- */

static void test_a_restarted_peer_replaces_its_stale_link_at_once(void **state)
{
    (void)state;
    struct key_pair pair;
    key_pair_new(&pair);
    struct node *a = add((struct how){0}), *before = add((struct how){.pair = &pair, .epoch = 5});
    want(before, a);
    wait_count(&a->n_up, 1, 2000);
    wait_count(&before->n_up, 1, 2000);
    before->links->ops->unwant(before->links->self, &a->last_up.hello.id); /* else it comes back; see below */
    struct node *after = add((struct how){.pair = &pair, .epoch = 6});
    want(after, a);
    assert_in_range(wait_count(&after->n_up, 1, 2000), 0, WITHIN(200));
    assert_int_equal(a->n_down, 1);
    assert_int_equal(a->n_up, 2);
    assert_int_equal(a->last_up.hello.epoch, 6);
    assert_int_equal(a->n_failed, 0);
}

static void test_two_live_processes_with_one_identity_are_told(void **state)
{
    (void)state;
    struct key_pair pair;
    key_pair_new(&pair);
    struct node *a = add((struct how){0}), *first = add((struct how){.pair = &pair, .epoch = 5});
    want(first, a);
    wait_count(&a->n_up, 1, 2000);
    struct node *second = add((struct how){.pair = &pair, .epoch = 5}); /* a copied state folder */
    want(second, a);
    wait_count(&a->n_failed, 1, 2000);
    wait_count(&second->n_failed, 1, 2000);
    assert_int_equal(a->failed_fault, LINK_FAULT_DUPLICATE);
    assert_int_equal(second->failed_fault, LINK_FAULT_DUPLICATE);
    assert_int_equal(second->failed_step, LINK_STEP_IDENTITY);
    assert_non_null(strstr(second->text, "state folder"));
    assert_int_equal(a->n_down + second->n_up, 0);
    struct node *third =
        add((struct how){.pair = &pair, .epoch = 7}); /* the first one learns that it is replaced */
    want(third, a);
    wait_count(&third->n_up, 1, 2000);
    wait_count(&first->n_down, 1, 2000);
    assert_int_equal(first->down_fault, LINK_FAULT_DUPLICATE);
}

/* --- a peer in a process of its own, so that it can be stopped
 * --------------------------------------------------------- */

struct child {
    pid_t pid;
    uint16_t port;
};

static struct child child_start(void)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct child child = {.pid = fork()};
    if (child.pid == 0) {
        struct loop *own;
        struct node node;
        if (loop_new(&own, NULL))
            _exit(1);
        node_start(&node, own, (struct how){0});
        uint16_t port = links_port(node.links);
        if (write(ends[1], &port, sizeof port) != sizeof port)
            _exit(1);
        loop_run_until(own, never, NULL, 30000);
        _exit(0);
    }
    assert_int_equal(read(ends[0], &child.port, sizeof child.port), sizeof child.port);
    close(ends[0]);
    close(ends[1]);
    return child;
}

static void test_a_silent_peer_is_down_within_2_5_s(void **state)
{
    (void)state;
    struct child child = child_start();
    struct node *a = add((struct how){0});
    a->links->ops->want_host(a->links->self, "127.0.0.1", child.port);
    wait_count(&a->n_up, 1, 2000);
    kill(child.pid, SIGSTOP);
    uint64_t took = wait_count(&a->n_down, 1, 5000);
    assert_in_range(took, 1400, WITHIN(2500));
    assert_int_equal(a->down_fault, LINK_FAULT_SILENT);
    assert_non_null(strstr(a->text, "nothing heard for 2"));
    kill(child.pid, SIGCONT);
    wait_count(&a->n_up, 2, 8000); /* and it comes back */
    kill(child.pid, SIGKILL);
    assert_in_range(wait_count(&a->n_down, 2, 2000), 0, WITHIN(200)); /* a dead process is known at once */
    assert_int_equal(a->down_fault, LINK_FAULT_CLOSED);
    waitpid(child.pid, NULL, 0);
}

/* --- a member that breaks rules: TLS with the key, the rest by hand
 * ------------------------------------------------------ */

struct rogue {
    struct tls *tls;
    struct conn *conn;
    struct key_pair pair;
    struct node_id claims, peer;
    bool open, ended, signs_badly, got_bye;
    uint32_t n_frames;
    struct bytes after_auth; /* sent once we are believed */
};

static void rogue_frame(struct rogue *rogue, unsigned kind, struct bytes payload)
{
    uint8_t head[8] = {(uint8_t)payload.size, (uint8_t)(payload.size >> 8), 0, 0, (uint8_t)kind};
    conn_send(rogue->conn, bytes_of(head, 8), payload);
}

static void rogue_open(void *arg)
{
    struct rogue *rogue = arg;
    rogue->open = true;
    struct link_greeting greeting = {.run = 1, .channel = LINK_CONTROL};
    greeting.hello = (struct link_hello){.id = rogue->claims,
                                         .role = ROLE_NODE,
                                         .protocol = PROTOCOL_VERSION,
                                         .arithmetic = 1,
                                         .epoch = 1,
                                         .cluster = "test"};
    char *text = link_greeting_print(&greeting);
    rogue_frame(rogue, FRAME_HELLO, bytes_of_text(text));
    mem_free(text);
}

static void rogue_auth(struct rogue *rogue)
{
    uint8_t text[13 + 1 + 32 + 64] = "shoal link 1";
    text[13] = 'c';
    conn_export(rogue->conn, "EXPORTER-Channel-Binding", text + 14);
    memcpy(text + 46, rogue->claims.bytes, 32);
    memcpy(text + 78, rogue->peer.bytes, 32);
    if (rogue->signs_badly)
        text[13] = 's'; /* the other role: a reflected signature */
    struct signature signature = signature_new(&rogue->pair, bytes_of(text, sizeof text));
    rogue_frame(rogue, FRAME_AUTH, bytes_of(signature.bytes, sizeof signature.bytes));
    if (rogue->after_auth.size)
        conn_send(rogue->conn, rogue->after_auth, (struct bytes){0});
}

static size_t rogue_input(void *arg, struct bytes in)
{
    struct rogue *rogue = arg;
    size_t taken = 0, used;
    struct frame frame;
    while (!frame_decode(&frame, &used, bytes_of(in.data + taken, in.size - taken), NULL) && used) {
        taken += used;
        rogue->n_frames++;
        rogue->got_bye |= frame.kind == FRAME_BYE;
        if (frame.kind == FRAME_HELLO)
            rogue_auth(rogue);
    }
    return taken;
}

static void rogue_end(void *arg, enum conn_end end, const char *text)
{
    (void)end, (void)text;
    ((struct rogue *)arg)->ended = true;
}

static bool rogue_is_over(void *arg)
{
    return ((struct rogue *)arg)->ended;
}

static const struct conn_events rogue_events = {
    .on_open = rogue_open, .on_input = rogue_input, .on_end = rogue_end};

static void rogue_run(struct rogue *rogue, const struct node *against)
{
    const struct endpoint to = {.ip = "127.0.0.1", .port = links_port(against->links)};
    rogue->peer = identity_id(against->identity);
    assert_int_equal(tls_new(&rogue->tls, (const uint8_t *)"0123456789abcdef0123456789abcdef", NULL),
                     STATUS_OK);
    rogue->conn = conn_dial(loop, &to, rogue->tls, NULL, &rogue_events, rogue);
    assert_true(loop_run_until(loop, rogue_is_over, rogue, 3000));
    assert_true(rogue->open && rogue->got_bye);
    conn_free(rogue->conn);
    tls_free(rogue->tls);
}

static void test_a_member_cannot_take_anothers_id(void **state)
{
    (void)state;
    struct node *a = add((struct how){0}), *b = add((struct how){0});
    struct rogue thief = {.claims = identity_id(b->identity)};
    key_pair_new(&thief.pair);
    rogue_run(&thief, a);
    assert_int_equal(a->failed_fault, LINK_FAULT_IDENTITY);
    assert_non_null(strstr(a->text, "cannot prove it"));

    struct rogue reflector = {.signs_badly = true};
    key_pair_new(&reflector.pair);
    memcpy(reflector.claims.bytes, reflector.pair.public_key.bytes, 32);
    rogue_run(&reflector, a);
    assert_int_equal(a->n_up, 0);

    struct rogue mirror = {.claims = identity_id(a->identity)}; /* a's own id */
    key_pair_new(&mirror.pair);
    rogue_run(&mirror, a);
    assert_int_equal(a->n_up, 0);
}

static void test_frames_that_break_the_rules_end_the_connection(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[24];
        size_t n;
        const char *says;
    } rows[] = {
        {{0, 0, 0, 0, 0}, 8, "unknown kind 0"},
        {{0, 0, 0, 0, 99}, 8, "unknown kind 99"},
        {{1, 0, 1, 0, FRAME_COMMAND}, 8, "frame 'command' of 65537 bytes passes its limit of 65536"},
        {{0xff, 0xff, 0xff, 0xff, FRAME_RECORD}, 8, "4294967295 bytes passes its limit"},
        {{0, 0, 0, 0, FRAME_COMMAND, 1}, 8, "reserved bits"},
        {{0, 0, 0, 4, FRAME_STEP}, 8, "frame 'step' at the wrong time or on the wrong connection"},
        {{0, 0, 0, 0, FRAME_HELLO}, 8, "frame 'hello' at the wrong time"},
        {{2, 0, 0, 0, FRAME_COMMAND, 0, 0, 0, '{', '}'}, 10, "frame 'command' before the link was up"},
        {{1, 0, 0, 0, FRAME_PING, 0, 0, 0, 1}, 9, "a ping of 1 bytes"},
    };
    struct node *a = add((struct how){0});
    uint32_t n_failed = 0, n_told = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rogue rogue = {.after_auth = bytes_of(rows[i].bytes, rows[i].n)};
        /* Both as the one that chooses and as the one that waits to be chosen. */
        key_pair_new(&rogue.pair);
        memcpy(rogue.claims.bytes, rogue.pair.public_key.bytes, 32);
        a->text[0] = '\0';
        rogue_run(&rogue, a);
        if (a->n_failed > n_failed && !strstr(a->text, rows[i].says))
            fail_msg("row %zu: '%s'", i, a->text);
        n_told += a->n_failed > n_failed;
        n_failed = a->n_failed;
    }
    assert_int_equal(n_told, sizeof rows / sizeof *rows);
    assert_int_equal(a->n_up + a->n_frames, 0);
}

/* --- the examination
 * ---------------------------------------------------------------------------------------------------- */

static struct links_examination examined;
static uint32_t n_examined;

static void on_examined(void *ctx, const struct links_examination *result)
{
    (void)ctx;
    examined = *result;
    n_examined++;
}

static void examine(struct node *from, uint16_t port)
{
    n_examined = 0;
    links_examine(from->links, "127.0.0.1", port, on_examined, NULL);
    wait_count(&n_examined, 1, 8000);
}

static void test_an_examination_names_the_failing_step(void **state)
{
    (void)state;
    struct node *a = add((struct how){0}), *b = add((struct how){0}),
                *other_key = add((struct how){.key = "0123456789abcdef0123456789abcdeX"}),
                *other_cluster = add((struct how){.cluster = "other"});
    struct node_id id_b = identity_id(b->identity);
    examine(a, links_port(b->links));
    for (int step = 0; step <= LINK_STEP_UP; step++)
        assert_int_equal(examined.steps[step].outcome, EXAMINED_OK);
    assert_int_equal(examined.fault, LINK_FAULT_NONE);
    assert_true(node_id_equal(&examined.hello.id, &id_b));
    assert_true(examined.steps[LINK_STEP_HANDSHAKE].ms > 0 && examined.steps[LINK_STEP_UP].ms > 0);

    examine(a, links_port(other_key->links));
    assert_int_equal(examined.fault, LINK_FAULT_WRONG_KEY);
    assert_int_equal(examined.steps[LINK_STEP_CONNECT].outcome, EXAMINED_OK);
    assert_int_equal(examined.steps[LINK_STEP_HANDSHAKE].outcome, EXAMINED_FAILED);
    assert_int_equal(examined.steps[LINK_STEP_IDENTITY].outcome, EXAMINED_NOT_TRIED);

    examine(a, links_port(other_cluster->links));
    assert_int_equal(examined.fault, LINK_FAULT_CLUSTER);
    assert_int_equal(examined.steps[LINK_STEP_IDENTITY].outcome, EXAMINED_OK);
    assert_int_equal(examined.steps[LINK_STEP_PROTOCOL].outcome, EXAMINED_FAILED);

    uint16_t gone = links_port(other_cluster->links);
    node_stop(other_cluster);
    n_nodes--;
    examine(a, gone);
    assert_int_equal(examined.fault, LINK_FAULT_UNREACHABLE);
    assert_int_equal(examined.steps[LINK_STEP_CONNECT].outcome, EXAMINED_FAILED);
    assert_string_equal(examined.text, "Connection refused");
    assert_int_equal(a->n_up + b->n_up, 0); /* it never becomes a link */
}

int main(void)
{
#define LINKS_TEST(name) cmocka_unit_test_setup_teardown(name, rig_open, rig_close)
    const struct CMUnitTest tests[] = {
        LINKS_TEST(test_a_link_is_up_in_200_ms_and_carries_frames),
        LINKS_TEST(test_two_that_dial_each_other_agree_without_a_flap),
        LINKS_TEST(test_eight_nodes_that_start_together_are_linked_in_1_s),
        LINKS_TEST(test_a_host_is_dialed_and_its_id_learnt),
        LINKS_TEST(test_a_dropped_link_tells_why_and_comes_back),
        LINKS_TEST(test_a_peer_that_ends_is_known_at_once),
        LINKS_TEST(test_a_peer_is_found_again_at_its_address),
        LINKS_TEST(test_a_wrong_key_is_named_on_both_sides),
        LINKS_TEST(test_another_cluster_is_named_on_both_sides),
        LINKS_TEST(test_other_arithmetic_is_another_version),
        LINKS_TEST(test_our_own_address_is_ourselves),
        LINKS_TEST(test_somebody_else_at_the_address_is_an_identity_fault),
        LINKS_TEST(test_plain_http_is_told_and_counted),
        LINKS_TEST(test_a_flood_of_half_open_connections_does_not_keep_a_node_out),
        LINKS_TEST(test_a_restarted_peer_replaces_its_stale_link_at_once),
        LINKS_TEST(test_two_live_processes_with_one_identity_are_told),
        LINKS_TEST(test_a_silent_peer_is_down_within_2_5_s),
        LINKS_TEST(test_a_member_cannot_take_anothers_id),
        LINKS_TEST(test_frames_that_break_the_rules_end_the_connection),
        LINKS_TEST(test_an_examination_names_the_failing_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
