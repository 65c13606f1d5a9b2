/* What of attention is the same at every level. */
#include "kernels/kernels_private.h"
#include "kernels/quantise.h"

#include <math.h>
#include <string.h>

size_t kv_tile_bytes(const struct kv_layout *l)
{
    size_t bytes = kv_k_at(l, l->n_kv_heads) * kv_element_bytes(l);
    return (bytes + KERNELS_ALIGNMENT - 1) / KERNELS_ALIGNMENT * KERNELS_ALIGNMENT;
}

/* The least f16 not below amax / 127; infinite above what f16 holds, NaN for what is not finite: both make NaN
 * of all that is read back. */
static uint16_t q8_0_scale(uint32_t amax_bits)
{
    float scale = f32_of_bits(amax_bits) / 127.0F;
    uint16_t nearest = f16_of_f32(scale);

    if (amax_bits >= 0x7F800000U)
        return 0x7E00;
    return (uint16_t)(nearest + (f16_to_f32(nearest) < scale));
}

/* One block of n values, to every stride-th byte. */
static void store_block(int8_t *to, size_t stride, uint16_t *scale, const float *x, size_t n)
{
    uint32_t amax = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t magnitude = f32_bits(x[i]) & 0x7FFFFFFFU;
        amax = magnitude > amax ? magnitude : amax;
    }
    *scale = q8_0_scale(amax);
    float inverse = f16_to_f32(*scale) > 0 ? 1.0F / f16_to_f32(*scale) : 0;
    for (size_t i = 0; i < n; i++)
        to[i * stride] = quantise_value(x[i], inverse);
}

void kv_store_q8_0(const struct kv_layout *l, void *tile, uint32_t slot, const float *k, const float *v)
{
    const size_t positions = KV_TILE_POSITIONS, stride = kv_v_stride(l);

    for (uint32_t h = 0; h < l->n_kv_heads; h++, k += l->head_dim_k, v += l->head_dim_v) {
        int8_t *keys = (int8_t *)tile + kv_k_at(l, h) + slot;
        int8_t *values = (int8_t *)tile + kv_v_at(l, h) + slot * stride;
        uint16_t *k_scales = (uint16_t *)((uint8_t *)tile + kv_k_scales_at(l, h)) + slot;
        uint16_t *v_scales = (uint16_t *)((uint8_t *)tile + kv_v_scales_at(l, h)) + slot;
        for (size_t d = 0; d < l->head_dim_k; d += KV_BLOCK) {
            size_t n = l->head_dim_k - d < KV_BLOCK ? l->head_dim_k - d : KV_BLOCK;
            store_block(keys + d * positions, positions, k_scales + d / KV_BLOCK * positions, k + d, n);
        }
        memset(values, 0, stride);
        for (size_t d = 0; d < l->head_dim_v; d += KV_BLOCK) {
            size_t n = l->head_dim_v - d < KV_BLOCK ? l->head_dim_v - d : KV_BLOCK;
            store_block(values + d, 1, v_scales + d / KV_BLOCK * positions, v + d, n);
        }
    }
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

/* For each token of the queries, the heads of one kv head: what sinks add to their partials. */
static void fill_sinks(float *partials, const struct attention *a, uint32_t kv_head, uint32_t n_tokens)
{
    uint32_t group = a->n_heads / a->layout.n_kv_heads;
    size_t n_floats = attention_partial_floats(a->layout.head_dim_v);

    attention_partials_clear(partials, n_tokens * group, a->layout.head_dim_v);
    for (uint32_t i = 0; i < n_tokens * group; i++) {
        partials[i * n_floats] = a->sinks[kv_head * group + i % group];
        partials[i * n_floats + 1] = 1;
    }
}

void kernels_attend(const struct kernels *k, const struct attention *a, void *const *tiles, uint32_t kv_head,
                    const struct attention_queries *queries, float *out, size_t out_stride, float *scratch)
{
    uint32_t group = a->n_heads / a->layout.n_kv_heads, n = queries->n_tokens * group, first, end;
    size_t n_floats = attention_partial_floats(a->layout.head_dim_v);
    float *whole = scratch, *part = scratch + n * n_floats;
    struct attention one = *a;

    tiles_seen(a, queries, &first, &end);
    for (uint32_t i = first; i < end; i++) {
        one.next_tile = i + 1 < end ? tiles[i + 1] : NULL;
        k->attend_tile(&one, tiles[i], i, kv_head, queries, i == first ? whole : part);
        if (i > first)
            k->attend_merge(whole, part, n, a->layout.head_dim_v);
    }
    if (a->sinks) {
        fill_sinks(part, a, kv_head, queries->n_tokens);
        k->attend_merge(whole, part, n, a->layout.head_dim_v);
    }
    for (uint32_t i = 0; i < n; i++) {
        float *to = out + i / group * out_stride + ((size_t)kv_head * group + i % group) * a->layout.head_dim_v;
        k->attend_finish(to, whole + i * n_floats, a->layout.head_dim_v);
    }
}
