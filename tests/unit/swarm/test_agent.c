/* The DHT through real agents: announcing, listening, asking; wrong keys and killer datagrams; a child that
 * dies. */
#include "agent_rig.h"

struct seen {
    struct rig_agent *by;
    struct agent_key key;
    uint64_t value_id, sequence;
};

static bool has_seen(void *arg)
{
    struct seen *seen = arg;
    struct rig_value *v = rig_find(seen->by, &seen->key, seen->value_id);
    return v && v->sequence >= seen->sequence && !v->expired;
}

static bool has_expired(void *arg)
{
    struct seen *seen = arg;
    struct rig_value *v = rig_find(seen->by, &seen->key, seen->value_id);
    return v && v->expired;
}

static bool is_acked(void *arg)
{
    struct rig_agent *a = arg;
    return a->announced_ok && a->n_acked > 0;
}

static bool has_got(void *arg)
{
    struct rig_agent *a = arg;
    return a->n_got > 0;
}

static bool has_announced(void *arg)
{
    struct rig_agent *a = arg;
    return a->n_announced > 0;
}

static bool has_crashed(void *arg)
{
    struct rig_agent *a = arg;
    return a->n_crashes > 0;
}

static bool is_ready_again(void *arg)
{
    struct rig_agent *a = arg;
    return a->n_ready > 1;
}

static void await_value(struct rig *rig, struct rig_agent *by, const struct agent_key *key, uint64_t value_id,
                        uint64_t sequence, const char *what)
{
    struct seen seen = {by, *key, value_id, sequence};
    rig_wait(rig, has_seen, &seen, 2000, what);
}

/* Three agents, the first of them the entry. */
static struct rig *three(struct rig_agent *out[3])
{
    struct rig *rig = rig_new();
    for (int i = 0; i < 3; i++)
        out[i] = rig_add(rig, 7);
    for (int i = 0; i < 3; i++)
        rig_wait(rig, rig_is_ready, out[i], 5000, "ready");
    struct address entry = rig_address(out[0]->dht_port);
    agent_bootstrap(out[1]->agent, &entry);
    agent_bootstrap(out[2]->agent, &entry);
    return rig;
}

static void test_announce_listen_get(void **state)
{
    struct rig_agent *a[3];
    struct agent_key key = rig_dht_key("members"), empty = rig_dht_key("nobody");
    (void)state;
    rig_skip_without_program();
    struct rig *rig = three(a);

    agent_listen(a[0]->agent, &key);
    agent_listen(a[2]->agent, &key);
    rig_announce(a[1], &key, UINT64_C(0xfedcba9876543210), 1, 400);
    await_value(rig, a[0], &key, UINT64_C(0xfedcba9876543210), 1, "the entry sees what the second announced");
    await_value(rig, a[2], &key, UINT64_C(0xfedcba9876543210), 1, "so does the third");
    rig_wait(rig, is_acked, a[1], 2000, "the announcement is acknowledged");
    assert_in_range(a[1]->n_acked, 1, 2);

    /* A higher sequence replaces, a lower one does not; the largest value travels whole. */
    rig_announce(a[1], &key, UINT64_C(0xfedcba9876543210), UINT64_C(1) << 40, AGENT_VALUE_BYTES_MAX - 8);
    await_value(rig, a[2], &key, UINT64_C(0xfedcba9876543210), UINT64_C(1) << 40,
                "a higher sequence is pushed");
    rig_announce(a[0], &key, UINT64_C(0xfedcba9876543210), 5, 400);
    rig_sleep(rig, 500);
    assert_true(rig_find(a[2], &key, UINT64_C(0xfedcba9876543210))->sequence == UINT64_C(1) << 40);

    agent_get(a[2]->agent, &empty);
    rig_wait(rig, has_got, a[2], 4000, "a get ends");
    assert_int_equal(a[2]->n_got_values, 0);
    assert_in_range(a[2]->n_asked, 1, 2);
    rig_free(rig);
}

static void test_alone(void **state)
{
    struct agent_key key = rig_dht_key("members");
    (void)state;
    rig_skip_without_program();
    struct rig *rig = rig_new();
    struct rig_agent *a = rig_add(rig, 7);
    rig_wait(rig, rig_is_ready, a, 5000, "ready");

    rig_announce(a, &key, 9, 1, 100);
    rig_wait(rig, has_announced, a, 3000, "that nobody acknowledged is told");
    assert_false(a->announced_ok);
    assert_int_equal(a->n_acked, 0);
    agent_get(a->agent, &key);
    rig_wait(rig, has_got, a, 2000, "a get ends without anybody to ask");
    assert_int_equal(a->n_asked, 0);

    /* Somebody comes: it is announced to them without being asked to again. */
    struct rig_agent *b = rig_add(rig, 7);
    rig_wait(rig, rig_is_ready, b, 5000, "ready");
    struct address entry = rig_address(a->dht_port);
    agent_listen(b->agent, &key);
    agent_bootstrap(b->agent, &entry);
    await_value(rig, b, &key, 9, 1, "a newcomer sees the earlier announcement");
    rig_wait(rig, is_acked, a, 3000, "now it is acknowledged");
    rig_free(rig);
}

