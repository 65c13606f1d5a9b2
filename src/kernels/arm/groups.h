/* groups - activations of 8 bits as NEON wants them. Internal to kernels. */
#ifndef KERNELS_ARM_GROUPS_H
#define KERNELS_ARM_GROUPS_H

#include "kernels/panels/groups.h"

#define GROUP_MAX_NEON 4

/* Rule 1's activations of a group, one array after the other; b: block of 32 columns, t: token within the
 * group. */
struct group_int8 {
    int8_t *q;         /* [b][t][32] */
    float *scale;      /* [b][t] */
    float *scaled_sum; /* [b][t]: scale * (float)sum of q */
    int32_t *half_sum; /* [b][t][2]: of q */
};
#define GROUP_INT8_BLOCK_BYTES 48
static inline struct group_int8 group_int8_at(const void *prepared, uint32_t n_blocks, struct group g)
{
    size_t n = (size_t)n_blocks * g.size;
    struct group_int8 x;
    x.q = (int8_t *)((uintptr_t)prepared + (size_t)g.first * n_blocks * GROUP_INT8_BLOCK_BYTES);
    x.scale = (float *)(void *)(x.q + n * 32);
    x.scaled_sum = x.scale + n;
    x.half_sum = (int32_t *)(x.scaled_sum + n);
    return x;
}

extern const struct activation_kernels activation_int8_neon, activation_f32_neon;

#endif
