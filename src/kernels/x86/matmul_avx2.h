/* matmul_avx2 - what the families of quantised types share at AVX2: 8 rows (half a panel) by up to 4 tokens, or
 * a whole panel by up to 2.
 *
 * Products of unsigned codes and signed activations are added in pairs to 16 bits, which saturates: so eight
 * bit codes are taken apart into magnitude and sign (2 * 128 * 127 fits), narrower ones may add up several
 * pairs. Included by the families' files only. */
#ifndef KERNELS_X86_MATMUL_AVX2_H
#define KERNELS_X86_MATMUL_AVX2_H

#include "kernels/x86/dots_avx2.h"

#include <string.h>

/* acc = fma(isum - 2^bias * x_sum, w_scale * x_scale, acc); bias < 0: nothing is taken off. */
static ALWAYS_INLINE void add_plain(__m256 *acc, const struct extent e, const __m256i *isum, const int bias,
                                    const __m256 *w_scale, struct x_block x)
{
    UNROLL(4)
    for (uint32_t t = 0; t < e.n; t++) {
        UNROLL(2)
        for (uint32_t h = 0; h < e.n_halves; h++) {
            uint32_t i = t * e.n_halves + h;
            __m256i sum = isum[i];
            if (bias >= 0)
                sum = _mm256_add_epi32(
                    sum, _mm256_srai_epi32(_mm256_set1_epi32(x.minus_sum[t]), (GROUP_SUM_BIAS - bias) & 31));
            __m256 scale = _mm256_mul_ps(w_scale[h], _mm256_set1_ps(x.scale[t]));
            acc[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), scale, acc[i]);
        }
    }
}

/* acc = fma(-w_min, x_scale * x_sum, acc) */
static ALWAYS_INLINE void add_min(__m256 *acc, const struct extent e, const __m256 *w_min, struct x_block x)
{
    UNROLL(4)
    for (uint32_t t = 0; t < e.n; t++) {
        UNROLL(2)
        for (uint32_t h = 0; h < e.n_halves; h++)
            acc[t * e.n_halves + h] =
                _mm256_fnmadd_ps(w_min[h], _mm256_set1_ps(x.scaled_sum[t]), acc[t * e.n_halves + h]);
    }
}

static inline void store_8(float *out, __m256 values, uint32_t n)
{
    float all[8];
    if (n >= 8) {
        _mm256_storeu_ps(out, values);
        return;
    }
    _mm256_storeu_ps(all, values);
    memcpy(out, all, n * sizeof *all);
}

static ALWAYS_INLINE void store_tile(const struct tile *tile, uint32_t panel, const __m256 *acc,
                                     const struct extent e)
{
    UNROLL(4)
    for (uint32_t t = 0; t < e.n; t++) {
        UNROLL(2)
        for (uint32_t h = 0; h < e.n_halves; h++) {
            uint32_t row = panel * PANEL_ROWS + 8 * (e.half + h);
            if (row < tile->n_rows)
                store_8(tile->out + t * tile->out_stride + row, acc[t * e.n_halves + h], tile->n_rows - row);
        }
    }
}

/* From panel_NAME(acc, panel, n_cols, activations, extent), part of a panel times some tokens, the functions
 * for each number of tokens and the slot matmul_NAME. */
#define MATMUL_PART_256(name, tokens, halves, first)                                                           \
    {                                                                                                          \
        const struct extent e = {tokens, halves, first};                                                       \
        __m256 acc[(tokens) * (halves)];                                                                       \
        UNROLL(4)                                                                                              \
        for (int i = 0; i < (tokens) * (halves); i++)                                                          \
            acc[i] = _mm256_setzero_ps();                                                                      \
        panel_##name(acc, tile->panel + p * tile->panel_bytes, tile->n_cols, &x, e);                           \
        store_tile(tile, p, acc, e);                                                                           \
    }
#define MATMUL_TILE_256(name, n)                                                                               \
    static void tile_##name##_##n(const struct tile *tile)                                                     \
    {                                                                                                          \
        struct group_int8 x = group_int8_at(tile->activations, tile->n_cols / 32, tile->group);                \
        for (uint32_t p = 0; p < tile->n_panels; p++) {                                                        \
            if ((n) <= 2)                                                                                      \
                MATMUL_PART_256(name, n, (n) <= 2 ? 2 : 1, 0)                                                  \
            else {                                                                                             \
                MATMUL_PART_256(name, n, 1, 0)                                                                 \
                MATMUL_PART_256(name, n, 1, 1)                                                                 \
            }                                                                                                  \
        }                                                                                                      \
    }
#define MATMUL_AVX2(name)                                                                                      \
    MATMUL_TILE_256(name, 1)                                                                                   \
    MATMUL_TILE_256(name, 2)                                                                                   \
    MATMUL_TILE_256(name, 4)                                                                                   \
    static void matmul_##name(const struct matmul *m, uint32_t row_first, uint32_t row_end)                    \
    {                                                                                                          \
        static tile_kernel *const kernels[] = {tile_##name##_1, tile_##name##_2, tile_##name##_4};             \
        groups_matmul(m, row_first, row_end, panel_bytes_##name(m->n_cols), GROUP_MAX_AVX2, kernels);          \
    }

#endif
