/* blocks_neon - the types whose blocks have 32 columns: a link of the chain for each. Included by the files of
 * the families only. */
#ifndef KERNELS_ARM_BLOCKS_NEON_H
#define KERNELS_ARM_BLOCKS_NEON_H

#include "kernels/arm/matmul_neon.h"

struct x_block { /* of one block: pointers into the group's arrays */
    const int8_t *q;
    const float *scale, *scaled_sum;
};
static ALWAYS_INLINE struct x_block x_block_at(const struct group_int8 *x, size_t b, const uint32_t n)
{
    return (struct x_block){
        .q = x->q + b * n * 32, .scale = x->scale + b * n, .scaled_sum = x->scaled_sum + b * n};
}

/* acc = fma(isum, w_scale * x_scale, acc), for each token; acc: of this quarter. */
static ALWAYS_INLINE void add_block(float32x4_t *acc, const int8x16_t w[8], float32x4_t w_scale,
                                    struct x_block x, const uint32_t n)
{
    UNROLL(4)
    for (uint32_t t = 0; t < n; t++)
        acc[t * 4] = add_sum(acc[t * 4], dot_32(w, x.q + t * 32), w_scale, x.scale[t]);
}

/* acc = fma(-w_min, x_scale * x_sum, acc) */
static ALWAYS_INLINE void add_min(float32x4_t *acc, float32x4_t w_min, struct x_block x, const uint32_t n)
{
    UNROLL(4)
    for (uint32_t t = 0; t < n; t++)
        acc[t * 4] = vfmsq_n_f32(acc[t * 4], w_min, x.scaled_sum[t]);
}

#endif
