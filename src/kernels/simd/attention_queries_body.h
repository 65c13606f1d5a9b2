/* attention_queries_body - some queries over one head of a tile, as many at a time as registers hold. Keys are
 * transposed in a tile, so a lane is a position there; in the values a lane is a dimension. Few queries read
 * keys and values as they are stored; for many they are made f32 first, part by part. Included by
 * attention_body.h only. */
#ifndef KERNELS_SIMD_ATTENTION_QUERIES_BODY_H
#define KERNELS_SIMD_ATTENTION_QUERIES_BODY_H

#include "kernels/simd/attention_load_body.h"
#include "kernels/simd/gated_body.h"

#include <math.h>

struct query {
    _Alignas(64) float p[KV_TILE_POSITIONS]; /* products, then scores, then exp(score - largest) */
    const float *q;
    uint32_t first, end; /* the slots that it sees */
    float *partial;
};

/* --- products with keys --------------------------------------------------------------------------------- */

/* Rows [d, end) of the keys' part at positions [at, at + 4 * LANES), added to n queries' sums; of Q8_0 they are
 * of one block. */
static ALWAYS_INLINE void add_keys(vf *s, const struct query *queries, const uint32_t n,
                                   const struct part *keys, uint32_t at, size_t d, size_t end,
                                   const enum kv_element element)
{
    const size_t positions = KV_TILE_POSITIONS;
    vf scales[4] = {0};

    UNROLL(4)
    for (size_t v = 0; v < 4 && element == KV_ELEMENT_Q8_0; v++)
        scales[v] = vf_load_f16(keys->scales + d / KV_BLOCK * positions + at + v * LANES);
    for (; d < end; d++) {
        vf k[4];
        UNROLL(4)
        for (size_t v = 0; v < 4; v++)
            k[v] = load_element(element, keys->at, d * positions + at + v * LANES, scales[v]);
        fetch_ahead(keys->at + (d * positions + at) * element_bytes(element), keys->ahead,
                    4 * LANES * element_bytes(element));
        UNROLL(8)
        for (uint32_t i = 0; i < n; i++) {
            vf q = vf_set1(queries[i].q[keys->d + d]);
            UNROLL(4)
            for (uint32_t v = 0; v < 4; v++)
                s[i * 4 + v] = vf_fma(q, k[v], s[i * 4 + v]);
        }
    }
}

static ALWAYS_INLINE void products_of(struct query *queries, const uint32_t n, const struct part *keys,
                                      uint32_t at, const enum kv_element element)
{
    const size_t step = element == KV_ELEMENT_Q8_0 ? KV_BLOCK : PART_DIMS;
    vf s[4 * SIMD_QUERIES];

    UNROLL(8)
    for (uint32_t i = 0; i < n; i++)
        UNROLL(4)
    for (uint32_t v = 0; v < 4; v++)
        s[i * 4 + v] = keys->d == 0 ? vf_set1(0) : vf_load(queries[i].p + at + v * LANES);
    for (size_t d = 0; d < keys->n; d += step)
        add_keys(s, queries, n, keys, at, d, d + step < keys->n ? d + step : keys->n, element);
    UNROLL(8)
    for (uint32_t i = 0; i < n; i++)
        UNROLL(4)
    for (uint32_t v = 0; v < 4; v++)
        vf_store(queries[i].p + at + v * LANES, s[i * 4 + v]);
}

/* --- scores and their exponentials ---------------------------------------------------------------------- */

/* All 64, seen or not: what is not seen is left out of the largest and of the sum. */
static ALWAYS_INLINE void exponentials_of(struct query *query, float scale, float softcap, const bool sees_all)
{
    vf s[KV_TILE_POSITIONS / LANES], lanes[16 / LANES] = {0}, most = vf_set1(-INFINITY);
    int first = (int)query->first, end = (int)query->end;

    UNROLL(8)
    for (int i = 0; i < KV_TILE_POSITIONS / LANES; i++) {
        s[i] = vf_mul(vf_load(query->p + i * LANES), vf_set1(scale));
        if (softcap != 0)
            s[i] = vf_softcap(s[i], vf_set1(softcap));
        vf seen = sees_all ? s[i] : vf_pick(s[i], vf_set1(-INFINITY), first - i * LANES, end - i * LANES);
        most = vf_max(seen, most);
    }
    float largest = vf_largest(most);
    UNROLL(8)
    for (int i = 0; i < KV_TILE_POSITIONS / LANES; i++) {
        vf e = vf_exp_not_positive(vf_sub(s[i], vf_set1(largest)));
        vf *lane = &lanes[i % (16 / LANES)];
        if (!sees_all)
            e = vf_pick(e, vf_set1(0), first - i * LANES, end - i * LANES);
        *lane = vf_add(*lane, e);
        vf_store(query->p + i * LANES, e);
    }
    query->partial[0] = largest + 0.0F;
    query->partial[1] = vf_join_lanes(lanes);
}

