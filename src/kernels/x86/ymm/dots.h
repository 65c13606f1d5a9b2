/* dots - dot products of a block's codes with up to TILE_TOKENS tokens. Included by matmul.h only. */
#ifndef KERNELS_X86_YMM_DOTS_H
#define KERNELS_X86_YMM_DOTS_H

#include "kernels/x86/groups.h"
#include "kernels/x86/ymm/level.h"
#ifdef __AVXVNNI__
#include "kernels/x86/ymm/dots_avxvnni.h"
#else
#include "kernels/x86/ymm/dots_avx2.h"
#endif

#define TILE_TOKENS GROUP_MAX_INT8_AVX2

/* Four tokens and both halves of a panel at once. Functions of their own, and codes in memory: codes that stay
 * in registers drive sums out. */
#define DOTS_OF_MANY(most, n_factors)                                                                          \
    static __attribute__((noinline, unused)) void dots_##most##_##n_factors(                                   \
        __m256i *restrict isum, uint32_t n, const __m256i *restrict w, const int32_t *q, size_t stride,        \
        const __m256i *factor)                                                                                 \
    {                                                                                                          \
        for (size_t t = 0; t < n; t += 4, isum += 8, q += 4 * stride) {                                        \
            __asm__ volatile("" ::: "memory");                                                                 \
            add_dots(isum, 4, 2, w, most, q, stride, factor, n_factors);                                       \
        }                                                                                                      \
    }
/* The largest code, and how many factors a block has. */
#define DOTS_ALL(DO)                                                                                           \
    DO(3, 0) DO(3, 2) DO(7, 2) DO(15, 0) DO(15, 1) DO(31, 0) DO(31, 1) DO(63, 1) DO(63, 2) DO(255, 0) DO(255, 1)
DOTS_ALL(DOTS_OF_MANY)

#define DOTS_IF(most_is, n_is)                                                                                 \
    if (most == (most_is) && n_factors == (n_is))                                                              \
        dots_##most_is##_##n_is(isum, n, w, q, stride, factor);

static ALWAYS_INLINE void add_dots_of_many(__m256i *isum, uint32_t n, const __m256i *w, const uint32_t most,
                                           const int32_t *q, size_t stride, const __m256i *factor,
                                           const uint32_t n_factors)
{
    DOTS_ALL(DOTS_IF)
}

/* isum[t][half] += factors * dot products of a block of sixteen rows, for a tile's tokens; n_factors, known
 * when compiled: 0, or 1, or 2, for each sixteen columns (open_factors). */
static ALWAYS_INLINE void add_block(__m256i *isum, const struct extent e, const struct codes as,
                                    const uint8_t *codes, const int32_t *q, const size_t stride,
                                    const __m256i *factor, const uint32_t n_factors)
{
    __m256i w[16];

    if (e.at_once == AT_ONCE_MAX) {
        UNROLL(2)
        for (uint32_t h = 0; h < 2; h++)
            open_codes(w + h, 2, as, codes, h);
        add_dots_of_many(isum, e.n, w, as.most, q, stride, factor, n_factors);
        return;
    }
    UNROLL(2)
    for (uint32_t h = 0; h < 2; h++) {
        open_codes(w, 1, as, codes, h);
        add_dots(isum + h, e.at_once, 1, w, as.most, q, stride, factor + h, n_factors);
    }
}

#endif
