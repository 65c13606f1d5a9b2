/* finding - one line of diagnosis, and a list of them. The codes, their stage and the ladder's order are the
 * table of INTERFACE section 3. Plain data: owns its texts. */
#ifndef WIRE_FINDING_H
#define WIRE_FINDING_H

#include "base/jv.h"
#include "wire/node_id.h"

enum stage {
    STAGE_KEY,
    STAGE_START,
    STAGE_ENTRY,
    STAGE_ANNOUNCED,
    STAGE_DISCOVERED,
    STAGE_ASSIGNED,
    STAGE_MODEL,
    STAGE_FILE,
    STAGE_VERIFIED,
    STAGE_LOADED,
    STAGE_TOLD,
    STAGE_LINKED,
    STAGE_PROBED,
    STAGE_SERVING,
    STAGE_COUNT
};
const char *stage_name(enum stage stage); /* "key", "start", ... */

/* code, stage, in ladder order */
#define FINDING_CODES(X)                                                                                       \
    X(KEY_MISSING, KEY)                                                                                        \
    X(KEY_MISMATCH, KEY)                                                                                       \
    X(IDENTITY_CONFLICT, KEY)                                                                                  \
    X(CLOCK_SKEW, KEY)                                                                                         \
    X(PROTOCOL_VERSION_MISMATCH, KEY)                                                                          \
    X(PORT_IN_USE, START)                                                                                      \
    X(STATE_DIR_UNWRITABLE, START)                                                                             \
    X(DESCRIPTORS_SHORT, START)                                                                                \
    X(AGENT_CRASHED, START)                                                                                    \
    X(START_FAILED, START)                                                                                     \
    X(BOOTSTRAP_UNREACHABLE, ENTRY)                                                                            \
    X(BOOTSTRAP_NOT_A_SWARM_NODE, ENTRY)                                                                       \
    X(ALONE_IN_CLUSTER, ENTRY)                                                                                 \
    X(ANNOUNCE_UNACKNOWLEDGED, ANNOUNCED)                                                                      \
    X(SHARD_NOT_DISCOVERED, DISCOVERED)                                                                        \
    X(NO_NODE_FOR_SHARD, ASSIGNED)                                                                             \
    X(WAITING_FOR_LOAD_SHARD, ASSIGNED)                                                                        \
    X(DUPLICATE_SHARD_ID, ASSIGNED)                                                                            \
    X(NOT_ENOUGH_MEMORY, ASSIGNED)                                                                             \
    X(MANIFEST_MISSING, MODEL)                                                                                 \
    X(MANIFEST_INVALID, MODEL)                                                                                 \
    X(MODEL_MISMATCH, MODEL)                                                                                   \
    X(CLUSTER_MISMATCH, MODEL)                                                                                 \
    X(SHARD_COUNT_MISMATCH, MODEL)                                                                             \
    X(UNSUPPORTED_MODEL, MODEL)                                                                                \
    X(SHARD_FILE_MISSING, FILE)                                                                                \
    X(NO_SOURCE, FILE)                                                                                         \
    X(DOWNLOADING, FILE)                                                                                       \
    X(DOWNLOAD_STALLED, FILE)                                                                                  \
    X(STORE_UNREACHABLE, FILE)                                                                                 \
    X(DISK_FULL, FILE)                                                                                         \
    X(PERMISSION_DENIED, FILE)                                                                                 \
    X(SHARD_FILE_INVALID, VERIFIED)                                                                            \
    X(SOURCE_CORRUPT, VERIFIED)                                                                                \
    X(LOADING, LOADED)                                                                                         \
    X(LOAD_FAILED, LOADED)                                                                                     \
    X(SELF_TEST_FAILED, LOADED)                                                                                \
    X(LOADED_NOT_PROPAGATED, TOLD)                                                                             \
    X(PEER_UNREACHABLE, LINKED)                                                                                \
    X(LINK_SLOW, LINKED)                                                                                       \
    X(PROBE_FAILED, PROBED)                                                                                    \
    X(PROBE_WRONG, PROBED)                                                                                     \
    X(NODE_STALLED, PROBED)                                                                                    \
    X(CONTEXT_FULL, SERVING)                                                                                   \
    X(OVERLOADED, SERVING)                                                                                     \
    X(BAD_TEMPLATE, SERVING)                                                                                   \
    X(SECURITY_REFUSED, SERVING)

enum finding_code {
    FINDING_NONE,
#define X(code, stage) FINDING_##code,
    FINDING_CODES(X)
#undef X
        FINDING_CODE_END
};
const char *finding_code_name(enum finding_code code); /* "KEY_MISSING", ... */
bool finding_code_parse(enum finding_code *out, const char *name);
enum stage finding_stage(enum finding_code code);

enum severity { SEVERITY_BLOCKER, SEVERITY_WARNING, SEVERITY_INFO };
const char *severity_name(enum severity severity);

#define FINDING_NO_SHARD (-1)

struct finding {
    enum finding_code code;
    enum severity severity;
    int32_t shard;       /* FINDING_NO_SHARD */
    struct node_id node; /* zero: no node */
    char *cause;         /* one sentence with numbers */
    struct jv *evidence; /* an object, or NULL */
    uint64_t since_ms;   /* clock_ms of whoever made it */
    int32_t eta_s;       /* -1: none */
    char *action;        /* a command that works when pasted, or "" */
    enum finding_code caused_by;
};

#define FINDINGS_MAX 512

struct finding_list {
    struct finding *items; /* owned */
    uint32_t n, capacity;
};

void finding_list_free(struct finding_list *list); /* empties it */
/* Appends a finding with these facts and default for the rest (blocker, since 0, no eta, no action, no
 * evidence); the caller fills in more through the pointer, valid until the next call. NULL when FINDINGS_MAX
 * are there. */
struct finding *finding_add(struct finding_list *list, enum finding_code code, int64_t shard,
                            const struct node_id *node, const char *cause, ...)
    __attribute__((format(printf, 5, 6)));
void finding_set_action(struct finding *finding, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct jv *finding_evidence(struct finding *finding); /* its object, made when there is none */
void finding_list_append(struct finding_list *to, const struct finding *finding); /* a deep copy */
void finding_list_remove(struct finding_list *list, uint32_t index); /* the order of the others stays */
/* Keeps at most n: those that finding_list_sort puts first. */
void finding_list_cut(struct finding_list *list, uint32_t n);
/* Blockers first, then warnings, then infos; within each by stage, shard, node. */
void finding_list_sort(struct finding_list *list);

/* The object of GET /api/v1/verdict's findings; `now_ms` turns since_ms into since_s. */
struct jv *finding_to_json(const struct finding *finding, uint64_t now_ms);
enum status finding_from_json(struct finding_list *to, const struct jv *json, uint64_t now_ms,
                              struct error *err);

#endif
