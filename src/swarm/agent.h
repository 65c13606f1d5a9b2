/* agent - the child process that holds OpenDHT and libtorrent, as a table of operations and events, so that the
 * simulator can have a second implementation. swarm/agent.c is the real one: it spawns shoal-agent, speaks
 * agent/protocol.h with it, restarts it with back-off when it dies and replays all state, so that nobody above
 * notices but through on_crashed. What an operation asks for is kept until it is taken back.
 *
 * Owner: the node. Thread: loop; no event comes from within an operation. */
#ifndef SWARM_AGENT_H
#define SWARM_AGENT_H

#include "agent/protocol.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include "wire/address.h"

struct agent_key { /* of the DHT, or the handle of a torrent */
    uint8_t bytes[AGENT_KEY_BYTES];
};

struct agent_torrent {
    struct agent_key id;    /* our handle */
    const char *dir, *name; /* folder and final file name; the content is fetched to NAME.part */
    const char *file;       /* seeding: the name it has on disk, NULL: `name` */
    uint64_t bytes;
    uint32_t piece_bytes, n_pieces;
    const uint8_t *pieces; /* SHA-1 of each, 20 bytes apart; copied */
    const uint8_t *salt;   /* goes into the info dictionary; copied */
    size_t salt_bytes;
    bool is_fetch; /* else: whole and known good */
};

enum agent_torrent_state {
    AGENT_TORRENT_CHECKING,
    AGENT_TORRENT_FETCHING,
    AGENT_TORRENT_FINISHED, /* every piece is there, under NAME.part */
    AGENT_TORRENT_SEEDING,
    AGENT_TORRENT_PAUSED,
    AGENT_TORRENT_FAILED /* sys_errno and error tell; agent_torrent_retry starts it again */
};

struct agent_torrent_status {
    struct agent_key id;
    enum agent_torrent_state state;
    uint64_t bytes_done, bytes_total, rate_down, rate_up, uploaded, wasted;
    uint32_t n_peers, n_seeds, n_hash_failures;
    int sys_errno;
    const char *error; /* "" */
};

enum agent_peer_fault { AGENT_PEER_CORRUPT, AGENT_PEER_BANNED, AGENT_PEER_STALLED };

struct agent_torrent_peer { /* something is wrong with one */
    struct agent_key id;
    char ip[46];
    uint16_t port;
    enum agent_peer_fault fault;
    int64_t piece; /* -1: none in particular */
    const char *text;
};

struct agent_dht {
    uint32_t n_good, n_dubious, n_stored;
    uint64_t n_received, n_short, n_bad_mac, n_sent, n_send_failed;
    char worst_ip[46]; /* the source of most refused datagrams, "" */
    uint64_t n_worst;
};

struct agent_events {
    void (*on_ready)(void *ctx, uint16_t dht_port, uint16_t torrent_port); /* also after each restart */
    void (*on_value)(void *ctx, const struct agent_key *key, uint64_t value_id, struct bytes stored);
    void (*on_expired)(void *ctx, const struct agent_key *key, uint64_t value_id);
    /* ok: the put ended; n_acked: how many other nodes hold it (0: nobody acknowledged it). */
    void (*on_announced)(void *ctx, const struct agent_key *key, uint64_t value_id, bool ok, uint32_t n_acked);
    void (*on_got)(void *ctx, const struct agent_key *key, uint32_t n_values, uint32_t n_asked);
    void (*on_entry)(void *ctx, const struct address *address, bool answered);
    void (*on_dht)(void *ctx, const struct agent_dht *dht);
    void (*on_torrent)(void *ctx, const struct agent_torrent_status *status);
    void (*on_torrent_peer)(void *ctx, const struct agent_torrent_peer *peer);
    /* A command about a torrent could not be done. */
    void (*on_torrent_error)(void *ctx, const struct agent_key *id, const char *text);
    void (*on_crashed)(void *ctx, const char *why, uint32_t restart_in_ms, uint32_t n_crashes);
    void (*on_error)(void *ctx, const char *about, const char *text);
};

