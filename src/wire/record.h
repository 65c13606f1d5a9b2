/* record - what a node says of itself to all others: identity, addresses, capabilities, shards, links, load and
 * the findings that only it knows. Owned by that node, signed by it, passed on unchanged by others.
 *
 * On the wire (FRAME_RECORD): signature (64 bytes) over the label "shoal record 1" and the text, then the text:
 * one JSON object, unknown fields ignored. Newer means: higher epoch, or same epoch and higher version. */
#ifndef WIRE_RECORD_H
#define WIRE_RECORD_H

#include "base/hash.h"
#include "base/jv.h"
#include "wire/address.h"
#include "wire/finding.h"
#include "wire/node_id.h"

#define RECORD_BYTES_MAX     65536
#define RECORD_ADDRESSES_MAX 8
#define RECORD_SHARDS_MAX    4096
#define RECORD_LINKS_MAX     1024
#define RECORD_FINDINGS_MAX  64

enum shard_state {
    SHARD_ABSENT,
    SHARD_QUEUED, /* wanted; waits for a source, the manifest or memory: the node's findings say which */
    SHARD_FETCHING,
    SHARD_VERIFYING,
    SHARD_PRESENT, /* the file is here, its hash is the manifest's (or there is no manifest yet) */
    SHARD_LOADING,
    SHARD_LOADED, /* hash, header, tensors and self-test are the manifest's; the weights are in memory */
    SHARD_UNLOADING,
    SHARD_FAILED,
    SHARD_STATE_COUNT
};
const char *shard_state_name(enum shard_state state); /* "ABSENT", ... */
bool shard_state_parse(enum shard_state *out, const char *name);

enum assigned_by { ASSIGNED_NOT, ASSIGNED_EXPLICIT, ASSIGNED_BY_COMMAND };

struct record_shard {
    uint32_t id;
    enum shard_state state;
    enum assigned_by assigned;
    bool verified;                    /* SHA-256 equal to the manifest's: others may fetch it from here */
    uint64_t bytes_done, bytes_total; /* of FETCHING, VERIFYING or LOADING */
    uint64_t rate;                    /* bytes a second */
    uint32_t n_sources;
    int32_t eta_s;             /* -1: unknown */
    uint64_t since_ms;         /* clock_ms of the owner when the state began; age = record's now - since */
    enum finding_code failure; /* FINDING_NONE unless FAILED */
};

struct record_link {
    struct node_id peer;
    uint32_t rtt_us;
    uint64_t clock_ms; /* the peer's own clock_ms, when it was heard last; 0: not said */
};

struct node_record {
    struct node_id id;
    uint64_t epoch, version;
    uint64_t now_ms; /* the owner's monotonic clock when it wrote this */
    int64_t wall_ms;
    uint32_t role; /* enum node_role */
    char cluster[64];
    struct address addresses[RECORD_ADDRESSES_MAX];
    uint32_t n_addresses;
    uint16_t dht_port, torrent_port;
    char api[96]; /* URL of its local API, "" when none */

    /* capabilities */
    uint32_t n_cores, n_threads;
    uint64_t ram_total, ram_free, memory_budget, memory_used; /* bytes */
    uint64_t memory_bandwidth;                                /* bytes a second, measured; 0: not yet */
    uint64_t disk_free;
    char cpu[16];     /* kernel level */
    char boot_id[40]; /* equal: the same machine */
    uint32_t arithmetic, n_ctx, n_slots;
    char kv[16]; /* the type of keys and values: f16 where a record does not say */
    bool fetch_allowed, draining;

    /* model */
    bool has_manifest, has_tokenizer;
    struct sha256 fingerprint; /* of its manifest's model; zero without one */
    struct sha256 split;       /* its manifest's, how the model is cut; zero: none, or not said */
    char model[128];
    uint32_t n_shards_expected; /* --total-shards; 0: not given */

    struct record_shard *shards; /* owned; ascending ids, those that are not ABSENT or are assigned */
    uint32_t n_shards;
    struct record_link *links; /* owned; peers that are up */
    uint32_t n_links;
    struct finding_list findings; /* owned; what only this node can know */

    uint32_t n_sequences, n_queued;
    uint64_t tokens_done;
    uint64_t coordinator_heard_ms; /* now_ms when a command of a coordinator last came; 0: never */
};

void record_init(struct node_record *record); /* zeros */
void record_free(struct node_record *record); /* frees what it owns, not itself */
void record_copy(struct node_record *out, const struct node_record *record);
/* False when both say how their model is cut and it is not the same: ids of shards then mean other layers. */
bool record_same_split(const struct node_record *a, const struct node_record *b);
const struct record_shard *record_shard_find(const struct node_record *record,
                                             uint32_t id); /* NULL: not there */
bool record_is_newer(const struct node_record *a, uint64_t epoch, uint64_t version);

struct jv *record_to_json(const struct node_record *record);
/* BAD_DATA names the field. */
enum status record_from_json(struct node_record *out, const struct jv *json, struct error *err);

void record_sign(struct buffer *out, const struct node_record *record, const struct key_pair *pair);
/* Checks signature (by the id inside) and every field; `out` is touched on success only. */
enum status record_open(struct node_record *out, struct bytes signed_record, struct error *err);

/* FRAME_DIGEST: what a node has of whom. FRAME_WANT: node ids only. */
struct digest_entry {
    struct node_id id;
    uint64_t epoch, version;
};
#define DIGEST_ENTRIES_MAX 1024
void digest_encode(struct buffer *out, const struct digest_entry *entries, size_t n);
/* Returns the count written to `out` (at most `max`); BAD_DATA on a bad length. */
enum status digest_decode(struct digest_entry *out, size_t max, size_t *out_n, struct bytes in,
                          struct error *err);
void want_encode(struct buffer *out, const struct node_id *ids, size_t n);
enum status want_decode(struct node_id *out, size_t max, size_t *out_n, struct bytes in, struct error *err);

#endif
