/* What the child says. It parses hostile bytes for a living, so its words are not trusted either: every field
 * is checked, and a line that breaks the protocol ends it. */
#include "base/mem.h"
#include "net/loop.h"
#include "swarm/agent_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TEXT_BYTES_MAX 1024

static const struct jv_limits LIMITS = {.bytes_max = AGENT_LINE_BYTES_MAX, .depth_max = 4, .values_max = 4096};

static bool malformed(struct error *err, const char *event)
{
    error_set(err, STATUS_BAD_DATA, "it sent a malformed '%s' event", event);
    return false;
}

static bool read_key(const struct jv *line, const char *field, struct agent_key *out)
{
    return jv_get_hex(line, field, out->bytes, sizeof out->bytes);
}

static bool read_u64(const struct jv *line, const char *field, uint64_t *out)
{
    uint8_t bytes[8];
    if (!jv_get_hex(line, field, bytes, sizeof bytes))
        return false;
    *out = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        *out = *out << 8 | bytes[i];
    return true;
}

static uint64_t read_count(const struct jv *line, const char *field)
{
    int64_t v = jv_get_int(line, field, 0);
    return v > 0 ? (uint64_t)v : 0;
}

static uint32_t read_count32(const struct jv *line, const char *field)
{
    uint64_t v = read_count(line, field);
    return v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

static bool read_port(const struct jv *line, const char *field, uint16_t *out)
{
    int64_t v = jv_get_int(line, field, -1);
    *out = (uint16_t)v;
    return v >= 0 && v <= UINT16_MAX;
}

static const char *read_text(const struct jv *line, const char *field)
{
    const char *text = jv_get_text(line, field, "");
    return strlen(text) <= 4 * TEXT_BYTES_MAX ? text : "(a text that is too long)";
}

/* --- one function an event ------------------------------------------------------------------------------- */

static bool on_hello(struct agent_real *agent, const struct jv *line, struct error *err)
{
    (void)agent;
    if (jv_get_int(line, "version", 0) == AGENT_PROTOCOL_VERSION)
        return true;
    error_set(err, STATUS_UNSUPPORTED,
              "it speaks version %" PRId64 " of the protocol, this program %d; install both from one build",
              jv_get_int(line, "version", 0), AGENT_PROTOCOL_VERSION);
    return false;
}

static bool on_ready(struct agent_real *agent, const struct jv *line, struct error *err)
{
    uint16_t dht_port, torrent_port;
    if (!read_port(line, "dht_port", &dht_port) || !read_port(line, "torrent_port", &torrent_port))
        return malformed(err, AGENT_EVENT_READY);
    /* After a restart the same ports: others know them. */
    agent->dht_port = dht_port;
    agent->torrent_port = torrent_port;
    agent->ready = true;
    if (agent->events->on_ready)
        agent->events->on_ready(agent->ctx, dht_port, torrent_port);
    return true;
}

static bool on_entry(struct agent_real *agent, const struct jv *line, struct error *err)
{
    struct address address;
    uint16_t port;
    if (!read_port(line, "port", &port) || !address_parse_ip(&address, jv_get_text(line, "ip", ""), port))
        return malformed(err, AGENT_EVENT_ENTRY);
    if (agent->events->on_entry)
        agent->events->on_entry(agent->ctx, &address, jv_get_bool(line, "answered", false));
    return true;
}

static bool on_value(struct agent_real *agent, const struct jv *line, struct error *err)
{
    struct agent_key key;
    uint64_t value_id;
    uint8_t data[AGENT_VALUE_BYTES_MAX];
    const char *text = jv_get_text(line, "data", "");
    size_t size = strlen(text) * 6 / 8;
    if (!read_key(line, "key", &key) || !read_u64(line, "value_id", &value_id) ||
        size < AGENT_VALUE_BYTES_MIN || size > sizeof data || !base64url_decode(data, size, text))
        return malformed(err, AGENT_EVENT_VALUE);
    if (agent->events->on_value)
        agent->events->on_value(agent->ctx, &key, value_id, bytes_of(data, size));
    return true;
}

static bool on_expired(struct agent_real *agent, const struct jv *line, struct error *err)
{
    struct agent_key key;
    uint64_t value_id;
    if (!read_key(line, "key", &key) || !read_u64(line, "value_id", &value_id))
        return malformed(err, AGENT_EVENT_EXPIRED);
    if (agent->events->on_expired)
        agent->events->on_expired(agent->ctx, &key, value_id);
    return true;
}

static bool on_announced(struct agent_real *agent, const struct jv *line, struct error *err)
{
    struct agent_key key;
    uint64_t value_id;
    if (!read_key(line, "key", &key) || !read_u64(line, "value_id", &value_id))
        return malformed(err, AGENT_EVENT_ANNOUNCED);
    if (agent->events->on_announced)
        agent->events->on_announced(agent->ctx, &key, value_id, jv_get_bool(line, "ok", false),
                                    read_count32(line, "acked"));
    return true;
}

static bool on_got(struct agent_real *agent, const struct jv *line, struct error *err)
{
    struct agent_key key;
    if (!read_key(line, "key", &key))
        return malformed(err, AGENT_EVENT_GOT);
    if (agent->events->on_got)
        agent->events->on_got(agent->ctx, &key, read_count32(line, "values"), read_count32(line, "asked"));
    return true;
}

static void read_worst(const struct jv *sources, struct agent_dht *dht)
{
    for (size_t i = 0; i < jv_count(sources); i++) {
        const struct jv *source = jv_at(sources, i);
        uint64_t n = read_count(source, "short") + read_count(source, "bad_mac");
        struct address address;
        if (n <= dht->n_worst || !address_parse_ip(&address, jv_get_text(source, "ip", ""), 1))
            continue;
        dht->n_worst = n;
        snprintf(dht->worst_ip, sizeof dht->worst_ip, "%s", jv_get_text(source, "ip", ""));
    }
}

static bool on_dht(struct agent_real *agent, const struct jv *line, struct error *err)
{
    struct agent_dht dht = {.n_good = read_count32(line, "good"),
                            .n_dubious = read_count32(line, "dubious"),
                            .n_stored = read_count32(line, "stored_values"),
                            .n_received = read_count(line, "rx_ok"),
                            .n_short = read_count(line, "rx_short"),
                            .n_bad_mac = read_count(line, "rx_bad_mac"),
                            .n_sent = read_count(line, "tx"),
                            .n_send_failed = read_count(line, "tx_failed")};
    (void)err;
    read_worst(jv_get(line, "sources"), &dht);
    if (agent->events->on_dht)
        agent->events->on_dht(agent->ctx, &dht);
    return true;
}

static const char *const STATES[] = {
    [AGENT_TORRENT_CHECKING] = AGENT_STATE_CHECKING, [AGENT_TORRENT_FETCHING] = AGENT_STATE_FETCHING,
    [AGENT_TORRENT_FINISHED] = AGENT_STATE_FINISHED, [AGENT_TORRENT_SEEDING] = AGENT_STATE_SEEDING,
    [AGENT_TORRENT_PAUSED] = AGENT_STATE_PAUSED,     [AGENT_TORRENT_FAILED] = AGENT_STATE_FAILED,
};
static const char *const FAULTS[] = {
    [AGENT_PEER_CORRUPT] = "corrupt", [AGENT_PEER_BANNED] = "banned", [AGENT_PEER_STALLED] = "stalled"};

static bool find_word(const char *const *words, size_t n, const char *word, size_t *out)
{
    for (*out = 0; *out < n; (*out)++)
        if (strcmp(words[*out], word) == 0)
            return true;
    return false;
}

static bool on_torrent(struct agent_real *agent, const struct jv *line, struct error *err)
{
    struct agent_torrent_status status = {.bytes_done = read_count(line, "bytes_done"),
                                          .bytes_total = read_count(line, "bytes_total"),
                                          .rate_down = read_count(line, "rate_down"),
                                          .rate_up = read_count(line, "rate_up"),
                                          .uploaded = read_count(line, "uploaded"),
                                          .wasted = read_count(line, "wasted"),
                                          .n_peers = read_count32(line, "peers"),
                                          .n_seeds = read_count32(line, "seeds"),
                                          .n_hash_failures = read_count32(line, "hash_failures"),
                                          .sys_errno = (int)(read_count32(line, "errno") & 0xffff),
                                          .error = read_text(line, "error")};
    size_t state;
    if (!read_key(line, "id", &status.id) || status.bytes_done > status.bytes_total ||
        !find_word(STATES, sizeof STATES / sizeof *STATES, jv_get_text(line, "state", ""), &state))
        return malformed(err, AGENT_EVENT_TORRENT);
    status.state = (enum agent_torrent_state)state;
    /* Of a torrent that was removed meanwhile nobody wants to hear. */
    if (agent->events->on_torrent && agent_state_torrent(&agent->state, &status.id))
        agent->events->on_torrent(agent->ctx, &status);
    return true;
}

static bool on_torrent_peer(struct agent_real *agent, const struct jv *line, struct error *err)
{
    struct agent_torrent_peer peer = {.piece = jv_get_int(line, "piece", -1), .text = read_text(line, "text")};
    struct address address;
    size_t fault;
    if (!read_key(line, "id", &peer.id) || !read_port(line, "port", &peer.port) ||
        !address_parse_ip(&address, jv_get_text(line, "ip", ""), peer.port) ||
        !find_word(FAULTS, sizeof FAULTS / sizeof *FAULTS, jv_get_text(line, "fault", ""), &fault))
        return malformed(err, AGENT_EVENT_TORRENT_PEER);
    snprintf(peer.ip, sizeof peer.ip, "%s", jv_get_text(line, "ip", ""));
    peer.fault = (enum agent_peer_fault)fault;
    if (agent->events->on_torrent_peer && agent_state_torrent(&agent->state, &peer.id))
        agent->events->on_torrent_peer(agent->ctx, &peer);
    return true;
}

static bool on_error(struct agent_real *agent, const struct jv *line, struct error *err)
{
    const char *about = read_text(line, "about"), *text = read_text(line, "text");
    struct agent_key id;
    (void)err;
    if (strcmp(about, AGENT_DO_START) == 0)
        snprintf(agent->last_error, sizeof agent->last_error, "%s", text);
    if (read_key(line, "id", &id)) {
        if (agent->events->on_torrent_error && agent_state_torrent(&agent->state, &id))
            agent->events->on_torrent_error(agent->ctx, &id, text);
    } else if (agent->events->on_error) {
        agent->events->on_error(agent->ctx, about, text);
    }
    return true;
}

bool agent_events_take(struct agent_real *agent, struct bytes bytes, struct error *err)
{
    static const struct {
        const char *name;
        bool (*take)(struct agent_real *agent, const struct jv *line, struct error *err);
    } TABLE[] = {{AGENT_EVENT_HELLO, on_hello},     {AGENT_EVENT_READY, on_ready},
                 {AGENT_EVENT_ENTRY, on_entry},     {AGENT_EVENT_VALUE, on_value},
                 {AGENT_EVENT_EXPIRED, on_expired}, {AGENT_EVENT_ANNOUNCED, on_announced},
                 {AGENT_EVENT_GOT, on_got},         {AGENT_EVENT_DHT, on_dht},
                 {AGENT_EVENT_TORRENT, on_torrent}, {AGENT_EVENT_TORRENT_PEER, on_torrent_peer},
                 {AGENT_EVENT_ERROR, on_error}};
    struct jv *line;
    bool ok = false, known = false;

    if (jv_parse(&line, bytes, &LIMITS, err)) {
        error_wrap(err, STATUS_BAD_DATA, "it sent a line that is not JSON");
        return false;
    }
    const char *name = jv_get_text(line, AGENT_EVENT, "");
    for (size_t i = 0; i < sizeof TABLE / sizeof *TABLE && !known; i++) {
        known = strcmp(TABLE[i].name, name) == 0;
        if (known)
            ok = TABLE[i].take(agent, line, err);
    }
    if (!known)
        error_set(err, STATUS_BAD_DATA, "it sent an unknown event '%.40s'", name);
    jv_free(line);
    return ok;
}
