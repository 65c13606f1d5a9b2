/* What this node says of its shards: findings, record, list of files (node/shards). Changes nothing. */
#include "base/mem.h"
#include "base/shell.h"
#include "node/shards_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MB(bytes) ((double)(bytes) / 1e6)

static int32_t eta_s(const struct shard *s)
{
    if (!s->rate || s->bytes_done >= s->bytes_total)
        return -1;
    uint64_t eta = (s->bytes_total - s->bytes_done + s->rate - 1) / s->rate;
    return eta > INT32_MAX ? INT32_MAX : (int32_t)eta;
}

static const struct inventory_found *found_of(const struct shard *s)
{
    return inventory_find(s->owner->inventory, s->id);
}

/* --- why it is not loaded ----------------------------------------------------------------------------- */

static enum finding_code cause_of_fetching(const struct shard *s, char *out, size_t n)
{
    if (!s->stalled) {
        snprintf(out, n,
                 "shard %" PRIu32 " is being fetched: %.1f of %.1f MB from %" PRIu32 " peers at %.1f MB/s",
                 s->id, MB(s->bytes_done), MB(s->bytes_total), s->n_peers, MB(s->rate));
        return FINDING_DOWNLOADING;
    }
    uint64_t quiet = (shards_now(s->owner) - s->last_byte_ms) / 1000;
    if (s->n_bad_peers) {
        const struct shard_bad_peer *bad = &s->bad_peers[s->n_bad_peers - 1];
        snprintf(out, n,
                 "no good byte of shard %" PRIu32 " for %" PRIu64
                 " s: %.1f of %.1f MB are here, and %s:%u sends data "
                 "that does not match the manifest",
                 s->id, quiet, MB(s->bytes_done), MB(s->bytes_total), bad->ip, bad->port);
        return FINDING_SOURCE_CORRUPT;
    }
    if (s->n_sources)
        snprintf(out, n,
                 "no byte of shard %" PRIu32 " for %" PRIu64 " s: %.1f of %.1f MB are here, %" PRIu32
                 " nodes have it, first %s:%u; %" PRIu32 " are connected",
                 s->id, quiet, MB(s->bytes_done), MB(s->bytes_total), s->n_sources, s->sources[0].ip,
                 s->sources[0].port, s->n_peers);
    else
        snprintf(out, n,
                 "no byte of shard %" PRIu32 " for %" PRIu64 " s: %.1f of %.1f MB are here, and of %" PRIu32
                 " live nodes none has it any more",
                 s->id, quiet, MB(s->bytes_done), MB(s->bytes_total), s->n_asked);
    return FINDING_DOWNLOAD_STALLED;
}

static enum finding_code cause_of_missing(const struct shard *s, char *out, size_t n)
{
    const struct shards *shards = s->owner;
    char name[MANIFEST_FILE_NAME_MAX + 1];
    inventory_name(name, shards->manifest, s->id);
    if (!shards->fetch_allowed || !shards->agent) {
        snprintf(out, n, "'%s' is not in '%s', and fetching is off (%s)", name, shards->dir,
                 shards->fetch_allowed ? "no agent" : "--no-fetch");
        return FINDING_SHARD_FILE_MISSING;
    }
    if (!shards->manifest || !s->sources_told) {
        snprintf(out, n, "'%s' is not in '%s'; no transfer was tried yet: %s", name, shards->dir,
                 shards->manifest ? "no other node was asked so far" : "that needs the manifest");
        return FINDING_SHARD_FILE_MISSING;
    }
    snprintf(out, n, "'%s' is not in '%s', and of the %" PRIu32 " other live nodes none has shard %" PRIu32,
             name, shards->dir, s->n_asked, s->id);
    return FINDING_NO_SOURCE;
}

static enum finding_code cause_of_absence(const struct shard *s, char *out, size_t n)
{
    const struct inventory_found *found = found_of(s);
    switch (found->presence) {
    case INVENTORY_UNSETTLED:
        snprintf(out, n, "'%s' is being written: %.1f MB so far", found->file->name, MB(found->file->bytes));
        return FINDING_SHARD_FILE_MISSING;
    case INVENTORY_UNREADABLE:
        snprintf(out, n, "%s", found->note);
        return found->file->sys_errno == EACCES || found->file->sys_errno == EPERM ? FINDING_PERMISSION_DENIED
                                                                                   : FINDING_SHARD_FILE_INVALID;
    case INVENTORY_INVALID:
        snprintf(out, n, "%s", found->note);
        return FINDING_SHARD_FILE_INVALID;
    default:
        return cause_of_missing(s, out, n);
    }
}

