#include "node/shards_private.h"

#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS           1000 /* while something is not at rest */
#define MANIFEST_ASK_MS   5000
#define NOT_FOUND_SAID_MS 1000
#define ASKED_AGAIN_MS    10000
#define LOOK_MS           2000

uint64_t shards_now(const struct shards *shards)
{
    return clock_ms(shards->clock);
}

struct shard *shards_at(const struct shards *shards, uint32_t id)
{
    return id < shards->n ? shards->items[id] : NULL;
}

const struct manifest_shard *shard_wanted(const struct shard *shard)
{
    return shard->owner->manifest ? manifest_shard_at(shard->owner->manifest, shard->id) : NULL;
}

void shards_poke(struct shards *shards)
{
    if (shards->poked)
        return;
    shards->poked = true;
    clock_timer_set(shards->clock, shards->timer, 0);
}

void shards_changed(struct shards *shards)
{
    shards->changed = true;
    shards_poke(shards);
}

void shards_wake_at(struct shards *shards, uint64_t at_ms)
{
    if (!shards->wake_ms || at_ms < shards->wake_ms)
        shards->wake_ms = at_ms ? at_ms : 1;
}

/* --- entries ------------------------------------------------------------------------------------------ */

static struct shard *ensure(struct shards *shards, uint32_t id)
{
    if (id >= MANIFEST_SHARDS_MAX)
        return NULL;
    if (id >= shards->n) {
        shards->items = mem_resize(shards->items, id + 1, sizeof *shards->items);
        for (uint32_t i = shards->n; i <= id; i++) {
            struct shard *s = mem_new(sizeof *s);
            s->owner = shards;
            s->id = i;
            s->since_ms = shards_now(shards);
            shards->items[i] = s;
        }
        shards->n = id + 1;
    }
    return shards->items[id];
}

void shard_set_state(struct shard *s, enum shard_state state)
{
    if (s->state == state)
        return;
    s->state = state;
    s->since_ms = shards_now(s->owner);
    s->bytes_done = s->bytes_total = s->rate = 0;
    shards_changed(s->owner);
}

static void remember_attempt(struct shard *s, enum finding_code code, const char *text)
{
    struct shard_attempt *at = &s->history[s->n_history++ % HISTORY_MAX];
    at->at_ms = shards_now(s->owner);
    at->code = code;
    snprintf(at->text, sizeof at->text, "%.199s", text);
}

static bool is_of_loading(enum finding_code code)
{
    return code == FINDING_NOT_ENOUGH_MEMORY || code == FINDING_LOAD_FAILED || code == FINDING_SELF_TEST_FAILED;
}

/* Nothing tells when loading may go well again: it is tried for a tenth of the time, at the most. */
static uint64_t longest_wait(const struct shard *s, enum finding_code code)
{
    uint64_t ms = 10 * (shards_now(s->owner) - s->began_ms);
    if (!is_of_loading(code) || ms > SHARDS_RETRY_MAX_MS)
        return SHARDS_RETRY_MAX_MS;
    return ms > SHARDS_RETRY_LOAD_MS ? ms : SHARDS_RETRY_LOAD_MS;
}

void shard_fail(struct shard *s, enum finding_code code, enum status status, int sys_errno, const char *format,
                ...)
{
    struct shards *shards = s->owner;
    char text[sizeof s->failure.text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);

    uint64_t wait = SHARDS_RETRY_MS, most = longest_wait(s, code);
    for (uint32_t i = 0; i < s->n_attempts && wait < most; i++)
        wait *= 2;
    if (wait > most)
        wait = most;
    wait -= rng_below(&shards->rng, wait / 4 + 1); /* jitter: peers that failed together do not come together */
    uint64_t now = shards_now(shards);
    bool same = s->failure.code == code;
    s->failure = (struct shard_failure){.code = code,
                                        .status = status,
                                        .sys_errno = sys_errno,
                                        .since_ms = same ? s->failure.since_ms : now,
                                        .tried_ms = now,
                                        .retry_ms = now + wait};
    memcpy(s->failure.text, text, sizeof text);
    s->n_attempts++;
    remember_attempt(s, code, text);
    shard_set_state(s, SHARD_FAILED);
    shards_changed(shards);
}

