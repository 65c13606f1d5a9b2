#include "engine/sequences.h"

#include "base/mem.h"

struct sequences {
    struct sequence *places; /* [n_slots], then those of probes */
    uint32_t n_slots, n_places, n_ctx;
    uint64_t uses;
};

struct sequences *sequences_new(uint32_t n_slots, uint32_t n_ctx)
{
    struct sequences *all = mem_new(sizeof *all);
    all->n_slots = n_slots;
    all->n_places = n_slots + SEQUENCES_PROBES;
    all->n_ctx = n_ctx;
    all->places = mem_array(all->n_places, sizeof *all->places);
    return all;
}

void sequences_free(struct sequences *all)
{
    if (!all)
        return;
    for (uint32_t i = 0; i < all->n_places; i++)
        sequences_drop(all, &all->places[i]);
    mem_free(all->places);
    mem_free(all);
}

void sequences_drop(struct sequences *all, struct sequence *sequence)
{
    (void)all;
    for (uint32_t part = 0; part < ENGINE_PARTS_MAX; part++)
        kv_cache_free(sequence->caches[part]);
    mem_free(sequence->tokens);
    *sequence = (struct sequence){.id = 0};
}

void sequences_drop_part(struct sequences *all, uint32_t part)
{
    for (uint32_t i = 0; i < all->n_places; i++) {
        kv_cache_free(all->places[i].caches[part]);
        all->places[i].caches[part] = NULL;
    }
}

static void places_of(const struct sequences *all, bool is_probe, uint32_t *first, uint32_t *end)
{
    *first = is_probe ? all->n_slots : 0;
    *end = is_probe ? all->n_places : all->n_slots;
}

struct sequence *sequences_find(struct sequences *all, uint64_t id, bool is_probe)
{
    uint32_t first, end;
    places_of(all, is_probe, &first, &end);
    for (uint32_t i = first; i < end; i++)
        if (all->places[i].id == id)
            return &all->places[i];
    return NULL;
}

/* A free place, else that of the least recently used sequence that may go. */
static struct sequence *find_place(struct sequences *all, bool is_probe,
                                   bool (*must_stay)(void *arg, const struct sequence *sequence), void *arg)
{
    struct sequence *oldest = NULL;
    uint32_t first, end;

    places_of(all, is_probe, &first, &end);
    for (uint32_t i = first; i < end; i++) {
        struct sequence *place = &all->places[i];
        if (!place->id)
            return place;
        if ((!oldest || place->last_used < oldest->last_used) && !must_stay(arg, place))
            oldest = place;
    }
    return oldest;
}

struct sequence *sequences_open(struct sequences *all, uint64_t id, bool is_probe,
                                bool (*must_stay)(void *arg, const struct sequence *sequence), void *arg)
{
    struct sequence *sequence = sequences_find(all, id, is_probe);

    if (!sequence) {
        sequence = find_place(all, is_probe, must_stay, arg);
        if (!sequence)
            return NULL;
        sequences_drop(all, sequence);
        sequence->id = id;
        sequence->is_probe = is_probe;
        sequence->tokens = mem_array(all->n_ctx, sizeof *sequence->tokens);
    }
    sequence->last_used = ++all->uses;
    return sequence;
}

uint32_t sequences_n_used(const struct sequences *all)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < all->n_slots; i++)
        n += all->places[i].id != 0;
    return n;
}

size_t sequences_kv_bytes(const struct sequences *all)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < all->n_places; i++)
        for (uint32_t part = 0; part < ENGINE_PARTS_MAX; part++)
            if (all->places[i].caches[part])
                bytes += kv_cache_bytes(all->places[i].caches[part]);
    return bytes;
}
