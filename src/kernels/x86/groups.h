/* groups - how activations lie in memory for AVX2 and AVX-512, and the walk over panels and groups of tokens.
 *
 * Tokens are taken in groups of group_max and at the end of smaller powers of two; a group is what one kernel
 * holds in registers. Values of a group's tokens lie side by side for each column or block. Internal to
 * kernels. */
#ifndef KERNELS_X86_GROUPS_H
#define KERNELS_X86_GROUPS_H

#include "kernels/x86/panels.h"

#define GROUP_MAX_AVX2   4
#define GROUP_MAX_AVX512 16

/* The group that token t is in. */
struct group {
    uint32_t first, size;
};
static inline struct group group_of(uint32_t token, uint32_t n_tokens, uint32_t group_max)
{
    struct group g = {token / group_max * group_max, group_max};
    while (n_tokens - g.first < g.size || token >= g.first + g.size) {
        if (n_tokens - g.first >= g.size)
            g.first += g.size;
        g.size /= 2;
    }
    return g;
}

/* Rule 1's activations of a group, one array after the other; b: block of 32 columns, t: token within the
 * group. x86/activations_avx2.c fills them for both levels. */
struct group_int8 {
    int32_t *q;          /* [b][t][8]: four values each */
    float *scale;        /* [b][t] */
    float *scaled_sum;   /* [b][t]: scale * (float)sum of q */
    int32_t *minus_sum;  /* [b][t]: negative, to take off what makes codes unsigned */
    int32_t *minus_half; /* [b][t][2]: of each half */
    int32_t *sum_pair; /* [b][t]: of each half, positive, in 16 bits each; the first half's are the low ones */
};
#define GROUP_INT8_BLOCK_BYTES 56
static inline struct group_int8 group_int8_at(const void *prepared, uint32_t n_blocks, struct group g)
{
    size_t n = (size_t)n_blocks * g.size;
    struct group_int8 x;
    x.q = (int32_t *)((uintptr_t)prepared + (size_t)g.first * n_blocks * GROUP_INT8_BLOCK_BYTES);
    x.scale = (float *)(x.q + n * 8);
    x.scaled_sum = x.scale + n;
    x.minus_sum = (int32_t *)(x.scaled_sum + n);
    x.minus_half = x.minus_sum + n;
    x.sum_pair = x.minus_half + 2 * n;
    return x;
}

/* Rule 2's: [column][t]. */
static inline const float *group_f32_at(const void *prepared, uint32_t n_cols, struct group g)
{
    return (const float *)prepared + (size_t)g.first * n_cols;
}

/* Some panels times one group. */
struct tile {
    const uint8_t *panel; /* the first */
    size_t panel_bytes;
    uint32_t n_panels, n_cols;
    const void *activations;
    struct group group;
    float *out; /* the group's first token, the first panel's first row */
    size_t out_stride;
    uint32_t n_rows; /* in these panels, without padding */
};

/* By log2 of the group's size. */
typedef void tile_kernel(const struct tile *tile);

/* Panels are taken in lots that stay in the second level cache while all groups pass over them. */
void groups_matmul(const struct matmul *m, uint32_t row_first, uint32_t row_end, size_t panel_bytes,
                   uint32_t group_max, tile_kernel *const kernels[]);

extern const struct activation_kernels activation_int8_avx2, activation_int8_avx512;
extern const struct activation_kernels activation_f32_avx2, activation_f32_avx512;

#endif
