/* blocks_avx512 - one block of 32 columns, sixteen rows by up to 16 tokens: its dot products and how they join
 * the chains of rule 1; or, for AMX, the block kept open (tiles.h). Included by matmul_avx512.h only. */
#ifndef KERNELS_X86_BLOCKS_AVX512_H
#define KERNELS_X86_BLOCKS_AVX512_H

#include "kernels/unroll.h"
#include "kernels/x86/groups.h"
#include "kernels/x86/open_avx512.h"

#include <immintrin.h>

/* Where a block goes: into the sums of n tokens, or, when n is KEEP_OPEN, to what is opened. */
struct block_to {
    __m512 *acc;
    struct opened *opened;
};
#define KEEP_OPEN 0

/* One block's activations of n tokens: pointers into the group's arrays. */
struct x_block {
    const int32_t *q, *minus_sum;
    const float *scale, *scaled_sum;
};
static ALWAYS_INLINE struct x_block x_block_at(const struct group_int8 *x, size_t b, const uint32_t n)
{
    if (n == KEEP_OPEN)
        return (struct x_block){0};
    return (struct x_block){.q = x->q + b * n * 8,
                            .minus_sum = x->minus_sum + b * n,
                            .scale = x->scale + b * n,
                            .scaled_sum = x->scaled_sum + b * n};
}

/* sum + codes times four activations at q. Compilers load and spread these by an instruction of its own, which
 * made products of many tokens 1.15 times as long. */
static ALWAYS_INLINE __m512i dot(__m512i sum, __m512i codes, const int32_t *q)
{
    __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(codes), "m"(*q));
    return sum;
}

/* start + dot products of four codes at a time: bytes [0, 4 * n) of the block at w, of token t. */
static ALWAYS_INLINE __m512i dots(__m512i start, const __m512i *w, const int32_t *q, const int n)
{
    UNROLL(8)
    for (int i = 0; i < n; i++)
        start = dot(start, w[i], &q[i]);
    return start;
}

/* Tokens whose sums are computed side by side: one chain of dot products alone waits for itself, and those of
 * the next token are further on than processors look. On a Xeon 8 are 1.2 to 1.4 times as fast as 1. */
#define SIDE_BY_SIDE 8

/* isum[k] += dot products of n groups of four codes at w with those at q of token t + k, for m tokens, which
 * lie `stride` apart. One token alone has a block in two chains. */
static ALWAYS_INLINE void dots_of(__m512i *isum, const uint32_t m, const __m512i *w, const uint32_t n,
                                  const int32_t *q, const size_t stride)
{
    const bool in_two = m == 1 && n == 8;
    __m512i odd = _mm512_setzero_si512();
    UNROLL(8)
    for (size_t i = 0; i < n; i++) {
        UNROLL(8)
        for (size_t k = 0; k < m; k++) {
            __m512i *to = in_two && i % 2 ? &odd : &isum[k];
            *to = dot(*to, w[i], &q[k * stride + i]);
        }
    }
    if (in_two)
        isum[0] = _mm512_add_epi32(isum[0], odd);
}

/* What m tokens' sums begin with: what takes off that codes are unsigned, 2^more times as much; more < 0: none.
 */
static ALWAYS_INLINE void begin_sums(__m512i *isum, const uint32_t m, const int more, const int32_t *minus)
{
    UNROLL(8)
    for (size_t k = 0; k < m; k++)
        isum[k] = more < 0    ? _mm512_setzero_si512()
                  : more == 0 ? _mm512_set1_epi32(minus[k])
                              : _mm512_srai_epi32(_mm512_set1_epi32(minus[k]), (unsigned)(more & 31));
}

static ALWAYS_INLINE __m512 add_link(__m512 acc, __m512 isum, __m512 w_scale, float x_scale)
{
    return _mm512_fmadd_ps(isum, _mm512_mul_ps(w_scale, _mm512_set1_ps(x_scale)), acc);
}

/* 32-wide blocks, code = value + 2^bias (bias < 0: code = value): acc = fma(isum, w_scale * x_scale, acc). */
static ALWAYS_INLINE void block_plain(struct block_to to, const uint32_t n, const __m512i w[8], const int bias,
                                      __m512 w_scale, struct x_block x)
{
    const uint32_t m = n < SIDE_BY_SIDE ? n : SIDE_BY_SIDE;
    if (n == KEEP_OPEN)
        keep_open(to.opened, w, bias, w_scale, _mm512_setzero_ps());
    UNROLL(16)
    for (uint32_t t = 0; t < n; t += m) {
        __m512i isum[SIDE_BY_SIDE];
        begin_sums(isum, m, bias < 0 ? bias : GROUP_SUM_BIAS - bias, x.minus_sum + t);
        dots_of(isum, m, w, 8, x.q + t * 8, 8);
        UNROLL(8)
        for (uint32_t k = 0; k < m; k++)
            to.acc[t + k] = add_link(to.acc[t + k], _mm512_cvtepi32_ps(isum[k]), w_scale, x.scale[t + k]);
    }
}

/* The same with acc = fma(-w_min, x_scale * x_sum, acc) after it. */
static ALWAYS_INLINE void block_min(struct block_to to, const uint32_t n, const __m512i w[8], __m512 w_scale,
                                    __m512 w_min, struct x_block x)
{
    const uint32_t m = n < SIDE_BY_SIDE ? n : SIDE_BY_SIDE;
    if (n == KEEP_OPEN)
        keep_open(to.opened, w, -1, w_scale, w_min);
    UNROLL(16)
    for (uint32_t t = 0; t < n; t += m) {
        __m512i isum[SIDE_BY_SIDE];
        begin_sums(isum, m, -1, NULL);
        dots_of(isum, m, w, 8, x.q + t * 8, 8);
        UNROLL(8)
        for (uint32_t k = 0; k < m; k++) {
            __m512 sum = add_link(to.acc[t + k], _mm512_cvtepi32_ps(isum[k]), w_scale, x.scale[t + k]);
            to.acc[t + k] = _mm512_fnmadd_ps(w_min, _mm512_set1_ps(x.scaled_sum[t + k]), sum);
        }
    }
}

#endif
