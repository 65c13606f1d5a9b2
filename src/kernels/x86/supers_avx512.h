/* supers_avx512 - a block of 256 columns, sixteen rows by up to 16 tokens: whole-number sums over its eight
 * times 32 columns, and the link of rule 1's chains that they become. Included by the files of such types only.
 */
#ifndef KERNELS_X86_SUPERS_AVX512_H
#define KERNELS_X86_SUPERS_AVX512_H

#include "kernels/x86/matmul_avx512.h"
#include "kernels/x86/open_supers_avx512.h"

/* Activations of n tokens in one block: pointers into the group's arrays. */
struct x_super {
    const int32_t *q, *minus_32, *minus_16, *sum_16, *sum_32;
    const float *scale;
};
static ALWAYS_INLINE struct x_super x_super_at(const struct group_super *x, size_t s, const uint32_t n)
{
    return (struct x_super){.q = x->q + s * n * 64,
                            .minus_32 = x->minus_32 + s * n * 8,
                            .sum_16 = x->sum_16 + s * n * 8,
                            .sum_32 = x->sum_32 + s * n * 4,
                            .minus_16 = x->minus_16 + s * n * 16,
                            .scale = x->scale + s * n};
}

/* Sixteen rows' bytes for the first of two, then for the second: interleaved. */
static ALWAYS_INLINE __m256i byte_pairs(const uint8_t *at)
{
    __m128i first = _mm_loadu_si128((const __m128i *)at), second = _mm_loadu_si128((const __m128i *)(at + 16));
    return _mm256_set_m128i(_mm_unpackhi_epi8(first, second), _mm_unpacklo_epi8(first, second));
}

/* Sixteen whole numbers of eight bits. */
static ALWAYS_INLINE __m512i wide_signed(const uint8_t *sixteen)
{
    return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)sixteen));
}

static ALWAYS_INLINE void clear_sums(__m512i *isum, const uint32_t n)
{
    UNROLL(16)
    for (uint32_t t = 0; t < n; t++)
        isum[t] = _mm512_setzero_si512();
}

