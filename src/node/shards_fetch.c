/* Fetching by torrent and seeding (node/shards). */
#include "base/mem.h"
#include "node/shards_private.h"
#include "swarm/agent.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define REDIAL_MS 10000
/* After a stall with sources that were shut out for wrong bytes they get another chance: a disk is mended, and
 * there may be nobody else. Each time later, as the bytes are checked anyway. */
#define PARDON_MIN_MS    20000
#define PARDON_DOUBLINGS 4
#define MB(bytes)        ((double)(bytes) / 1e6)

bool shards_can_fetch(const struct shards *shards)
{
    return shards->fetch_allowed && shards->agent && shards->manifest;
}

/* --- what the agent is told --------------------------------------------------------------------------- */

/* The torrent's name between us and the agent: the content's. */
static struct agent_key torrent_id(const struct shard *s)
{
    struct agent_key id;
    memcpy(id.bytes, s->torrent_sha.bytes, sizeof id.bytes);
    return id;
}

static void add_torrent(struct shard *s, bool fetch, const char *file)
{
    struct shards *shards = s->owner;
    const struct manifest_shard *want = shard_wanted(s);
    s->torrent_sha = want->sha256;
    s->torrent = fetch ? TORRENT_FETCH : TORRENT_SEED;
    struct agent_torrent torrent = {.id = torrent_id(s),
                                    .dir = shards->dir,
                                    .name = want->file,
                                    .file = file,
                                    .bytes = want->bytes,
                                    .piece_bytes = want->piece_bytes,
                                    .n_pieces = want->n_pieces,
                                    .pieces = want->pieces->sha1,
                                    .salt = shards->salt,
                                    .salt_bytes = sizeof shards->salt,
                                    .is_fetch = fetch};
    agent_torrent_add(shards->agent, &torrent);
}

void shard_stop_torrent(struct shard *s, bool delete_part)
{
    if (s->torrent == TORRENT_NONE)
        return;
    struct agent_key id = torrent_id(s);
    agent_torrent_remove(s->owner->agent, &id, delete_part && s->torrent == TORRENT_FETCH);
    s->torrent = TORRENT_NONE;
    s->fetch_finished = s->stalled = s->agent_failed = false;
    s->n_peers = 0;
    shards_changed(s->owner);
}

void shard_stop_fetch(struct shard *s)
{
    shard_stop_torrent(s, true);
}

static void dial_sources(struct shard *s)
{
    struct agent_key id = torrent_id(s);
    for (uint32_t i = 0; i < s->n_sources; i++)
        agent_torrent_peer(s->owner->agent, &id, s->sources[i].ip, s->sources[i].port);
    s->redialed_ms = shards_now(s->owner);
}

void shard_keep_seeding(struct shard *s, const struct inventory_found *found)
{
    if (!s->owner->agent || s->torrent == TORRENT_FETCH)
        return;
    bool can = found->presence == INVENTORY_VERIFIED;
    if (s->torrent == TORRENT_SEED && !can) {
        shard_stop_torrent(s, false);
    } else if (s->torrent == TORRENT_NONE && can && s->seed_refused != found->file->stamp) {
        add_torrent(s, false, found->other_name ? found->file->name : NULL);
        shards_changed(s->owner);
    }
}

/* --- what was fetched --------------------------------------------------------------------------------- */

static char *fetched_path(const struct shard *s, const char *suffix)
{
    return mem_format("%s/%s%s", s->owner->dir, shard_wanted(s)->file, suffix);
}

static void on_published(void *ctx, enum status status, const struct error *err)
{
    struct shard *s = ctx;
    struct shards *shards = s->owner;
    s->disk_job = NULL;
    if (status) {
        s->task = TASK_NONE;
        shard_fail(s, shard_code_of(err, FINDING_PERMISSION_DENIED), status, err->sys_errno, "%.470s",
                   err->text);
        return;
    }
    s->was_fetched = true;
    if (s->torrent == TORRENT_FETCH) {
        struct agent_key id = torrent_id(s);
        agent_torrent_rename(shards->agent, &id);
        s->torrent = TORRENT_SEED;
        s->fetch_finished = false;
    }
    s->await_scan = shards->scan_number + 1; /* then the inventory knows the file */
    shards_rescan(shards);
}

static void on_part_hashed(void *ctx, enum status status, const struct disk_hashed *hashed,
                           const struct error *err)
{
    struct shard *s = ctx;
    struct shards *shards = s->owner;
    s->disk_job = NULL;
    s->task = TASK_NONE;
    const struct manifest_shard *want = shard_wanted(s);
    if (status) {
        if (status == STATUS_NOT_FOUND) /* somebody took it away: from the start */
            shard_stop_torrent(s, false);
        shard_fail(s, shard_code_of(err, FINDING_DOWNLOAD_STALLED), status, err->sys_errno, "%.470s",
                   err->text);
        return;
    }
    if (!sha256_equal(&hashed->sha256, &want->sha256)) {
        char expected[2 * SHA256_BYTES + 1], found[2 * SHA256_BYTES + 1];
        sha256_hex(expected, &want->sha256);
        sha256_hex(found, &hashed->sha256);
        shard_stop_torrent(s, true);
        shard_fail(s, FINDING_SOURCE_CORRUPT, STATUS_BAD_DATA, 0,
                   "what was fetched for shard %" PRIu32
                   " has SHA-256 %.16s..., the manifest says %.16s...; it "
                   "was thrown away",
                   s->id, found, expected);
        return;
    }
    s->task = TASK_PUBLISH;
    char *part = fetched_path(s, DISK_PART_SUFFIX), *path = fetched_path(s, "");
    s->disk_job = shards->disk->ops->publish(shards->disk->self, part, path, on_published, s);
    mem_free(part);
    mem_free(path);
}

