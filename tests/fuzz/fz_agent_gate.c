/* links: base */
/* Datagrams at the DHT's gate: none passes but those tagged with this key within an hour of now, and however
 * many sources send, the list of the worst stays bounded and counts no more than came. */
#include "agent/gate.h"
#include "base/error.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t KEY[GATE_KEY_BYTES] = {1, 2, 3};
    const uint64_t hour = 480000;
    struct gate_sources sources = {.n_entries = 0};
    uint8_t packet[4096 + GATE_TAG_BYTES], ip[16] = {0};
    uint64_t n_refused = 0, n_listed = 0;

    check(gate_check(KEY, hour, data, size) == (size <= GATE_TAG_BYTES ? GATE_SHORT : GATE_BAD_MAC));
    if (size == 0 || size > 4096)
        return 0;
    memcpy(packet, data, size);
    for (int off = -2; off <= 2; off++) {
        gate_tag(packet + size, KEY, hour + (uint64_t)(int64_t)off, data, size);
        check((gate_check(KEY, hour, packet, size + GATE_TAG_BYTES) == GATE_GOOD) == (off >= -1 && off <= 1));
    }
    gate_tag(packet + size, KEY, hour, data, size);
    packet[data[0] % (size + GATE_TAG_BYTES)] ^= (uint8_t)(1 << (data[0] & 7)); /* one bit */
    check(gate_check(KEY, hour, packet, size + GATE_TAG_BYTES) == GATE_BAD_MAC);

    for (size_t i = 0; i + 1 < size; i += 2, n_refused++) {
        ip[15] = data[i];
        gate_sources_count(&sources, ip, data[i + 1] & 1 ? GATE_SHORT : GATE_BAD_MAC);
    }
    check(sources.n_entries <= AGENT_SOURCES_MAX);
    for (size_t i = 0; i < sources.n_entries; i++)
        n_listed += gate_source_total(&sources.entries[i]);
    check(n_listed <= n_refused);
    return 0;
}
