/* attention_body - attention over tiles for the level that the including file is compiled for. The meaning is
 * ref/attention.c. Included by attention_avx2.c and attention_avx512.c only. */
#ifndef KERNELS_X86_ATTENTION_BODY_H
#define KERNELS_X86_ATTENTION_BODY_H

#include "kernels/x86/attention_queries_body.h"
#include "kernels/x86/levels.h"

#include <string.h>

static void attend_tile(const struct attention *a, const void *tile, uint32_t tile_index, uint32_t kv_head,
                        const struct attention_queries *all, float *partials)
{
    const struct kv_layout *l = &a->layout;
    uint32_t group = a->n_heads / l->n_kv_heads, first, end, n = 0;
    size_t n_floats = attention_partial_floats(l->head_dim_v);
    struct query queries[SIMD_QUERIES];
    struct tile_head head = {tile,     kv_k_at(l, kv_head), kv_v_at(l, kv_head), kv_v_stride(l), l->head_dim_k,
                             a->scale, a->softcap};

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
            if (n == SIMD_QUERIES) {
                run_some(queries, n, &head, l->element);
                n = 0;
            }
        }
    }
    run_some(queries, n, &head, l->element);
}

/* --- joining -------------------------------------------------------------------------------------------- */

static void merge_one(float *into, const float *next, size_t n_floats)
{
    float largest = into[0] > next[0] ? into[0] : next[0];
    float differences[LANES] = {into[0] - largest, next[0] - largest}, factors[LANES];

    vf_store(factors, vf_exp(vf_load(differences)));
    into[0] = largest + 0.0F;
    for (size_t i = ATTENTION_PARTIAL_HEAD; i < n_floats; i += LANES) {
        vf kept = vf_mul(vf_load(into + i), vf_set1(factors[0]));
        vf_store(into + i, vf_fma(vf_load(next + i), vf_set1(factors[1]), kept));
    }
    into[1] = __builtin_fmaf(next[1], factors[1], into[1] * factors[0]);
}

static void attend_merge(float *into, const float *next, uint32_t n, uint32_t head_dim_v)
{
    size_t n_floats = attention_partial_floats(head_dim_v);

    for (uint32_t i = 0; i < n; i++, into += n_floats, next += n_floats) {
        if (next[1] == 0) /* saw nothing */
            continue;
        if (into[1] == 0)
            memcpy(into, next, n_floats * sizeof *into);
        else
            merge_one(into, next, n_floats);
    }
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
        k_to[d * KV_TILE_POSITIONS] = (uint16_t)_cvtss_sh(k[d], _MM_FROUND_TO_NEAREST_INT);
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
