/* attention_queries_body - some queries over one head of a tile, as many at a time as registers hold. Keys are
 * transposed in a tile, so a lane is a position there; in the values a lane is a dimension. Included by
 * attention_body.h only. */
#ifndef KERNELS_X86_ATTENTION_QUERIES_BODY_H
#define KERNELS_X86_ATTENTION_QUERIES_BODY_H

#include "kernels/kernels_private.h"
#include "kernels/x86/gated_body.h"
#include "kernels/x86/simd.h"

#include <math.h>

struct query {
    const float *q;
    uint32_t first, end; /* the slots that it sees */
    float *partial;
    float p[KV_TILE_POSITIONS]; /* scores, then exp(score - largest) */
};

struct tile_head { /* one kv head of a tile */
    const void *tile;
    size_t k_at, v_at, v_stride;
    uint32_t dim_k;
    float scale, softcap;
};

static ALWAYS_INLINE vf load_element(const enum kv_element element, const void *tile, size_t at)
{
    return element == KV_ELEMENT_F16 ? vf_load_f16((const uint16_t *)tile + at)
                                     : vf_load((const float *)tile + at);
}

/* --- scores --------------------------------------------------------------------------------------------- */

/* Positions [at, at + 4 * LANES) for n queries. */
static ALWAYS_INLINE void scores_of(struct query *queries, const uint32_t n, const struct tile_head *head,
                                    uint32_t at, const enum kv_element element)
{
    vf s[4 * SIMD_QUERIES], k[4];

    UNROLL(16)
    for (uint32_t i = 0; i < 4 * n; i++)
        s[i] = vf_set1(0);
    for (size_t d = 0; d < head->dim_k; d++) {
        UNROLL(4)
        for (size_t v = 0; v < 4; v++)
            k[v] = load_element(element, head->tile, head->k_at + d * KV_TILE_POSITIONS + at + v * LANES);
        UNROLL(4)
        for (uint32_t i = 0; i < n; i++) {
            vf q = vf_set1(queries[i].q[d]);
            UNROLL(4)
            for (uint32_t v = 0; v < 4; v++)
                s[i * 4 + v] = vf_fma(q, k[v], s[i * 4 + v]);
        }
    }
    UNROLL(4)
    for (uint32_t i = 0; i < n; i++)
        UNROLL(4)
    for (uint32_t v = 0; v < 4; v++)
        vf_store(queries[i].p + at + v * LANES, vf_mul(s[i * 4 + v], vf_set1(head->scale)));
}

static ALWAYS_INLINE void cap_scores(struct query *query, float softcap)
{
    for (uint32_t i = 0; i < query->end; i += LANES)
        vf_store(query->p + i, vf_softcap(vf_load(query->p + i), vf_set1(softcap)));
}

static ALWAYS_INLINE void exponentials(struct query *query)
{
    vf most = vf_set1(-INFINITY), lanes[16 / LANES] = {0};
    int first = (int)query->first, end = (int)query->end;

    for (int i = 0; i < end; i += LANES)
        most = vf_max(vf_pick(vf_load(query->p + i), vf_set1(-INFINITY), first - i, end - i), most);
    float largest = vf_largest(most);
    for (int i = 0; i < end; i += LANES) {
        vf e = vf_exp(vf_sub(vf_load(query->p + i), vf_set1(largest)));
        vf *lane = &lanes[i / LANES % (16 / LANES)];
        e = vf_pick(e, vf_set1(0), first - i, end - i);
        *lane = vf_add(*lane, e);
        vf_store(query->p + i, e);
    }
    query->partial[0] = largest + 0.0F;
    query->partial[1] = vf_join_lanes(lanes);
}

/* --- values --------------------------------------------------------------------------------------------- */

