/* Rule 3 of DESIGN section 8: one tile's part of the attention of some queries, and how parts are joined.
 *
 * score = scale * (chain of fma over the head's dimensions, ascending), capped where asked for; largest over
 * the positions seen; p = exp(score - largest), 0 where not seen; sum: sixteen lanes, each of positions i, i +
 * 16, i + 32, i + 48, joined by halves; values: chain of fma over the positions seen, ascending. */
#include "kernels/exact.h"
#include "kernels/f16.h"
#include "kernels/kernels_private.h"
#include "kernels/tanh.h"

#include <math.h>
#include <string.h>

static float q8_0(const void *tile, size_t at, size_t scales_at, size_t scale)
{
    const uint8_t *bytes = tile;
    return (float)(int8_t)bytes[at] * f16_to_f32(f16_load(bytes + scales_at + 2 * scale)); /* exact */
}

static float key(const struct kv_layout *l, const void *tile, uint32_t kv_head, uint32_t slot, size_t d)
{
    size_t at = kv_k_at(l, kv_head) + d * KV_TILE_POSITIONS + slot;
    if (l->element == KV_ELEMENT_Q8_0)
        return q8_0(tile, at, kv_k_scales_at(l, kv_head), d / KV_BLOCK * KV_TILE_POSITIONS + slot);
    return l->element == KV_ELEMENT_F16 ? f16_to_f32(((const uint16_t *)tile)[at]) : ((const float *)tile)[at];
}

static float value(const struct kv_layout *l, const void *tile, uint32_t kv_head, uint32_t slot, size_t d)
{
    size_t at = kv_v_at(l, kv_head) + slot * kv_v_stride(l) + d;
    if (l->element == KV_ELEMENT_Q8_0)
        return q8_0(tile, at, kv_v_scales_at(l, kv_head), d / KV_BLOCK * KV_TILE_POSITIONS + slot);
    return l->element == KV_ELEMENT_F16 ? f16_to_f32(((const uint16_t *)tile)[at]) : ((const float *)tile)[at];
}

static void set_element(const struct kv_layout *l, void *tile, size_t at, float value)
{
    if (l->element == KV_ELEMENT_F16)
        ((uint16_t *)tile)[at] = f16_of_f32(value);
    else
        ((float *)tile)[at] = value;
}

static void kv_store(const struct kv_layout *l, void *tile, uint32_t slot, const float *k, const float *v)
{
    if (l->element == KV_ELEMENT_Q8_0) {
        kv_store_q8_0(l, tile, slot, k, v);
        return;
    }
    for (uint32_t h = 0; h < l->n_kv_heads; h++) {
        size_t k_at = kv_k_at(l, h) + slot, v_at = kv_v_at(l, h) + slot * kv_v_stride(l);
        for (uint32_t d = 0; d < l->head_dim_k; d++)
            set_element(l, tile, k_at + (size_t)d * KV_TILE_POSITIONS, k[(size_t)h * l->head_dim_k + d]);
        for (uint32_t d = 0; d < kv_v_stride(l); d++)
            set_element(l, tile, v_at + d, d < l->head_dim_v ? v[(size_t)h * l->head_dim_v + d] : 0);
    }
}

static float join_lanes(float lanes[16])
{
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lanes[i] += lanes[i + half];
    return lanes[0];
}

/* Probabilities (not yet divided) of the slots [first, end); writes the partial's largest score and sum. */
static void tile_scores(float p[KV_TILE_POSITIONS], const struct attention *a, const void *tile,
                        uint32_t kv_head, const float *q, uint32_t first, uint32_t end, float *partial)
{
    const struct kv_layout *l = &a->layout;
    float lanes[16] = {0}, largest = -INFINITY;

    memset(p, 0, KV_TILE_POSITIONS * sizeof *p);
    for (uint32_t j = first; j < end; j++) {
        float dot = 0;
        for (uint32_t d = 0; d < l->head_dim_k; d++)
            dot = fmaf(q[d], key(l, tile, kv_head, j, d), dot);
        p[j] = dot * a->scale;
        if (a->softcap != 0)
            p[j] = a->softcap * tanh_exact(p[j] / a->softcap);
        largest = p[j] > largest ? p[j] : largest;
    }
    for (uint32_t j = first; j < end; j++)
        p[j] = exact_exp(p[j] - largest);
    for (uint32_t j = 0; j < KV_TILE_POSITIONS; j++)
        lanes[j % 16] += p[j];
    partial[0] = largest + 0.0F; /* of zeros the positive one */
    partial[1] = join_lanes(lanes);
}

static void tile_query(const struct attention *a, const void *tile, uint32_t kv_head, const float *q,
                       uint32_t first, uint32_t end, float *partial)
{
    const struct kv_layout *l = &a->layout;
    float p[KV_TILE_POSITIONS], *acc = partial + ATTENTION_PARTIAL_HEAD;

    tile_scores(p, a, tile, kv_head, q, first, end, partial);
    for (uint32_t d = 0; d < l->head_dim_v; d++) {
        acc[d] = 0;
        for (uint32_t j = first; j < end; j++)
            acc[d] = fmaf(p[j], value(l, tile, kv_head, j, d), acc[d]);
    }
}

static void attend_tile(const struct attention *a, const void *tile, uint32_t tile_index, uint32_t kv_head,
                        const struct attention_queries *queries, float *partials)
{
    uint32_t group = a->n_heads / a->layout.n_kv_heads, first, end;
    size_t n_floats = attention_partial_floats(a->layout.head_dim_v);

    attention_partials_clear(partials, queries->n_tokens * group, a->layout.head_dim_v);
    for (uint32_t t = 0; t < queries->n_tokens; t++) {
        const float *q = queries->q + t * queries->q_stride + (size_t)kv_head * group * a->layout.head_dim_k;
        if (!attention_visible(a, tile_index, queries->positions[t], &first, &end))
            continue;
        for (uint32_t g = 0; g < group; g++)
            tile_query(a, tile, kv_head, q + (size_t)g * a->layout.head_dim_k, first, end,
                       partials + ((size_t)t * group + g) * n_floats);
    }
}

static void merge_one(float *into, const float *next, uint32_t head_dim_v)
{
    float largest = into[0] > next[0] ? into[0] : next[0];
    float keep = exact_exp(into[0] - largest), take = exact_exp(next[0] - largest);

    into[0] = largest + 0.0F;
    into[1] = fmaf(next[1], take, into[1] * keep);
    for (uint32_t i = ATTENTION_PARTIAL_HEAD; i < ATTENTION_PARTIAL_HEAD + head_dim_v; i++)
        into[i] = fmaf(next[i], take, into[i] * keep);
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
            merge_one(into, next, head_dim_v);
    }
}

static void attend_finish(float *out, const float *partial, uint32_t head_dim_v)
{
    for (uint32_t d = 0; d < head_dim_v; d++)
        out[d] = partial[1] == 0 ? 0 : partial[ATTENTION_PARTIAL_HEAD + d] / partial[1];
}

void kernels_init_ref_attention(struct kernels *k)
{
    k->kv_store = kv_store;
    k->attend_tile = attend_tile;
    k->attend_merge = attend_merge;
    k->attend_finish = attend_finish;
}