static void test_nine_at_once(void **state)
{
    struct agent_key key = rig_dht_key("members");
    struct rig_agent *a[9];
    (void)state;
    rig_skip_without_program();
    struct rig *rig = rig_new();
    a[0] = rig_add(rig, 7);
    rig_wait(rig, rig_is_ready, a[0], 5000, "the entry is ready");
    struct address entry = rig_address(a[0]->dht_port);
    for (uint64_t i = 0; i < 9; i++) {
        if (i)
            a[i] = rig_add(rig, 7);
        if (i)
            agent_bootstrap(a[i]->agent, &entry);
        agent_listen(a[i]->agent, &key);
        rig_announce(a[i], &key, i + 1, 1, 400);
    }
    uint64_t began_us = clock_process_us();
    for (uint64_t i = 0; i < 9; i++)
        for (uint64_t of = 0; of < 9; of++)
            if (of != i)
                await_value(rig, a[i], &key, of + 1, 1, "each of nine sees each");
    print_message("# nine agents: all had seen all %u ms after the last was started\n",
                  (unsigned)((clock_process_us() - began_us) / 1000));
    rig_free(rig);
}

static void test_wrong_key(void **state)
{
    struct agent_key key = rig_dht_key("members");
    struct rig_agent *a[3];
    (void)state;
    rig_skip_without_program();
    struct rig *rig = three(a);
    struct rig_agent *stranger = rig_add(rig, 8);
    rig_wait(rig, rig_is_ready, stranger, 5000, "ready");
    struct address entry = rig_address(a[0]->dht_port);

    agent_bootstrap(stranger->agent, &entry);
    agent_listen(stranger->agent, &key);
    rig_announce(stranger, &key, 666, 1, 100);
    agent_listen(a[0]->agent, &key);
    rig_announce(a[1], &key, 1, 1, 100);
    await_value(rig, a[0], &key, 1, 1, "members see each other");
    rig_sleep(rig, 4000);
    assert_null(rig_find(stranger, &key, 1)); /* it hears itself only */
    assert_null(rig_find(a[0], &key, 666));
    assert_true(a[0]->dht.n_bad_mac >= 2);
    assert_string_equal(a[0]->dht.worst_ip, "127.0.0.1");
    assert_int_equal(stranger->n_answered, 0);
    assert_true(stranger->n_unanswered >= 1);
    assert_false(stranger->announced_ok);
    rig_free(rig);
}

/* Each ends an unprotected OpenDHT 2.4.12: a null dereference or a division by zero. */
static const uint8_t KILLERS[][40] = {
    {0x83, 0xa1, 'e', 0x90, 0xa1, 't', 0x01, 0xa1, 'y', 0xa1, 'e'},
    {0x83, 0xa1, 'r', 0x05, 0xa1, 't', 0x01, 0xa1, 'y', 0xa1, 'r'},
    {0x83, 0xa1, 'u', 0x05, 0xa1, 't', 0x01, 0xa1, 'y', 0xa1, 'r'},
    {0x84, 0xa1, 'a', 0x05, 0xa1, 'q', 0xa4, 'p', 'i', 'n', 'g', 0xa1, 't', 0x01, 0xa1, 'y', 0xa1, 'q'},
};
static const size_t KILLER_BYTES[] = {11, 11, 11, 18};

static size_t division_by_zero(uint8_t *out)
{
    struct buffer b;
    buffer_init(&b, 0);
    buffer_bytes(&b, "\x83\xa1r\x82\xa2id\xc4\x14", 9);
    for (int i = 0; i < 20; i++)
        buffer_u8(&b, 0x42);
    buffer_bytes(&b,
                 "\xa6"
                 "fileds\x82\xa1"
                 "f\x90\xa1v\x90\xa1t\x01\xa1y\xa1r",
                 20);
    size_t size = b.size;
    memcpy(out, b.data, size);
    buffer_free(&b);
    return size;
}

struct refused {
    struct rig_agent *by;
    uint64_t n;
};

static bool has_refused(void *arg)
{
    struct refused *refused = arg;
    return refused->by->dht.n_short + refused->by->dht.n_bad_mac >= refused->n;
}

