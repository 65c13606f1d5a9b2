#include "base/mem.h"
#include "net/conn.h"
#include "net/port.h"
#include "net/resolve.h"
#include "net/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* --- one side of a connection, with everything that happened to it -------------------------------------- */

struct side {
    struct conn *conn;
    struct buffer got;
    bool open, ended, echoes, keeps;
    enum conn_end end;
    char text[256];
    size_t wanted;
};

static void on_open(void *arg)
{
    ((struct side *)arg)->open = true;
}

static size_t on_input(void *arg, struct bytes in)
{
    struct side *side = arg;
    if (side->keeps)
        return 0;
    buffer_bytes(&side->got, in.data, in.size);
    if (side->echoes)
        conn_send(side->conn, in, (struct bytes){0});
    return in.size;
}

static void on_end(void *arg, enum conn_end end, const char *text)
{
    struct side *side = arg;
    side->ended = true;
    side->end = end;
    snprintf(side->text, sizeof side->text, "%s", text);
}

static const struct conn_events side_events = {.on_open = on_open, .on_input = on_input, .on_end = on_end};

struct rig {
    struct loop *loop;
    struct listener *listener;
    struct tls *server_tls, *client_tls;
    struct conn_limits limits;
    struct side server, client;
};

static void on_accept(void *arg, int fd, const struct endpoint *from)
{
    struct rig *rig = arg;
    if (rig->server.conn) {
        close(fd);
        return;
    }
    rig->server.conn =
        conn_accept(rig->loop, fd, from, rig->server_tls, &rig->limits, &side_events, &rig->server);
}

static void rig_open(struct rig *rig, const char *server_key, const char *client_key)
{
    struct error err;
    *rig = (struct rig){0};
    buffer_init(&rig->server.got, 0);
    buffer_init(&rig->client.got, 0);
    assert_int_equal(loop_new(&rig->loop, &err), STATUS_OK);
    assert_int_equal(listener_new(&rig->listener, rig->loop, "127.0.0.1", 0, "test", on_accept, rig, &err),
                     STATUS_OK);
    if (server_key)
        assert_int_equal(tls_new(&rig->server_tls, (const uint8_t *)server_key, &err), STATUS_OK);
    if (client_key)
        assert_int_equal(tls_new(&rig->client_tls, (const uint8_t *)client_key, &err), STATUS_OK);
}

static void rig_dial(struct rig *rig)
{
    rig->client.conn = conn_dial(rig->loop, listener_endpoint(rig->listener), rig->client_tls, &rig->limits,
                                 &side_events, &rig->client);
}

static void rig_close(struct rig *rig)
{
    conn_free(rig->server.conn);
    conn_free(rig->client.conn);
    listener_free(rig->listener);
    buffer_free(&rig->server.got);
    buffer_free(&rig->client.got);
    tls_free(rig->server_tls);
    tls_free(rig->client_tls);
    loop_free(rig->loop);
}

static bool both_open(void *arg)
{
    struct rig *rig = arg;
    return rig->server.open && rig->client.open;
}
static void open_both(struct rig *rig)
{
    if (!loop_run_until(rig->loop, both_open, rig, 5000))
        fail_msg("server: '%s', client: '%s'", rig->server.text, rig->client.text);
}
static bool both_ended(void *arg)
{
    struct rig *rig = arg;
    return rig->server.ended && rig->client.ended;
}
static bool has_ended(void *arg)
{
    return ((struct side *)arg)->ended;
}
static bool has_wanted(void *arg)
{
    const struct side *side = arg;
    return side->got.size >= side->wanted;
}
static bool never(void *arg)
{
    (void)arg;
    return false;
}

#define KEY_A "0123456789abcdef0123456789abcdeA"
#define KEY_B "0123456789abcdef0123456789abcdeB"

