/* gate - the keyed MAC of DHT datagrams, checked before a byte of one is parsed (SECURITY section 3.6).
 *
 * A datagram is BODY || TAG, TAG = BLAKE2b-128 under the swarm's MAC key over u64-LE HOUR || BODY, HOUR being
 * the wall clock in hours since 1970. The hour before and the hour after are accepted too: a datagram that
 * somebody recorded is worthless after two hours, and clocks may differ by one. The comparison takes constant
 * time. Refused datagrams are counted by cause, and for the worst sources by address.
 *
 * C, without state of its own; includable from C++. Thread: the caller's. */
#ifndef AGENT_GATE_H
#define AGENT_GATE_H

#include "agent/protocol.h"

#include <sodium.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define GATE_KEY_BYTES 32
#define GATE_TAG_BYTES 16

enum gate_verdict { GATE_GOOD, GATE_SHORT, GATE_BAD_MAC };

static inline void gate_tag(uint8_t tag[GATE_TAG_BYTES], const uint8_t key[GATE_KEY_BYTES], uint64_t hour,
                            const uint8_t *body, size_t body_bytes)
{
    crypto_generichash_state state;
    uint8_t epoch[8];

    for (int i = 0; i < 8; i++)
        epoch[i] = (uint8_t)(hour >> (8 * i));
    crypto_generichash_init(&state, key, GATE_KEY_BYTES, GATE_TAG_BYTES);
    crypto_generichash_update(&state, epoch, sizeof epoch);
    crypto_generichash_update(&state, body, body_bytes);
    crypto_generichash_final(&state, tag, GATE_TAG_BYTES);
}

static inline enum gate_verdict gate_check(const uint8_t key[GATE_KEY_BYTES], uint64_t hour,
                                           const uint8_t *packet, size_t packet_bytes)
{
    static const int offsets[] = {0, -1, 1}; /* the likely one first */
    uint8_t tag[GATE_TAG_BYTES];

    if (packet_bytes <= GATE_TAG_BYTES)
        return GATE_SHORT;
    size_t body_bytes = packet_bytes - GATE_TAG_BYTES;
    for (size_t i = 0; i < 3; i++) {
        gate_tag(tag, key, hour + (uint64_t)(int64_t)offsets[i], packet, body_bytes);
        if (sodium_memcmp(tag, packet + body_bytes, GATE_TAG_BYTES) == 0)
            return GATE_GOOD;
    }
    return GATE_BAD_MAC;
}

/* The worst offenders. A newcomer takes the place of the least and starts at one, so every count shown is a
 * true lower bound, and a flood from forged addresses does not displace a source that is really busy. */
struct gate_source {
    uint8_t ip[16]; /* IPv4 mapped into IPv6 */
    uint64_t n_short, n_bad_mac;
};
struct gate_sources {
    struct gate_source entries[AGENT_SOURCES_MAX];
    size_t n_entries;
};

static inline uint64_t gate_source_total(const struct gate_source *source)
{
    return source->n_short + source->n_bad_mac;
}

static inline void gate_sources_count(struct gate_sources *sources, const uint8_t ip[16],
                                      enum gate_verdict verdict)
{
    struct gate_source *entry = NULL, *least = &sources->entries[0];

    for (size_t i = 0; i < sources->n_entries && !entry; i++) {
        if (memcmp(sources->entries[i].ip, ip, 16) == 0)
            entry = &sources->entries[i];
        if (gate_source_total(&sources->entries[i]) < gate_source_total(least))
            least = &sources->entries[i];
    }
    if (!entry) {
        entry = sources->n_entries < AGENT_SOURCES_MAX ? &sources->entries[sources->n_entries++] : least;
        memset(entry, 0, sizeof *entry);
        memcpy(entry->ip, ip, 16);
    }
    if (verdict == GATE_SHORT)
        entry->n_short++;
    else
        entry->n_bad_mac++;
}

#endif