static enum finding_code cause_of_waiting(const struct shard *s, char *out, size_t n)
{
    const struct shards *shards = s->owner;
    const struct inventory_found *found = found_of(s);
    const struct manifest_shard *want = shard_wanted(s);
    const char *name = found->file ? found->file->name : "its file";
    uint64_t total = s->bytes_total ? s->bytes_total : want ? want->bytes : 0;
    if (s->task == TASK_PUBLISH)
        snprintf(out, n, "shard %" PRIu32 " was fetched and checked; its file is being put in place", s->id);
    else if (s->state == SHARD_VERIFYING && s->task)
        snprintf(out, n, "shard %" PRIu32 ": the SHA-256 of its file is being checked, %.1f of %.1f MB done",
                 s->id, MB(s->bytes_done), MB(total));
    else if (s->state == SHARD_VERIFYING)
        snprintf(out, n, "shard %" PRIu32 ": '%s' waits to be checked behind shard %" PRIu32, s->id, name,
                 shards->hashing ? shards->hashing->id : s->id);
    else if (s->state == SHARD_LOADING)
        snprintf(out, n, "shard %" PRIu32 " is being loaded: %.1f of %.1f MB", s->id, MB(s->bytes_done),
                 MB(total));
    else if (!shards->scanned)
        snprintf(out, n, "shard %" PRIu32 ": '%s' is being looked at for the first time", s->id, shards->dir);
    else if (!shards->manifest)
        snprintf(out, n, "'%s' is here; without a manifest it can neither be checked nor loaded", name);
    else if (shards->loading && shards->loading != s)
        snprintf(out, n, "shard %" PRIu32 " waits until shard %" PRIu32 " is loaded", s->id,
                 shards->loading->id);
    else
        snprintf(out, n, "shard %" PRIu32 " is about to be loaded", s->id);
    return FINDING_LOADING;
}

enum finding_code shard_cause(const struct shard *s, char *out, size_t n)
{
    const struct shards *shards = s->owner;
    *out = '\0';
    if (s->is_loaded || !s->assigned)
        return FINDING_NONE;
    if (s->failure.code) {
        snprintf(out, n, "%s", s->failure.text);
        return s->failure.code;
    }
    if (shards->scan_failure.code) {
        snprintf(out, n, "%s", shards->scan_failure.text);
        return shards->scan_failure.code;
    }
    if (shards->manifest && !shard_wanted(s)) {
        snprintf(out, n, "shard %" PRIu32 " is assigned here, but '%s' has shards 0 to %" PRIu32, s->id,
                 shards->manifest->name, shards->manifest->n_shards - 1);
        return FINDING_SHARD_COUNT_MISMATCH;
    }
    if (s->state == SHARD_FETCHING)
        return cause_of_fetching(s, out, n);
    if (shards->scanned && !s->task && (s->state == SHARD_QUEUED || s->state == SHARD_FAILED))
        return cause_of_absence(s, out, n);
    return cause_of_waiting(s, out, n);
}

/* --- findings ----------------------------------------------------------------------------------------- */

static void add_sources(struct jv *evidence, const struct shard *s)
{
    struct jv *list = jv_array_new();
    for (uint32_t i = 0; i < s->n_sources && i < 8; i++) {
        char id[NODE_ID_SHORT_BYTES];
        node_id_short(id, &s->sources[i].node);
        char *text = mem_format("%s %s:%u%s", id, s->sources[i].ip, s->sources[i].port,
                                s->sources[i].is_complete ? "" : " (fetching)");
        jv_append(list, jv_text_new(text));
        mem_free(text);
    }
    jv_set(evidence, "sources", list);
    jv_set_int(evidence, "nodes_asked", s->n_asked);
}

