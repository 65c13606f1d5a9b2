/* inputs - random and hostile matrices and activations, and memory that ends at a page which may not be
 * touched. SHOAL_SEED repeats a run; every program prints its seed. */
#ifndef TESTS_UNIT_KERNELS_INPUTS_H
#define TESTS_UNIT_KERNELS_INPUTS_H

#include "base/rand.h"
#include "kernels/f16.h"
#include "kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static inline struct rng inputs_rng(void)
{
    const char *text = getenv("SHOAL_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL) ^ (uint64_t)getpid() << 32;
    printf("# SHOAL_SEED=%llu\n", (unsigned long long)seed);
    return rng_seeded(seed);
}

/* --- guarded memory ----------------------------------------------------------------------------------------
 *
 * The block begins at an aligned address and ends as close to the guard page as that allows; bytes between are
 * checked when it is freed. */

#define GUARD_BYTE 0xA5

struct guarded {
    uint8_t *data;
    size_t bytes;
    uint8_t *map;
    size_t map_bytes, page;
};

static inline struct guarded guarded_new(size_t bytes, size_t alignment)
{
    struct guarded g = {.bytes = bytes, .page = (size_t)sysconf(_SC_PAGESIZE)};
    size_t inside = (bytes + alignment - 1) / alignment * alignment;
    size_t usable = (inside + g.page - 1) / g.page * g.page;
    g.map_bytes = usable + 2 * g.page;
    g.map = mmap(NULL, g.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT(g.map != MAP_FAILED);
    memset(g.map, GUARD_BYTE, g.map_bytes);
    ASSERT(mprotect(g.map, g.page, PROT_NONE) == 0);
    ASSERT(mprotect(g.map + g.page + usable, g.page, PROT_NONE) == 0);
    g.data = g.map + g.page + usable - inside;
    return g;
}

/* False when a byte outside of the block was written. */
static inline bool guarded_free(struct guarded *g)
{
    bool clean = true;
    for (uint8_t *p = g->map + g->page; p < g->data; p++)
        clean &= *p == GUARD_BYTE;
    for (uint8_t *p = g->data + g->bytes; p < g->map + g->map_bytes - g->page; p++)
        clean &= *p == GUARD_BYTE;
    munmap(g->map, g->map_bytes);
    return clean;
}

/* --- values --------------------------------------------------------------------------------------------- */

enum fill {
    FILL_RANDOM,
    FILL_ZERO,
    FILL_LARGEST,
    FILL_ALTERNATING,
    FILL_DENORMAL,
    FILL_MINUS_ZERO,
    FILL_COUNT
};

static inline float inputs_normal(struct rng *rng) /* roughly; bell-shaped in [-6, 6] */
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += rng_unit(rng);
    return (float)sum;
}

static inline float inputs_value(struct rng *rng, enum fill fill, size_t i)
{
    switch (fill) {
    case FILL_ZERO:
        return 0;
    case FILL_LARGEST:
        return rng_below(rng, 2) ? 1e18F : -1e18F;
    case FILL_ALTERNATING:
        return i % 2 ? 3.0F : -3.0F;
    case FILL_DENORMAL:
        return f32_of_bits((uint32_t)(rng_u64(rng) & 0x807FFFFFU));
    case FILL_MINUS_ZERO:
        return rng_below(rng, 3) ? -0.0F : inputs_normal(rng);
    default:
        return inputs_normal(rng) * (rng_below(rng, 50) ? 1.0F : 40.0F);
    }
}

static inline void inputs_activations(float *x, size_t n, enum fill fill, struct rng *rng)
{
    for (size_t i = 0; i < n; i++)
        x[i] = inputs_value(rng, fill, i);
}

static inline uint16_t inputs_f16(struct rng *rng, enum fill fill)
{
    switch (fill) {
    case FILL_ZERO:
        return 0;
    case FILL_LARGEST:
        return (uint16_t)(0x7BFFU | rng_below(rng, 2) << 15);
    case FILL_DENORMAL:
        return (uint16_t)(rng_u64(rng) & 0x83FFU);
    case FILL_MINUS_ZERO:
        return 0x8000U;
    default:
        return f16_of_f32(inputs_normal(rng) * 0.01F);
    }
}

/* Of a block of MXFP4: 2^(e - 127). */
static inline uint8_t inputs_exponent(struct rng *rng, enum fill fill)
{
    switch (fill) {
    case FILL_ZERO:
    case FILL_DENORMAL:
        return (uint8_t)rng_below(rng, 3);
    case FILL_LARGEST:
        return (uint8_t)(253 + rng_below(rng, 3));
    default:
        return (uint8_t)(100 + rng_below(rng, 30));
    }
}

/* The types that can be computed, and where the f16 scales of a block are. */
static const struct inputs_type {
    enum tensor_type type;
    int n_scales;
    size_t scales_at[2];
} inputs_types[] = {
    /* clang-format off */
    {TENSOR_TYPE_F32, 0, {0}},
    {TENSOR_TYPE_F16, 0, {0}},
    {TENSOR_TYPE_BF16, 0, {0}},
    {TENSOR_TYPE_Q8_0, 1, {0}},
    {TENSOR_TYPE_Q4_0, 1, {0}},
    {TENSOR_TYPE_Q4_1, 2, {0, 2}},
    {TENSOR_TYPE_Q5_0, 1, {0}},
    {TENSOR_TYPE_Q5_1, 2, {0, 2}},
    {TENSOR_TYPE_Q2_K, 2, {80, 82}},
    {TENSOR_TYPE_Q3_K, 1, {108}},
    {TENSOR_TYPE_Q4_K, 2, {0, 2}},
    {TENSOR_TYPE_Q5_K, 2, {0, 2}},
    {TENSOR_TYPE_Q6_K, 1, {208}},
    {TENSOR_TYPE_IQ4_NL, 1, {0}},
    {TENSOR_TYPE_IQ4_XS, 1, {0}},
    {TENSOR_TYPE_MXFP4, 0, {0}},
    {TENSOR_TYPE_IQ3_S, 1, {0}},
    {TENSOR_TYPE_IQ3_XXS, 1, {0}},
    {TENSOR_TYPE_TQ1_0, 1, {52}},
    {TENSOR_TYPE_TQ2_0, 1, {64}},
    /* clang-format on */
};
#define INPUTS_N_TYPES (sizeof inputs_types / sizeof *inputs_types)

static inline const struct inputs_type *inputs_type_of(enum tensor_type type)
{
    size_t i = 0;
    while (inputs_types[i].type != type)
        i++;
    return &inputs_types[i];
}

/* Rows as a file has them. */
static inline void inputs_rows(uint8_t *rows, enum tensor_type type, size_t n_elements, enum fill fill,
                               struct rng *rng)
{
    const struct tensor_type_info *info = tensor_type_info(type);
    const struct inputs_type *scales = inputs_type_of(type);
    size_t n_blocks = n_elements / info->block_elements;

    for (size_t b = 0; b < n_blocks; b++) {
        uint8_t *block = rows + b * info->block_bytes;
        if (type == TENSOR_TYPE_F32) {
            float f = inputs_value(rng, fill, b);
            memcpy(block, &f, 4);
            continue;
        }
        if (type == TENSOR_TYPE_F16 || type == TENSOR_TYPE_BF16) {
            uint16_t bits = inputs_f16(rng, fill);
            if (type == TENSOR_TYPE_BF16 && fill != FILL_DENORMAL)
                bits = (uint16_t)(f32_bits(inputs_value(rng, fill, b)) >> 16);
            memcpy(block, &bits, 2);
            continue;
        }
        for (size_t i = 0; i < info->block_bytes; i++)
            block[i] = (uint8_t)(fill == FILL_LARGEST       ? 0xFFU * rng_below(rng, 2) ^ rng_below(rng, 2) << 7
                                 : fill == FILL_ALTERNATING ? (i % 2 ? 0x80U : 0x7FU)
                                                            : rng_u64(rng));
        if (type == TENSOR_TYPE_MXFP4)
            block[0] = inputs_exponent(rng, fill);
        for (int s = 0; s < scales->n_scales; s++) {
            uint16_t scale = inputs_f16(rng, fill);
            memcpy(block + scales->scales_at[s], &scale, 2);
        }
    }
}

/* Equal bits; any NaN equals any other. */
static inline bool inputs_same(float a, float b)
{
    return f32_bits(a) == f32_bits(b) || (a != a && b != b);
}

#endif
