/* simd_avx2 - eight floats at a time, in the words that simd/vector_body.h and simd/attention_body.h are
 * written in. Included through simd/simd.h. */
#ifndef KERNELS_X86_SIMD_AVX2_H
#define KERNELS_X86_SIMD_AVX2_H

#include "kernels/exact_private.h"
#include "kernels/gelu.h"
#include "kernels/tanh.h"
#include "kernels/unroll.h"

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define LANES                  8
#define SIMD_QUERIES           3 /* that attention holds in registers, with four vectors each */
#define SIMD_QUERIES_AS_STORED 2 /* of them, where keys and values are not f32 */
#define SIMD_LEVEL(name)       name##_avx2
#define SIMD_ROUND_TO_F16      _MM_FROUND_TO_NEAREST_INT

typedef __m256 vf;

static ALWAYS_INLINE __m256i vf_lanes_below(int n) /* all bits of lanes 0..n-1; n may lie outside of [0, 8] */
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static ALWAYS_INLINE __m256i vf_first_lanes(size_t n)
{
    return vf_lanes_below(n < 8 ? (int)n : 8);
}

static ALWAYS_INLINE vf vf_load(const float *from)
{
    return _mm256_loadu_ps(from);
}
/* The first n, zeros behind them; nothing else is read or written. */
static ALWAYS_INLINE vf vf_load_first(const float *from, size_t n)
{
    return n >= 8 ? _mm256_loadu_ps(from) : _mm256_maskload_ps(from, vf_first_lanes(n));
}
static ALWAYS_INLINE void vf_store(float *to, vf v)
{
    _mm256_storeu_ps(to, v);
}
static ALWAYS_INLINE void vf_store_first(float *to, vf v, size_t n)
{
    if (n >= 8) /* a masked store is many times slower */
        _mm256_storeu_ps(to, v);
    else
        _mm256_maskstore_ps(to, vf_first_lanes(n), v);
}
static ALWAYS_INLINE vf vf_load_f16(const uint16_t *from)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from));
}
static ALWAYS_INLINE vf vf_set1_f16(uint16_t h)
{
    return _mm256_set1_ps(_cvtsh_ss(h));
}
static ALWAYS_INLINE vf vf_load_i8(const int8_t *from)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)from)));
}
static ALWAYS_INLINE uint16_t simd_f16_of(float f)
{
    return (uint16_t)_cvtss_sh(f, _MM_FROUND_TO_NEAREST_INT);
}
static ALWAYS_INLINE void vf_store_f16(uint16_t *to, vf v)
{
    _mm_storeu_si128((__m128i *)to, _mm256_cvtps_ph(v, SIMD_ROUND_TO_F16));
}

static ALWAYS_INLINE vf vf_set1(float f)
{
    return _mm256_set1_ps(f);
}
static ALWAYS_INLINE vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
static ALWAYS_INLINE vf vf_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
static ALWAYS_INLINE vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
static ALWAYS_INLINE vf vf_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}
static ALWAYS_INLINE vf vf_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
static ALWAYS_INLINE vf vf_negate(vf a)
{
    return _mm256_xor_ps(a, _mm256_set1_ps(-0.0F));
}
static ALWAYS_INLINE vf vf_fma(vf a, vf b, vf c) /* a * b + c */
{
    return _mm256_fmadd_ps(a, b, c);
}
static ALWAYS_INLINE vf vf_fms(vf a, vf b, vf c) /* a * b - c */
{
    return _mm256_fmsub_ps(a, b, c);
}
static ALWAYS_INLINE vf vf_fma_alternating(vf a, vf b, vf c) /* - c in even lanes, + c in odd ones */
{
    return _mm256_fmaddsub_ps(a, b, c);
}

/* Even and odd lanes exchanged. */
static ALWAYS_INLINE vf vf_swap_pairs(vf v)
{
    return _mm256_permute_ps(v, 0xB1);
}
/* The first n of four values, each twice. */
static ALWAYS_INLINE vf vf_load_twice(const float *from, size_t n)
{
    return _mm256_permutevar8x32_ps(vf_load_first(from, n < 4 ? n : 4),
                                    _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
}

/* Lanes first..end-1 of v, those of other elsewhere; the bounds may lie outside of [0, LANES]. */
static ALWAYS_INLINE vf vf_pick(vf v, vf other, int first, int end)
{
    __m256i lanes = _mm256_andnot_si256(vf_lanes_below(first), vf_lanes_below(end));
    return _mm256_blendv_ps(other, v, _mm256_castsi256_ps(lanes));
}
static ALWAYS_INLINE float vf_largest(vf v)
{
    __m128 a = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    a = _mm_max_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_max_ss(a, _mm_movehdup_ps(a)));
}
/* The sixteen virtual lanes joined: i with i + 8, + 4, + 2, + 1. */
static ALWAYS_INLINE float vf_join_lanes(const vf lanes[2])
{
    __m256 a = _mm256_add_ps(lanes[0], lanes[1]);
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

static ALWAYS_INLINE vf vf_power_of_2(__m256i exponent)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(exponent, _mm256_set1_epi32(127)), 23));
}

/* What exp_body.h asks for. */
static ALWAYS_INLINE vf vf_times_power_of_2(vf y, vf n)
{
    __m256i whole = _mm256_cvttps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    return vf_mul(vf_mul(y, vf_power_of_2(half)), vf_power_of_2(_mm256_sub_epi32(whole, half)));
}
static ALWAYS_INLINE vf vf_exp_argument(vf x)
{
    return _mm256_min_ps(_mm256_max_ps(x, vf_set1(EXP_LEAST)), vf_set1(EXP_MOST));
}
static ALWAYS_INLINE vf vf_exp_of(vf x, vf y)
{
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

/* What gates pick: near where |x| < TANH_NEAR, else far with x's sign; y, but beyond +-GELU_FLAT x or 0. */
static ALWAYS_INLINE vf vf_size(vf x)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), x);
}
static ALWAYS_INLINE vf vf_tanh_pick(vf x, vf near, vf far)
{
    far = _mm256_or_ps(vf_size(far), _mm256_and_ps(_mm256_set1_ps(-0.0F), x));
    return _mm256_blendv_ps(far, near, _mm256_cmp_ps(vf_size(x), vf_set1(TANH_NEAR), _CMP_LT_OQ));
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

#endif