static void add_history(struct jv *evidence, const struct shard *s)
{
    uint64_t now = shards_now(s->owner);
    jv_set_int(evidence, "attempts", s->n_attempts);
    if (s->failure.code && s->failure.retry_ms > now)
        jv_set_int(evidence, "retry_in_s", (int64_t)((s->failure.retry_ms - now + 999) / 1000));
    if (s->n_attempts < SHARDS_ATTEMPTS_SHOWN)
        return;
    struct jv *list = jv_array_new();
    for (uint32_t i = s->n_history > HISTORY_MAX ? s->n_history - HISTORY_MAX : 0; i < s->n_history; i++) {
        const struct shard_attempt *at = &s->history[i % HISTORY_MAX];
        char *text = mem_format("%" PRIu64 " s ago: %s: %s", (now - at->at_ms) / 1000,
                                finding_code_name(at->code), at->text);
        jv_append(list, jv_text_new(text));
        mem_free(text);
    }
    jv_set(evidence, "history", list);
}

static void add_file(struct jv *evidence, const struct shard *s)
{
    const struct inventory_found *found = found_of(s);
    const struct manifest_shard *want = shard_wanted(s);
    char name[MANIFEST_FILE_NAME_MAX + 1];
    inventory_name(name, s->owner->manifest, s->id);
    char *path = mem_format("%s/%s", s->owner->dir, found->file ? found->file->name : name);
    jv_set_text(evidence, "path", path);
    mem_free(path);
    if (want)
        jv_set_int(evidence, "expected_bytes", (int64_t)want->bytes);
    if (!found->file)
        return;
    jv_set_int(evidence, "bytes", (int64_t)found->file->bytes);
    if (found->file->sys_errno)
        jv_set_int(evidence, "errno", found->file->sys_errno);
    if (found->fault)
        jv_set_text(evidence, "fault", shard_fault_name(found->fault));
    if (want && found->fault == SHARD_FAULT_HASH) {
        jv_set_hex(evidence, "expected_sha256", want->sha256.bytes, SHA256_BYTES);
        jv_set_hex(evidence, "sha256", found->file->sha256.bytes, SHA256_BYTES);
    }
}

static bool is_about_transfer(enum finding_code code)
{
    return code == FINDING_NO_SOURCE || code == FINDING_DOWNLOADING || code == FINDING_DOWNLOAD_STALLED ||
           code == FINDING_SOURCE_CORRUPT;
}

static void explain_cause(struct finding_list *out, const struct shard *s)
{
    char text[640];
    enum finding_code code = shard_cause(s, text, sizeof text);
    if (code == FINDING_NONE)
        return;
    struct finding *f = finding_add(out, code, s->id, &s->owner->self, "%s", text);
    if (!f)
        return;
    f->since_ms = s->failure.code                    ? s->failure.since_ms
                  : code == FINDING_DOWNLOAD_STALLED ? s->last_byte_ms
                                                     : s->since_ms;
    if (code == FINDING_DOWNLOADING || code == FINDING_LOADING)
        f->eta_s = eta_s(s);
    if (code == FINDING_SHARD_COUNT_MISMATCH)
        f->severity = SEVERITY_WARNING; /* the model needs no such shard */
    /* Nothing can be done for this one before the manifest is here. */
    if (!s->owner->manifest && (code == FINDING_LOADING || (code == FINDING_SHARD_FILE_MISSING &&
                                                            s->owner->fetch_allowed && s->owner->agent))) {
        f->severity = SEVERITY_INFO;
        f->caused_by = FINDING_MANIFEST_MISSING;
    }
    struct jv *evidence = finding_evidence(f);
    add_file(evidence, s);
    if (is_about_transfer(code))
        add_sources(evidence, s);
    if (s->failure.sys_errno)
        jv_set_int(evidence, "errno", s->failure.sys_errno);
    if (code == FINDING_DISK_FULL)
        jv_set_int(evidence, "free_bytes", (int64_t)inventory_free_bytes(s->owner->inventory));
    if (code == FINDING_NOT_ENOUGH_MEMORY)
        jv_set_int(evidence, "needed_bytes", (int64_t)s->need);
    if (s->n_attempts)
        add_history(evidence, s);
    shard_set_action(f, s);
}

