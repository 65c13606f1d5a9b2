/* agent_rig - real agents on loopback under one loop, with what they told, for tests. */
#ifndef TEST_AGENT_RIG_H
#define TEST_AGENT_RIG_H

#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"
#include "net/loop.h"
#include "swarm/agent.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define RIG_VALUES_MAX 64
#define RIG_FAULTS_MAX 64
#define RIG_AGENTS_MAX 10

/* Times are those of the real program; sanitizers and a busy machine slow it down. */
#define WITHIN(ms) ((uint64_t)(ms)*4)

struct rig_value {
    struct agent_key key;
    uint64_t value_id, sequence;
    bool expired;
};

struct rig_agent {
    struct rig *rig;
    struct agent *agent;
    char *dir;
    bool has_dir;
    uint16_t dht_port, torrent_port;
    uint32_t n_ready, n_crashes, n_errors, n_torrent_errors, n_got, n_asked, n_got_values, n_statuses;
    uint32_t restart_in_ms;
    char why[400], error[400];
    struct rig_value values[RIG_VALUES_MAX];
    size_t n_values;
    bool announced_ok;
    uint32_t n_announced, n_acked, n_answered, n_unanswered;
    struct agent_dht dht;
    struct agent_torrent_status torrent; /* the last; its text is in `error` */
    uint64_t first_bytes_after_crash;
    bool seen_after_crash;
    struct agent_torrent_peer faults[RIG_FAULTS_MAX];
    size_t n_faults;
};

struct rig {
    struct loop *loop;
    struct rig_agent agents[RIG_AGENTS_MAX];
    size_t n_agents;
};

static inline void rig_on_ready(void *ctx, uint16_t dht_port, uint16_t torrent_port)
{
    struct rig_agent *a = ctx;
    a->n_ready++;
    a->dht_port = dht_port;
    a->torrent_port = torrent_port;
}

static inline struct rig_value *rig_find(struct rig_agent *a, const struct agent_key *key, uint64_t value_id)
{
    for (size_t i = 0; i < a->n_values; i++)
        if (a->values[i].value_id == value_id && memcmp(&a->values[i].key, key, sizeof *key) == 0)
            return &a->values[i];
    return NULL;
}

static inline void rig_on_value(void *ctx, const struct agent_key *key, uint64_t value_id, struct bytes stored)
{
    struct rig_agent *a = ctx;
    struct reader r = reader_over(stored);
    uint64_t sequence = reader_u64(&r);
    struct rig_value *v = rig_find(a, key, value_id);
    if (!v && a->n_values < RIG_VALUES_MAX)
        v = &a->values[a->n_values++];
    if (v && sequence >= v->sequence)
        *v = (struct rig_value){*key, value_id, sequence, false};
}

static inline void rig_on_expired(void *ctx, const struct agent_key *key, uint64_t value_id)
{
    struct rig_value *v = rig_find(ctx, key, value_id);
    if (v)
        v->expired = true;
}

static inline void rig_on_announced(void *ctx, const struct agent_key *key, uint64_t value_id, bool ok,
                                    uint32_t n_acked)
{
    struct rig_agent *a = ctx;
    (void)key;
    (void)value_id;
    a->announced_ok = ok;
    a->n_acked = n_acked;
    a->n_announced++;
}

static inline void rig_on_got(void *ctx, const struct agent_key *key, uint32_t n_values, uint32_t n_asked)
{
    struct rig_agent *a = ctx;
    (void)key;
    a->n_got++;
    a->n_got_values = n_values;
    a->n_asked = n_asked;
}

static inline void rig_on_entry(void *ctx, const struct address *address, bool answered)
{
    struct rig_agent *a = ctx;
    (void)address;
    a->n_answered += answered;
    a->n_unanswered += !answered;
}

static inline void rig_on_dht(void *ctx, const struct agent_dht *dht)
{
    struct rig_agent *a = ctx;
    a->dht = *dht;
}

static inline void rig_on_torrent(void *ctx, const struct agent_torrent_status *status)
{
    struct rig_agent *a = ctx;
    a->torrent = *status;
    a->n_statuses++;
    snprintf(a->error, sizeof a->error, "%s", status->error);
    if (a->n_crashes && !a->seen_after_crash && status->state == AGENT_TORRENT_FETCHING) {
        a->seen_after_crash = true;
        a->first_bytes_after_crash = status->bytes_done;
    }
}

static inline void rig_on_torrent_peer(void *ctx, const struct agent_torrent_peer *peer)
{
    struct rig_agent *a = ctx;
    if (a->n_faults < RIG_FAULTS_MAX)
        a->faults[a->n_faults++] = *peer;
}

static inline void rig_on_torrent_error(void *ctx, const struct agent_key *id, const char *text)
{
    struct rig_agent *a = ctx;
    (void)id;
    a->n_torrent_errors++;
    snprintf(a->error, sizeof a->error, "%s", text);
}

static inline void rig_on_crashed(void *ctx, const char *why, uint32_t restart_in_ms, uint32_t n_crashes)
{
    struct rig_agent *a = ctx;
    a->n_crashes = n_crashes;
    a->restart_in_ms = restart_in_ms;
    snprintf(a->why, sizeof a->why, "%s", why);
}

static inline void rig_on_error(void *ctx, const char *about, const char *text)
{
    struct rig_agent *a = ctx;
    a->n_errors++;
    snprintf(a->error, sizeof a->error, "%s: %s", about, text);
}

