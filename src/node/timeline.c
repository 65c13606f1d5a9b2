#include "node/timeline.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEN_MAX 8192

struct event {
    uint64_t at_ms;
    struct node_id node;
    int32_t shard;
    char what[48];
};

struct seen { /* the last state of one shard on one node; shard -1: alive or not */
    struct node_id node;
    int32_t shard;
    int state;
    uint64_t entered_ms, bytes, rate; /* of a shard's state: since when, its size, the best rate measured */
};

struct stage_row {
    const char *stage;
    struct node_id node;
    int32_t shard;
    uint64_t at_ms, took_ms, expected_ms; /* took: UINT64_MAX: not known; expected 0: nothing is */
};
#define NOT_KNOWN UINT64_MAX

struct timeline {
    struct node_id self;
    uint64_t start_ms;
    struct event events[TIMELINE_EVENTS_MAX]; /* ring */
    uint64_t n_events;
    struct seen *seen;
    uint32_t n_seen, capacity;
    /* the last start */
    uint64_t begin_ms, loaded_ms, ready_ms; /* 0: not yet */
    bool discovered;
    struct stage_row *rows; /* owned */
    uint32_t n_rows, rows_capacity;
};

struct timeline *timeline_new(uint64_t start_ms, const struct node_id *self)
{
    struct timeline *timeline = mem_new(sizeof *timeline);
    timeline->self = *self;
    timeline->start_ms = timeline->begin_ms = start_ms;
    return timeline;
}

void timeline_free(struct timeline *timeline)
{
    if (!timeline)
        return;
    mem_free(timeline->seen);
    mem_free(timeline->rows);
    mem_free(timeline);
}

void timeline_add(struct timeline *timeline, uint64_t now_ms, const struct node_id *node, int32_t shard,
                  const char *what)
{
    struct event *event = &timeline->events[timeline->n_events++ % TIMELINE_EVENTS_MAX];
    event->at_ms = now_ms;
    event->node = *node;
    event->shard = shard;
    snprintf(event->what, sizeof event->what, "%s", what);
}

/* --- stages ---------------------------------------------------------------------------------------------- */

static bool has_stage(const struct timeline *timeline, const struct node_id *node, int32_t shard,
                      const char *stage)
{
    for (uint32_t i = 0; i < timeline->n_rows; i++) {
        const struct stage_row *row = &timeline->rows[i];
        if (row->shard == shard && strcmp(row->stage, stage) == 0 && node_id_equal(&row->node, node))
            return true;
    }
    return false;
}

void timeline_stage(struct timeline *timeline, uint64_t now_ms, const struct node_id *node, int32_t shard,
                    const char *stage, uint64_t began_ms, uint64_t expected_ms)
{
    bool repeats = strcmp(stage, "failed") == 0 || strcmp(stage, "mended") == 0;
    if (began_ms && began_ms < timeline->begin_ms)
        return; /* of an earlier start */
    if (timeline->n_rows == TIMELINE_STAGES_MAX || (!repeats && has_stage(timeline, node, shard, stage)))
        return;
    if (timeline->n_rows == timeline->rows_capacity) {
        timeline->rows_capacity = timeline->rows_capacity ? 2 * timeline->rows_capacity : 64;
        timeline->rows = mem_resize(timeline->rows, timeline->rows_capacity, sizeof *timeline->rows);
    }
    bool known = began_ms && began_ms <= now_ms;
    timeline->rows[timeline->n_rows++] = (struct stage_row){.stage = stage,
                                                            .node = *node,
                                                            .shard = shard,
                                                            .at_ms = now_ms,
                                                            .took_ms = known ? now_ms - began_ms : NOT_KNOWN,
                                                            .expected_ms = expected_ms};
}

void timeline_own_stage(struct timeline *timeline, uint64_t now_ms, const char *stage, uint64_t expected_ms)
{
    timeline_stage(timeline, now_ms, &timeline->self, -1, stage, timeline->begin_ms, expected_ms);
}

void timeline_progress(struct timeline *timeline, uint64_t now_ms, bool discovered, bool loaded, bool ready)
{
    if (timeline->ready_ms && !ready) { /* another start */
        timeline->ready_ms = timeline->loaded_ms = 0;
        timeline->discovered = discovered;
        timeline->begin_ms = now_ms;
        timeline->n_rows = 0;
    }
    if (discovered && !timeline->discovered)
        timeline_own_stage(timeline, now_ms, "discovered", TIMELINE_DISCOVER_MS);
    timeline->discovered |= discovered;
    if (loaded && !timeline->loaded_ms)
        timeline->loaded_ms = now_ms;
    if (!loaded)
        timeline->loaded_ms = 0;
    if (ready && !timeline->ready_ms) {
        timeline_stage(timeline, now_ms, &timeline->self, -1, "ready", timeline->loaded_ms, TIMELINE_READY_MS);
        timeline->ready_ms = now_ms;
    }
}

