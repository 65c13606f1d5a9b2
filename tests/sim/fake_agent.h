/* fake_agent - the agent's torrents among fakes: who has a torrent gives it to who wants it, at a rate, if one
 * was told of the other. Nothing of the DHT. All agents of a swarm hang on one fake_torrents. */
#ifndef SIM_FAKE_AGENT_H
#define SIM_FAKE_AGENT_H

#include "sim/fake_disk.h"
#include "swarm/agent.h"

#define FAKE_TORRENTS_MAX      64
#define FAKE_TORRENT_PEERS_MAX 64

struct fake_torrents { /* the wire between agents */
    struct fake_agent *agents;
};

struct fake_torrent {
    bool used, is_fetch, finished, renamed, failed;
    struct agent_key id;
    char dir[256], name[128], file[256];
    uint64_t bytes, done;
    uint32_t n_peers;
    struct {
        char ip[46];
        uint16_t port;
        bool banned;
    } peers[FAKE_TORRENT_PEERS_MAX];
};

struct fake_agent {
    struct agent agent;
    struct fake_clock *clock;
    struct fake_disk *disk;
    struct fake_torrents *wire;
    const struct agent_events *events;
    void *ctx;
    struct timer *timer;
    struct fake_torrent torrents[FAKE_TORRENTS_MAX];
    struct fake_agent *next;
    /* what it is like */
    char ip[46];
    uint16_t port;
    uint64_t rate;           /* bytes a second that it gives */
    bool is_down;            /* gives nothing */
    bool is_corrupt;         /* what it gives is wrong, and found out */
    struct fake_content lie; /* with has_lie: content of which every piece seems right */
    bool has_lie;
    int disk_errno; /* what it fetches cannot be written */
    struct fake_content (*content_of)(void *ctx, const struct agent_key *id); /* what a fetched file holds */
    void *content_ctx;
    bool (*reaches)(void *ctx, const struct fake_agent *peer); /* NULL: everybody */
    void *reach_ctx;
    /* what it did */
    uint32_t n_added, n_removed, n_renamed, n_retried, n_refused;
};

void fake_agent_init(struct fake_agent *agent, struct fake_clock *clock, struct fake_disk *disk,
                     struct fake_torrents *wire, const char *ip, uint16_t port);
void fake_agent_free(struct fake_agent *agent);
struct fake_torrent *fake_agent_find(struct fake_agent *agent, const struct agent_key *id); /* NULL: none */
/* It has this torrent whole, without a file: for agents that only give. */
void fake_agent_seed(struct fake_agent *agent, const struct agent_key *id);

#endif
