/* simd_math_neon - what exponentials and gates ask for, four at a time. Included through simd/simd.h. */
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

/* What exp_body.h asks for; min and max pass NaN on. */
static ALWAYS_INLINE vf vf_times_power_of_2(vf y, vf n)
{
    int32x4_t whole = vcvtq_s32_f32(n), half = vshrq_n_s32(whole, 1);
    return vf_mul(vf_mul(y, vf_power_of_2(half)), vf_power_of_2(vsubq_s32(whole, half)));
}
static ALWAYS_INLINE vf vf_exp_argument(vf x)
{
    return vminq_f32(vmaxq_f32(x, vf_set1(EXP_LEAST)), vf_set1(EXP_MOST));
}
static ALWAYS_INLINE vf vf_exp_of(vf x, vf y)
{
    (void)x;
    return y;
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
