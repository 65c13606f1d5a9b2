/* From a file to weights in service: hashing, memory, loading, self-test, and back (node/shards). */
#include "base/mem.h"
#include "node/shards_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HASH_AGAIN_MS 1000 /* a file that changed while it was read, or could not be read */
#define LAZY_AGAIN_MS 60000
#define MB(bytes)     ((double)(bytes) / 1e6)

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct shard *s = ctx;
    if (s->is_loaded) /* a file that is checked again behind a loaded shard */
        return;
    uint64_t elapsed = shards_now(s->owner) - s->began_ms;
    s->bytes_done = done;
    s->bytes_total = total;
    s->rate = elapsed ? done * 1000 / elapsed : 0;
    shards_changed(s->owner);
}

static void begin_task(struct shard *s, enum shard_task task)
{
    s->task = task;
    s->began_ms = shards_now(s->owner);
}

void shard_stop_task(struct shard *s)
{
    if (s->task == TASK_UNLOAD)
        return;
    disk_cancel(s->owner->disk, &s->disk_job);
    compute_cancel(s->owner->compute, &s->compute_job);
    s->task = TASK_NONE;
    s->await_scan = 0;
    if (s->owner->hashing == s)
        s->owner->hashing = NULL;
    if (s->owner->loading == s)
        s->owner->loading = NULL;
    shards_poke(s->owner);
}

/* --- hashing ------------------------------------------------------------------------------------------ */

static bool is_urgent(const struct shard *s)
{
    return s->assigned && !s->is_loaded;
}

static void on_hashed(void *ctx, enum status status, const struct disk_hashed *hashed, const struct error *err)
{
    struct shard *s = ctx;
    struct shards *shards = s->owner;
    s->disk_job = NULL;
    s->task = TASK_NONE;
    shards->hashing = NULL;
    uint64_t now = shards_now(shards);
    if (!status) {
        if (!inventory_set_hash(shards->inventory, s->task_name, hashed->stamp, &hashed->sha256))
            shards_rescan(shards);
    } else if (status == STATUS_BUSY || status == STATUS_NOT_FOUND) {
        s->hash_retry_ms = now + HASH_AGAIN_MS;
        shards_rescan(shards);
    } else if (is_urgent(s)) {
        shard_fail(s, shard_code_of(err, FINDING_LOAD_FAILED), status, err->sys_errno, "%.470s", err->text);
    } else {
        s->hash_retry_ms = now + LAZY_AGAIN_MS;
    }
    shards_changed(shards);
}

static bool wants_hash(struct shard *s, bool urgent)
{
    struct shards *shards = s->owner;
    if (s->task || is_urgent(s) != urgent || !shard_wanted(s) || (urgent && s->state == SHARD_FAILED) ||
        inventory_find(shards->inventory, s->id)->presence != INVENTORY_UNCHECKED)
        return false;
    if (s->hash_retry_ms > shards_now(shards)) {
        shards_wake_at(shards, s->hash_retry_ms);
        return false;
    }
    return true;
}

static struct shard *first_to_hash(struct shards *shards, bool urgent)
{
    for (uint32_t id = 0; id < shards->n; id++)
        if (wants_hash(shards->items[id], urgent))
            return shards->items[id];
    return NULL;
}

void shards_schedule_hash(struct shards *shards)
{
    struct shard *s = first_to_hash(shards, true);
    if (shards->hashing) {
        if (!s || is_urgent(shards->hashing))
            return;
        shard_stop_task(shards->hashing);
    }
    if (!s && !shards->loading)
        s = first_to_hash(shards, false);
    if (!s)
        return;
    const struct disk_file *file = inventory_find(shards->inventory, s->id)->file;
    memcpy(s->task_name, file->name, sizeof s->task_name);
    if (!s->is_loaded)
        shard_set_state(s, SHARD_VERIFYING);
    begin_task(s, TASK_HASH);
    shards->hashing = s;
    char *path = mem_format("%s/%s", shards->dir, file->name);
    s->disk_job = shards->disk->ops->hash(shards->disk->self, path, is_urgent(s), on_progress, on_hashed, s);
    mem_free(path);
}

/* --- memory ------------------------------------------------------------------------------------------- */

bool shards_memory_allows(const struct shards *shards, uint64_t bytes)
{
    return !shards->memory_free || bytes <= shards->memory_free(shards->ctx);
}

uint64_t shards_memory_used(const struct shards *shards)
{
    uint64_t used = 0;
    for (uint32_t id = 0; id < shards->n; id++)
        if (shards->items[id]->in_memory || shards->items[id]->task == TASK_LOAD)
            used += shards->items[id]->need;
    return used;
}

/* --- unloading ---------------------------------------------------------------------------------------- */

static void on_unloaded(void *ctx, enum status status, const struct error *err)
{
    struct shard *s = ctx;
    (void)status, (void)err; /* whatever it says, the weights are not in service any more */
    s->compute_job = NULL;
    s->task = TASK_NONE;
    s->in_memory = false;
    for (uint32_t id = 0; id < s->owner->n; id++)
        if (s->owner->items[id]->failure.code == FINDING_NOT_ENOUGH_MEMORY)
            shard_retry_now(s->owner->items[id]);
    shards_changed(s->owner);
}

