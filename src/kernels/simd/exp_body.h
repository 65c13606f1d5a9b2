/* exp_body - exact_exp (kernels/exact.c) for vectors, step by step. Comes with simd.h. A level gives
 *   vf_times_power_of_2(y, n)    y * 2^n for a whole n, rounded once where the result is denormal
 *   vf_exp_argument(x)           x within EXP_LEAST and EXP_MOST
 *   vf_exp_of(x, y)              y, but x where x is NaN */
#ifndef KERNELS_SIMD_EXP_BODY_H
#define KERNELS_SIMD_EXP_BODY_H

#include "kernels/simd/simd.h"

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
    return vf_times_power_of_2(vf_add(vf_fma(p, vf_mul(r, r), r), vf_set1(1.0F)), n);
}

/* Where x is not above zero; NaN comes through max, where it is the second operand. */
static ALWAYS_INLINE vf vf_exp_not_positive(vf x)
{
    return vf_exp_bounded(vf_max(vf_set1(EXP_LEAST), x));
}

static ALWAYS_INLINE vf vf_exp(vf x)
{
    return vf_exp_of(x, vf_exp_bounded(vf_exp_argument(x)));
}

#endif
