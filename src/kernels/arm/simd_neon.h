/* simd_neon - four floats at a time, in the words that simd/vector_body.h and simd/attention_body.h are written
 * in; exponentials and gates are in arm/simd_math_neon.h. Included through simd/simd.h. */
#ifndef KERNELS_ARM_SIMD_NEON_H
#define KERNELS_ARM_SIMD_NEON_H

#include "kernels/unroll.h"

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LANES                  4
#define SIMD_QUERIES           3 /* that attention holds in registers, with four vectors each */
#define SIMD_QUERIES_AS_STORED 2 /* of them, where keys and values are not f32 */
#define SIMD_LEVEL(name)       name##_neon

typedef float32x4_t vf;

static ALWAYS_INLINE uint32x4_t
vf_lanes_below(int n) /* all bits of lanes 0..n-1; n may lie outside of [0, 4] */
{
    const int32x4_t lanes = {0, 1, 2, 3};
    return vcgtq_s32(vdupq_n_s32(n), lanes);
}

static ALWAYS_INLINE vf vf_load(const float *from)
{
    return vld1q_f32(from);
}
/* The first n, zeros behind them; nothing else is read or written. */
static ALWAYS_INLINE vf vf_load_first(const float *from, size_t n)
{
    vf v = vdupq_n_f32(0);
    if (n >= 4)
        return vld1q_f32(from);
    if (n > 0)
        v = vld1q_lane_f32(from, v, 0);
    if (n > 1)
        v = vld1q_lane_f32(from + 1, v, 1);
    if (n > 2)
        v = vld1q_lane_f32(from + 2, v, 2);
    return v;
}
static ALWAYS_INLINE void vf_store(float *to, vf v)
{
    vst1q_f32(to, v);
}
static ALWAYS_INLINE void vf_store_first(float *to, vf v, size_t n)
{
    if (n >= 4) {
        vst1q_f32(to, v);
        return;
    }
    if (n > 0)
        vst1q_lane_f32(to, v, 0);
    if (n > 1)
        vst1q_lane_f32(to + 1, v, 1);
    if (n > 2)
        vst1q_lane_f32(to + 2, v, 2);
}
static ALWAYS_INLINE vf vf_load_f16(const uint16_t *from)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from)));
}
static ALWAYS_INLINE vf vf_set1_f16(uint16_t h)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h)));
}
static ALWAYS_INLINE vf vf_load_i8(const int8_t *from)
{
    int32_t four;
    memcpy(&four, from, sizeof four);
    int16x8_t words = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(words)));
}
static ALWAYS_INLINE void vf_store_f16(uint16_t *to, vf v)
{
    vst1_u16(to, vreinterpret_u16_f16(vcvt_f16_f32(v)));
}
static ALWAYS_INLINE uint16_t simd_f16_of(float f)
{
    return vget_lane_u16(vreinterpret_u16_f16(vcvt_f16_f32(vdupq_n_f32(f))), 0);
}

static ALWAYS_INLINE vf vf_set1(float f)
{
    return vdupq_n_f32(f);
}
static ALWAYS_INLINE vf vf_add(vf a, vf b)
{
    return vaddq_f32(a, b);
}
static ALWAYS_INLINE vf vf_sub(vf a, vf b)
{
    return vsubq_f32(a, b);
}
static ALWAYS_INLINE vf vf_mul(vf a, vf b)
{
    return vmulq_f32(a, b);
}
static ALWAYS_INLINE vf vf_div(vf a, vf b)
{
    return vdivq_f32(a, b);
}
static ALWAYS_INLINE vf vf_max(vf a, vf b)
{
    return vmaxq_f32(a, b);
}
static ALWAYS_INLINE vf vf_negate(vf a)
{
    return vnegq_f32(a);
}
static ALWAYS_INLINE vf vf_size(vf x)
{
    return vabsq_f32(x);
}
static ALWAYS_INLINE vf vf_fma(vf a, vf b, vf c) /* a * b + c */
{
    return vfmaq_f32(c, a, b);
}
static ALWAYS_INLINE vf vf_fms(vf a, vf b, vf c) /* a * b - c */
{
    return vfmaq_f32(vnegq_f32(c), a, b);
}
static ALWAYS_INLINE vf vf_fma_alternating(vf a, vf b, vf c) /* - c in even lanes, + c in odd ones */
{
    const uint32x4_t even = {0x80000000U, 0, 0x80000000U, 0};
    return vfmaq_f32(vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(c), even)), a, b);
}

/* Even and odd lanes exchanged. */
static ALWAYS_INLINE vf vf_swap_pairs(vf v)
{
    return vrev64q_f32(v);
}
/* The first n of two values, each twice. */
static ALWAYS_INLINE vf vf_load_twice(const float *from, size_t n)
{
    vf v = vf_load_first(from, n < 2 ? n : 2);
    return vzip1q_f32(v, v);
}

/* Lanes first..end-1 of v, those of other elsewhere; the bounds may lie outside of [0, LANES]. */
static ALWAYS_INLINE vf vf_pick(vf v, vf other, int first, int end)
{
    return vbslq_f32(vbicq_u32(vf_lanes_below(end), vf_lanes_below(first)), v, other);
}
static ALWAYS_INLINE float vf_largest(vf v)
{
    return vmaxvq_f32(v);
}
/* The sixteen virtual lanes joined: i with i + 8, + 4, + 2, + 1. */
static ALWAYS_INLINE float vf_join_lanes(const vf lanes[4])
{
    vf a = vaddq_f32(vaddq_f32(lanes[0], lanes[2]), vaddq_f32(lanes[1], lanes[3]));
    float32x2_t b = vadd_f32(vget_low_f32(a), vget_high_f32(a));
    return vget_lane_f32(b, 0) + vget_lane_f32(b, 1);
}

#endif
