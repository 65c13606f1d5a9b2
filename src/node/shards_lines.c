/* The lines of INTERFACE section 2 that speak of this node's shards. Each is printed only when its fact is
 * true. */
#include "base/log.h"
#include "node/shards_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define REQUEST_AGAIN_MS  30000
#define PROGRESS_AGAIN_MS 1000
#define BAR_CELLS         20
#define MB(bytes)         ((double)(bytes) / 1e6)

static bool is_here(const struct shard *s)
{
    enum inventory_presence presence = inventory_find(s->owner->inventory, s->id)->presence;
    return s->is_loaded || s->task == TASK_PUBLISH || presence >= INVENTORY_UNSETTLED;
}

void shard_say_request(struct shard *s)
{
    uint64_t now = shards_now(s->owner);
    bool is_repeated = s->request_said_ms && now - s->request_said_ms < REQUEST_AGAIN_MS;
    if (s->is_loaded || is_repeated)
        return; /* coordinators repeat themselves */
    s->request_said_ms = now;
    s->request_open = true;
    s->request_missing_said = false;
    s->failure_said = FINDING_NONE;
    if (!s->owner->print_lines)
        return;
    say("[LOAD_SHARD] Request to load shard %" PRIu32, s->id);
    say("[LOAD_SHARD] 🔄 Starting shard %" PRIu32 " load process...", s->id);
}

void shard_say_not_found(struct shard *s)
{
    s->not_found_due = false;
    if (!s->owner->print_lines || is_here(s))
        return;
    say("[SHARD] ⚠️  ASSIGNED SHARD %" PRIu32 " NOT FOUND LOCALLY ⚠️", s->id);
    if (!s->owner->fetch_allowed)
        say("[SHARD]   Node will join the network and wait for the file: fetching is off.");
    else if (s->state == SHARD_FETCHING)
        say("[SHARD]   Node will join the network and is downloading the shard now.");
    else
        say("[SHARD]   Node will join the network and download shard when LOAD_SHARD command is received.");
}

static void say_missing(struct shard *s)
{
    if (!s->request_open || s->request_missing_said || !s->owner->scanned || is_here(s))
        return;
    s->request_missing_said = true;
    if (s->owner->print_lines)
        say("[LOAD_SHARD] ⚠️  Shard %" PRIu32 " not found locally", s->id);
}

void shard_say_fetch_begins(struct shard *s)
{
    if (s->not_found_due)
        shard_say_not_found(s); /* first what is missing, then what is done about it */
    say_missing(s);
    if (s->owner->print_lines)
        say("[LOAD_SHARD] 📥 Starting torrent download from peer...");
}

void shard_say_progress(struct shard *s)
{
    uint64_t now = shards_now(s->owner);
    uint64_t total = s->bytes_total ? s->bytes_total : 1;
    uint64_t percent = s->bytes_done * 100 / total;
    uint32_t tenth = (uint32_t)(percent / 10);
    bool is_due = now - s->progress_said_ms >= PROGRESS_AGAIN_MS || tenth > s->progress_tenth;
    if (!is_due || !s->bytes_done || !s->owner->print_lines || (s->fetch_finished && s->progress_tenth == 10))
        return;
    s->progress_said_ms = now;
    s->progress_tenth = tenth;
    char bar[BAR_CELLS + 1], eta[32] = "";
    memset(bar, '-', BAR_CELLS);
    memset(bar, '#', percent > 100 ? BAR_CELLS : percent * BAR_CELLS / 100);
    bar[BAR_CELLS] = '\0';
    if (s->rate && s->bytes_total > s->bytes_done)
        snprintf(eta, sizeof eta, " ETA %" PRIu64 "s",
                 (s->bytes_total - s->bytes_done + s->rate - 1) / s->rate);
    say("[TORRENT] Shard %" PRIu32 ": [%s] %" PRIu64 "%% %.1f/%.1f MB %.1f MB/s %" PRIu32 " peers%s", s->id,
        bar, percent, MB(s->bytes_done), MB(s->bytes_total), MB(s->rate), s->n_peers, eta);
}

void shard_say_loaded(struct shard *s)
{
    const struct shards *shards = s->owner;
    bool before_joining = !shards->joined && s->assigned == ASSIGNED_EXPLICIT;
    s->request_open = s->not_found_due = false;
    s->failure_said = FINDING_NONE;
    if (!shards->print_lines)
        return;
    if (before_joining) {
        say("[SHARD] ✓✓✓ SHARD %" PRIu32 " LOADED BEFORE JOINING NETWORK ✓✓✓", s->id);
        say("[SHARD]   Path: %s", s->path);
        say("[SHARD]   Shard will be available for inference immediately");
    } else {
        say("[LOAD_SHARD] ✓✓✓ Shard %" PRIu32 " loaded successfully from %s ✓✓✓", s->id,
            s->was_fetched ? "peers" : "local directory");
    }
}

void shard_say_request_outcome(struct shard *s)
{
    say_missing(s);
    bool is_waiting = s->state == SHARD_QUEUED && s->request_open && s->request_missing_said;
    if ((s->state != SHARD_FAILED && !is_waiting) || !s->owner->scanned) {
        if (s->state == SHARD_LOADED || s->state == SHARD_ABSENT)
            s->failure_said = FINDING_NONE;
        return;
    }
    char text[640];
    enum finding_code code = shard_cause(s, text, sizeof text);
    if (code == FINDING_NONE || code == s->failure_said)
        return;
    /* Asked for, and nobody has it, or nobody may be asked: that is an outcome. Not asked yet is none. */
    if (is_waiting && code != FINDING_NO_SOURCE &&
        (code != FINDING_SHARD_FILE_MISSING || s->owner->fetch_allowed))
        return;
    s->failure_said = code; /* once for each cause, not for each attempt */
    if (s->owner->print_lines)
        say("[LOAD_SHARD] ✗ Shard %" PRIu32 ": %s", s->id, text);
}