static void test_killer_datagrams(void **state)
{
    struct agent_key key = rig_dht_key("members");
    struct rig_agent *a[3];
    struct rng rng = rng_seeded(0x5eed);
    (void)state;
    rig_skip_without_program();
    struct rig *rig = three(a);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(a[0]->dht_port)};
    uint8_t packet[1024];
    uint64_t n_sent = 0, n_short = 0;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (size_t i = 0; i < sizeof KILLER_BYTES / sizeof *KILLER_BYTES; i++, n_sent++) {
        n_short += KILLER_BYTES[i] <= 16;
        sendto(fd, KILLERS[i], KILLER_BYTES[i], 0, (struct sockaddr *)&to, sizeof to);
    }
    size_t size = division_by_zero(packet);
    sendto(fd, packet, size, 0, (struct sockaddr *)&to, sizeof to);
    n_sent++;
    for (int i = 0; i < 1000; i++, n_sent++) {
        size = rng_below(&rng, 700);
        for (size_t k = 0; k < size; k++)
            packet[k] = (uint8_t)rng_u64(&rng);
        n_short += size <= 16;
        sendto(fd, packet, size, 0, (struct sockaddr *)&to, sizeof to);
        if (i % 100 == 99)
            rig_sleep(rig, 5);
    }
    close(fd);

    struct refused refused = {a[0], n_sent};
    rig_wait(rig, has_refused, &refused, 4000, "every one is counted");
    assert_true(a[0]->dht.n_short == n_short && a[0]->dht.n_bad_mac == n_sent - n_short);
    assert_true(a[0]->dht.n_worst == n_sent);
    assert_int_equal(a[0]->n_crashes, 0);
    agent_listen(a[2]->agent, &key);
    rig_announce(a[1], &key, 3, 1, 100);
    await_value(rig, a[2], &key, 3, 1, "the DHT goes on");
    rig_free(rig);
}

static void test_killed_child(void **state)
{
    struct agent_key key = rig_dht_key("members");
    struct rig_agent *a[3];
    (void)state;
    rig_skip_without_program();
    struct rig *rig = three(a);
    agent_listen(a[1]->agent, &key);
    rig_announce(a[1], &key, 1, 1, 100);
    rig_wait(rig, is_acked, a[1], 3000, "acknowledged");

    uint16_t port = a[1]->dht_port;
    a[1]->announced_ok = false;
    kill(agent_real_pid(a[1]->agent), SIGKILL);
    rig_wait(rig, has_crashed, a[1], 1000, "its end is noticed");
    assert_non_null(strstr(a[1]->why, "signal 9"));
    assert_int_equal(a[1]->restart_in_ms, 200);
    rig_wait(rig, is_ready_again, a[1], 3000, "another is started");
    assert_int_equal(a[1]->dht_port, port);
    /* Bootstraps, announcements and listens were told to it again. */
    rig_wait(rig, is_acked, a[1], 3000, "acknowledged again");
    rig_announce(a[2], &key, 2, 1, 100);
    await_value(rig, a[1], &key, 2, 1, "it listens again");
    rig_free(rig);
}

static void test_expiry(void **state)
{
    struct agent_key key = rig_dht_key("members");
    (void)state;
    rig_skip_without_program();
    struct rig *rig = rig_new();
    struct rig_agent *a[2];
    for (int i = 0; i < 2; i++) {
        struct error err;
        a[i] = &rig->agents[rig->n_agents++];
        struct agent_config config = {.mac_key = rig_key(7),
                                      .program = rig_program(),
                                      .network = "test",
                                      .listen_ip = "127.0.0.1",
                                      .value_ttl_s = 5};
        crypto_random(config.node_id.bytes, sizeof config.node_id.bytes);
        assert_int_equal(agent_real_new(&a[i]->agent, rig->loop, &config, &RIG_EVENTS, a[i], &err), STATUS_OK);
        rig_wait(rig, rig_is_ready, a[i], 5000, "ready");
    }
    struct address entry = rig_address(a[0]->dht_port);
    agent_bootstrap(a[1]->agent, &entry);
    agent_listen(a[0]->agent, &key);
    rig_announce(a[1], &key, 5, 1, 100);
    await_value(rig, a[0], &key, 5, 1, "seen");
    rig_sleep(rig, 7000);
    struct seen seen = {a[0], key, 5, 1};
    assert_true(has_seen(&seen)); /* put again in time */
    agent_retract(a[1]->agent, &key, 5);
    rig_wait(rig, has_expired, &seen, 8000, "a retracted announcement expires");
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_announce_listen_get),
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_nine_at_once),
        cmocka_unit_test(test_wrong_key),
        cmocka_unit_test(test_killer_datagrams),
        cmocka_unit_test(test_killed_child),
        cmocka_unit_test(test_expiry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
