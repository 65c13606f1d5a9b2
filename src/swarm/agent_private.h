/* agent_private - inside of the real agent: what was asked for, the child process, its lines. */
#ifndef SWARM_AGENT_PRIVATE_H
#define SWARM_AGENT_PRIVATE_H

#include "base/clock.h"
#include "base/jv.h"
#include "swarm/agent.h"

#include <sys/types.h>

struct loop;
struct watch;

#define AGENT_OUT_BYTES_MAX                                                                                    \
    ((size_t)64 << 20) /* unread by the child; past it, it is ended and started anew                           \
                        */
#define AGENT_RESTART_MS_MIN 200
#define AGENT_RESTART_MS_MAX 10000
#define AGENT_SETTLED_MS     30000 /* a child that lived so long was well: the next back-off is short again */

/* --- what was asked for, and is asked for again after a restart (agent_state.c) --- */

struct agent_announced {
    struct agent_key key;
    uint64_t value_id;
    uint8_t *data;
    size_t size;
};

struct agent_kept_torrent {
    struct agent_key id;
    char *dir, *name, *file; /* file: NULL or the name on disk */
    uint64_t bytes;
    uint32_t piece_bytes;
    uint8_t *pieces, *salt;
    size_t pieces_bytes, salt_bytes;
    bool is_fetch, paused;
    struct address *peers;
    uint32_t n_peers;
};

struct agent_state {
    struct address *bootstraps;
    uint32_t n_bootstraps;
    struct agent_announced *announced;
    uint32_t n_announced;
    struct agent_key *listens;
    uint32_t n_listens;
    struct agent_kept_torrent **torrents;
    uint32_t n_torrents;
    struct address *members;
    uint32_t n_members;
    bool has_members;
    uint64_t upload_rate, download_rate;
};

void agent_state_clear(struct agent_state *state);
/* Each returns whether it is kept (false: a limit of the protocol, or it was there already). */
bool agent_state_bootstrap(struct agent_state *state, const struct address *address);
bool agent_state_announce(struct agent_state *state, const struct agent_key *key, uint64_t value_id,
                          struct bytes stored);
bool agent_state_retract(struct agent_state *state, const struct agent_key *key, uint64_t value_id);
bool agent_state_listen(struct agent_state *state, const struct agent_key *key);
bool agent_state_unlisten(struct agent_state *state, const struct agent_key *key);
void agent_state_members(struct agent_state *state, const struct address *members, size_t n);
struct agent_kept_torrent *agent_state_torrent(const struct agent_state *state, const struct agent_key *id);
/* NULL: one limit too many. `dir` instead of the torrent's. */
struct agent_kept_torrent *agent_state_torrent_add(struct agent_state *state,
                                                   const struct agent_torrent *torrent, const char *dir);
void agent_state_torrent_remove(struct agent_state *state, const struct agent_key *id);
bool agent_state_torrent_peer(struct agent_kept_torrent *torrent, const struct address *peer);

/* The commands that say it; new values. */
struct jv *agent_say(const char *what);
struct jv *agent_say_key(const char *what, const char *field, const struct agent_key *key);
struct jv *agent_say_bootstrap(const struct address *address);
struct jv *agent_say_announce(const struct agent_announced *announced);
struct jv *agent_say_torrent(const struct agent_kept_torrent *torrent);
struct jv *agent_say_torrent_peer(const struct agent_key *id, const struct address *peer);
struct jv *agent_say_members(const struct agent_state *state);
struct jv *agent_say_limits(const struct agent_state *state);
/* All of it, in an order that makes sense; `say` takes each value. */
void agent_state_replay(const struct agent_state *state, void (*say)(void *ctx, struct jv *command), void *ctx);

/* --- the whole --- */

struct agent_folder {
    char *given, *absolute;
    uint64_t device, inode; /* when the child was started: its rights are to this folder, not to its name */
};

struct agent_real {
    struct agent base;
    struct loop *loop;
    const struct agent_events *events;
    void *ctx;
    struct agent_state state;

    char *program;
    struct shared_key mac_key;
    uint32_t network;
    struct agent_key node_id;
    char *bind4, *bind6; /* NULL: not this family */
    uint16_t dht_port, torrent_port;
    bool dht_port_any, torrent_port_any, torrent_port_fixed;
    uint32_t value_ttl_s;
    struct agent_folder *folders;
    size_t n_folders;

    pid_t pid; /* 0: none */
    int fd;
    struct watch *watch;
    struct buffer in, out;
    bool ready;
    uint64_t started_ms;
    uint32_t n_crashes, n_failures; /* failures: in a row */
    char last_error[256];           /* of the child, about its start */
    struct timer *restart_timer;
};

/* agent_process.c */
struct timer *agent_process_timer(struct agent_real *agent);
enum status agent_process_start(struct agent_real *agent, struct error *err);
void agent_process_stop(struct agent_real *agent);
void agent_process_restart(struct agent_real *agent);    /* on purpose: nobody is told */
void agent_process_say(void *agent, struct jv *command); /* takes it; dropped while none runs */

/* agent_events.c: one line of the child. False: it breaks the protocol. */
bool agent_events_take(struct agent_real *agent, struct bytes line, struct error *err);

#endif