enum finding_code shard_code_of(const struct error *err, enum finding_code otherwise)
{
    if (err->sys_errno == ENOSPC || err->sys_errno == EDQUOT)
        return FINDING_DISK_FULL;
    if (err->status == STATUS_REFUSED || err->sys_errno == EACCES || err->sys_errno == EPERM ||
        err->sys_errno == EROFS)
        return FINDING_PERMISSION_DENIED;
    return otherwise;
}

void shard_retry_now(struct shard *s)
{
    if (s->failure.code)
        s->failure.retry_ms = shards_now(s->owner);
    shards_poke(s->owner);
}

/* --- the folder --------------------------------------------------------------------------------------- */

static void on_folder_changed(void *ctx)
{
    shards_rescan(ctx);
}

/* What a change of the folder means for shards that had failed for want of it. */
static void reconsider_failures(struct shards *shards, bool files_changed)
{
    for (uint32_t id = 0; id < shards->n; id++) {
        struct shard *s = shards->items[id];
        enum finding_code code = s->failure.code;
        if (code == FINDING_DISK_FULL) {
            if (inventory_free_bytes(shards->inventory) >= shard_disk_needed(s))
                shard_retry_now(s);
        } else if (files_changed && code && code != FINDING_NOT_ENOUGH_MEMORY && s->torrent != TORRENT_FETCH) {
            s->n_attempts = 0;
            shard_retry_now(s);
        }
    }
}

/* A file that is being written is looked at again: who watches the folder may settle it after this look. */
static bool any_unsettled(const struct disk_listing *listing)
{
    for (size_t i = 0; i < listing->n_files; i++)
        if (!listing->files[i].is_settled)
            return true;
    return false;
}

static void on_scanned(void *ctx, enum status status, const struct disk_listing *listing,
                       const struct error *err)
{
    static const struct disk_listing nothing = {0};
    struct shards *shards = ctx;
    shards->scan = NULL;
    uint64_t now = shards_now(shards);
    if (status) {
        shards->scan_failure.code = shard_code_of(err, FINDING_PERMISSION_DENIED);
        if (!shards->n_scan_failures++)
            shards->scan_failure.since_ms = now;
        shards->scan_failure.sys_errno = err->sys_errno;
        snprintf(shards->scan_failure.text, sizeof shards->scan_failure.text, "%.479s", err->text);
        shards->scan_retry_ms = now + TICK_MS * (shards->n_scan_failures < 5 ? shards->n_scan_failures : 5);
        listing = &nothing;
    } else {
        shards->scan_failure = (struct shard_failure){0};
        shards->n_scan_failures = 0;
        shards->scan_retry_ms = any_unsettled(listing) ? now + TICK_MS : 0;
        if (!shards->watch) { /* now that the folder exists; what came meanwhile is found by one more scan */
            shards->watch =
                shards->disk->ops->watch(shards->disk->self, shards->dir, on_folder_changed, shards);
            shards->scan_again = true;
        }
    }
    bool differs = inventory_set_listing(shards->inventory, listing) || !shards->scanned;
    shards->scanned = true;
    reconsider_failures(shards, differs);
    for (uint32_t id = 0; id < shards->n; id++) {
        struct shard *s = shards->items[id];
        if (s->task == TASK_PUBLISH && s->await_scan && shards->scan_number >= s->await_scan) {
            s->task = TASK_NONE;
            s->await_scan = 0;
        }
    }
    if (differs)
        shards->changed = true;
    if (shards->scan_again) {
        shards->scan_again = false;
        shards_rescan(shards);
    }
    shards_poke(shards);
}

void shards_rescan(struct shards *shards)
{
    if (shards->scan) {
        shards->scan_again = true;
        return;
    }
    shards->scan_number++;
    shards->scan = shards->disk->ops->scan(shards->disk->self, shards->dir, true, on_scanned, shards);
}

/* --- one shard, looked at ----------------------------------------------------------------------------- */

