/* shards - the life of this node's shards: which file is which shard, fetching what is missing, verifying,
 * loading, seeding, and why something is not LOADED.
 *
 *   ABSENT -> QUEUED -> FETCHING -> VERIFYING -> PRESENT -> LOADING -> LOADED -> UNLOADING
 *   any of them -> FAILED(code, since, retry at)
 *
 * Identity is content: the file of shard i is one whose SHA-256 is the manifest's, whatever it is called.
 * LOADED: hash, header and tensors are the manifest's, the weights are in memory and the self-test's hash is
 * the manifest's. Without a manifest a file is PRESENT (not verified), never LOADED. What can mend itself does:
 * retries with back-off (1, 2, 4 .. 60 s, jitter), and at once when their cause goes (a source, the file, disk
 * space, memory).
 *
 * Uses its ports only: no system call, thread or file of its own. No callback comes from within a function
 * here. Owner: the node. Thread: loop. */
#ifndef NODE_SHARDS_H
#define NODE_SHARDS_H

#include "base/clock.h"
#include "model/manifest.h"
#include "node/compute.h"
#include "node/disk.h"
#include "wire/record.h"

#define SHARDS_SOURCES_MAX               1024
#define SHARDS_STALL_MS                  10000 /* no byte for so long: DOWNLOAD_STALLED */
#define SHARDS_DESERTED_MS               2000  /* the same where nobody has it any more */
#define SHARDS_RETRY_MS                  1000  /* the first; doubles */
#define SHARDS_RETRY_MAX_MS              60000
#define SHARDS_RETRY_LOAD_MS             10000 /* the most after loading that failed within a second */
#define SHARDS_ATTEMPTS_SHOWN            5     /* from so many attempts on the finding carries the history */
#define SHARDS_SETTLE_MS                 1000  /* joining waits for local shards for so long */
#define SHARDS_SALT_BYTES                32
#define SHARDS_EXPECTED_WITHOUT_MANIFEST 8 /* LIST_FILES, when nobody said how many */

struct agent;
struct agent_torrent_status;
struct agent_torrent_peer;
struct agent_key;
struct shards;

struct shards_config {
    struct node_id self;
    const char *dir;   /* copied */
    const char *place; /* dir from the root on, for commands to paste; copied; NULL: as it stands */
    bool fetch_allowed;
    const uint32_t *ids; /* explicit, copied; ascending */
    uint32_t n_ids;
    uint32_t n_expected;             /* --total-shards; 0: from the manifest */
    uint8_t salt[SHARDS_SALT_BYTES]; /* of torrents: the swarm's */
    bool print_lines;                /* the lines of INTERFACE section 2 */
    uint64_t seed;                   /* of jitter */
    /* Bytes that weights may still take here, beside what is loaded already. NULL: no limit. */
    uint64_t (*memory_free)(void *ctx);
};

struct shards_events {
    void (*changed)(void *ctx); /* what shards_report or shards_explain give has changed; may come often */
    void (*loaded)(void *ctx, uint32_t id);
    void (*unloaded)(void *ctx, uint32_t id); /* its weights leave memory, or are about to */
    void (*need_manifest)(
        void *ctx); /* there are shard files or assignments, and no manifest to check them by */
};

/* The ports are borrowed and outlive it. `agent` NULL: nothing is fetched or seeded (tests, `seed` without it).
 */
void shards_create(struct shards **out, const struct shards_config *config, const struct clock *clock,
                   const struct disk *disk, const struct compute *compute, struct agent *agent,
                   const struct shards_events *events, void *ctx);
void shards_free(struct shards *shards);  /* open `done`s end with CANCELLED; NULL is fine */
void shards_start(struct shards *shards); /* looks at the folder, watches it, loads what is here */
/* The node has joined: local shards loaded from here on are not "before joining". */
void shards_joined(struct shards *shards);

/* Borrowed until replaced; NULL: none. Another model's manifest unloads everything that is not its. */
void shards_set_manifest(struct shards *shards, const struct manifest *manifest);

/* `status` OK: the shard is LOADED (assign) or not in memory any more (unload). BAD_USAGE: there is no such
 * shard. Otherwise why it is not, now; for an assigned shard the node goes on trying. `text` is one sentence,
 * lent. */
typedef void (*shards_done)(void *ctx, uint32_t id, enum status status, const char *text);
/* LOAD_SHARD. Idempotent; `done` NULL: nobody waits. It comes when the shard is LOADED or comes to a halt,
 * which for a download takes minutes: answer a command from shards_state if that is too long. */
void shards_assign(struct shards *shards, uint32_t id, enum assigned_by by, shards_done done, void *ctx);
/* UNLOAD_SHARD: stops whatever is under way for it, takes it out of memory, forgets the assignment. Its file
 * stays. */
void shards_unload(struct shards *shards, uint32_t id, shards_done done, void *ctx);
/* Ends the waiting of everybody with this ctx (a command's connection went). */
void shards_forget_waiter(struct shards *shards, void *ctx);

struct shard_source {
    struct node_id node;
    char ip[46];
    uint16_t port;    /* for torrents */
    bool is_complete; /* verified there; else it is fetching, too */
};
/* Who has this shard or is fetching it; all of them, each time. n_asked: how many live nodes were looked at. */
void shards_set_sources(struct shards *shards, uint32_t id, const struct shard_source *sources, uint32_t n,
                        uint32_t n_asked);

void shards_on_torrent(struct shards *shards, const struct agent_torrent_status *status);
void shards_on_torrent_peer(struct shards *shards, const struct agent_torrent_peer *peer);
void shards_on_torrent_error(struct shards *shards, const struct agent_key *id, const char *text);
void shards_on_agent_restart(struct shards *shards); /* its program is new; what it was told was told again */

/* True when every local file of an assigned shard has been loaded or has failed. The node joins after that, or
 * after SHARDS_SETTLE_MS. */
bool shards_settled(const struct shards *shards);
bool shards_is_loaded(const struct shards *shards, uint32_t id);
bool shards_is_assigned(const struct shards *shards, uint32_t id);
/* False: nothing is known of it (ABSENT). */
bool shards_state(const struct shards *shards, uint32_t id, struct record_shard *out);
/* Bytes of memory that what is loaded or being loaded takes. */
uint64_t shards_memory_used(const struct shards *shards);
uint64_t shards_disk_free(const struct shards *shards); /* as of the last look at the folder */
/* The path of the verified file of a shard, or NULL. Lent until the next change. */
const char *shards_file_path(const struct shards *shards, uint32_t id);

/* Replaces shards[] of the record. */
void shards_report(const struct shards *shards, struct node_record *out);
/* The header of some shard file of the folder, which says what model is here; NULL: none. Lent until the next
 * change. */
const struct shard_file *shards_any_header(const struct shards *shards);
/* Adds what only this node knows: files, downloads, loading, memory. */
void shards_explain(const struct shards *shards, struct finding_list *out);
/* LIST_FILES: [{"id", "state": "EXISTS" | "MISSING" | "INVALID", "bytes", "expected_bytes", "hash": "verified"
 * | "not checked" | "checking" | "wrong", "file", "path", "note"}] for ids 0..N-1; a new value. */
struct jv *shards_files(const struct shards *shards);

#endif