static int raw_dial(const struct rig *rig)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(listener_endpoint(rig->listener)->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* --- what must work ----------------------------------------------------------------------------------------
 */

static void echo_through(struct rig *rig, size_t n_bytes)
{
    uint8_t *sent = mem_array(n_bytes, 1);
    for (size_t i = 0; i < n_bytes; i++)
        sent[i] = (uint8_t)(i * 31 + i / 251);
    rig->server.echoes = true;
    rig_dial(rig);
    open_both(rig);
    assert_true(conn_send(rig->client.conn, bytes_of(sent, 3), bytes_of(sent + 3, n_bytes - 3)));
    rig->client.wanted = n_bytes;
    assert_true(loop_run_until(rig->loop, has_wanted, &rig->client, 20000));
    assert_int_equal(rig->client.got.size, n_bytes);
    assert_memory_equal(rig->client.got.data, sent, n_bytes);
    assert_int_equal(conn_bytes_out(rig->client.conn), n_bytes);
    assert_int_equal(conn_bytes_in(rig->client.conn), n_bytes);
    mem_free(sent);
    conn_finish(rig->client.conn);
    rig->client.conn = NULL;
    assert_true(loop_run_until(rig->loop, has_ended, &rig->server, 5000));
    assert_int_equal(rig->server.end, CONN_END_CLOSED);
}

static void test_plain_echo_of_8_mib(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL, NULL);
    echo_through(&rig, (size_t)8 << 20);
    rig_close(&rig);
}

static void test_tls_echo_of_8_mib(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, KEY_A, KEY_A);
    echo_through(&rig, (size_t)8 << 20);
    rig_close(&rig);
}

static void test_the_exporter_is_equal_on_both_sides_and_new_each_time(void **state)
{
    (void)state;
    uint8_t exports[2][2][32];
    for (int i = 0; i < 2; i++) {
        struct rig rig;
        rig_open(&rig, KEY_A, KEY_A);
        rig_dial(&rig);
        open_both(&rig);
        conn_export(rig.client.conn, "EXPORTER-test", exports[i][0]);
        conn_export(rig.server.conn, "EXPORTER-test", exports[i][1]);
        assert_memory_equal(exports[i][0], exports[i][1], 32);
        rig_close(&rig);
    }
    assert_memory_not_equal(exports[0][0], exports[1][0], 32);
}

static void test_pause_holds_input_back(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, KEY_A, KEY_A);
    rig_dial(&rig);
    open_both(&rig);
    conn_pause(rig.server.conn);
    conn_send(rig.client.conn, bytes_of_text("hello"), (struct bytes){0});
    rig.server.wanted = 5;
    assert_false(loop_run_until(rig.loop, has_wanted, &rig.server, 50));
    conn_resume(rig.server.conn);
    assert_true(loop_run_until(rig.loop, has_wanted, &rig.server, 5000));
    rig_close(&rig);
}

/* --- what must fail, and how ---------------------------------------------------------------------------------
 */

static void test_another_key_is_named_on_both_sides(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, KEY_A, KEY_B);
    rig_dial(&rig);
    assert_true(loop_run_until(rig.loop, both_ended, &rig, 5000));
    assert_int_equal(rig.server.end, CONN_END_WRONG_KEY);
    assert_int_equal(rig.client.end, CONN_END_WRONG_KEY);
    assert_false(rig.server.open || rig.client.open);
    assert_int_equal(rig.server.got.size + rig.client.got.size, 0);
    rig_close(&rig);
}

static void test_plain_http_on_a_tls_port_is_not_our_protocol(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, KEY_A, NULL);
    int fd = raw_dial(&rig);
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_int_equal(write(fd, request, sizeof request - 1), sizeof request - 1);
    assert_true(loop_run_until(rig.loop, has_ended, &rig.server, 5000));
    assert_int_equal(rig.server.end, CONN_END_NOT_TLS);
    assert_non_null(strstr(rig.server.text, "HTTP"));
    close(fd);
    rig_close(&rig);
}

static void test_a_tls_client_at_a_plain_server(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL, KEY_A);
    rig.server.echoes = true; /* answers our ClientHello with itself: a reflector */
    rig_dial(&rig);
    assert_true(loop_run_until(rig.loop, has_ended, &rig.client, 5000));
    assert_int_equal(rig.client.end, CONN_END_NOT_TLS);
    assert_false(rig.client.open);
    rig_close(&rig);
}

static void test_a_refused_connection_says_so(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL, NULL);
    struct endpoint gone = *listener_endpoint(rig.listener);
    listener_free(rig.listener);
    rig.listener = NULL;
    rig.client.conn = conn_dial(rig.loop, &gone, NULL, NULL, &side_events, &rig.client);
    assert_true(loop_run_until(rig.loop, has_ended, &rig.client, 5000));
    assert_int_equal(rig.client.end, CONN_END_UNREACHED);
    assert_string_equal(rig.client.text, "Connection refused");
    rig_close(&rig);
}

