/* supers_neon - the types whose blocks have 256 columns: eight blocks of 32 are summed as whole numbers, under
 * whole scales of their own, before the one link of the chain. Included by the files of the families only. */
#ifndef KERNELS_ARM_SUPERS_NEON_H
#define KERNELS_ARM_SUPERS_NEON_H

#include "kernels/arm/matmul_neon.h"

struct x_super { /* of one block of 256: pointers into the group's arrays */
    const int8_t *q;
    const float *scale;
    const int16_t *sum;
};
static ALWAYS_INLINE struct x_super x_super_at(const struct group_super *x, size_t s, const uint32_t n)
{
    return (struct x_super){.q = x->q + s * n * 256, .scale = x->scale + s * n, .sum = x->sum + s * n * 16};
}

#define ISUM_MAX (4 * GROUP_MAX_NEON)
static ALWAYS_INLINE void isum_zero(int32x4_t *isum, const uint32_t n)
{
    UNROLL(16)
    for (uint32_t i = 0; i < 4 * n; i++)
        isum[i] = vdupq_n_s32(0);
}

/* --- whole scales ----------------------------------------------------------------------------------------- */

/* Of sixteen rows. */
static ALWAYS_INLINE int8x16_t load_scales(const uint8_t *at)
{
    return vreinterpretq_s8_u8(vld1q_u8(at));
}

static ALWAYS_INLINE void whole_quarters(int32x4_t out[4], int8x16_t bytes)
{
    int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_high_s8(bytes);
    out[0] = vmovl_s16(vget_low_s16(low));
    out[1] = vmovl_high_s16(low);
    out[2] = vmovl_s16(vget_low_s16(high));
    out[3] = vmovl_high_s16(high);
}

/* --- one quarter of a block of 32, at the first token's columns q -------------------------------------------
 */

static ALWAYS_INLINE void sum_plain(int32x4_t *isum, const int8x16_t w[8], const int8_t *q, const uint32_t n)
{
    UNROLL(4)
    for (uint32_t t = 0; t < n; t++)
        isum[t * 4] = vaddq_s32(isum[t * 4], dot_32(w, q + t * 256));
}

static ALWAYS_INLINE void sum_block(int32x4_t *isum, const int8x16_t w[8], int32x4_t scale, const int8_t *q,
                                    const uint32_t n)
{
    UNROLL(4)
    for (uint32_t t = 0; t < n; t++)
        isum[t * 4] = vmlaq_s32(isum[t * 4], dot_32(w, q + t * 256), scale);
}

/* The same with a scale for each half. */
static ALWAYS_INLINE void sum_halves(int32x4_t *isum, const int8x16_t w[8], int32x4_t scale0, int32x4_t scale1,
                                     const int8_t *q, const uint32_t n)
{
    UNROLL(4)
    for (uint32_t t = 0; t < n; t++) {
        int32x4_t half0 = dot_16(vdupq_n_s32(0), w, q + t * 256);
        int32x4_t half1 = dot_16(vdupq_n_s32(0), w + 4, q + t * 256 + 16);
        isum[t * 4] = vmlaq_s32(vmlaq_s32(isum[t * 4], half0, scale0), half1, scale1);
    }
}

/* --- a panel's whole block ----------------------------------------------------------------------------------
 */

/* acc = fma(isum, d * unit * x_scale, acc); d: sixteen f16 */
static ALWAYS_INLINE void add_super_of_unit(float32x4_t *acc, const int32x4_t *isum, const uint8_t *d,
                                            const float unit, struct x_super x, const uint32_t n)
{
    float32x4_t w_scale[4];
    f16_quarters(w_scale, d);
    UNROLL(4)
    for (uint32_t r = 0; r < 4; r++)
        w_scale[r] = vmulq_n_f32(w_scale[r], unit);
    UNROLL(16)
    for (uint32_t i = 0; i < 4 * n; i++)
        acc[i] = add_sum(acc[i], isum[i], w_scale[i % 4], x.scale[i / 4]);
}

static ALWAYS_INLINE void add_super(float32x4_t *acc, const int32x4_t *isum, const uint8_t *d, struct x_super x,
                                    const uint32_t n)
{
    add_super_of_unit(acc, isum, d, 1, x, n);
}

/* x_sum += eight minima, of sixteen rows each, times as many sums. */
static ALWAYS_INLINE void sum_mins(int32x4_t x_sum[4], const int8x16_t mins[8], int16x8_t sums)
{
#define SUM_MIN(i)                                                                                             \
    do {                                                                                                       \
        int16x8_t low = vmovl_s8(vget_low_s8(mins[i])), high = vmovl_high_s8(mins[i]);                         \
        x_sum[0] = vmlal_laneq_s16(x_sum[0], vget_low_s16(low), sums, i);                                      \
        x_sum[1] = vmlal_high_laneq_s16(x_sum[1], low, sums, i);                                               \
        x_sum[2] = vmlal_laneq_s16(x_sum[2], vget_low_s16(high), sums, i);                                     \
        x_sum[3] = vmlal_high_laneq_s16(x_sum[3], high, sums, i);                                              \
    } while (0)
    SUM_MIN(0);
    SUM_MIN(1);
    SUM_MIN(2);
    SUM_MIN(3);
    SUM_MIN(4);
    SUM_MIN(5);
    SUM_MIN(6);
    SUM_MIN(7);
#undef SUM_MIN
}

/* acc = fma(-w_min, x_scale * x_sum, acc), where each 32 (n_mins 8) or 16 (n_mins 16) columns have a minimum;
 * dmin: sixteen f16 */
static ALWAYS_INLINE void add_super_mins(float32x4_t *acc, const int8x16_t *mins, const uint32_t n_mins,
                                         const uint8_t *dmin, struct x_super x, const uint32_t n)
{
    float32x4_t w_min[4];
    f16_quarters(w_min, dmin);
    for (uint32_t t = 0; t < n; t++) {
        int16x8_t first = vld1q_s16(x.sum + t * 16), second = vld1q_s16(x.sum + t * 16 + 8);
        int32x4_t x_sum[4];
        isum_zero(x_sum, 1);
        if (n_mins == 8) {
            sum_mins(x_sum, mins, vpaddq_s16(first, second));
        } else {
            sum_mins(x_sum, mins, first);
            sum_mins(x_sum, mins + 8, second);
        }
        UNROLL(4)
        for (uint32_t r = 0; r < 4; r++)
            acc[t * 4 + r] =
                vfmsq_f32(acc[t * 4 + r], w_min[r], vmulq_n_f32(vcvtq_f32_s32(x_sum[r]), x.scale[t]));
    }
}

/* super_NAME(acc, panel, s, x, n) adds block s of a panel. */
#define MATMUL_SUPERS_NEON(name, id)                                                                           \
    static ALWAYS_INLINE void panel_##name(float32x4_t *acc, const uint8_t *panel, uint32_t n_cols,            \
                                           const struct group_super *x, const uint32_t n)                      \
    {                                                                                                          \
        for (size_t s = 0; s < n_cols / 256; s++)                                                              \
            super_##name(acc, panel, s, x_super_at(x, s, n), n);                                               \
    }                                                                                                          \
    MATMUL_NEON(super, name, id)

#endif
