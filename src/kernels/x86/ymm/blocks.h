/* blocks - rule 1 of types whose blocks have 32 columns. Included by their files only. */
#ifndef KERNELS_X86_YMM_BLOCKS_H
#define KERNELS_X86_YMM_BLOCKS_H

#include "kernels/x86/ymm/matmul.h"

struct x_block { /* of one block: pointers into the group's arrays */
    const int32_t *q, *minus_sum;
    const float *scale, *scaled_sum;
};
static ALWAYS_INLINE struct x_block x_block_at(const struct group_int8 *x, size_t b, const uint32_t n)
{
    return (struct x_block){.q = x->q + b * n * 8,
                            .minus_sum = x->minus_sum + b * n,
                            .scale = x->scale + b * n,
                            .scaled_sum = x->scaled_sum + b * n};
}

/* A type's blocks: codes, their value and 2^bias (bias < 0: nothing more), and whether they have minima. */
struct block_type {
    struct codes codes;
    int bias;
    bool has_min;
};

/* A block's rows of some halves of a panel times m tokens, from acc's first half on. For each: acc = fma(isum,
 * w_scale * x_scale, acc), then acc = fma(-w_min, x_scale * x_sum, acc). Sums begin with what takes off that
 * codes are unsigned. */
static ALWAYS_INLINE void some_times(__m256 *acc, const uint32_t m, const uint32_t n_halves, const __m256i *w,
                                     const struct block_type type, const __m256 *w_scale, const __m256 *w_min,
                                     struct x_block x)
{
    __m256i isum[2 * AT_ONCE_MAX];

    UNROLL(4)
    for (size_t k = 0; k < m; k++) {
        __m256i off = _mm256_setzero_si256();
        if (type.bias >= 0)
            off = _mm256_srai_epi32(_mm256_set1_epi32(x.minus_sum[k]), (GROUP_SUM_BIAS - type.bias) & 31);
        isum[k * 2] = isum[k * 2 + 1] = off;
    }
    add_dots(isum, m, n_halves, w, type.codes.most, x.q, 8, NULL, 0);
    UNROLL(4)
    for (size_t k = 0; k < m; k++) {
        UNROLL(2)
        for (size_t h = 0; h < n_halves; h++) {
            __m256 scale = _mm256_mul_ps(w_scale[h], _mm256_set1_ps(x.scale[k])), *to = &acc[k * 2 + h];
            *to = _mm256_fmadd_ps(_mm256_cvtepi32_ps(isum[k * 2 + h]), scale, *to);
            if (type.has_min)
                *to = _mm256_fnmadd_ps(w_min[h], _mm256_set1_ps(x.scaled_sum[k]), *to);
        }
    }
}

/* A type's blocks, and many_NAME: a block that is open, [group][half], times a multiple of four tokens. A
 * function of its own, and codes in memory: codes that stay in registers drive sums out. Scales, then minima,
 * are [half]. */
typedef void many_times(__m256 *restrict acc, uint32_t n, const __m256i *restrict w, const __m256 scales[4],
                        struct x_block x);
#define BLOCK_TYPE(name, ...)                                                                                  \
    static const struct block_type type_##name = {__VA_ARGS__};                                                \
    static __attribute__((noinline)) void many_##name(                                                         \
        __m256 *restrict acc, uint32_t n, const __m256i *restrict w, const __m256 scales[4], struct x_block x) \
    {                                                                                                          \
        for (size_t t = 0; t < n; t += 4) {                                                                    \
            const struct x_block at = {x.q + t * 8, x.minus_sum + t, x.scale + t, x.scaled_sum + t};           \
            __asm__ volatile("" ::: "memory");                                                                 \
            some_times(acc + t * 2, 4, 2, w, type_##name, scales, scales + 2, at);                             \
        }                                                                                                      \
    }

/* A block of sixteen rows times a tile's tokens. */
static ALWAYS_INLINE void block_times(__m256 *acc, const struct extent e, const struct block_type type,
                                      many_times *many, const uint8_t *codes, const __m256 scales[4],
                                      struct x_block x)
{
    __m256i w[16];

    if (e.at_once == AT_ONCE_MAX) {
        UNROLL(2)
        for (uint32_t h = 0; h < 2; h++)
            open_codes(w + h, 2, type.codes, codes, h);
        many(acc, e.n, w, scales, x);
        return;
    }
    UNROLL(2)
    for (uint32_t h = 0; h < 2; h++) {
        open_codes(w, 1, type.codes, codes, h);
        some_times(acc + h, e.at_once, 1, w, type, scales + h, scales + 2 + h, x);
    }
}

/* A panel whose blocks lie in pairs behind their f16 scales. */
static ALWAYS_INLINE void panel_of_pairs(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                         const struct group_int8 *x, const struct extent e,
                                         const struct block_type type, many_times *many,
                                         const size_t block_bytes)
{
    uint32_t n_blocks = n_cols / 32;

    for (size_t b = 0; b < n_blocks; b++) {
        const uint8_t *scales = panel + pair_scales_at(b, block_bytes);
        const __m256 scale[4] = {f16_scales(scales, 0), f16_scales(scales, 1)};
        read_pair_ahead(panel, b, block_bytes, block_bytes, e.n);
        block_times(acc, e, type, many, panel + pair_codes_at(b, block_bytes), scale, x_block_at(x, b, e.n));
    }
}

/* One whose blocks each lie behind their scales and minima. */
static ALWAYS_INLINE void panel_with_mins(__m256 *acc, const uint8_t *panel, uint32_t n_cols,
                                          const struct group_int8 *x, const struct extent e,
                                          const struct block_type type, many_times *many,
                                          const size_t block_bytes)
{
    uint32_t n_blocks = n_cols / 32;

    for (size_t b = 0; b < n_blocks; b++) {
        const uint8_t *at = panel + b * (PANEL_MIN_CODES + block_bytes), *mins = at + PANEL_SCALE_BYTES;
        const __m256 scales[4] = {f16_scales(at, 0), f16_scales(at, 1), f16_scales(mins, 0),
                                  f16_scales(mins, 1)};
        read_ahead(at, PANEL_MIN_CODES + block_bytes, e.n);
        block_times(acc, e, type, many, at + PANEL_MIN_CODES, scales, x_block_at(x, b, e.n));
    }
}

#endif