static void test_a_silent_handshake_meets_the_deadline(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, KEY_A, NULL);
    rig.limits.open_ms = 100;
    int fd = raw_dial(&rig);
    assert_int_equal(write(fd, "\x16", 1), 1); /* one byte of a ClientHello */
    assert_true(loop_run_until(rig.loop, has_ended, &rig.server, 2000));
    assert_int_equal(rig.server.end, CONN_END_DEADLINE);
    close(fd);
    rig_close(&rig);
}

static void test_a_cut_connection_is_truncated_not_ended(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, KEY_A, KEY_A);
    rig_dial(&rig);
    open_both(&rig);
    /* Find the client's socket by its port, and close its sending side behind TLS's back. */
    struct endpoint local;
    assert_true(conn_local(rig.client.conn, &local));
    for (int fd = 3; fd < 64; fd++) {
        struct sockaddr_in name = {0};
        socklen_t size = sizeof name;
        if (getsockname(fd, (struct sockaddr *)&name, &size) == 0 && name.sin_family == AF_INET &&
            ntohs(name.sin_port) == local.port)
            shutdown(fd, SHUT_WR);
    }
    assert_true(loop_run_until(rig.loop, has_ended, &rig.server, 5000));
    assert_int_equal(rig.server.end, CONN_END_TRUNCATED);
    rig_close(&rig);
}

static void send_until_refused(struct conn *conn)
{
    static uint8_t block[65536];
    for (int i = 0; i < 1000; i++)
        if (!conn_send(conn, bytes_of(block, sizeof block), (struct bytes){0}))
            return;
    fail_msg("the queue takes everything");
}

static void test_the_queue_is_bounded(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, KEY_A, KEY_A);
    rig.limits.output_bytes_max = (size_t)2 << 20;
    rig_dial(&rig);
    open_both(&rig);
    conn_pause(rig.server.conn);
    send_until_refused(rig.client.conn);
    assert_false(rig.client.ended); /* never from within a call */
    assert_true(loop_run_until(rig.loop, has_ended, &rig.client, 5000));
    assert_int_equal(rig.client.end, CONN_END_QUEUE_FULL);
    rig_close(&rig);
}

static void test_who_does_not_read_is_dropped(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, KEY_A, KEY_A);
    rig.limits.stall_ms = 150;
    rig_dial(&rig);
    open_both(&rig);
    conn_pause(rig.server.conn);
    uint64_t start = clock_ms(loop_clock(rig.loop));
    uint8_t *much = mem_array((size_t)16 << 20, 1);
    assert_true(conn_send(rig.client.conn, bytes_of(much, (size_t)16 << 20), (struct bytes){0}));
    mem_free(much);
    assert_true(loop_run_until(rig.loop, has_ended, &rig.client, 5000));
    assert_int_equal(rig.client.end, CONN_END_STALLED);
    assert_true(clock_ms(loop_clock(rig.loop)) - start >= 149);
    rig_close(&rig);
}

static void test_input_nobody_takes_is_bounded(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL, NULL);
    rig.limits.input_bytes_max = 100000;
    rig.server.keeps = true;
    rig_dial(&rig);
    open_both(&rig);
    static uint8_t much[300000];
    conn_send(rig.client.conn, bytes_of(much, sizeof much), (struct bytes){0});
    assert_true(loop_run_until(rig.loop, has_ended, &rig.server, 5000));
    assert_int_equal(rig.server.end, CONN_END_INPUT_FULL);
    rig_close(&rig);
}

/* --- a rogue server: a certificate and no PSK (SECURITY S2)
 * ---------------------------------------------------- */

struct rogue {
    int fd;
    int accepted; /* SSL_accept's result */
};

static SSL_CTX *certificate_server(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -1000);
    X509_gmtime_adj(X509_getm_notAfter(cert), 100000);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)"rogue",
                               -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    X509_set_pubkey(cert, key);
    X509_sign(cert, key, EVP_sha256());
    SSL_CTX_use_certificate(ctx, cert);
    SSL_CTX_use_PrivateKey(ctx, key);
    X509_free(cert);
    EVP_PKEY_free(key);
    return ctx;
}