static uint64_t at_rate(uint64_t bytes, uint64_t rate, uint64_t beside_ms)
{
    return rate ? bytes * 1000 / rate + beside_ms : 0;
}

/* A shard left the state `was`; the stage that this ends. */
static void leave(struct timeline *timeline, const struct seen *was, const struct record_shard *now,
                  uint64_t at_ms)
{
    const char *stage = NULL;
    uint64_t expected = 0;
    bool failed = now->state == SHARD_FAILED, loaded = now->state == SHARD_LOADED;
    if (failed) {
        stage = "failed";
    } else if (was->state == SHARD_FAILED) {
        stage = "mended";
    } else if (was->state == SHARD_QUEUED && now->state == SHARD_FETCHING) {
        stage = "source";
        expected = TIMELINE_SOURCE_MS;
    } else if (was->state == SHARD_QUEUED && now->state != SHARD_ABSENT) {
        stage = "found";
        expected = TIMELINE_FOUND_MS;
    } else if (was->state == SHARD_FETCHING && now->state != SHARD_QUEUED && now->state != SHARD_ABSENT) {
        stage = "fetched";
        expected = at_rate(was->bytes, was->rate, 1000);
    } else if (was->state == SHARD_VERIFYING && (now->state == SHARD_PRESENT || now->state == SHARD_LOADING)) {
        stage = "verified";
        expected = at_rate(was->bytes, TIMELINE_DISK_RATE, 500);
    } else if (loaded && (was->state == SHARD_LOADING || was->state == SHARD_PRESENT)) {
        stage = "loaded";
        expected = at_rate(was->bytes, TIMELINE_DISK_RATE, 1000);
    }
    if (stage)
        timeline_stage(timeline, at_ms, &was->node, was->shard, stage, was->entered_ms, expected);
}

/* --- records --------------------------------------------------------------------------------------------- */

/* NULL: there are SEEN_MAX. */
static struct seen *seen_of(struct timeline *timeline, const struct node_id *node, int32_t shard, bool *out_new)
{
    *out_new = false;
    for (uint32_t i = 0; i < timeline->n_seen; i++)
        if (timeline->seen[i].shard == shard && node_id_equal(&timeline->seen[i].node, node))
            return &timeline->seen[i];
    if (timeline->n_seen == SEEN_MAX)
        return NULL;
    if (timeline->n_seen == timeline->capacity) {
        timeline->capacity = timeline->capacity ? 2 * timeline->capacity : 64;
        timeline->seen = mem_resize(timeline->seen, timeline->capacity, sizeof *timeline->seen);
    }
    *out_new = true;
    struct seen *seen = &timeline->seen[timeline->n_seen++];
    *seen = (struct seen){.node = *node, .shard = shard};
    return seen;
}

static void see_alive(struct timeline *timeline, uint64_t now_ms, const struct roster_entry *entry)
{
    bool is_new;
    struct seen *seen = seen_of(timeline, &entry->record.id, -1, &is_new);
    if (!seen || seen->state == entry->alive)
        return;
    seen->state = entry->alive;
    timeline_add(timeline, now_ms, &entry->record.id, -1, entry->alive ? "discovered" : "lost");
}

/* When the state began, on our clock: its age when the record was written, before when it came. */
static uint64_t entered(const struct timeline *timeline, const struct roster_entry *entry,
                        const struct record_shard *s, uint64_t now_ms)
{
    uint64_t age = entry->record.now_ms > s->since_ms ? entry->record.now_ms - s->since_ms : 0;
    uint64_t came = entry->heard_ms && entry->heard_ms < now_ms ? entry->heard_ms : now_ms;
    uint64_t at = came > age ? came - age : 0;
    return at > timeline->begin_ms ? at : timeline->begin_ms;
}

static void see_shard(struct timeline *timeline, uint64_t now_ms, const struct roster_entry *entry,
                      const struct record_shard *s)
{
    bool is_new;
    struct seen *seen = seen_of(timeline, &entry->record.id, (int32_t)s->id, &is_new);
    if (!seen)
        return;
    if (!is_new && seen->state == (int)s->state) {
        seen->bytes = s->bytes_total > seen->bytes ? s->bytes_total : seen->bytes;
        seen->rate = s->rate > seen->rate ? s->rate : seen->rate;
        return;
    }
    uint64_t at_ms = entered(timeline, entry, s, now_ms);
    if (!is_new)
        leave(timeline, seen, s, at_ms);
    if (s->state == SHARD_LOADED) /* where we did not see it loading */
        timeline_stage(timeline, at_ms, &entry->record.id, (int32_t)s->id, "loaded", 0, 0);
    if (!is_new || s->state != SHARD_ABSENT)
        timeline_add(timeline, now_ms, &entry->record.id, (int32_t)s->id, shard_state_name(s->state));
    seen->state = (int)s->state;
    seen->entered_ms = at_ms;
    seen->bytes = s->bytes_total;
    seen->rate = s->rate;
}

