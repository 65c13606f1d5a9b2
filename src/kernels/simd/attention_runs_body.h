/* attention_runs_body - queries over one head of a tile, written out for each number of them that registers
 * hold. Few queries read keys and values as they are stored; for many they are made f32 first, part by part.
 * Included by attention_body.h only. */
#ifndef KERNELS_SIMD_ATTENTION_RUNS_BODY_H
#define KERNELS_SIMD_ATTENTION_RUNS_BODY_H

#include "kernels/simd/attention_queries_body.h"

/* --- both, for each number of queries ------------------------------------------------------------------- */

struct runs {
    void (*keys)(struct query *queries, const struct part *keys);
    void (*values)(const struct query *queries, const struct part *values);
};

#define RUNS(name, count, kind)                                                                                \
    static void keys_##name(struct query *queries, const struct part *keys)                                    \
    {                                                                                                          \
        for (uint32_t at = 0; at < KV_TILE_POSITIONS; at += 4 * LANES)                                         \
            products_of(queries, count, keys, at, kind);                                                       \
    }                                                                                                          \
    static void values_##name(const struct query *queries, const struct part *values)                          \
    {                                                                                                          \
        size_t d = 0;                                                                                          \
        for (; d + 4 * LANES <= values->n; d += 4 * LANES)                                                     \
            sums_of(queries, count, values, d, 4, kind);                                                       \
        for (; d < values->n; d += LANES)                                                                      \
            sums_of(queries, count, values, d, 1, kind);                                                       \
    }
#define RUN(name)                                                                                              \
    {                                                                                                          \
        keys_##name, values_##name                                                                             \
    }

/* Numbers up to SIMD_QUERIES, of which this level has 3 or 6. */
RUNS(f16_1, 1, KV_ELEMENT_F16)
RUNS(f16_2, 2, KV_ELEMENT_F16)
RUNS(f32_1, 1, KV_ELEMENT_F32)
RUNS(f32_2, 2, KV_ELEMENT_F32)
RUNS(f32_3, 3, KV_ELEMENT_F32)
RUNS(q8_0_1, 1, KV_ELEMENT_Q8_0)
RUNS(q8_0_2, 2, KV_ELEMENT_Q8_0)
#if SIMD_QUERIES == 6
RUNS(f16_3, 3, KV_ELEMENT_F16)
RUNS(f16_4, 4, KV_ELEMENT_F16)
RUNS(f32_4, 4, KV_ELEMENT_F32)
RUNS(f32_5, 5, KV_ELEMENT_F32)
RUNS(f32_6, 6, KV_ELEMENT_F32)
RUNS(q8_0_3, 3, KV_ELEMENT_Q8_0)
RUNS(q8_0_4, 4, KV_ELEMENT_Q8_0)
#define RUNS_OF(element)                                                                                       \
    {                                                                                                          \
        {0}, RUN(element##_1), RUN(element##_2), RUN(element##_3), RUN(element##_4)                            \
    }
#define RUNS_OF_F32                                                                                            \
    {                                                                                                          \
        {0}, RUN(f32_1), RUN(f32_2), RUN(f32_3), RUN(f32_4), RUN(f32_5), RUN(f32_6)                            \
    }
#else
#define RUNS_OF(element)                                                                                       \
    {                                                                                                          \
        {0}, RUN(element##_1), RUN(element##_2)                                                                \
    }
#define RUNS_OF_F32                                                                                            \
    {                                                                                                          \
        {0}, RUN(f32_1), RUN(f32_2), RUN(f32_3)                                                                \
    }
#endif

static const struct runs runs_of[KV_ELEMENT_COUNT][SIMD_QUERIES + 1] = {
    [KV_ELEMENT_F16] = RUNS_OF(f16), [KV_ELEMENT_F32] = RUNS_OF_F32, [KV_ELEMENT_Q8_0] = RUNS_OF(q8_0)};

static void run_keys(struct query *queries, uint32_t n, struct part *keys, enum kv_element element)
{
    for (uint32_t i = 0; i < n; i += SIMD_QUERIES) {
        runs_of[element][n - i < SIMD_QUERIES ? n - i : SIMD_QUERIES].keys(queries + i, keys);
        keys->ahead = 0;
    }
}

static void run_values(const struct query *queries, uint32_t n, struct part *values, enum kv_element element)
{
    for (uint32_t i = 0; i < n; i += SIMD_QUERIES) {
        runs_of[element][n - i < SIMD_QUERIES ? n - i : SIMD_QUERIES].values(queries + i, values);
        values->ahead = 0;
    }
}

static void attend_some(struct query *queries, uint32_t n, const struct tile_head *head)
{
    _Alignas(64) float converted[PART_DIMS * KV_TILE_POSITIONS];
    bool converts = head->element != KV_ELEMENT_F32 && n > SIMD_QUERIES_AS_STORED;
    enum kv_element element = converts ? KV_ELEMENT_F32 : head->element;
    uint32_t first = KV_TILE_POSITIONS, end = 0;

    for (size_t d = 0; d < head->dim_k; d += PART_DIMS) {
        struct part keys = keys_of(head, d);
        if (head->element == KV_ELEMENT_Q8_0)
            fetch_scales(&keys);
        if (converts)
            keys = keys_as_f32(converted, &keys, head->element);
        run_keys(queries, n, &keys, element);
    }
    for (uint32_t i = 0; i < n; i++) {
        exponentials(&queries[i], head->scale, head->softcap);
        first = queries[i].first < first ? queries[i].first : first;
        end = queries[i].end > end ? queries[i].end : end;
    }
    for (size_t d = 0; d < head->v_stride; d += PART_DIMS) {
        struct part values = values_of(head, d);
        if (head->element == KV_ELEMENT_Q8_0)
            fetch_scales(&values);
        if (converts)
            values = values_as_f32(converted, &values, first, end, head->element);
        run_values(queries, n, &values, element);
    }
}

#endif