void shard_begin_unload(struct shard *s)
{
    struct shards *shards = s->owner;
    if (s->is_loaded) {
        s->is_loaded = false;
        if (shards->events.unloaded)
            shards->events.unloaded(shards->ctx, s->id);
    }
    if (!s->failure.code)
        shard_set_state(s, SHARD_UNLOADING);
    begin_task(s, TASK_UNLOAD);
    s->compute_job = shards->compute->ops->unload(shards->compute->self, s->id, on_unloaded, s);
    shards_changed(shards);
}

/* --- loading ------------------------------------------------------------------------------------------ */

static void end_loading(struct shard *s)
{
    s->compute_job = NULL;
    s->task = TASK_NONE;
    s->owner->loading = NULL;
    shards_changed(s->owner);
}

static void fail_loading(struct shard *s, enum status status, const struct error *err)
{
    enum finding_code code = status == STATUS_NO_MEMORY     ? FINDING_NOT_ENOUGH_MEMORY
                             : status == STATUS_UNSUPPORTED ? FINDING_UNSUPPORTED_MODEL
                                                            : shard_code_of(err, FINDING_LOAD_FAILED);
    end_loading(s);
    shard_fail(s, code, status, err->sys_errno, "%.470s", err->text);
    shards_rescan(s->owner); /* the file may be what changed */
}

static void on_entered(void *ctx, enum status status, const struct error *err)
{
    struct shard *s = ctx;
    struct shards *shards = s->owner;
    if (status) {
        fail_loading(s, status, err); /* the run takes it out of memory */
        return;
    }
    s->is_loaded = true;
    s->loaded_sha = s->sha256;
    s->failure = (struct shard_failure){0};
    s->n_attempts = s->n_history = 0;
    shard_set_state(s, SHARD_LOADED);
    end_loading(s);
    shard_say_loaded(s);
    if (shards->events.loaded)
        shards->events.loaded(shards->ctx, s->id);
}

static void on_tested(void *ctx, enum status status, const struct sha256 *hash, const struct error *err)
{
    struct shard *s = ctx;
    struct shards *shards = s->owner;
    const struct manifest_shard *want = shard_wanted(s);
    if (status) {
        fail_loading(s, status, err);
        return;
    }
    if (!want || !sha256_equal(hash, &want->self_test)) {
        char expected[2 * SHA256_BYTES + 1] = "nothing", found[2 * SHA256_BYTES + 1];
        sha256_hex(found, hash);
        if (want)
            sha256_hex(expected, &want->self_test);
        end_loading(s);
        shard_fail(s, FINDING_SELF_TEST_FAILED, STATUS_BAD_DATA, 0,
                   "shard %" PRIu32 " computes wrongly on this machine: its self-test gives %.16s..., the "
                   "manifest says %.16s...",
                   s->id, found, expected);
        return;
    }
    s->task = TASK_ENTER;
    s->compute_job = shards->compute->ops->enter(shards->compute->self, s->id, on_entered, s);
}

static void on_weights(void *ctx, enum status status, const struct error *err)
{
    struct shard *s = ctx;
    struct shards *shards = s->owner;
    if (status) {
        fail_loading(s, status, err);
        return;
    }
    s->in_memory = true;
    s->task = TASK_TEST;
    s->compute_job = shards->compute->ops->self_test(shards->compute->self, s->id, on_tested, s);
}

static void on_measured(void *ctx, enum status status, const struct compute_need *need, const struct error *err)
{
    struct shard *s = ctx;
    struct shards *shards = s->owner;
    if (status) {
        fail_loading(s, status, err);
        return;
    }
    s->need = need->weights + need->beside;
    if (!shards_memory_allows(shards, s->need)) {
        end_loading(s);
        shard_fail(s, FINDING_NOT_ENOUGH_MEMORY, STATUS_NO_MEMORY, 0,
                   "shard %" PRIu32 " needs %.1f MB of memory (weights %.1f, keys, values and scratch %.1f), "
                   "%.1f MB are free here",
                   s->id, MB(s->need), MB(need->weights), MB(need->beside),
                   MB(shards->memory_free(shards->ctx)));
        return;
    }
    shard_set_state(s, SHARD_LOADING);
    begin_task(s, TASK_LOAD);
    s->compute_job =
        shards->compute->ops->load(shards->compute->self, s->id, s->path, on_progress, on_weights, s);
}

static bool wants_load(const struct shard *s)
{
    return s->assigned && !s->is_loaded && !s->in_memory && !s->task && s->state == SHARD_PRESENT &&
           shard_wanted(s) && inventory_find(s->owner->inventory, s->id)->presence == INVENTORY_VERIFIED;
}

void shards_schedule_load(struct shards *shards)
{
    for (uint32_t id = 0; !shards->loading && id < shards->n; id++) {
        struct shard *s = shards->items[id];
        if (!wants_load(s))
            continue;
        mem_free(s->path);
        s->path = mem_format("%s/%s", shards->dir, inventory_find(shards->inventory, id)->file->name);
        shards->loading = s;
        begin_task(s, TASK_MEASURE);
        s->compute_job = shards->compute->ops->measure(shards->compute->self, s->path, on_measured, s);
    }
}
