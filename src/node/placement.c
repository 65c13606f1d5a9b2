#include "node/placement.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct taker { /* a node that may be given shards */
    uint32_t node;
    uint64_t used; /* bytes of shards that it has already */
    uint32_t n_held;
    uint32_t machine; /* index into machine_used, one for each boot id */
};

struct work {
    const struct placement_node *nodes;
    const struct placement_shard *shards;
    uint32_t n_nodes, n_shards;
    struct taker *takers; /* empty-handed first, then lower id */
    uint32_t n_takers;
    uint64_t *machine_used; /* by shards placed here, beside what free RAM already tells */
    uint32_t *open;         /* shards without a node, ascending */
    uint32_t n_open;
};

static const struct placement_node *sort_nodes; /* qsort has no context; the loop thread only */

static int compare_takers(const void *a, const void *b)
{
    const struct taker *x = a, *y = b;
    if ((x->n_held == 0) != (y->n_held == 0))
        return x->n_held == 0 ? -1 : 1;
    return node_id_compare(&sort_nodes[x->node].id, &sort_nodes[y->node].id);
}

static uint32_t machine_of(const struct work *w, uint32_t node)
{
    for (uint32_t i = 0; i < node; i++)
        if (strcmp(w->nodes[i].boot_id, w->nodes[node].boot_id) == 0)
            return i;
    return node;
}

static void gather(struct work *w)
{
    for (uint32_t i = 0; i < w->n_nodes; i++) {
        if (!w->nodes[i].can_take || w->nodes[i].is_explicit)
            continue;
        struct taker *taker = &w->takers[w->n_takers++];
        *taker = (struct taker){.node = i, .machine = machine_of(w, i)};
        for (uint32_t s = 0; s < w->n_shards; s++)
            if (w->shards[s].pinned && w->shards[s].node == i) {
                taker->used += w->shards[s].bytes;
                taker->n_held++;
            }
    }
    sort_nodes = w->nodes;
    if (w->n_takers)
        qsort(w->takers, w->n_takers, sizeof *w->takers, compare_takers);
    for (uint32_t s = 0; s < w->n_shards; s++)
        if (!w->shards[s].pinned)
            w->open[w->n_open++] = s;
}

static uint64_t room(const struct work *w, const struct taker *taker)
{
    const struct placement_node *node = &w->nodes[taker->node];
    uint64_t own = node->memory_budget > taker->used ? node->memory_budget - taker->used : 0;
    uint64_t taken = w->machine_used[taker->machine];
    uint64_t machine = node->machine_ram_free > taken ? node->machine_ram_free - taken : 0;
    return own < machine ? own : machine;
}

/* Bytes a node reads for one token in the time T of the slowest, relative to the fastest's speed. */
static uint64_t share(const struct work *w, const struct taker *taker, uint64_t bytes_max, uint64_t speed_max)
{
    uint64_t speed = w->nodes[taker->node].speed;
    if (!speed || !speed_max)
        return bytes_max;
    return (uint64_t)((double)bytes_max * (double)speed / (double)speed_max);
}

/* Contiguous runs in order: each node takes shards while it has room, at most n_each of them and bytes_max in
 * time. */
static bool try_runs(struct work *w, struct placement_result *out, uint32_t n_each, uint64_t bytes_max,
                     uint64_t speed_max)
{
    uint32_t next = 0;
    memset(w->machine_used, 0, w->n_nodes * sizeof *w->machine_used);
    for (uint32_t t = 0; t < w->n_takers && next < w->n_open; t++) {
        struct taker *taker = &w->takers[t];
        uint64_t left = room(w, taker), limit = share(w, taker, bytes_max, speed_max), taken = taker->used;
        for (uint32_t n = taker->n_held; next < w->n_open && n < n_each; n++) {
            uint64_t bytes = w->shards[w->open[next]].bytes;
            if (bytes > left || taken + bytes > limit)
                break;
            left -= bytes;
            taken += bytes;
            w->machine_used[taker->machine] += bytes;
            out[w->open[next++]].node = (int32_t)taker->node;
        }
    }
    return next == w->n_open;
}

static bool best_runs(struct work *w, struct placement_result *out)
{
    uint64_t high = 0, speed_max = 0;
    for (uint32_t s = 0; s < w->n_shards; s++)
        high += w->shards[s].bytes;
    for (uint32_t t = 0; t < w->n_takers; t++) {
        uint64_t speed = w->nodes[w->takers[t].node].speed;
        speed_max = speed > speed_max ? speed : speed_max;
    }
    high *= 1024; /* also for nodes a thousand times slower than the fastest */
    for (uint32_t n_each = (w->n_open + w->n_takers - 1) / w->n_takers; n_each <= w->n_shards; n_each++) {
        if (!try_runs(w, out, n_each, high, speed_max))
            continue;
        uint64_t low = 0, top = high;
        while (low < top) { /* the least time of the slowest node that still places all */
            uint64_t middle = low + (top - low) / 2;
            if (try_runs(w, out, n_each, middle, speed_max))
                top = middle;
            else
                low = middle + 1;
        }
        return try_runs(w, out, n_each, top, speed_max);
    }
    return false;
}

/* Not all fit: place what does, one by one where most room is, and say what lacks for the rest. */
static void place_some(struct work *w, struct placement_result *out)
{
    memset(w->machine_used, 0, w->n_nodes * sizeof *w->machine_used);
    for (uint32_t i = 0; i < w->n_open; i++) {
        struct placement_result *result = &out[w->open[i]];
        uint64_t bytes = w->shards[w->open[i]].bytes;
        struct taker *best = NULL;
        for (uint32_t t = 0; t < w->n_takers; t++)
            if (!best || room(w, &w->takers[t]) > room(w, best))
                best = &w->takers[t];
        result->node = -1;
        result->problem = best ? PLACEMENT_NO_MEMORY : PLACEMENT_NO_NODES;
        result->needed = bytes;
        result->free_best = best ? room(w, best) : 0;
        if (!best || room(w, best) < bytes)
            continue;
        result->problem = PLACEMENT_OK;
        result->node = (int32_t)best->node;
        best->used += bytes;
        w->machine_used[best->machine] += bytes;
    }
}

void placement_compute(struct placement_result *out, const struct placement_node *nodes, uint32_t n_nodes,
                       const struct placement_shard *shards, uint32_t n_shards)
{
    struct work w = {.nodes = nodes, .shards = shards, .n_nodes = n_nodes, .n_shards = n_shards};
    w.takers = mem_array(n_nodes, sizeof *w.takers);
    w.machine_used = mem_array(n_nodes, sizeof *w.machine_used);
    w.open = mem_array(n_shards, sizeof *w.open);
    for (uint32_t s = 0; s < n_shards; s++)
        out[s] = (struct placement_result){.node = shards[s].pinned ? (int32_t)shards[s].node : -1,
                                           .problem = shards[s].pinned ? PLACEMENT_OK : PLACEMENT_NO_NODES};
    gather(&w);
    if (w.n_open && (!w.n_takers || !best_runs(&w, out)))
        place_some(&w, out);
    else
        for (uint32_t i = 0; i < w.n_open; i++)
            out[w.open[i]].problem = PLACEMENT_OK;
    mem_free(w.takers);
    mem_free(w.machine_used);
    mem_free(w.open);
}