void timeline_see(struct timeline *timeline, uint64_t now_ms, const struct roster_entry *entry)
{
    see_alive(timeline, now_ms, entry);
    for (uint32_t i = 0; i < entry->record.n_shards; i++)
        see_shard(timeline, now_ms, entry, &entry->record.shards[i]);
}

/* --- what it shows --------------------------------------------------------------------------------------- */

static double seconds(const struct timeline *timeline, uint64_t at_ms)
{
    return at_ms > timeline->start_ms ? (double)(at_ms - timeline->start_ms) / 1000 : 0;
}

static void set_place(struct jv *json, const struct node_id *node, int32_t shard)
{
    jv_set_hex(json, "node", node->bytes, NODE_ID_BYTES);
    jv_set(json, "shard", shard < 0 ? jv_null_new() : jv_int_new(shard));
}

static struct jv *stage_to_json(const struct timeline *timeline, const struct stage_row *row)
{
    struct jv *json = jv_object_new();
    bool known = row->took_ms != NOT_KNOWN;
    jv_set_real(json, "at_s", seconds(timeline, row->at_ms));
    set_place(json, &row->node, row->shard);
    jv_set_text(json, "stage", row->stage);
    jv_set(json, "took_s", known ? jv_real_new((double)row->took_ms / 1000) : jv_null_new());
    jv_set(json, "expected_s", row->expected_ms ? jv_real_new((double)row->expected_ms / 1000) : jv_null_new());
    jv_set_bool(json, "slow", known && row->expected_ms && row->took_ms > row->expected_ms);
    return json;
}

static struct jv *start_to_json(const struct timeline *timeline)
{
    const struct stage_row *slowest = NULL;
    for (uint32_t i = 0; i < timeline->n_rows; i++) {
        const struct stage_row *row = &timeline->rows[i];
        if (row->took_ms != NOT_KNOWN && (!slowest || row->took_ms > slowest->took_ms))
            slowest = row;
    }
    struct jv *json = jv_object_new();
    bool is_ready = timeline->ready_ms != 0;
    jv_set_real(json, "began_s", seconds(timeline, timeline->begin_ms));
    jv_set(json, "ready_s", is_ready ? jv_real_new(seconds(timeline, timeline->ready_ms)) : jv_null_new());
    jv_set(json, "took_s",
           is_ready ? jv_real_new((double)(timeline->ready_ms - timeline->begin_ms) / 1000) : jv_null_new());
    jv_set(json, "slowest", slowest ? stage_to_json(timeline, slowest) : jv_null_new());
    return json;
}

static int by_time(const void *a, const void *b)
{
    const struct stage_row *x = *(const struct stage_row *const *)a, *y = *(const struct stage_row *const *)b;
    return x->at_ms != y->at_ms ? (x->at_ms > y->at_ms ? 1 : -1) : (x > y) - (x < y);
}

/* As they were reached; rows are kept by node and shard. */
static struct jv *stages_to_json(const struct timeline *timeline)
{
    struct jv *stages = jv_array_new();
    const struct stage_row **rows = mem_array(timeline->n_rows + 1, sizeof *rows);
    for (uint32_t i = 0; i < timeline->n_rows; i++)
        rows[i] = &timeline->rows[i];
    qsort(rows, timeline->n_rows, sizeof *rows, by_time);
    for (uint32_t i = 0; i < timeline->n_rows; i++)
        jv_append(stages, stage_to_json(timeline, rows[i]));
    mem_free(rows);
    return stages;
}

struct jv *timeline_to_json(const struct timeline *timeline)
{
    struct jv *json = jv_object_new(), *events = jv_array_new();
    uint64_t first = timeline->n_events > TIMELINE_EVENTS_MAX ? timeline->n_events - TIMELINE_EVENTS_MAX : 0;
    for (uint64_t i = first; i < timeline->n_events; i++) {
        const struct event *event = &timeline->events[i % TIMELINE_EVENTS_MAX];
        struct jv *row = jv_object_new();
        jv_set_real(row, "at_s", seconds(timeline, event->at_ms));
        set_place(row, &event->node, event->shard);
        jv_set_text(row, "what", event->what);
        jv_append(events, row);
    }
    jv_set(json, "events", events);
    jv_set(json, "stages", stages_to_json(timeline));
    jv_set(json, "start", start_to_json(timeline));
    return json;
}
