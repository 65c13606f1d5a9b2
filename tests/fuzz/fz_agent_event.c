/* links: swarm */
/* A line from the agent's child: refused, or told in events whose fields keep their promises. */
#include "base/mem.h"
#include "swarm/agent_private.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void on_value(void *ctx, const struct agent_key *key, uint64_t value_id, struct bytes stored)
{
    volatile uint8_t sum = 0;
    (void)ctx;
    (void)value_id;
    check(stored.size >= AGENT_VALUE_BYTES_MIN && stored.size <= AGENT_VALUE_BYTES_MAX);
    for (size_t i = 0; i < stored.size; i++)
        sum = (uint8_t)(sum + stored.data[i]);
    for (size_t i = 0; i < sizeof key->bytes; i++)
        sum = (uint8_t)(sum + key->bytes[i]);
}

static void on_entry(void *ctx, const struct address *address, bool answered)
{
    (void)ctx;
    (void)answered;
    check(address->family == 4 || address->family == 6);
}

static void on_torrent(void *ctx, const struct agent_torrent_status *status)
{
    (void)ctx;
    check(status->bytes_done <= status->bytes_total && status->error && strlen(status->error) < 8192);
    check((unsigned)status->state <= AGENT_TORRENT_FAILED);
}

static void on_torrent_peer(void *ctx, const struct agent_torrent_peer *peer)
{
    struct address address;
    (void)ctx;
    check(address_parse_ip(&address, peer->ip, peer->port) && (unsigned)peer->fault <= AGENT_PEER_STALLED);
}

static void on_dht(void *ctx, const struct agent_dht *dht)
{
    (void)ctx;
    check(strlen(dht->worst_ip) < sizeof dht->worst_ip);
}

static void on_error(void *ctx, const char *about, const char *text)
{
    (void)ctx;
    check(strlen(about) < 8192 && strlen(text) < 8192);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct agent_events EVENTS = {.on_value = on_value,
                                               .on_entry = on_entry,
                                               .on_torrent = on_torrent,
                                               .on_torrent_peer = on_torrent_peer,
                                               .on_dht = on_dht,
                                               .on_error = on_error};
    struct agent_real agent = {.events = &EVENTS};
    struct agent_torrent torrent = {.name = "s", .pieces = (const uint8_t *)"", .salt = (const uint8_t *)""};
    struct error err = {0};
    agent_state_torrent_add(&agent.state, &torrent, "/");
    if (!agent_events_take(&agent, bytes_of(data, size), &err))
        check(err.status != STATUS_OK && err.text[0]);
    agent_state_clear(&agent.state);
    return 0;
}
