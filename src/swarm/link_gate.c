#include "swarm/link_gate.h"

#include <string.h>

static struct link_gate_entry *find(struct link_gate *gate, const struct endpoint *from)
{
    for (size_t i = 0; i < gate->n_entries; i++)
        if (strcmp(gate->entries[i].ip, from->ip) == 0)
            return &gate->entries[i];
    return NULL;
}

/* A new address takes the place of the one not seen for longest. */
static struct link_gate_entry *entry_for(struct link_gate *gate, const struct endpoint *from, uint64_t now_ms)
{
    struct link_gate_entry *entry = find(gate, from);
    if (entry)
        return entry;
    if (gate->n_entries < LINK_GATE_ADDRESSES) {
        entry = &gate->entries[gate->n_entries++];
    } else {
        entry = &gate->entries[0];
        for (size_t i = 1; i < gate->n_entries; i++)
            if (gate->entries[i].at_ms < entry->at_ms)
                entry = &gate->entries[i];
    }
    *entry = (struct link_gate_entry){.tokens = LINK_GATE_BURST, .at_ms = now_ms};
    memcpy(entry->ip, from->ip, sizeof entry->ip);
    return entry;
}

static void refill(struct link_gate_entry *entry, uint64_t now_ms)
{
    entry->tokens += (double)(now_ms - entry->at_ms) / 1000.0 * LINK_GATE_PER_SECOND;
    if (entry->tokens > LINK_GATE_BURST)
        entry->tokens = LINK_GATE_BURST;
    entry->at_ms = now_ms;
}

bool link_gate_admits(struct link_gate *gate, const struct endpoint *from, uint64_t now_ms)
{
    struct link_gate_entry *entry = find(gate, from);
    if (!entry || endpoint_is_loopback(from))
        return true;
    refill(entry, now_ms);
    return entry->tokens >= 1;
}

void link_gate_charge(struct link_gate *gate, const struct endpoint *from, uint64_t now_ms)
{
    struct link_gate_entry *entry = entry_for(gate, from, now_ms);
    refill(entry, now_ms);
    entry->tokens = entry->tokens > 1 ? entry->tokens - 1 : 0;
}

bool link_gate_may_tell(struct link_gate *gate, const struct endpoint *from, uint64_t now_ms)
{
    struct link_gate_entry *entry = entry_for(gate, from, now_ms);
    if (entry->told_ms && now_ms - entry->told_ms < LINK_GATE_TELL_MS)
        return false;
    entry->told_ms = now_ms ? now_ms : 1;
    return true;
}