/* isum += codes that hold their scales times block j of the activations. */
static ALWAYS_INLINE void add_products(__m512i *isum, const uint32_t n, const __m512i w[8], struct x_super x,
                                       size_t j)
{
    const uint32_t m = n < SIDE_BY_SIDE ? n : SIDE_BY_SIDE;
    if (n <= 2) { /* few chains wait for themselves: a block has its own */
        __m512i dots[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
        dots_of(dots, n, w, 8, x.q + j * 8, 64);
        UNROLL(2)
        for (uint32_t t = 0; t < n; t++)
            isum[t] = _mm512_add_epi32(isum[t], dots[t]);
        return;
    }
    UNROLL(16)
    for (uint32_t t = 0; t < n; t += m)
        dots_of(isum + t, m, w, 8, x.q + t * 64 + j * 8, 64);
}

/* How dot products begin and become part of isum. */
enum scaling {
    SCALE_16,       /* 16 columns, which fit 16 bits: one instruction multiplies and adds */
    SCALE_32,       /* 32 columns */
    SCALE_32_UNBIAS /* and 2^GROUP_SUM_BIAS taken off the codes */
};

/* What the dot products of block j begin with. */
static ALWAYS_INLINE __m512i begin_dot(const enum scaling scaling, struct x_super x, size_t t, size_t j)
{
    return scaling == SCALE_32_UNBIAS ? _mm512_set1_epi32(x.minus_32[t * 8 + j]) : _mm512_setzero_si512();
}

/* isum += scale * dot product of vectors [first, first + n_vectors) of block j. */
static ALWAYS_INLINE void add_scaled_dots(__m512i *isum, const uint32_t n, const __m512i *w,
                                          const uint32_t first, const uint32_t n_vectors, __m512i scale,
                                          const enum scaling scaling, struct x_super x, size_t j)
{
    const uint32_t m = n < SIDE_BY_SIDE / 2 ? n : SIDE_BY_SIDE / 2;
    UNROLL(16)
    for (uint32_t t = 0; t < n; t += m) {
        __m512i dots[SIDE_BY_SIDE / 2];
        UNROLL(4)
        for (uint32_t k = 0; k < m; k++)
            dots[k] = begin_dot(scaling, x, t + k, j);
        dots_of(dots, m, w + first, n_vectors, x.q + t * 64 + j * 8 + first, 64);
        UNROLL(4)
        for (uint32_t k = 0; k < m; k++)
            isum[t + k] = scaling == SCALE_16
                              ? _mm512_dpwssd_epi32(isum[t + k], dots[k], scale)
                              : _mm512_add_epi32(isum[t + k], _mm512_mullo_epi32(dots[k], scale));
    }
}

/* isum += dot products of both halves of block j, 2^GROUP_HALF_BIAS taken off the codes, times their scales.
 * Halves are computed side by side with those of other tokens: one after the other is 1.1 times as long. */
static ALWAYS_INLINE void add_scaled_halves(__m512i *isum, const uint32_t n, const __m512i w[8], __m512i scale0,
                                            __m512i scale1, struct x_super x, size_t j)
{
    const uint32_t m = n < SIDE_BY_SIDE / 2 ? n : SIDE_BY_SIDE / 2;
    UNROLL(16)
    for (uint32_t t = 0; t < n; t += m) {
        __m512i half0[SIDE_BY_SIDE / 2], half1[SIDE_BY_SIDE / 2];
        UNROLL(4)
        for (uint32_t k = 0; k < m; k++) {
            half0[k] = _mm512_set1_epi32(x.minus_16[(t + k) * 16 + 2 * j]);
            half1[k] = _mm512_set1_epi32(x.minus_16[(t + k) * 16 + 2 * j + 1]);
        }
        UNROLL(4)
        for (size_t i = 0; i < 4; i++) {
            const int32_t *q = x.q + t * 64 + j * 8 + i;
            dots_of(half0, m, w + i, 1, q, 64);
            dots_of(half1, m, w + 4 + i, 1, q + 4, 64);
        }
        UNROLL(4)
        for (uint32_t k = 0; k < m; k++) {
            __m512i sum = _mm512_mullo_epi32(half0[k], scale0);
            isum[t + k] =
                _mm512_add_epi32(isum[t + k], _mm512_add_epi32(sum, _mm512_mullo_epi32(half1[k], scale1)));
        }
    }
}

/* start + sums of the activations times n pairs of whole numbers of 16 bits. */
static ALWAYS_INLINE __m512i times_sums(__m512i start, const __m512i *pairs, const int32_t *sums,
                                        const uint32_t n)
{
    UNROLL(8)
    for (uint32_t i = 0; i < n; i++)
        start = _mm512_dpwssd_epi32(start, pairs[i], _mm512_set1_epi32(sums[i]));
    return start;
}

/* isum -= 2^bias * (sums of the activations times scales): what makes codes unsigned. Eight pairs are of halves
 * of 32 columns, four of two times 32. */
static ALWAYS_INLINE void take_off_bias(__m512i *isum, const uint32_t n, const __m512i *scale_pairs,
                                        const uint32_t n_pairs, const unsigned bias, struct x_super x)
{
    UNROLL(16)
    for (uint32_t t = 0; t < n; t++) {
        const int32_t *sums = n_pairs == 8 ? x.sum_16 + t * 8 : x.sum_32 + t * 4;
        __m512i off = times_sums(_mm512_setzero_si512(), scale_pairs, sums, n_pairs);
        isum[t] = _mm512_sub_epi32(isum[t], _mm512_slli_epi32(off, bias));
    }
}

/* acc = fma(isum, w_scale * x_scale, acc) */
static ALWAYS_INLINE void add_links(__m512 *acc, const uint32_t n, const __m512i *isum, __m512 w_scale,
                                    struct x_super x)
{
    UNROLL(16)
    for (uint32_t t = 0; t < n; t++)
        acc[t] = add_link(acc[t], _mm512_cvtepi32_ps(isum[t]), w_scale, x.scale[t]);
}

/* acc = fma(-w_min, x_scale * x_sum, acc), x_sum from pairs of minima as in take_off_bias */
static ALWAYS_INLINE void add_mins(__m512 *acc, const uint32_t n, const __m512i *min_pairs,
                                   const uint32_t n_pairs, __m512 w_min, struct x_super x)
{
    UNROLL(16)
    for (uint32_t t = 0; t < n; t++) {
        const int32_t *sums = n_pairs == 8 ? x.sum_16 + t * 8 : x.sum_32 + t * 4;
        __m512i x_sum = times_sums(_mm512_setzero_si512(), min_pairs, sums, n_pairs);
        __m512 scaled = _mm512_mul_ps(_mm512_set1_ps(x.scale[t]), _mm512_cvtepi32_ps(x_sum));
        acc[t] = _mm512_fnmadd_ps(w_min, scaled, acc[t]);
    }
}

/* As MATMUL_AVX512, and the slot at AMX, where blocks are opened by open_NAME (tiles_supers.h). */
#define SUPERS_AVX512(name, super_kind)                                                                        \
    MATMUL_OF_TILES(name, group_super, 256, acc)                                                               \
    static void matmul_##name##_amx(const struct matmul *m, uint32_t row_first, uint32_t row_end)              \
    {                                                                                                          \
        static const struct supers_type type = {super_kind, open_##name, panel_bytes_##name, matmul_##name};   \
        tiles_supers_matmul(m, row_first, row_end, &type);                                                     \
    }

#endif
