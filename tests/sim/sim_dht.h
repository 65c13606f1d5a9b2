/* sim_dht - the DHT of a swarm as its agents see it: one store that everybody who is connected reaches, after a
 * while. What a test makes of it: puts that are lost, answers that are old, values of the dead that stay, lies.
 *
 * A sim_agent is a fake_agent (torrents) whose DHT operations come here. One for each run of a process. */
#ifndef SIM_SIM_DHT_H
#define SIM_SIM_DHT_H

#include "base/rand.h"
#include "sim/fake_agent.h"
#include "sim/sim_net.h"

#define SIM_DHT_VALUES_MAX 4096
#define SIM_KEYS_MAX       80 /* of one agent: announced, and listened to */
#define SIM_VALUE_BYTES    512

struct sim_value {
    struct agent_key key;
    uint64_t value_id, expires_ms;
    size_t size, old_size; /* old: what it replaced */
    uint8_t stored[SIM_VALUE_BYTES], old[SIM_VALUE_BYTES];
};

struct sim_dht {
    struct sim_net *net;
    struct rng rng;
    struct sim_value *values;
    uint32_t n_values;
    uint64_t ttl_ms;
    /* what it is like */
    uint32_t lost_percent, stale_percent; /* of puts; of answers */
    bool keeps_dead;                      /* nothing expires */
    /* what it did */
    uint64_t n_puts, n_lost, n_answers, n_stale;
    struct sim_agent *agents;
};

struct sim_agent {
    struct fake_agent torrents; /* first: its address is the port's */
    struct sim_dht *dht;
    uint32_t machine;
    struct fake_clock *clock;
    bool is_connected, is_over, is_cut; /* cut: its datagrams reach nobody */
    struct {
        struct agent_key key;
        uint64_t value_id;
        size_t size;
        uint8_t stored[SIM_VALUE_BYTES];
    } announced[SIM_KEYS_MAX];
    struct agent_key listened[4];
    uint32_t n_announced, n_listened;
    struct address entries[8];
    uint32_t n_entries;
    struct timer *timer;
    uint64_t highest; /* sequence number that it ever put */
    bool went_back;   /* one was lower than the one before for the same key */
    struct sim_agent *next;
};

void sim_dht_init(struct sim_dht *dht, struct sim_net *net, uint64_t seed);
void sim_dht_free(struct sim_dht *dht);
void sim_agent_init(struct sim_agent *agent, struct sim_dht *dht, uint32_t machine, struct fake_clock *clock,
                    struct fake_disk *disk, struct fake_torrents *wire, const struct agent_events *events,
                    void *ctx);
/* Its process has ended; the memory must stay until time has passed. */
void sim_agent_free(struct sim_agent *agent);
/* As a member puts it who lies: no check. */
void sim_dht_put(struct sim_dht *dht, const struct agent_key *key, uint64_t value_id, struct bytes stored);

#endif
