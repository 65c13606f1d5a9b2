/* gated_body - GELU gates, limited gates and soft caps for the level that the including file is compiled for.
 * The meaning is ref/gated.c and kernels/tanh.h. Included by vector_body.h and attention_queries_body.h only.
 */
#ifndef KERNELS_SIMD_GATED_BODY_H
#define KERNELS_SIMD_GATED_BODY_H

#include "kernels/simd/simd.h"
#include "kernels/swiglu.h"

static ALWAYS_INLINE vf vf_tanh(vf x)
{
    vf z = vf_mul(x, x), size = vf_size(x);
    vf p = vf_fma(vf_set1(TANH_C5), z, vf_set1(TANH_C4));
    p = vf_fma(p, z, vf_set1(TANH_C3));
    p = vf_fma(p, z, vf_set1(TANH_C2));
    p = vf_fma(p, z, vf_set1(TANH_C1));
    vf near = vf_fma(vf_mul(p, z), x, x);
    vf e = vf_exp(vf_add(size, size));
    vf far = vf_sub(vf_set1(1.0F), vf_div(vf_set1(2.0F), vf_add(e, vf_set1(1.0F))));
    return vf_tanh_pick(x, near, far);
}

static ALWAYS_INLINE vf vf_softcap(vf x, vf cap)
{
    return vf_mul(cap, vf_tanh(vf_div(x, cap)));
}

/* The limit comes first: x86's largest is the second operand where either is NaN. */
static ALWAYS_INLINE vf vf_at_most(vf limit, vf x)
{
    return vf_negate(vf_max(vf_negate(limit), vf_negate(x)));
}

static ALWAYS_INLINE vf vf_swiglu_limited(vf gate, vf up)
{
    const vf one = vf_set1(1.0F), limit = vf_set1(SWIGLU_LIMIT);
    vf x = vf_at_most(limit, gate), y = vf_max(vf_negate(limit), vf_at_most(limit, up));
    vf silu = vf_div(x, vf_add(one, vf_exp(vf_mul(vf_set1(-SWIGLU_SLOPE), x))));
    return vf_mul(silu, vf_add(y, one));
}

static ALWAYS_INLINE vf vf_gelu(vf x)
{
    const vf one = vf_set1(1.0F);
    vf h = vf_round_f16(x);
    vf u = vf_mul(vf_mul(vf_set1(GELU_ROOT), h), vf_add(one, vf_mul(vf_mul(vf_set1(GELU_CUBE), h), h)));
    vf y = vf_mul(vf_mul(vf_set1(0.5F), h), vf_add(one, vf_tanh(u)));
    return vf_gelu_pick(x, vf_round_f16(y));
}

#endif