/* Memory and disk space come back without a word: they are looked at every few seconds. */
static bool may_try_again(struct shard *s)
{
    struct shards *shards = s->owner;
    uint64_t now = shards_now(shards);
    bool is_polled = s->failure.code == FINDING_NOT_ENOUGH_MEMORY || s->failure.code == FINDING_DISK_FULL;
    if (s->failure.code == FINDING_NOT_ENOUGH_MEMORY && s->need && shards_memory_allows(shards, s->need))
        return true;
    if (s->failure.code == FINDING_DISK_FULL && now - s->looked_ms >= LOOK_MS) {
        s->looked_ms = now;
        shards_rescan(shards);
    }
    if (s->failure.retry_ms <= now)
        return true;
    shard_set_state(s, SHARD_FAILED);
    shards_wake_at(shards,
                   is_polled && now + LOOK_MS < s->failure.retry_ms ? now + LOOK_MS : s->failure.retry_ms);
    return false;
}

/* Not LOADED, assigned, nothing under way: what is next? Loading and hashing are begun by their schedulers. */
static void consider_assigned(struct shard *s, const struct inventory_found *found)
{
    struct shards *shards = s->owner;
    bool is_here = found->presence == INVENTORY_VERIFIED || found->presence == INVENTORY_UNCHECKED;
    if (s->torrent == TORRENT_FETCH && is_here && !s->fetch_finished)
        shard_stop_fetch(s); /* a person was faster */
    bool is_gone = !is_here && found->presence != INVENTORY_UNSETTLED && shards->scanned;
    if (is_gone && is_of_loading(s->failure.code)) { /* what lacks now is the file */
        s->failure = (struct shard_failure){0};
        s->n_attempts = 0;
    }
    if (s->failure.code && !may_try_again(s))
        return;
    if (shards->manifest && !shard_wanted(s)) {
        shard_set_state(s, SHARD_FAILED); /* the model has no such shard */
    } else if (is_here) {
        bool to_check = shards->manifest && found->presence == INVENTORY_UNCHECKED;
        shard_set_state(s, to_check ? SHARD_VERIFYING : SHARD_PRESENT);
    } else if (found->presence == INVENTORY_UNSETTLED || !shards->scanned) {
        shard_set_state(s, SHARD_QUEUED);
    } else if (found->presence == INVENTORY_UNREADABLE) {
        shard_set_state(s, SHARD_FAILED);
    } else if (shards_can_fetch(shards) && (s->n_sources || s->torrent == TORRENT_FETCH)) {
        shard_fetch(s);
    } else {
        shard_set_state(s, found->presence == INVENTORY_INVALID ? SHARD_FAILED : SHARD_QUEUED);
    }
}

static void consider_at_rest(struct shard *s, const struct inventory_found *found)
{
    if (s->torrent == TORRENT_FETCH)
        shard_stop_fetch(s);
    s->failure = (struct shard_failure){0};
    s->n_attempts = 0;
    bool here = found->presence == INVENTORY_VERIFIED ||
                (!s->owner->manifest && found->presence == INVENTORY_UNCHECKED);
    shard_set_state(s, here ? SHARD_PRESENT : SHARD_ABSENT);
}

static void consider(struct shard *s)
{
    const struct inventory_found *found = inventory_find(s->owner->inventory, s->id);
    if (found->presence != s->presence) {
        s->presence = found->presence;
        s->presence_since_ms = shards_now(s->owner);
    }
    shard_keep_seeding(s, found);
    if (s->task && s->task != TASK_HASH)
        return;
    bool keep = s->is_loaded && s->assigned && sha256_equal(&s->sha256, &s->loaded_sha);
    if (s->in_memory && !keep) {
        shard_stop_task(s); /* a hash */
        shard_begin_unload(s);
    }
    if (s->task || keep)
        return;
    if (s->assigned)
        consider_assigned(s, found);
    else
        consider_at_rest(s, found);
}

/* --- the run ------------------------------------------------------------------------------------------ */

static void ask_for_manifest(struct shards *shards)
{
    if (shards->manifest || !shards->events.need_manifest)
        return;
    uint64_t now = shards_now(shards);
    bool needed = inventory_n(shards->inventory) > 0;
    for (uint32_t id = 0; id < shards->n; id++)
        needed |= shards->items[id]->assigned != ASSIGNED_NOT;
    if (!needed)
        return;
    if (!shards->asked_manifest_ms || now - shards->asked_manifest_ms >= MANIFEST_ASK_MS) {
        shards->asked_manifest_ms = now;
        shards->events.need_manifest(shards->ctx);
    }
    shards_wake_at(shards, shards->asked_manifest_ms + MANIFEST_ASK_MS);
}

