/* simd_avx512 - sixteen floats at a time, in the words that simd/vector_body.h and simd/attention_body.h are
 * written in. Included through simd/simd.h. */
#ifndef KERNELS_X86_SIMD_AVX512_H
#define KERNELS_X86_SIMD_AVX512_H

#include "kernels/exact_private.h"
#include "kernels/gelu.h"
#include "kernels/tanh.h"
#include "kernels/unroll.h"

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define LANES                  16
#define SIMD_QUERIES           6 /* that attention holds in registers, with four vectors each */
#define SIMD_QUERIES_AS_STORED 4 /* of them, where keys and values are not f32 */
#define SIMD_LEVEL(name)       name##_avx512
#define SIMD_ROUND_TO_F16      (_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

typedef __m512 vf;

static ALWAYS_INLINE __mmask16 vf_first_lanes(size_t n)
{
    return (__mmask16)(n >= 16 ? 0xFFFFU : (1U << n) - 1);
}

static ALWAYS_INLINE vf vf_load(const float *from)
{
    return _mm512_loadu_ps(from);
}
/* The first n, zeros behind them; nothing else is read or written. */
static ALWAYS_INLINE vf vf_load_first(const float *from, size_t n)
{
    return _mm512_maskz_loadu_ps(vf_first_lanes(n), from);
}
static ALWAYS_INLINE void vf_store(float *to, vf v)
{
    _mm512_storeu_ps(to, v);
}
static ALWAYS_INLINE void vf_store_first(float *to, vf v, size_t n)
{
    _mm512_mask_storeu_ps(to, vf_first_lanes(n), v);
}
static ALWAYS_INLINE vf vf_load_f16(const uint16_t *from)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)from));
}
static ALWAYS_INLINE vf vf_set1_f16(uint16_t h)
{
    return _mm512_set1_ps(_cvtsh_ss(h));
}
static ALWAYS_INLINE vf vf_load_i8(const int8_t *from)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)from)));
}
static ALWAYS_INLINE uint16_t simd_f16_of(float f)
{
    return (uint16_t)_cvtss_sh(f, _MM_FROUND_TO_NEAREST_INT);
}
static ALWAYS_INLINE __m256i vf_to_f16(vf v)
{
    return _mm512_maskz_cvtps_ph(0xFFFF, v,
                                 SIMD_ROUND_TO_F16); /* without a mask gcc warns of its own header's */
}
static ALWAYS_INLINE void vf_store_f16(uint16_t *to, vf v)
{
    _mm256_storeu_si256((__m256i *)to, vf_to_f16(v));
}

static ALWAYS_INLINE vf vf_set1(float f)
{
    return _mm512_set1_ps(f);
}
static ALWAYS_INLINE vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
static ALWAYS_INLINE vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
static ALWAYS_INLINE vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
static ALWAYS_INLINE vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
static ALWAYS_INLINE vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
static ALWAYS_INLINE vf vf_negate(vf a)
{
    return _mm512_xor_ps(a, _mm512_set1_ps(-0.0F));
}
static ALWAYS_INLINE vf vf_fma(vf a, vf b, vf c) /* a * b + c */
{
    return _mm512_fmadd_ps(a, b, c);
}
static ALWAYS_INLINE vf vf_fms(vf a, vf b, vf c) /* a * b - c */
{
    return _mm512_fmsub_ps(a, b, c);
}
static ALWAYS_INLINE vf vf_fma_alternating(vf a, vf b, vf c) /* - c in even lanes, + c in odd ones */
{
    return _mm512_fmaddsub_ps(a, b, c);
}

/* Even and odd lanes exchanged. */
static ALWAYS_INLINE vf vf_swap_pairs(vf v)
{
    return _mm512_permute_ps(v, 0xB1);
}
/* The first n of eight values, each twice. */
static ALWAYS_INLINE vf vf_load_twice(const float *from, size_t n)
{
    const __m512i index = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return _mm512_permutexvar_ps(index, vf_load_first(from, n));
}

/* Lanes first..end-1 of v, those of other elsewhere; the bounds may lie outside of [0, LANES]. */
static ALWAYS_INLINE vf vf_pick(vf v, vf other, int first, int end)
{
    uint32_t below_end = end >= 16 ? 0xFFFFU : end <= 0 ? 0 : (1U << end) - 1;
    uint32_t below_first = first >= 16 ? 0xFFFFU : first <= 0 ? 0 : (1U << first) - 1;
    return _mm512_mask_mov_ps(other, (__mmask16)(below_end & ~below_first), v);
}
static ALWAYS_INLINE float vf_largest(vf v)
{
    return _mm512_reduce_max_ps(v);
}
/* The sixteen virtual lanes joined: i with i + 8, + 4, + 2, + 1. */
static ALWAYS_INLINE float vf_join_lanes(const vf lanes[1])
{
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(lanes[0]), _mm512_extractf32x8_ps(lanes[0], 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

/* What exp_body.h asks for; scalef rounds a denormal result once, as the two factors of exact_exp do. */
static ALWAYS_INLINE vf vf_times_power_of_2(vf y, vf n)
{
    return _mm512_scalef_ps(y, n);
}
static ALWAYS_INLINE vf vf_exp_argument(vf x)
{
    return _mm512_min_ps(_mm512_max_ps(x, vf_set1(EXP_LEAST)), vf_set1(EXP_MOST));
}
static ALWAYS_INLINE vf vf_exp_of(vf x, vf y)
{
    return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x);
}

/* What gates pick. vf_tanh_pick: near where |x| < TANH_NEAR, else far with the sign of x. vf_gelu_pick: y, but
 * beyond
 * +-GELU_FLAT x or 0. */
static ALWAYS_INLINE vf vf_round_f16(vf x)
{
    return _mm512_cvtph_ps(vf_to_f16(x));
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