/* Things that block nothing: a file that is wrong beside a transfer that goes on, and the like. */
static void explain_file(struct finding_list *out, const struct shard *s)
{
    const struct inventory_found *found = found_of(s);
    char name[MANIFEST_FILE_NAME_MAX + 1];
    inventory_name(name, s->owner->manifest, s->id);
    bool is_bad = found->presence == INVENTORY_INVALID || found->presence == INVENTORY_UNREADABLE;
    struct finding *f = NULL;
    if (s->is_loaded && (is_bad || found->presence == INVENTORY_MISSING)) {
        f = finding_add(
            out, is_bad ? FINDING_SHARD_FILE_INVALID : FINDING_SHARD_FILE_MISSING, s->id, &s->owner->self,
            "shard %" PRIu32 " stays loaded, but its file '%s' %s: it is no longer offered to others, "
            "and the next start will miss it",
            s->id, s->path, is_bad ? "has changed" : "is gone");
    } else if (!s->is_loaded && is_bad && (s->state == SHARD_FETCHING || s->failure.code)) {
        f = finding_add(out, FINDING_SHARD_FILE_INVALID, s->id, &s->owner->self, "%s", found->note);
    } else if (found->presence == INVENTORY_VERIFIED && found->other_name && s->assigned) {
        f = finding_add(out, FINDING_SHARD_FILE_INVALID, s->id, &s->owner->self,
                        "'%s' has the content of shard %" PRIu32 " under another name than '%s'; it is used",
                        found->file->name, s->id, name);
        if (f) {
            char *from = shell_path(s->owner->place, found->file->name),
                 *to = shell_path(s->owner->place, name);
            finding_set_action(f, "mv %s %s", from, to);
            f->severity = SEVERITY_INFO;
            mem_free(from);
            mem_free(to);
        }
        return;
    }
    if (!f)
        return;
    f->severity = SEVERITY_WARNING;
    f->since_ms = s->presence_since_ms;
    add_file(finding_evidence(f), s);
    shard_set_action(f, s);
}

static void explain_bad_peers(struct finding_list *out, const struct shard *s)
{
    for (uint32_t i = 0; i < s->n_bad_peers; i++) {
        const struct shard_bad_peer *bad = &s->bad_peers[i];
        bool is_known = !node_id_is_zero(&bad->node);
        char id[NODE_ID_SHORT_BYTES];
        node_id_short(id, &bad->node);
        struct finding *f = finding_add(out, FINDING_SOURCE_CORRUPT, s->id, is_known ? &bad->node : NULL,
                                        "%s:%u%s%s sent data for shard %" PRIu32
                                        " that does not match the manifest (%" PRIu32 " times): %s",
                                        bad->ip, bad->port, is_known ? ", node " : "", is_known ? id : "",
                                        s->id, bad->n, bad->text);
        if (!f)
            return;
        f->severity = SEVERITY_WARNING;
        f->since_ms = bad->since_ms;
        char *address = mem_format("%s:%u", bad->ip, bad->port);
        jv_set_text(finding_evidence(f), "address", address);
        mem_free(address);
        finding_set_action(f, "shoal files # then, on that machine, `shoal verify` with its shards folder");
    }
}

/* A leftover in a start script: the manifest decides, and says so. */
static void explain_expected(struct finding_list *out, const struct shards *shards)
{
    const struct manifest *manifest = shards->manifest;
    if (!manifest || !shards->n_expected || shards->n_expected == manifest->n_shards)
        return;
    struct finding *f = finding_add(out, FINDING_SHARD_COUNT_MISMATCH, FINDING_NO_SHARD, &shards->self,
                                    "this node was started with --total-shards %" PRIu32
                                    ", the manifest of '%s' has %" PRIu32 " shards: the manifest counts",
                                    shards->n_expected, manifest->name, manifest->n_shards);
    if (f)
        f->severity = SEVERITY_WARNING;
    finding_set_action(f, "shoal node --total-shards %" PRIu32, manifest->n_shards);
}

void shards_explain(const struct shards *shards, struct finding_list *out)
{
    bool any = false;
    explain_expected(out, shards);
    for (uint32_t id = 0; id < shards->n; id++) {
        const struct shard *s = shards->items[id];
        if (s->assigned || s->is_loaded) {
            explain_cause(out, s);
            explain_file(out, s);
            any = true;
        }
        explain_bad_peers(out, s);
    }
    if (any || !shards->scan_failure.code)
        return;
    struct finding *f = finding_add(out, shards->scan_failure.code, FINDING_NO_SHARD, &shards->self, "%s",
                                    shards->scan_failure.text);
    if (!f)
        return;
    f->severity = SEVERITY_WARNING;
    f->since_ms = shards->scan_failure.since_ms;
    jv_set_text(finding_evidence(f), "path", shards->dir);
    jv_set_int(finding_evidence(f), "errno", shards->scan_failure.sys_errno);
    shards_set_folder_action(f, shards);
}
