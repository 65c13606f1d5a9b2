/* What of attention is the same at every level. */
#include "kernels/kernels_private.h"

#include <math.h>
#include <string.h>

size_t kv_tile_bytes(const struct kv_layout *l)
{
    size_t bytes = kv_v_at(l, l->n_kv_heads) * kv_element_bytes(l);
    return (bytes + KERNELS_ALIGNMENT - 1) / KERNELS_ALIGNMENT * KERNELS_ALIGNMENT;
}

void attention_partials_clear(float *partials, uint32_t n, uint32_t head_dim_v)
{
    size_t n_floats = attention_partial_floats(head_dim_v);

    memset(partials, 0, n * n_floats * sizeof *partials);
    for (size_t i = 0; i < n; i++)
        partials[i * n_floats] = -INFINITY;
}

/* The tiles that any of the queries sees. */
static void tiles_seen(const struct attention *a, const struct attention_queries *queries, uint32_t *first,
                       uint32_t *end)
{
    *first = UINT32_MAX;
    *end = 0;
    for (uint32_t t = 0; t < queries->n_tokens; t++) {
        uint32_t position = queries->positions[t];
        uint32_t oldest = a->window && position >= a->window ? position - a->window + 1 : 0;
        uint32_t tile = position / KV_TILE_POSITIONS, oldest_tile = oldest / KV_TILE_POSITIONS;
        *first = oldest_tile < *first ? oldest_tile : *first;
        *end = tile >= *end ? tile + 1 : *end;
    }
}

void kernels_attend(const struct kernels *k, const struct attention *a, void *const *tiles, uint32_t kv_head,
                    const struct attention_queries *queries, float *out, size_t out_stride, float *scratch)
{
    uint32_t group = a->n_heads / a->layout.n_kv_heads, n = queries->n_tokens * group, first, end;
    size_t n_floats = attention_partial_floats(a->layout.head_dim_v);
    float *whole = scratch, *part = scratch + n * n_floats;

    tiles_seen(a, queries, &first, &end);
    if (first < end)
        k->attend_tile(a, tiles[first], first, kv_head, queries, whole);
    for (uint32_t i = first + 1; i < end; i++) {
        k->attend_tile(a, tiles[i], i, kv_head, queries, part);
        k->attend_merge(whole, part, n, a->layout.head_dim_v);
    }
    for (uint32_t i = 0; i < n; i++) {
        float *to = out + i / group * out_stride + ((size_t)kv_head * group + i % group) * a->layout.head_dim_v;
        k->attend_finish(to, whole + i * n_floats, a->layout.head_dim_v);
    }
}