static void *run_rogue(void *arg)
{
    struct rogue *rogue = arg;
    int fd = accept(rogue->fd, NULL, NULL);
    SSL_CTX *ctx = certificate_server();
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    rogue->accepted = SSL_accept(ssl);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    return NULL;
}

static void test_a_certificate_is_no_key(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL, KEY_A);
    struct sockaddr_in at = {.sin_family = AF_INET};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    struct rogue rogue = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .accepted = -7};
    assert_int_equal(bind(rogue.fd, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(rogue.fd, 1), 0);
    getsockname(rogue.fd, (struct sockaddr *)&at, &size);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_rogue, &rogue), 0);
    struct endpoint to = {.ip = "127.0.0.1", .port = ntohs(at.sin_port)};
    rig.client.conn = conn_dial(rig.loop, &to, rig.client_tls, NULL, &side_events, &rig.client);
    assert_true(loop_run_until(rig.loop, has_ended, &rig.client, 5000));
    assert_int_equal(rig.client.end, CONN_END_NOT_TLS);
    assert_false(rig.client.open);
    pthread_join(thread, NULL);
    assert_int_not_equal(rogue.accepted, 1);
    close(rogue.fd);
    rig_close(&rig);
}

/* A client without our PSK, and one that offers only TLS 1.2 (S2, S3). */
static void refuse_client(int version)
{
    struct rig rig;
    rig_open(&rig, KEY_A, NULL);
    int fd = raw_dial(&rig);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(ctx, version);
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    assert_int_equal(SSL_connect(ssl), -1); /* has sent its ClientHello */
    assert_true(loop_run_until(rig.loop, has_ended, &rig.server, 5000));
    assert_int_equal(rig.server.end, CONN_END_NOT_TLS);
    assert_false(rig.server.open);
    assert_int_equal(SSL_connect(ssl), -1);
    assert_int_equal(SSL_get_error(ssl, -1), SSL_ERROR_SSL);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    rig_close(&rig);
}

static void test_clients_without_the_key_or_with_an_old_version_are_refused(void **state)
{
    (void)state;
    refuse_client(TLS1_3_VERSION);
    refuse_client(TLS1_2_VERSION);
}

/* --- listener, names, ports ----------------------------------------------------------------------------------
 */

static void test_a_taken_port_names_its_holder(void **state)
{
    (void)state;
    struct rig rig;
    struct error err;
    struct listener *second;
    rig_open(&rig, NULL, NULL);
    uint16_t port = listener_endpoint(rig.listener)->port;
    assert_int_equal(listener_new(&second, rig.loop, "127.0.0.1", port, "links", on_accept, &rig, &err),
                     STATUS_BUSY);
    char wanted[64];
    snprintf(wanted, sizeof wanted, "TCP port %u of 127.0.0.1 is in use by process %d (", port, getpid());
    assert_non_null(strstr(err.text, wanted));
    assert_int_equal(status_exit_code(err.status), 3);
    rig_close(&rig);
}

static void test_both_families_are_taken_by_default(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL, NULL);
    listener_free(rig.listener);
    assert_int_equal(listener_new(&rig.listener, rig.loop, "", 0, "test", on_accept, &rig, NULL), STATUS_OK);
    struct endpoint to = {.ip = "127.0.0.1", .port = listener_endpoint(rig.listener)->port};
    rig.client.conn = conn_dial(rig.loop, &to, NULL, NULL, &side_events, &rig.client);
    open_both(&rig);
    assert_string_equal(conn_remote(rig.server.conn)->ip, "127.0.0.1"); /* not ::ffff:127.0.0.1 */
    rig_close(&rig);
}

static void test_short_of_descriptors_the_listener_pauses(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL, NULL);
    struct rlimit before, low = {.rlim_cur = 32, .rlim_max = 0};
    getrlimit(RLIMIT_NOFILE, &before);
    low.rlim_max = before.rlim_max;
    int fds[40], n_fds = 0;
    while (n_fds < 40 && (fds[n_fds] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0 && fds[n_fds] < 29)
        n_fds++;
    int client = raw_dial(&rig);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_false(loop_run_until(rig.loop, never, NULL, 350));
    assert_null(rig.server.conn);
    assert_in_range(listener_n_paused(rig.listener), 2, 5); /* each 100 ms, not in a spin */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    rig.client.open = true;
    open_both(&rig); /* who waited is served */
    close(client);
    for (int i = 0; i <= n_fds && i < 40; i++)
        close(fds[i]);
    rig_close(&rig);
}