static void on_part_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct shard *s = ctx;
    uint64_t elapsed = shards_now(s->owner) - s->began_ms;
    s->bytes_done = done;
    s->bytes_total = total;
    s->rate = elapsed ? done * 1000 / elapsed : 0;
    shards_changed(s->owner);
}

static void check_part(struct shard *s)
{
    struct shards *shards = s->owner;
    shard_set_state(s, SHARD_VERIFYING);
    s->task = TASK_HASH_PART;
    s->began_ms = shards_now(shards);
    char *part = fetched_path(s, DISK_PART_SUFFIX);
    s->disk_job = shards->disk->ops->hash(shards->disk->self, part, true, on_part_progress, on_part_hashed, s);
    mem_free(part);
}

/* --- fetching ----------------------------------------------------------------------------------------- */

uint64_t shard_disk_needed(const struct shard *s)
{
    const struct manifest_shard *want = shard_wanted(s);
    uint64_t there = want ? inventory_part_bytes(s->owner->inventory, want->file) : 0;
    return want && want->bytes > there ? want->bytes - there : 0;
}

static bool disk_has_room(struct shard *s)
{
    struct shards *shards = s->owner;
    uint64_t needed = shard_disk_needed(s), free_bytes = inventory_free_bytes(shards->inventory);
    if (free_bytes >= needed)
        return true;
    shard_fail(s, FINDING_DISK_FULL, STATUS_IO, 0,
               "shard %" PRIu32 " needs %.1f MB more on the disk of '%s', %.1f MB are free", s->id, MB(needed),
               shards->dir, MB(free_bytes));
    return false;
}

static void begin_fetch(struct shard *s)
{
    uint64_t now = shards_now(s->owner);
    add_torrent(s, true, NULL);
    s->fetch_finished = s->stalled = s->agent_failed = false;
    s->last_byte_ms = now;
    s->fetched_bytes = 0;
    s->redialed_ms = s->pardoned_ms = 0;
    s->n_pardons = 0;
    s->progress_tenth = 0;
    shard_set_state(s, SHARD_FETCHING);
    s->bytes_total = shard_wanted(s)->bytes;
    shard_say_fetch_begins(s);
}

/* After an error of the disk: the agent goes on with what it has. */
static void resume_fetch(struct shard *s)
{
    struct agent_key id = torrent_id(s);
    agent_torrent_retry(s->owner->agent, &id);
    s->last_byte_ms = shards_now(s->owner);
    s->agent_failed = false; /* the failure stands until bytes come */
}

/* The agent forgets whom it shut out with the torrent; the bytes stay. */
static void pardon_sources(struct shard *s)
{
    uint64_t now = shards_now(s->owner);
    uint64_t since_ms = s->pardoned_ms > s->last_byte_ms ? s->pardoned_ms : s->last_byte_ms;
    uint64_t wait_ms = (uint64_t)PARDON_MIN_MS
                       << (s->n_pardons < PARDON_DOUBLINGS ? s->n_pardons : PARDON_DOUBLINGS);
    if (!s->stalled || !s->n_bad_peers)
        return;
    if (now - since_ms < wait_ms) {
        shards_wake_at(s->owner, since_ms + wait_ms);
        return;
    }
    struct agent_key id = torrent_id(s);
    agent_torrent_remove(s->owner->agent, &id, false);
    add_torrent(s, true, NULL);
    s->pardoned_ms = now;
    s->n_pardons++;
    s->redialed_ms = 0;
}

void shard_fetch(struct shard *s)
{
    struct shards *shards = s->owner;
    uint64_t now = shards_now(shards);
    if (s->torrent == TORRENT_SEED)
        shard_stop_torrent(s, false);
    if (s->torrent == TORRENT_NONE) {
        if (!disk_has_room(s))
            return;
        begin_fetch(s);
    }
    if (s->fetch_finished) {
        check_part(s);
        return;
    }
    if (s->agent_failed)
        resume_fetch(s);
    pardon_sources(s);
    if (!s->redialed_ms || now - s->redialed_ms >= REDIAL_MS)
        dial_sources(s);
    shard_set_state(s, SHARD_FETCHING);
    uint64_t stall_ms = s->n_sources || s->n_peers ? SHARDS_STALL_MS : SHARDS_DESERTED_MS;
    if (!s->stalled && now - s->last_byte_ms >= stall_ms) {
        s->stalled = true;
        shards->changed = true;
    }
    if (!s->stalled)
        shards_wake_at(shards, s->last_byte_ms + stall_ms);
    shards_wake_at(shards, s->redialed_ms + REDIAL_MS);
}

