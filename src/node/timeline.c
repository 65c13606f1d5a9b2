#include "node/timeline.h"

#include "base/mem.h"

#include <stdio.h>
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
};

struct timeline {
    uint64_t start_ms;
    struct event events[TIMELINE_EVENTS_MAX]; /* ring */
    uint64_t n_events;
    struct seen *seen;
    uint32_t n_seen, capacity;
};

struct timeline *timeline_new(uint64_t start_ms)
{
    struct timeline *timeline = mem_new(sizeof *timeline);
    timeline->start_ms = start_ms;
    return timeline;
}

void timeline_free(struct timeline *timeline)
{
    if (!timeline)
        return;
    mem_free(timeline->seen);
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

/* True when the state is another than the one seen last; the first sight of `unnoted` is nothing new. */
static bool note(struct timeline *timeline, const struct node_id *node, int32_t shard, int state, int unnoted)
{
    for (uint32_t i = 0; i < timeline->n_seen; i++) {
        struct seen *seen = &timeline->seen[i];
        if (seen->shard != shard || !node_id_equal(&seen->node, node))
            continue;
        bool is_new = seen->state != state;
        seen->state = state;
        return is_new;
    }
    if (timeline->n_seen == SEEN_MAX)
        return false;
    if (timeline->n_seen == timeline->capacity) {
        timeline->capacity = timeline->capacity ? 2 * timeline->capacity : 64;
        timeline->seen = mem_resize(timeline->seen, timeline->capacity, sizeof *timeline->seen);
    }
    timeline->seen[timeline->n_seen++] = (struct seen){.node = *node, .shard = shard, .state = state};
    return state != unnoted;
}

void timeline_see(struct timeline *timeline, uint64_t now_ms, const struct roster_entry *entry)
{
    const struct node_record *r = &entry->record;
    if (note(timeline, &r->id, -1, entry->alive, false))
        timeline_add(timeline, now_ms, &r->id, -1, entry->alive ? "discovered" : "lost");
    for (uint32_t i = 0; i < r->n_shards; i++)
        if (note(timeline, &r->id, (int32_t)r->shards[i].id, (int)r->shards[i].state, SHARD_ABSENT))
            timeline_add(timeline, now_ms, &r->id, (int32_t)r->shards[i].id,
                         shard_state_name(r->shards[i].state));
}

struct jv *timeline_to_json(const struct timeline *timeline)
{
    struct jv *json = jv_object_new(), *events = jv_array_new();
    uint64_t first = timeline->n_events > TIMELINE_EVENTS_MAX ? timeline->n_events - TIMELINE_EVENTS_MAX : 0;
    for (uint64_t i = first; i < timeline->n_events; i++) {
        const struct event *event = &timeline->events[i % TIMELINE_EVENTS_MAX];
        struct jv *row = jv_object_new();
        jv_set_real(row, "at_s", (double)(event->at_ms - timeline->start_ms) / 1000);
        jv_set_hex(row, "node", event->node.bytes, NODE_ID_BYTES);
        jv_set(row, "shard", event->shard < 0 ? jv_null_new() : jv_int_new(event->shard));
        jv_set_text(row, "what", event->what);
        jv_append(events, row);
    }
    jv_set(json, "events", events);
    return json;
}
