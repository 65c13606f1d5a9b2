/* shards_private - what the files of node/shards share. One rule: callbacks of ports and functions of the API
 * only note facts and call shards_poke; shards_run, from its timer, looks at every shard and does what is next.
 * So nothing depends on the order in which facts come. */
#ifndef NODE_SHARDS_PRIVATE_H
#define NODE_SHARDS_PRIVATE_H

#include "base/rand.h"
#include "node/inventory.h"
#include "node/shards.h"

#define HISTORY_MAX   8
#define BAD_PEERS_MAX 8

enum shard_task {
    TASK_NONE,
    TASK_HASH,      /* a local file */
    TASK_HASH_PART, /* what was fetched */
    TASK_PUBLISH,   /* and the scan after it */
    TASK_MEASURE,
    TASK_LOAD,
    TASK_TEST,
    TASK_ENTER,
    TASK_UNLOAD
};
enum shard_torrent { TORRENT_NONE, TORRENT_FETCH, TORRENT_SEED };

struct shard_attempt {
    uint64_t at_ms;
    enum finding_code code;
    char text[200];
};

struct shard_failure {
    enum finding_code code; /* FINDING_NONE: none */
    enum status status;
    int sys_errno;
    uint64_t since_ms, tried_ms, retry_ms;
    char text[480];
};

struct shard_bad_peer {
    char ip[46];
    uint16_t port;
    struct node_id node; /* zero: not known whose address that is */
    uint32_t n;
    uint64_t since_ms;
    char text[160];
};

struct shard_waiter {
    shards_done done;
    void *ctx;
    uint32_t id; /* of a refused one */
    bool for_unload;
    uint64_t since_ms;
    struct shard_waiter *next;
};

struct shard {
    struct shards *owner;
    uint32_t id;
    enum assigned_by assigned;
    enum shard_state state;
    uint64_t since_ms;
    uint64_t bytes_done, bytes_total, rate; /* of the state */
    uint64_t began_ms;                      /* of the task, for its eta */
    enum inventory_presence presence;       /* of its file, as of the last run */
    uint64_t presence_since_ms;

    enum shard_task task;
    struct disk_job *disk_job;
    struct compute_job *compute_job;
    char task_name[DISK_NAME_BYTES_MAX + 1]; /* TASK_HASH: of which file */
    uint64_t await_scan;                     /* TASK_PUBLISH: this scan or a later one ends it */

    struct sha256 sha256; /* the content that is wanted */
    bool in_memory;       /* the compute port holds weights of it, tested or not */
    bool is_loaded;
    struct sha256 loaded_sha;
    bool was_fetched;
    uint64_t need; /* bytes of memory; 0: not measured */
    char *path;    /* of the file that was loaded */

    struct shard_failure failure;
    uint32_t n_attempts;
    uint64_t hash_retry_ms, looked_ms;
    struct shard_attempt history[HISTORY_MAX]; /* ring, by n_history */
    uint32_t n_history;

    enum shard_torrent torrent;
    struct sha256 torrent_sha; /* what the torrent's id was made of */
    bool fetch_finished, stalled, agent_failed;
    uint64_t last_byte_ms, redialed_ms, pardoned_ms, fetched_bytes;
    uint32_t n_pardons; /* since a byte came */
    uint32_t n_peers;
    uint64_t seed_refused; /* stamp of a file that the agent would not seed */
    struct shard_source *sources;
    uint32_t n_sources, n_asked;
    bool sources_told;
    struct shard_bad_peer bad_peers[BAD_PEERS_MAX];
    uint32_t n_bad_peers;
    struct shard_waiter *waiters;
    /* lines */
    uint64_t request_said_ms, progress_said_ms;
    uint32_t progress_tenth;
    bool not_found_due; /* the explicit shard's two lines, if it is not here */
    bool request_open;  /* a request's outcome is to be said */
    bool request_missing_said;
    enum finding_code failure_said;
};