struct agent_ops {
    void (*bootstrap)(void *self, const struct address *address);
    /* `stored` begins with its sequence number (u64, little-endian); higher replaces lower. */
    void (*announce)(void *self, const struct agent_key *key, uint64_t value_id, struct bytes stored);
    void (*retract)(void *self, const struct agent_key *key, uint64_t value_id);
    void (*listen)(void *self, const struct agent_key *key);
    void (*unlisten)(void *self, const struct agent_key *key);
    void (*get)(void *self, const struct agent_key *key);
    void (*torrent_add)(void *self, const struct agent_torrent *torrent);
    void (*torrent_remove)(void *self, const struct agent_key *id, bool delete_part);
    void (*torrent_peer)(void *self, const struct agent_key *id, const char *ip, uint16_t port);
    void (*torrent_members)(void *self, const struct address *members, size_t n); /* all of them, each time */
    void (*torrent_rename)(void *self, const struct agent_key *id);               /* NAME.part is NAME now */
    void (*torrent_retry)(void *self, const struct agent_key *id);
    void (*torrent_pause)(void *self, const struct agent_key *id, bool paused);
    void (*network_changed)(void *self);                                      /* this machine's addresses did */
    void (*limits)(void *self, uint64_t upload_rate, uint64_t download_rate); /* bytes a second; 0: none */
};

struct agent {
    const struct agent_ops *ops;
    void *self;
};

static inline void agent_bootstrap(struct agent *a, const struct address *address)
{
    a->ops->bootstrap(a->self, address);
}
static inline void agent_announce(struct agent *a, const struct agent_key *key, uint64_t value_id,
                                  struct bytes stored)
{
    a->ops->announce(a->self, key, value_id, stored);
}
static inline void agent_retract(struct agent *a, const struct agent_key *key, uint64_t value_id)
{
    a->ops->retract(a->self, key, value_id);
}
static inline void agent_listen(struct agent *a, const struct agent_key *key)
{
    a->ops->listen(a->self, key);
}
static inline void agent_unlisten(struct agent *a, const struct agent_key *key)
{
    a->ops->unlisten(a->self, key);
}
static inline void agent_get(struct agent *a, const struct agent_key *key)
{
    a->ops->get(a->self, key);
}
static inline void agent_torrent_add(struct agent *a, const struct agent_torrent *torrent)
{
    a->ops->torrent_add(a->self, torrent);
}
static inline void agent_torrent_remove(struct agent *a, const struct agent_key *id, bool delete_part)
{
    a->ops->torrent_remove(a->self, id, delete_part);
}
static inline void agent_torrent_peer(struct agent *a, const struct agent_key *id, const char *ip,
                                      uint16_t port)
{
    a->ops->torrent_peer(a->self, id, ip, port);
}
static inline void agent_torrent_members(struct agent *a, const struct address *members, size_t n)
{
    a->ops->torrent_members(a->self, members, n);
}
static inline void agent_torrent_rename(struct agent *a, const struct agent_key *id)
{
    a->ops->torrent_rename(a->self, id);
}
static inline void agent_torrent_retry(struct agent *a, const struct agent_key *id)
{
    a->ops->torrent_retry(a->self, id);
}
static inline void agent_torrent_pause(struct agent *a, const struct agent_key *id, bool paused)
{
    a->ops->torrent_pause(a->self, id, paused);
}
static inline void agent_network_changed(struct agent *a)
{
    a->ops->network_changed(a->self);
}
static inline void agent_limits(struct agent *a, uint64_t upload_rate, uint64_t download_rate)
{
    a->ops->limits(a->self, upload_rate, download_rate);
}

/* The real one. */
struct loop;
struct agent_config {
    struct shared_key mac_key;
    const char *program;      /* NULL: shoal-agent beside this program */
    const char *network;      /* a name: other names never meet, even under one key */
    struct agent_key node_id; /* in the DHT; derived from the node's id */
    const char *listen_ip;    /* numeric, "": all */
    uint16_t dht_port;        /* UDP; as the links' TCP */
    uint16_t torrent_port;    /* 0: any */
    bool torrent_port_fixed;  /* taken: an error instead of another */
    const char *const *dirs;  /* folders it may write, existing */
    size_t n_dirs;
    uint64_t upload_rate; /* 0: no limit */
    uint32_t value_ttl_s; /* of announcements in the DHT; 0: AGENT_VALUE_TTL_S */
};
enum status agent_real_new(struct agent **out, struct loop *loop, const struct agent_config *config,
                           const struct agent_events *events, void *ctx, struct error *err);
/* Ends the child; no event comes any more. NULL is fine. */
void agent_real_free(struct agent *agent);
int32_t agent_real_pid(const struct agent *agent); /* of the child; 0: none runs now */

#endif