static const struct agent_events RIG_EVENTS = {.on_ready = rig_on_ready,
                                               .on_value = rig_on_value,
                                               .on_expired = rig_on_expired,
                                               .on_announced = rig_on_announced,
                                               .on_got = rig_on_got,
                                               .on_entry = rig_on_entry,
                                               .on_dht = rig_on_dht,
                                               .on_torrent = rig_on_torrent,
                                               .on_torrent_peer = rig_on_torrent_peer,
                                               .on_torrent_error = rig_on_torrent_error,
                                               .on_crashed = rig_on_crashed,
                                               .on_error = rig_on_error};

/* $SHOAL_AGENT, else shoal-agent of the build that this test is in. NULL: there is none. */
static inline const char *rig_program(void)
{
    static char path[4096];
    const char *given = getenv("SHOAL_AGENT");
    if (given && given[0])
        return access(given, X_OK) == 0 ? given : NULL;
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);
    for (int up = 0; n > 0 && up < 3; up++) /* BUILD/tests/swarm/test_agent */
        while (n > 0 && path[--n] != '/')
            ;
    if (n <= 0)
        return NULL;
    snprintf(path + n, sizeof path - (size_t)n, "/shoal-agent");
    return access(path, X_OK) == 0 ? path : NULL;
}

static inline void rig_skip_without_program(void)
{
    if (!rig_program()) {
        print_message("skipped: no shoal-agent in this build; make it, or set SHOAL_AGENT\n");
        skip();
    }
}

static inline struct rig *rig_new(void)
{
    struct rig *rig = mem_new(sizeof *rig);
    struct error err;
    assert_int_equal(crypto_start(&err), STATUS_OK);
    assert_int_equal(loop_new(&rig->loop, &err), STATUS_OK);
    return rig;
}

static inline struct shared_key rig_key(uint8_t fill)
{
    struct shared_key key;
    memset(key.bytes, fill, sizeof key.bytes);
    return key;
}

/* An agent with a folder of its own. */
static inline struct rig_agent *rig_add(struct rig *rig, uint8_t key_fill)
{
    struct rig_agent *a = &rig->agents[rig->n_agents++];
    char dir[] = "/tmp/shoal-agent-test-XXXXXX";
    struct error err;
    assert_non_null(mkdtemp(dir));
    a->rig = rig;
    a->dir = mem_string(dir);
    const char *dirs[] = {a->dir};
    struct agent_config config = {.mac_key = rig_key(key_fill),
                                  .program = rig_program(),
                                  .network = "test",
                                  .listen_ip = "127.0.0.1",
                                  .dirs = dirs,
                                  .n_dirs = 1};
    crypto_random(config.node_id.bytes, sizeof config.node_id.bytes);
    if (agent_real_new(&a->agent, rig->loop, &config, &RIG_EVENTS, a, &err))
        fail_msg("%s", err.text);
    return a;
}

static inline void rig_free(struct rig *rig)
{
    for (size_t i = 0; i < rig->n_agents; i++) {
        char command[4096];
        struct rig_agent *a = &rig->agents[i];
        agent_real_free(a->agent);
        if (a->dir) {
            for (const char *const *name = (const char *const[]){"s.gguf", "s.gguf.part", "other.gguf", NULL};
                 *name; name++) {
                snprintf(command, sizeof command, "%s/%s", a->dir, *name);
                unlink(command);
            }
            rmdir(a->dir);
        }
        mem_free(a->dir);
    }
    loop_free(rig->loop);
    mem_free(rig);
}

static inline bool rig_is_ready(void *arg)
{
    struct rig_agent *a = arg;
    return a->n_ready > 0;
}

static inline void rig_wait(struct rig *rig, bool (*done)(void *arg), void *arg, uint64_t ms, const char *what)
{
    if (loop_run_until(rig->loop, done, arg, WITHIN(ms)))
        return;
    for (size_t i = 0; i < rig->n_agents; i++)
        print_message("# agent %zu: torrent state %d, %llu bytes, %u peers, errno %d, '%s'; crashes %u %s\n", i,
                      (int)rig->agents[i].torrent.state, (unsigned long long)rig->agents[i].torrent.bytes_done,
                      rig->agents[i].torrent.n_peers, rig->agents[i].torrent.sys_errno, rig->agents[i].error,
                      rig->agents[i].n_crashes, rig->agents[i].why);
    fail_msg("not within %u ms: %s", (unsigned)WITHIN(ms), what);
}

static inline void rig_sleep(struct rig *rig, uint64_t ms);
static inline bool rig_never(void *arg)
{
    (void)arg;
    return false;
}
static inline void rig_sleep(struct rig *rig, uint64_t ms)
{
    loop_run_until(rig->loop, rig_never, NULL, ms);
}

static inline struct address rig_address(uint16_t port)
{
    struct address address;
    assert_true(address_parse_ip(&address, "127.0.0.1", port));
    return address;
}

static inline struct agent_key rig_dht_key(const char *name)
{
    struct agent_key key;
    sha1_of(key.bytes, name, strlen(name));
    return key;
}

/* u64 sequence, then `size` bytes of no meaning. */
static inline void rig_announce(struct rig_agent *a, const struct agent_key *key, uint64_t value_id,
                                uint64_t sequence, size_t size)
{
    struct buffer value;
    buffer_init(&value, AGENT_VALUE_BYTES_MAX);
    buffer_u64(&value, sequence);
    for (size_t i = 0; i < size; i++)
        buffer_u8(&value, (uint8_t)(i * 7));
    agent_announce(a->agent, key, value_id, buffer_view(&value));
    buffer_free(&value);
}

#endif
