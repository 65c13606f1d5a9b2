/* Who waits for a shard to be loaded or gone, and what they are told (node/shards). */
#include "base/mem.h"
#include "node/shards_private.h"

#include <inttypes.h>
#include <stdio.h>

#define PATIENCE_MS 3000 /* who waits hears of a missing source only after this */
#define LOOK_MS     1000

void shard_wait(struct shard *s, bool for_unload, shards_done done, void *ctx)
{
    struct shard_waiter **at = &s->waiters;
    while (*at)
        at = &(*at)->next;
    *at = mem_new(sizeof **at);
    **at = (struct shard_waiter){
        .done = done, .ctx = ctx, .for_unload = for_unload, .since_ms = shards_now(s->owner)};
}

void shard_end_waiters(struct shard *s, bool for_unload, enum status status, const char *text)
{
    struct shard_waiter *due = NULL, **last = &due;
    for (struct shard_waiter **at = &s->waiters; *at;) {
        struct shard_waiter *waiter = *at;
        if (waiter->for_unload != for_unload) {
            at = &waiter->next;
            continue;
        }
        *at = waiter->next;
        waiter->next = NULL;
        *last = waiter;
        last = &waiter->next;
    }
    while (due) { /* detached first: `done` may add new ones */
        struct shard_waiter *waiter = due;
        due = waiter->next;
        waiter->done(waiter->ctx, s->id, status, text);
        mem_free(waiter);
    }
}

static bool has_waiter(const struct shard *s, bool for_unload, uint64_t older_than_ms)
{
    for (const struct shard_waiter *waiter = s->waiters; waiter; waiter = waiter->next)
        if (waiter->for_unload == for_unload && waiter->since_ms <= older_than_ms)
            return true;
    return false;
}

void shard_answer_waiters(struct shard *s)
{
    uint64_t now = shards_now(s->owner);
    char text[640] = "";
    if (s->assigned && has_waiter(s, true, now))
        shard_end_waiters(s, true, STATUS_CANCELLED, "it was assigned again");
    if (!s->in_memory && (!s->task || s->task == TASK_HASH) && has_waiter(s, true, now))
        shard_end_waiters(s, true, STATUS_OK, "not in memory");
    if (!has_waiter(s, false, now))
        return;
    if (s->is_loaded) {
        shard_end_waiters(s, false, STATUS_OK, "loaded");
    } else if (!s->assigned) {
        shard_end_waiters(s, false, STATUS_CANCELLED, "it was unassigned before it was loaded");
    } else if (s->state == SHARD_FAILED) {
        shard_cause(s, text, sizeof text);
        enum status status = s->failure.code ? s->failure.status : STATUS_BAD_DATA;
        shard_end_waiters(s, false, status, text);
    } else if (s->owner->scanned && !s->task &&
               (s->state == SHARD_QUEUED || (s->state == SHARD_PRESENT && !s->owner->manifest))) {
        bool is_late = now >= PATIENCE_MS && has_waiter(s, false, now - PATIENCE_MS);
        if (is_late || !s->owner->fetch_allowed) {
            shard_cause(s, text, sizeof text);
            shard_end_waiters(s, false, STATUS_NOT_FOUND, text);
        } else {
            shards_wake_at(s->owner, now + LOOK_MS);
        }
    }
}

static void forget(struct shard_waiter **at, const void *ctx)
{
    while (*at) {
        struct shard_waiter *waiter = *at;
        if (waiter->ctx != ctx) {
            at = &waiter->next;
            continue;
        }
        *at = waiter->next;
        mem_free(waiter);
    }
}

void shards_forget_waiter(struct shards *shards, void *ctx)
{
    for (uint32_t id = 0; id < shards->n; id++)
        forget(&shards->items[id]->waiters, ctx);
    forget(&shards->refused, ctx);
}

/* --- questions about shards that are none -------------------------------------------------------------- */

void shards_refuse(struct shards *shards, uint32_t id, shards_done done, void *ctx)
{
    struct shard_waiter *waiter = mem_new(sizeof *waiter);
    *waiter = (struct shard_waiter){.done = done, .ctx = ctx, .id = id, .next = shards->refused};
    shards->refused = waiter;
}

void shards_answer_refused(struct shards *shards)
{
    while (shards->refused) {
        struct shard_waiter *waiter = shards->refused;
        shards->refused = waiter->next;
        char text[256];
        if (shards->manifest)
            snprintf(text, sizeof text, "there is no shard %" PRIu32 ": '%s' has shards 0 to %" PRIu32,
                     waiter->id, shards->manifest->name, shards->manifest->n_shards - 1);
        else
            snprintf(text, sizeof text, "there is no shard %" PRIu32 ": a model has at most %d", waiter->id,
                     MANIFEST_SHARDS_MAX);
        waiter->done(waiter->ctx, waiter->id, STATUS_BAD_USAGE, text);
        mem_free(waiter);
    }
}
