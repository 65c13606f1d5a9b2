/* groups - activations of 8 bits as NEON wants them. Internal to kernels. */
#ifndef KERNELS_ARM_GROUPS_H
#define KERNELS_ARM_GROUPS_H

#include "kernels/panels/groups.h"

#define GROUP_MAX_NEON 4

/* Rule 1's activations of a group in blocks of 32 columns, one array after the other; b: block, t: token within
 * the group. */
struct group_int8 {
    int8_t *q;         /* [b][t][32] */
    float *scale;      /* [b][t] */
    float *scaled_sum; /* [b][t]: scale * (float)sum of q */
};
#define GROUP_INT8_BLOCK_BYTES 40
static inline struct group_int8 group_int8_at(const void *prepared, uint32_t n_cols, struct group g)
{
    size_t n_blocks = n_cols / 32, n = n_blocks * g.size;
    struct group_int8 x;
    x.q = (int8_t *)((uintptr_t)prepared + (size_t)g.first * n_blocks * GROUP_INT8_BLOCK_BYTES);
    x.scale = (float *)(void *)(x.q + n * 32);
    x.scaled_sum = x.scale + n;
    return x;
}

/* The same in blocks of 256 columns; s: block. */
struct group_super {
    int8_t *q;    /* [s][t][256] */
    float *scale; /* [s][t] */
    int16_t *sum; /* [s][t][16]: of each 16 of q */
};
#define GROUP_SUPER_BYTES 292
static inline struct group_super group_super_at(const void *prepared, uint32_t n_cols, struct group g)
{
    size_t n_supers = n_cols / 256, n = n_supers * g.size;
    struct group_super x;
    x.q = (int8_t *)((uintptr_t)prepared + (size_t)g.first * n_supers * GROUP_SUPER_BYTES);
    x.scale = (float *)(void *)(x.q + n * 256);
    x.sum = (int16_t *)(void *)(x.scale + n);
    return x;
}

extern const struct activation_kernels activation_int8_neon, activation_super_neon, activation_f32_neon;

#endif
