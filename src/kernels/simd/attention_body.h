/* attention_body - attention over tiles for the level that the including file is compiled for. The meaning is
 * ref/attention.c. Included by the levels' attention_LEVEL.c only. */
#ifndef KERNELS_SIMD_ATTENTION_BODY_H
#define KERNELS_SIMD_ATTENTION_BODY_H

#include "kernels/simd/attention_runs_body.h"

#include <string.h>

#define QUERIES_MAX 64 /* that go through a tile together */

static struct tile_head tile_head_of(const struct attention *a, const void *tile, uint32_t kv_head)
{
    const struct kv_layout *l = &a->layout;
    const uint8_t *bytes = tile;
    size_t element = kv_element_bytes(l);
    bool has_scales = l->element == KV_ELEMENT_Q8_0;

    return (struct tile_head){
        .element = l->element,
        .k = bytes + kv_k_at(l, kv_head) * element,
        .v = bytes + kv_v_at(l, kv_head) * element,
        .k_scales = has_scales ? (const uint16_t *)(const void *)(bytes + kv_k_scales_at(l, kv_head)) : tile,
        .v_scales = has_scales ? (const uint16_t *)(const void *)(bytes + kv_v_scales_at(l, kv_head)) : tile,
        .dim_k = l->head_dim_k,
        .v_stride = kv_v_stride(l),
        .scale = a->scale,
        .softcap = a->softcap,
        .ahead = a->next_tile ? (uintptr_t)a->next_tile - (uintptr_t)tile : 0};
}

static void attend_tile(const struct attention *a, const void *tile, uint32_t tile_index, uint32_t kv_head,
                        const struct attention_queries *all, float *partials)
{
    const struct kv_layout *l = &a->layout;
    uint32_t group = a->n_heads / l->n_kv_heads, first, end, n = 0;
    size_t n_floats = attention_partial_floats(l->head_dim_v);
    struct query queries[QUERIES_MAX];
    struct tile_head head = tile_head_of(a, tile, kv_head);

    for (uint32_t t = 0; t < all->n_tokens; t++) {
        const float *q = all->q + t * all->q_stride + (size_t)kv_head * group * l->head_dim_k;
        float *partial = partials + (size_t)t * group * n_floats;
        if (!attention_visible(a, tile_index, all->positions[t], &first, &end)) {
            attention_partials_clear(partial, group, l->head_dim_v);
            continue;
        }
        for (uint32_t g = 0; g < group; g++) {
            struct query *to = &queries[n++];
            to->q = q + (size_t)g * l->head_dim_k;
            to->first = first;
            to->end = end;
            to->partial = partial + g * n_floats;
            if (n == QUERIES_MAX) {
                attend_some(queries, n, &head);
                n = 0;
            }
        }
    }
    if (n)
        attend_some(queries, n, &head);
}

/* --- joining -------------------------------------------------------------------------------------------- */

static ALWAYS_INLINE void merge_one(float *into, const float *next, size_t n_floats, float largest, float keep,
                                    float take)
{
    for (size_t i = ATTENTION_PARTIAL_HEAD; i < n_floats; i += LANES) {
        vf kept = vf_mul(vf_load(into + i), vf_set1(keep));
        vf_store(into + i, vf_fma(vf_load(next + i), vf_set1(take), kept));
    }
    into[0] = largest + 0.0F;
    into[1] = __builtin_fmaf(next[1], take, into[1] * keep);
}

/* At most LANES partials: their exponentials are taken together. */
static void merge_some(float *into, const float *next, uint32_t n, size_t n_floats)
{
    float largest[LANES] = {0}, keep[LANES] = {0}, take[LANES] = {0};

    for (uint32_t i = 0; i < n; i++) {
        keep[i] = into[i * n_floats];
        take[i] = next[i * n_floats];
        largest[i] = keep[i] > take[i] ? keep[i] : take[i];
    }
    vf_store(keep, vf_exp(vf_sub(vf_load(keep), vf_load(largest))));
    vf_store(take, vf_exp(vf_sub(vf_load(take), vf_load(largest))));
    for (uint32_t i = 0; i < n; i++, into += n_floats, next += n_floats) {
        if (next[1] == 0) /* saw nothing */
            continue;
        if (into[1] == 0)
            memcpy(into, next, n_floats * sizeof *into);
        else
            merge_one(into, next, n_floats, largest[i], keep[i], take[i]);
    }
}

static void attend_merge(float *into, const float *next, uint32_t n, uint32_t head_dim_v)
{
    size_t n_floats = attention_partial_floats(head_dim_v);

    for (uint32_t i = 0; i < n; i += LANES)
        merge_some(into + i * n_floats, next + i * n_floats, n - i < LANES ? n - i : LANES, n_floats);
}

static void attend_finish(float *out, const float *partial, uint32_t head_dim_v)
{
    vf sum = vf_set1(partial[1] == 0 ? 1.0F : partial[1]); /* an empty partial's values are zeros */

    for (uint32_t d = 0; d < head_dim_v; d += LANES)
        vf_store_first(out + d, vf_div(vf_load(partial + ATTENTION_PARTIAL_HEAD + d), sum), head_dim_v - d);
}

/* --- storing -------------------------------------------------------------------------------------------- */

static void store_f16(const struct kv_layout *l, uint16_t *tile, uint32_t slot, uint32_t h, const float *k,
                      const float *v)
{
    uint16_t *k_to = tile + kv_k_at(l, h) + slot, *v_to = tile + kv_v_at(l, h) + slot * kv_v_stride(l);

    for (size_t d = 0; d < l->head_dim_k; d++)
        k_to[d * KV_TILE_POSITIONS] = simd_f16_of(k[d]);
    for (size_t d = 0; d < kv_v_stride(l); d += LANES)
        vf_store_f16(v_to + d, vf_load_first(v + d, d < l->head_dim_v ? l->head_dim_v - d : 0));
}

static void store_f32(const struct kv_layout *l, float *tile, uint32_t slot, uint32_t h, const float *k,
                      const float *v)
{
    float *k_to = tile + kv_k_at(l, h) + slot, *v_to = tile + kv_v_at(l, h) + slot * kv_v_stride(l);

    for (size_t d = 0; d < l->head_dim_k; d++)
        k_to[d * KV_TILE_POSITIONS] = k[d];
    for (size_t d = 0; d < kv_v_stride(l); d += LANES)
        vf_store(v_to + d, vf_load_first(v + d, d < l->head_dim_v ? l->head_dim_v - d : 0));
}

static void kv_store(const struct kv_layout *l, void *tile, uint32_t slot, const float *k, const float *v)
{
    if (l->element == KV_ELEMENT_Q8_0) {
        kv_store_q8_0(l, tile, slot, k, v);
        return;
    }
    for (uint32_t h = 0; h < l->n_kv_heads; h++, k += l->head_dim_k, v += l->head_dim_v)
        if (l->element == KV_ELEMENT_F16)
            store_f16(l, tile, slot, h, k, v);
        else
            store_f32(l, tile, slot, h, k, v);
}

void SIMD_LEVEL(kernels_init_attention)(struct kernels *k)
{
    k->kv_store = kv_store;
    k->attend_tile = attend_tile;
    k->attend_merge = attend_merge;
    k->attend_finish = attend_finish;
}

#endif