static void consider_lines(struct shard *s)
{
    struct shards *shards = s->owner;
    if (s->not_found_due && shards->scanned) {
        uint64_t due = shards->started_ms + NOT_FOUND_SAID_MS;
        if (!shards->fetch_allowed || s->state == SHARD_FETCHING || shards_now(shards) >= due)
            shard_say_not_found(s);
        else
            shards_wake_at(shards, due);
    }
    shard_say_request_outcome(s);
}

static void run(void *arg)
{
    struct shards *shards = arg;
    shards->poked = false;
    shards->wake_ms = 0;
    uint64_t now = shards_now(shards);
    if (shards->scan_retry_ms && now >= shards->scan_retry_ms && !shards->scan)
        shards_rescan(shards);
    else if (shards->scan_retry_ms)
        shards_wake_at(shards, shards->scan_retry_ms);
    if (inventory_n(shards->inventory))
        ensure(shards, inventory_n(shards->inventory) - 1);
    for (uint32_t id = 0; id < shards->n; id++)
        consider(shards->items[id]);
    shards_schedule_load(shards);
    shards_schedule_hash(shards);
    for (uint32_t id = 0; id < shards->n; id++) {
        consider_lines(shards->items[id]);
        shard_answer_waiters(shards->items[id]);
    }
    shards_answer_refused(shards);
    ask_for_manifest(shards);
    if (shards->changed && shards->events.changed) {
        shards->changed = false;
        shards->events.changed(shards->ctx);
    }
    if (shards->wake_ms && !shards->poked) {
        now = shards_now(shards);
        clock_timer_set(shards->clock, shards->timer, shards->wake_ms > now ? shards->wake_ms - now : 0);
    }
}

/* --- the interface ------------------------------------------------------------------------------------ */

void shards_create(struct shards **out, const struct shards_config *config, const struct clock *clock,
                   const struct disk *disk, const struct compute *compute, struct agent *agent,
                   const struct shards_events *events, void *ctx)
{
    struct shards *shards = mem_new(sizeof *shards);
    shards->self = config->self;
    shards->dir = mem_string(config->dir);
    shards->place = mem_string(config->place ? config->place : config->dir);
    shards->fetch_allowed = config->fetch_allowed;
    shards->print_lines = config->print_lines;
    shards->n_expected = config->n_expected;
    memcpy(shards->salt, config->salt, sizeof shards->salt);
    shards->memory_free = config->memory_free;
    shards->rng = rng_seeded(config->seed);
    shards->clock = clock;
    shards->disk = disk;
    shards->compute = compute;
    shards->agent = agent;
    shards->events = *events;
    shards->ctx = ctx;
    shards->inventory = inventory_new();
    shards->timer = clock_timer_new(clock, run, shards);
    for (uint32_t i = 0; i < config->n_ids; i++) {
        struct shard *s = ensure(shards, config->ids[i]);
        if (!s)
            continue;
        s->assigned = ASSIGNED_EXPLICIT;
        s->state = SHARD_QUEUED;
        s->not_found_due = true;
    }
    *out = shards;
}

void shards_free(struct shards *shards)
{
    if (!shards)
        return;
    disk_cancel(shards->disk, &shards->scan);
    if (shards->watch)
        shards->disk->ops->unwatch(shards->disk->self, shards->watch);
    for (uint32_t id = 0; id < shards->n; id++) {
        struct shard *s = shards->items[id];
        disk_cancel(shards->disk, &s->disk_job);
        compute_cancel(shards->compute, &s->compute_job);
        shard_end_waiters(s, false, STATUS_CANCELLED, "the node is stopping");
        shard_end_waiters(s, true, STATUS_CANCELLED, "the node is stopping");
        mem_free(s->sources);
        mem_free(s->path);
        mem_free(s);
    }
    shards_answer_refused(shards);
    clock_timer_free(shards->clock, shards->timer);
    inventory_free(shards->inventory);
    mem_free(shards->items);
    mem_free(shards->dir);
    mem_free(shards->place);
    mem_free(shards);
}

void shards_start(struct shards *shards)
{
    shards->started_ms = shards_now(shards);
    shards_rescan(shards);
}