static ALWAYS_INLINE void exponentials(struct query *query, float scale, float softcap)
{
    if (query->first == 0 && query->end == KV_TILE_POSITIONS)
        exponentials_of(query, scale, softcap, true);
    else
        exponentials_of(query, scale, softcap, false);
}

/* --- values --------------------------------------------------------------------------------------------- */

struct value_scales { /* of a part's blocks that m vectors from d on lie in, as f32 */
    float at[2][KV_TILE_POSITIONS];
};

/* Adds positions [from, to) to n queries' m vectors of dimensions from d on. */
static ALWAYS_INLINE void add_values(vf *acc, const struct query *queries, const uint32_t n,
                                     const struct part *values, const struct value_scales *scales, size_t d,
                                     const uint32_t m, uint32_t from, uint32_t to,
                                     const enum kv_element element)
{
    for (size_t j = from; j < to; j++) {
        vf v[4];
        UNROLL(4)
        for (size_t i = 0; i < m; i++) {
            vf scale = vf_set1(element == KV_ELEMENT_Q8_0 ? scales->at[i * LANES / KV_BLOCK][j] : 0);
            v[i] = load_element(element, values->at, j * values->stride + d + i * LANES, scale);
        }
        fetch_ahead(values->at + (j * values->stride + d) * element_bytes(element), values->ahead,
                    m * LANES * element_bytes(element));
        UNROLL(8)
        for (uint32_t i = 0; i < n; i++) {
            vf p = vf_set1(queries[i].p[j]);
            UNROLL(4)
            for (uint32_t e = 0; e < m; e++)
                acc[i * 4 + e] = vf_fma(p, v[e], acc[i * 4 + e]);
        }
    }
}

/* What all queries see is added for all at once; before and after it only to those that see it, so that what a
 * query does not see cannot reach it, not even as zero times infinity. */
static ALWAYS_INLINE void sums_of(const struct query *queries, const uint32_t n, const struct part *values,
                                  size_t d, const uint32_t m, const enum kv_element element)
{
    vf acc[4 * SIMD_QUERIES];
    struct value_scales scales;
    uint32_t all_first = 0, all_end = KV_TILE_POSITIONS;

    for (size_t b = 0; b * KV_BLOCK < m * LANES && element == KV_ELEMENT_Q8_0; b++)
        for (size_t j = 0; j < KV_TILE_POSITIONS; j += LANES)
            vf_store(scales.at[b] + j,
                     vf_load_f16(values->scales + (d / KV_BLOCK + b) * KV_TILE_POSITIONS + j));
    UNROLL(8)
    for (uint32_t i = 0; i < n; i++) {
        all_first = queries[i].first > all_first ? queries[i].first : all_first;
        all_end = queries[i].end < all_end ? queries[i].end : all_end;
        UNROLL(4)
        for (uint32_t e = 0; e < m; e++)
            acc[i * 4 + e] = vf_set1(0);
    }
    all_end = all_end > all_first ? all_end : all_first;
    UNROLL(8)
    for (uint32_t i = 0; i < n && n > 1; i++) {
        uint32_t end = queries[i].end < all_first ? queries[i].end : all_first;
        add_values(acc + i * 4, queries + i, 1, values, &scales, d, m, queries[i].first, end, element);
    }
    add_values(acc, queries, n, values, &scales, d, m, all_first, all_end, element);
    UNROLL(8)
    for (uint32_t i = 0; i < n; i++) {
        float *to = queries[i].partial + ATTENTION_PARTIAL_HEAD + values->d + d;
        if (n > 1)
            add_values(acc + i * 4, queries + i, 1, values, &scales, d, m, all_end, queries[i].end, element);
        UNROLL(4)
        for (uint32_t e = 0; e < m; e++)
            vf_store(to + e * LANES, acc[i * 4 + e]);
    }
}

#endif
