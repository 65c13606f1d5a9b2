/* simd_math_neon - exponentials and what gates pick, four at a time. Included through simd/simd.h. */
#ifndef KERNELS_ARM_SIMD_MATH_NEON_H
#define KERNELS_ARM_SIMD_MATH_NEON_H

#include "kernels/arm/simd_neon.h"
#include "kernels/exact_private.h"
#include "kernels/gelu.h"
#include "kernels/tanh.h"

static ALWAYS_INLINE vf vf_power_of_2(int32x4_t exponent)
{
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(exponent, vdupq_n_s32(127)), 23));
}

/* exact_exp, step by step. */
static ALWAYS_INLINE vf vf_exp_bounded(vf c)
{
    vf n = vf_sub(vf_fma(c, vf_set1(EXP_LOG2E), vf_set1(EXP_ROUND)), vf_set1(EXP_ROUND));
    vf r = vf_fma(n, vf_set1(-EXP_LN2_HIGH), c);
    r = vf_fma(n, vf_set1(-EXP_LN2_LOW), r);

    vf p = vf_fma(vf_set1(EXP_C6), r, vf_set1(EXP_C5));
    p = vf_fma(p, r, vf_set1(EXP_C4));
    p = vf_fma(p, r, vf_set1(EXP_C3));
    p = vf_fma(p, r, vf_set1(EXP_C2));
    p = vf_fma(p, r, vf_set1(EXP_C1));
    vf y = vf_add(vf_fma(p, vf_mul(r, r), r), vf_set1(1.0F));
    int32x4_t whole = vcvtq_s32_f32(n), half = vshrq_n_s32(whole, 1);
    return vf_mul(vf_mul(y, vf_power_of_2(half)), vf_power_of_2(vsubq_s32(whole, half)));
}
/* The same where x is not above zero; NaN comes through max. */
static ALWAYS_INLINE vf vf_exp_not_positive(vf x)
{
    return vf_exp_bounded(vf_max(vf_set1(EXP_LEAST), x));
}
static ALWAYS_INLINE vf vf_exp(vf x)
{
    return vf_exp_bounded(vminq_f32(vmaxq_f32(x, vf_set1(EXP_LEAST)), vf_set1(EXP_MOST)));
}

/* What gates pick. vf_tanh_pick: near where |x| < TANH_NEAR, else far with the sign of x. vf_gelu_pick: y, but
 * beyond +-GELU_FLAT x or 0. */
static ALWAYS_INLINE vf vf_tanh_pick(vf x, vf near, vf far)
{
    far = vbslq_f32(vdupq_n_u32(0x80000000U), x, far);
    return vbslq_f32(vcltq_f32(vf_size(x), vf_set1(TANH_NEAR)), near, far);
}
static ALWAYS_INLINE vf vf_round_f16(vf x)
{
    return vcvt_f32_f16(vcvt_f16_f32(x));
}
static ALWAYS_INLINE vf vf_gelu_pick(vf x, vf y)
{
    y = vbslq_f32(vcgeq_f32(x, vf_set1(GELU_FLAT)), x, y);
    return vbslq_f32(vcleq_f32(x, vf_set1(-GELU_FLAT)), vf_set1(0), y);
}

#endif