struct answer {
    bool called;
    size_t n;
    struct endpoint first;
    char text[320];
};

static void on_resolved(void *arg, const struct endpoint *answers, size_t n, const char *text)
{
    struct answer *answer = arg;
    answer->called = true;
    answer->n = n;
    if (n)
        answer->first = answers[0];
    snprintf(answer->text, sizeof answer->text, "%s", text);
}

static bool was_called(void *arg)
{
    return ((struct answer *)arg)->called;
}

static void test_names_are_resolved(void **state)
{
    (void)state;
    struct addrinfo *known;
    if (getaddrinfo("localhost", NULL, NULL, &known) != 0) {
        print_message("this machine does not know the name localhost\n");
        skip();
    }
    freeaddrinfo(known);
    struct loop *loop;
    assert_int_equal(loop_new(&loop, NULL), STATUS_OK);
    struct answer numeric = {0}, local = {0}, none = {0}, cancelled = {0};
    resolve_start(loop, "192.0.2.7", 7400, on_resolved, &numeric);
    assert_false(numeric.called);
    assert_true(loop_run_until(loop, was_called, &numeric, 1000));
    assert_int_equal(numeric.n, 1);
    assert_string_equal(numeric.first.ip, "192.0.2.7");
    assert_int_equal(numeric.first.port, 7400);
    resolve_start(loop, "localhost", 1, on_resolved, &local);
    assert_true(loop_run_until(loop, was_called, &local, 5000));
    assert_true(local.n >= 1 && endpoint_is_loopback(&local.first));
    resolve_start(loop, "no such name", 1, on_resolved, &none);
    resolve_cancel(resolve_start(loop, "localhost", 1, on_resolved, &cancelled));
    assert_true(loop_run_until(loop, was_called, &none, 20000));
    assert_int_equal(none.n, 0);
    assert_non_null(strstr(none.text, "'no such name' does not resolve"));
    loop_run_until(loop, never, NULL, 50);
    assert_false(cancelled.called);
    loop_free(loop);
}

static void test_endpoints_are_numeric(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
    } rows[] = {
        {"127.0.0.1:80", true},   {"[::1]:65535", true}, {"0.0.0.0:0", true},     {"127.0.0.1", false},
        {"::1:80", false},        {"[::1]", false},      {"localhost:80", false}, {"127.0.0.1:65536", false},
        {"127.0.0.1:+80", false}, {"127.0.0.1:", false}, {":80", false},          {"1.2.3.4:000080", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct endpoint endpoint;
        char text[ENDPOINT_TEXT_BYTES];
        assert_int_equal(endpoint_parse(&endpoint, rows[i].text), rows[i].ok);
        if (rows[i].ok) {
            endpoint_text(text, &endpoint);
            assert_string_equal(text, rows[i].text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_echo_of_8_mib),
        cmocka_unit_test(test_tls_echo_of_8_mib),
        cmocka_unit_test(test_the_exporter_is_equal_on_both_sides_and_new_each_time),
        cmocka_unit_test(test_pause_holds_input_back),
        cmocka_unit_test(test_another_key_is_named_on_both_sides),
        cmocka_unit_test(test_plain_http_on_a_tls_port_is_not_our_protocol),
        cmocka_unit_test(test_a_tls_client_at_a_plain_server),
        cmocka_unit_test(test_a_refused_connection_says_so),
        cmocka_unit_test(test_a_silent_handshake_meets_the_deadline),
        cmocka_unit_test(test_a_cut_connection_is_truncated_not_ended),
        cmocka_unit_test(test_the_queue_is_bounded),
        cmocka_unit_test(test_who_does_not_read_is_dropped),
        cmocka_unit_test(test_input_nobody_takes_is_bounded),
        cmocka_unit_test(test_a_certificate_is_no_key),
        cmocka_unit_test(test_clients_without_the_key_or_with_an_old_version_are_refused),
        cmocka_unit_test(test_a_taken_port_names_its_holder),
        cmocka_unit_test(test_both_families_are_taken_by_default),
        cmocka_unit_test(test_short_of_descriptors_the_listener_pauses),
        cmocka_unit_test(test_names_are_resolved),
        cmocka_unit_test(test_endpoints_are_numeric),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
