/* link_gate - how patient we are with an address that keeps failing: a token bucket and a clock for
 * events, for each of the last LINK_GATE_ADDRESSES addresses. Pure: time is an argument. Only failures
 * cost; a loopback address is never refused, since honest nodes share it. */
#ifndef SWARM_LINK_GATE_H
#define SWARM_LINK_GATE_H

#include "net/conn.h"

#define LINK_GATE_ADDRESSES  256
#define LINK_GATE_BURST      20   /* failures in a row before an address is refused */
#define LINK_GATE_PER_SECOND 2    /* and how fast it may fail on */
#define LINK_GATE_TELL_MS    5000 /* one event an address in so long */

struct link_gate_entry {
    char ip[ENDPOINT_IP_BYTES];
    double tokens;
    uint64_t at_ms, told_ms; /* told_ms 0: never */
};
struct link_gate {
    struct link_gate_entry entries[LINK_GATE_ADDRESSES];
    size_t n_entries;
};

bool link_gate_admits(struct link_gate *gate, const struct endpoint *from, uint64_t now_ms);
void link_gate_charge(struct link_gate *gate, const struct endpoint *from, uint64_t now_ms);
bool link_gate_may_tell(struct link_gate *gate, const struct endpoint *from,
                        uint64_t now_ms); /* takes the turn */

#endif