/* Adds positions [from, to) to n queries' m vectors of dimensions from d on. */
static ALWAYS_INLINE void add_values(vf *acc, const struct query *queries, const uint32_t n,
                                     const struct tile_head *head, size_t d, const uint32_t m, uint32_t from,
                                     uint32_t to, const enum kv_element element)
{
    for (size_t j = from; j < to; j++) {
        vf v[4];
        UNROLL(4)
        for (size_t i = 0; i < m; i++)
            v[i] = load_element(element, head->tile, head->v_at + j * head->v_stride + d + i * LANES);
        UNROLL(4)
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
static ALWAYS_INLINE void values_of(const struct query *queries, const uint32_t n, const struct tile_head *head,
                                    size_t d, const uint32_t m, const enum kv_element element)
{
    vf acc[4 * SIMD_QUERIES];
    uint32_t all_first = 0, all_end = KV_TILE_POSITIONS;

    UNROLL(4)
    for (uint32_t i = 0; i < n; i++) {
        all_first = queries[i].first > all_first ? queries[i].first : all_first;
        all_end = queries[i].end < all_end ? queries[i].end : all_end;
        UNROLL(4)
        for (uint32_t e = 0; e < m; e++)
            acc[i * 4 + e] = vf_set1(0);
    }
    all_end = all_end > all_first ? all_end : all_first;
    UNROLL(4)
    for (uint32_t i = 0; i < n; i++) {
        uint32_t end = queries[i].end < all_first ? queries[i].end : all_first;
        add_values(acc + i * 4, queries + i, 1, head, d, m, queries[i].first, end, element);
    }
    add_values(acc, queries, n, head, d, m, all_first, all_end, element);
    UNROLL(4)
    for (uint32_t i = 0; i < n; i++) {
        float *to = queries[i].partial + ATTENTION_PARTIAL_HEAD + d;
        add_values(acc + i * 4, queries + i, 1, head, d, m, all_end, queries[i].end, element);
        UNROLL(4)
        for (uint32_t e = 0; e < m; e++)
            vf_store(to + e * LANES, acc[i * 4 + e]);
    }
}

/* --- both ----------------------------------------------------------------------------------------------- */

static ALWAYS_INLINE void queries_run(struct query *queries, const uint32_t n, const struct tile_head *head,
                                      const enum kv_element element)
{
    uint32_t end = 0;
    size_t d = 0;

    for (uint32_t i = 0; i < n; i++)
        end = queries[i].end > end ? queries[i].end : end;
    for (uint32_t at = 0; at < end; at += 4 * LANES)
        scores_of(queries, n, head, at, element);
    for (uint32_t i = 0; i < n && head->softcap != 0; i++)
        cap_scores(&queries[i], head->softcap);
    for (uint32_t i = 0; i < n; i++)
        exponentials(&queries[i]);
    for (; d + 4 * LANES <= head->v_stride; d += 4 * LANES)
        values_of(queries, n, head, d, 4, element);
    for (; d < head->v_stride; d += LANES)
        values_of(queries, n, head, d, 1, element);
}

#define QUERIES_RUN(name, n, element)                                                                          \
    static void run_##name(struct query *queries, const struct tile_head *head)                                \
    {                                                                                                          \
        queries_run(queries, n, head, element);                                                                \
    }
QUERIES_RUN(one_f16, 1, KV_ELEMENT_F16)
QUERIES_RUN(all_f16, SIMD_QUERIES, KV_ELEMENT_F16)
QUERIES_RUN(one_f32, 1, KV_ELEMENT_F32)
QUERIES_RUN(all_f32, SIMD_QUERIES, KV_ELEMENT_F32)

static void run_some(struct query *queries, uint32_t n, const struct tile_head *head, enum kv_element element)
{
    if (n == SIMD_QUERIES)
        (element == KV_ELEMENT_F16 ? run_all_f16 : run_all_f32)(queries, head);
    else
        for (uint32_t i = 0; i < n; i++)
            (element == KV_ELEMENT_F16 ? run_one_f16 : run_one_f32)(&queries[i], head);
}

#endif