void shards_joined(struct shards *shards)
{
    shards->joined = true;
}

/* What is under way, in memory or seeded for `s` is about content that is not wanted any more. */
static void drop_content(struct shard *s)
{
    shard_stop_task(s);
    shard_stop_torrent(s, false);
    s->failure = (struct shard_failure){0};
    s->n_attempts = 0;
    s->n_bad_peers = 0;
    s->seed_refused = 0;
}

void shards_set_manifest(struct shards *shards, const struct manifest *manifest)
{
    shards->manifest = manifest;
    inventory_set_manifest(shards->inventory, manifest);
    for (uint32_t id = 0; id < shards->n; id++) {
        struct shard *s = shards->items[id];
        const struct manifest_shard *want = shard_wanted(s);
        if (want && sha256_equal(&want->sha256, &s->sha256)) {
            s->n_attempts = 0;
            if (s->failure.code) /* what it is tested against may be new */
                shard_retry_now(s);
            continue;
        }
        drop_content(s);
        s->sha256 = want ? want->sha256 : (struct sha256){{0}};
    }
    if (manifest)
        for (uint32_t id = 0; id < manifest->n_shards; id++)
            ensure(shards, id)->sha256 = manifest->shards[id].sha256;
    shards_changed(shards);
}

/* False: there is no such shard, and who asked hears that from the next run. */
static bool accept_id(struct shards *shards, uint32_t id, shards_done done, void *ctx)
{
    if (id < MANIFEST_SHARDS_MAX && (!shards->manifest || id < shards->manifest->n_shards))
        return true;
    if (done)
        shards_refuse(shards, id, done, ctx);
    shards_poke(shards);
    return false;
}

void shards_assign(struct shards *shards, uint32_t id, enum assigned_by by, shards_done done, void *ctx)
{
    if (!accept_id(shards, id, done, ctx))
        return;
    struct shard *s = ensure(shards, id);
    if (s->assigned != ASSIGNED_EXPLICIT)
        s->assigned = by;
    /* Who asks again wants it tried again; but commands repeat, and must not undo the back-off. */
    if (s->failure.code && shards_now(shards) - s->failure.tried_ms >= ASKED_AGAIN_MS)
        shard_retry_now(s);
    if (done)
        shard_wait(s, false, done, ctx);
    if (by == ASSIGNED_BY_COMMAND)
        shard_say_request(s);
    shards_changed(shards);
}

void shards_unload(struct shards *shards, uint32_t id, shards_done done, void *ctx)
{
    if (!shards_is_assigned(shards, id) && !accept_id(shards, id, done, ctx))
        return;
    struct shard *s = ensure(shards, id);
    s->assigned = ASSIGNED_NOT;
    s->not_found_due = s->request_open = false;
    shard_stop_task(s);
    if (s->torrent == TORRENT_FETCH)
        shard_stop_torrent(s, true);
    if (done)
        shard_wait(s, true, done, ctx);
    shards_changed(shards);
}

void shards_set_sources(struct shards *shards, uint32_t id, const struct shard_source *sources, uint32_t n,
                        uint32_t n_asked)
{
    struct shard *s = ensure(shards, id);
    if (!s)
        return;
    if (n > SHARDS_SOURCES_MAX)
        n = SHARDS_SOURCES_MAX;
    bool has_new = n > s->n_sources;
    for (uint32_t i = 0; i < n && !has_new; i++)
        has_new = sources[i].port != s->sources[i].port ||
                  sources[i].is_complete != s->sources[i].is_complete ||
                  strcmp(sources[i].ip, s->sources[i].ip) != 0;
    bool differs = has_new || n != s->n_sources || n_asked != s->n_asked || !s->sources_told;
    if (!differs)
        return;
    mem_free(s->sources);
    s->sources = mem_copy(sources, n * sizeof *sources);
    s->n_sources = n;
    s->n_asked = n_asked;
    s->sources_told = true;
    if (has_new) {
        s->redialed_ms = 0; /* tell the agent at once */
        if (s->torrent == TORRENT_FETCH || s->failure.code == FINDING_SOURCE_CORRUPT ||
            s->failure.code == FINDING_DOWNLOAD_STALLED)
            shard_retry_now(s);
    }
    shards_changed(shards);
}