/* --- what the agent tells ----------------------------------------------------------------------------- */

static struct shard *find_torrent(struct shards *shards, const struct agent_key *id)
{
    for (uint32_t i = 0; i < shards->n; i++) {
        struct shard *s = shards->items[i];
        if (s->torrent != TORRENT_NONE && memcmp(s->torrent_sha.bytes, id->bytes, sizeof id->bytes) == 0)
            return s;
    }
    return NULL;
}

static void on_fetch_status(struct shard *s, const struct agent_torrent_status *status)
{
    struct shards *shards = s->owner;
    if (s->task == TASK_HASH_PART || s->task == TASK_PUBLISH)
        return;
    bool grows = status->bytes_done > s->fetched_bytes;
    s->n_pardons = grows ? 0 : s->n_pardons;
    if (grows || (status->state == AGENT_TORRENT_CHECKING && !s->n_pardons)) {
        s->last_byte_ms = shards_now(shards);
        s->stalled = false;
        s->failure = (struct shard_failure){0};
    }
    s->fetched_bytes = status->bytes_done;
    s->n_peers = status->n_peers;
    s->bytes_done = status->bytes_done;
    s->bytes_total = status->bytes_total;
    s->rate = status->rate_down;
    if (status->state == AGENT_TORRENT_FAILED) {
        s->agent_failed = true;
        struct error err = {.status = STATUS_IO, .sys_errno = status->sys_errno};
        shard_fail(s, shard_code_of(&err, FINDING_DOWNLOAD_STALLED), STATUS_IO, status->sys_errno, "%.470s",
                   status->error);
        shards_rescan(shards);
    } else {
        s->fetch_finished = status->state == AGENT_TORRENT_FINISHED;
        shard_say_progress(s);
    }
    shards_changed(shards);
}

void shards_on_torrent(struct shards *shards, const struct agent_torrent_status *status)
{
    struct shard *s = find_torrent(shards, &status->id);
    if (!s)
        return;
    if (s->torrent == TORRENT_FETCH) {
        on_fetch_status(s, status);
    } else if (status->state == AGENT_TORRENT_FAILED) {
        const struct inventory_found *found = inventory_find(shards->inventory, s->id);
        if (found->file)
            s->seed_refused = found->file->stamp;
        shard_stop_torrent(s, false);
        shards_rescan(shards);
    }
}

/* A command about a torrent could not be done. */
void shards_on_torrent_error(struct shards *shards, const struct agent_key *id, const char *text)
{
    struct shard *s = find_torrent(shards, id);
    if (!s || s->task == TASK_HASH_PART || s->task == TASK_PUBLISH)
        return;
    const struct inventory_found *found = inventory_find(shards->inventory, s->id);
    if (s->torrent == TORRENT_SEED && found->file)
        s->seed_refused = found->file->stamp;
    bool is_fetch = s->torrent == TORRENT_FETCH;
    shard_stop_torrent(s, false);
    if (is_fetch)
        shard_fail(s, FINDING_DOWNLOAD_STALLED, STATUS_IO, 0, "shard %" PRIu32 " cannot be fetched: %.400s",
                   s->id, text);
    shards_rescan(shards);
}

void shards_on_torrent_peer(struct shards *shards, const struct agent_torrent_peer *peer)
{
    struct shard *s = find_torrent(shards, &peer->id);
    if (!s || peer->fault == AGENT_PEER_STALLED)
        return;
    struct shard_bad_peer *bad = NULL;
    for (uint32_t i = 0; i < s->n_bad_peers && !bad; i++)
        if (s->bad_peers[i].port == peer->port && strcmp(s->bad_peers[i].ip, peer->ip) == 0)
            bad = &s->bad_peers[i];
    if (!bad) {
        if (s->n_bad_peers == BAD_PEERS_MAX)
            return;
        bad = &s->bad_peers[s->n_bad_peers++];
        *bad = (struct shard_bad_peer){.port = peer->port, .since_ms = shards_now(shards)};
        snprintf(bad->ip, sizeof bad->ip, "%s", peer->ip);
    }
    bad->n++;
    snprintf(bad->text, sizeof bad->text, "%s", peer->text);
    for (uint32_t i = 0; i < s->n_sources; i++)
        if (s->sources[i].port == peer->port && strcmp(s->sources[i].ip, peer->ip) == 0)
            bad->node = s->sources[i].node;
    shards_changed(shards);
}

void shards_on_agent_restart(struct shards *shards)
{
    for (uint32_t id = 0; id < shards->n; id++) {
        struct shard *s = shards->items[id];
        s->last_byte_ms = shards_now(shards); /* it looks at what is on the disk first */
        s->stalled = false;
        s->n_peers = 0;
        s->redialed_ms = 0;
    }
    shards_changed(shards);
}
