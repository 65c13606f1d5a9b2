/* sequences - the table of timelines an engine holds: tokens so far and, for each part of the model held,
 * keys and values.
 *
 * At most n_slots serving sequences; a new one takes the place of the least recently used one that may be
 * dropped. Probes have places of their own, so that a self-test never costs a conversation its memory.
 * Owned by the engine. Thread: the engine's. */
#ifndef ENGINE_SEQUENCES_H
#define ENGINE_SEQUENCES_H

#include "engine/kv_cache.h"

#define SEQUENCES_PROBES 2 /* places for probes */
#define ENGINE_PARTS_MAX 512

struct sequence {
    uint64_t id; /* 0: the place is free */
    bool is_probe;
    uint64_t last_used;
    uint32_t *tokens; /* [n_ctx]; valid as far as any layer's keys and values are */
    struct kv_cache *caches[ENGINE_PARTS_MAX];
};

struct sequences;

struct sequences *sequences_new(uint32_t n_slots, uint32_t n_ctx);
void sequences_free(struct sequences *all); /* NULL is fine */

/* NULL where it is not here. */
struct sequence *sequences_find(struct sequences *all, uint64_t id, bool is_probe);
/* The sequence, made if need be; NULL when all places are taken by sequences that must_stay. */
struct sequence *sequences_open(struct sequences *all, uint64_t id, bool is_probe,
                                bool (*must_stay)(void *arg, const struct sequence *sequence), void *arg);
void sequences_drop(struct sequences *all, struct sequence *sequence);
void sequences_drop_part(struct sequences *all, uint32_t part); /* its caches, of every sequence */

uint32_t sequences_n_used(const struct sequences *all); /* without probes */
size_t sequences_kv_bytes(const struct sequences *all);

#endif
