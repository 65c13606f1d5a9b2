/* attention_load_body - parts of one head's keys or values as vectors of f32, and what comes next fetched
 * meanwhile. Included by attention_queries_body.h only. */
#ifndef KERNELS_SIMD_ATTENTION_LOAD_BODY_H
#define KERNELS_SIMD_ATTENTION_LOAD_BODY_H

#include "kernels/kernels_private.h"
#include "kernels/simd/simd.h"

#define PART_DIMS                                                                                              \
    64 /* dimensions of a part: what many queries go through is small enough for the L1 cache then */

struct tile_head { /* one kv head of a tile */
    enum kv_element element;
    const uint8_t *k, *v;
    const uint16_t *k_scales, *v_scales; /* Q8_0 */
    uint32_t dim_k;
    size_t v_stride;
    float scale, softcap;
    uintptr_t ahead; /* bytes from here to the same in the next tile; 0: none */
};

/* At most PART_DIMS dimensions of the keys ([n][64]) or the values ([64][stride], n of each row). */
struct part {
    const uint8_t *at;
    const uint16_t *scales; /* Q8_0: [blocks][64] */
    size_t d, n, stride;    /* d: the first dimension */
    uintptr_t ahead;
};

static ALWAYS_INLINE size_t element_bytes(const enum kv_element element)
{
    return element == KV_ELEMENT_F16 ? 2 : element == KV_ELEMENT_F32 ? 4 : 1;
}

static ALWAYS_INLINE vf load_element(const enum kv_element element, const uint8_t *from, size_t at, vf scale)
{
    const void *values = from + at * element_bytes(element);
    return element == KV_ELEMENT_F16   ? vf_load_f16(values)
           : element == KV_ELEMENT_F32 ? vf_load(values)
                                       : vf_mul(vf_load_i8(values), scale);
}

/* The lines that hold `bytes` from `at` on, in the next tile. */
static ALWAYS_INLINE void fetch_ahead(const void *at, uintptr_t ahead, const size_t bytes)
{
    UNROLL(4)
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch((const void *)((uintptr_t)at + ahead + i), 0, 2);
}

static struct part keys_of(const struct tile_head *head, size_t d)
{
    size_t n = head->dim_k - d < PART_DIMS ? head->dim_k - d : PART_DIMS;
    return (struct part){.at = head->k + d * KV_TILE_POSITIONS * element_bytes(head->element),
                         .scales = head->k_scales + d / KV_BLOCK * KV_TILE_POSITIONS,
                         .d = d,
                         .n = n,
                         .stride = KV_TILE_POSITIONS,
                         .ahead = head->ahead};
}

static struct part values_of(const struct tile_head *head, size_t d)
{
    size_t n = head->v_stride - d < PART_DIMS ? head->v_stride - d : PART_DIMS;
    return (struct part){.at = head->v + d * element_bytes(head->element),
                         .scales = head->v_scales + d / KV_BLOCK * KV_TILE_POSITIONS,
                         .d = d,
                         .n = n,
                         .stride = head->v_stride,
                         .ahead = head->ahead};
}

/* Scales of the rows' blocks, wherever the part has any. */
static void fetch_scales(const struct part *part)
{
    for (size_t b = 0; b < part->n; b += KV_BLOCK)
        fetch_ahead(part->scales + b / KV_BLOCK * KV_TILE_POSITIONS, part->ahead, 2 * KV_TILE_POSITIONS);
}

/* --- to f32, for many queries --------------------------------------------------------------------------- */

static ALWAYS_INLINE void convert_keys(float *to, const struct part *keys, const enum kv_element element)
{
    const size_t positions = KV_TILE_POSITIONS;

    for (size_t d = 0; d < keys->n; d++) {
        const uint16_t *scales = keys->scales + d / KV_BLOCK * positions;
        fetch_ahead(keys->at + d * positions * element_bytes(element), keys->ahead,
                    positions * element_bytes(element));
        UNROLL(8)
        for (size_t i = 0; i < positions; i += LANES) {
            vf scale = element == KV_ELEMENT_Q8_0 ? vf_load_f16(scales + i) : vf_set1(0);
            vf_store(to + d * positions + i, load_element(element, keys->at, d * positions + i, scale));
        }
    }
}

/* Of the positions [first, end) only. */
static ALWAYS_INLINE void convert_values(float *to, const struct part *values, uint32_t first, uint32_t end,
                                         const enum kv_element element)
{
    for (size_t j = first; j < end; j++) {
        fetch_ahead(values->at + j * values->stride * element_bytes(element), values->ahead,
                    PART_DIMS * element_bytes(element));
        for (size_t d = 0; d < values->n; d += LANES) {
            vf scale = vf_set1(0);
            if (element == KV_ELEMENT_Q8_0)
                scale = vf_set1_f16(values->scales[d / KV_BLOCK * KV_TILE_POSITIONS + j]);
            vf_store(to + j * PART_DIMS + d, load_element(element, values->at, j * values->stride + d, scale));
        }
    }
}

static struct part keys_as_f32(float *to, const struct part *keys, enum kv_element element)
{
    struct part part = *keys;

    if (element == KV_ELEMENT_F16)
        convert_keys(to, keys, KV_ELEMENT_F16);
    else
        convert_keys(to, keys, KV_ELEMENT_Q8_0);
    part.at = (const uint8_t *)to;
    part.ahead = 0;
    return part;
}

static struct part values_as_f32(float *to, const struct part *values, uint32_t first, uint32_t end,
                                 enum kv_element element)
{
    struct part part = *values;

    if (element == KV_ELEMENT_F16)
        convert_values(to, values, first, end, KV_ELEMENT_F16);
    else
        convert_values(to, values, first, end, KV_ELEMENT_Q8_0);
    part.at = (const uint8_t *)to;
    part.stride = PART_DIMS;
    part.ahead = 0;
    return part;
}

#endif