struct shards {
    struct node_id self;
    char *dir, *place;
    bool fetch_allowed, print_lines;
    uint32_t n_expected;
    uint8_t salt[SHARDS_SALT_BYTES];
    uint64_t (*memory_free)(void *ctx);
    const struct clock *clock;
    const struct disk *disk;
    const struct compute *compute;
    struct agent *agent; /* NULL: nothing is fetched or seeded */
    struct shards_events events;
    void *ctx;
    struct rng rng;

    const struct manifest *manifest;
    struct inventory *inventory;
    struct shard **items; /* [n]: an entry for every id below n */
    uint32_t n;

    struct timer *timer;
    bool poked, changed, running;
    uint64_t wake_ms; /* earliest wish of this run; 0: none */
    uint64_t started_ms, asked_manifest_ms;
    bool joined;

    struct disk_watch *watch;
    struct disk_job *scan;
    bool scan_again, scanned;
    uint64_t scan_number, n_scan_failures, scan_retry_ms;
    struct shard_failure scan_failure;

    struct shard *hashing, *loading; /* one at a time each */
    struct shard_waiter *refused;    /* they asked for shards that are none */
};

/* shards.c */
void shards_poke(struct shards *shards); /* runs soon */
void shards_changed(struct shards *shards);
void shards_wake_at(struct shards *shards, uint64_t at_ms); /* during a run: run again then, at the latest */
void shards_rescan(struct shards *shards);
struct shard *shards_at(const struct shards *shards, uint32_t id); /* NULL: none */
const struct manifest_shard *shard_wanted(const struct shard *shard);
void shard_set_state(struct shard *shard, enum shard_state state);
/* The shard comes to a halt; tried again after a while, or when the cause goes. */
void shard_fail(struct shard *shard, enum finding_code code, enum status status, int sys_errno,
                const char *format, ...) __attribute__((format(printf, 5, 6)));
/* PERMISSION_DENIED or DISK_FULL where the error is that, else `otherwise`. */
enum finding_code shard_code_of(const struct error *err, enum finding_code otherwise);
void shard_retry_now(struct shard *shard);
uint64_t shards_now(const struct shards *shards);

/* shards_waiters.c */
void shard_wait(struct shard *shard, bool for_unload, shards_done done, void *ctx);
void shard_end_waiters(struct shard *shard, bool for_unload, enum status status, const char *text);
void shard_answer_waiters(struct shard *shard); /* those whose question has an answer by now */
void shards_refuse(struct shards *shards, uint32_t id, shards_done done, void *ctx);
void shards_answer_refused(struct shards *shards);

/* shards_load.c: hashing, loading, unloading */
void shards_schedule_hash(struct shards *shards);
void shards_schedule_load(struct shards *shards);
bool shards_memory_allows(const struct shards *shards, uint64_t bytes);
void shard_begin_unload(struct shard *shard);
void shard_stop_task(struct shard *shard); /* whatever is under way, but an unloading */

/* shards_fetch.c: torrents */
bool shards_can_fetch(const struct shards *shards);
void shard_fetch(struct shard *shard); /* begins or watches over its fetching */
void shard_stop_fetch(struct shard *shard);
uint64_t shard_disk_needed(const struct shard *shard); /* bytes, beside what its .part has */
void shard_keep_seeding(struct shard *shard, const struct inventory_found *found);
void shard_stop_torrent(struct shard *shard, bool delete_part);

/* shards_lines.c: INTERFACE section 2 */
void shard_say_request(struct shard *shard);
void shard_say_not_found(struct shard *shard); /* or nothing, when it is here; once */
void shard_say_fetch_begins(struct shard *shard);
void shard_say_progress(struct shard *shard);
void shard_say_loaded(struct shard *shard);
void shard_say_request_outcome(struct shard *shard); /* not found, failed: once each */

/* shards_action.c: the command that mends what a finding says, of the shard or of the folder */
void shard_set_action(struct finding *f, const struct shard *shard);
void shards_set_folder_action(struct finding *f, const struct shards *shards);
/* shards_explain.c: why an assigned shard is not LOADED now, in one sentence; FINDING_NONE: it is */
enum finding_code shard_cause(const struct shard *shard, char *out, size_t out_bytes);

#endif
