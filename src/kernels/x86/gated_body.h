/* gated_body - GELU gates and soft caps for the level that the including file is compiled for. The meaning is
 * ref/gated.c and kernels/tanh.h. Included by vector_body.h and attention_queries_body.h only. */
#ifndef KERNELS_X86_GATED_BODY_H
#define KERNELS_X86_GATED_BODY_H

#include "kernels/gelu.h"
#include "kernels/tanh.h"
#include "kernels/x86/simd.h"

/* vf_tanh_pick: near where |x| < TANH_NEAR, else far with the sign of x. vf_gelu_pick: y, but beyond
 * +-GELU_FLAT x or 0. */
#if LANES == 8
static ALWAYS_INLINE vf vf_tanh_pick(vf x, vf near, vf far)
{
    const vf sign = _mm256_set1_ps(-0.0F);
    vf size = _mm256_andnot_ps(sign, x);
    far = _mm256_or_ps(_mm256_andnot_ps(sign, far), _mm256_and_ps(sign, x));
    return _mm256_blendv_ps(far, near, _mm256_cmp_ps(size, vf_set1(TANH_NEAR), _CMP_LT_OQ));
}
static ALWAYS_INLINE vf vf_size(vf x)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), x);
}
static ALWAYS_INLINE vf vf_round_f16(vf x)
{
    return _mm256_cvtph_ps(_mm256_cvtps_ph(x, SIMD_ROUND_TO_F16));
}
static ALWAYS_INLINE vf vf_gelu_pick(vf x, vf y)
{
    y = _mm256_blendv_ps(y, x, _mm256_cmp_ps(x, vf_set1(GELU_FLAT), _CMP_GE_OQ));
    return _mm256_andnot_ps(_mm256_cmp_ps(x, vf_set1(-GELU_FLAT), _CMP_LE_OQ), y);
}
#else
static ALWAYS_INLINE vf vf_round_f16(vf x)
{
    return _mm512_cvtph_ps(_mm512_cvtps_ph(x, SIMD_ROUND_TO_F16));
}
static ALWAYS_INLINE vf vf_gelu_pick(vf x, vf y)
{
    y = _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(x, vf_set1(GELU_FLAT), _CMP_GE_OQ), x);
    return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(x, vf_set1(-GELU_FLAT), _CMP_LE_OQ), vf_set1(0));
}
static ALWAYS_INLINE vf vf_size(vf x)
{
    return _mm512_abs_ps(x);
}
static ALWAYS_INLINE vf vf_tanh_pick(vf x, vf near, vf far)
{
    const vf sign = _mm512_set1_ps(-0.0F);
    far = _mm512_or_ps(_mm512_andnot_ps(sign, far), _mm512_and_ps(sign, x));
    return _mm512_mask_mov_ps(far, _mm512_cmp_ps_mask(vf_size(x), vf_set1(TANH_NEAR), _CMP_LT_OQ), near);
}
#endif

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

static ALWAYS_INLINE vf vf_gelu(vf x)
{
    const vf one = vf_set1(1.0F);
    vf h = vf_round_f16(x);
    vf u = vf_mul(vf_mul(vf_set1(GELU_ROOT), h), vf_add(one, vf_mul(vf_mul(vf_set1(GELU_CUBE), h), h)));
    vf y = vf_mul(vf_mul(vf_set1(0.5F), h), vf_add(one, vf_tanh(u)));
    return vf_gelu_pick(x, vf_round_f16(y));
}

#endif
