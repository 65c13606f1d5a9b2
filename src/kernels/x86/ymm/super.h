/* super - rule 1 of types whose blocks have 256 columns: whole numbers all through a block.
 * Included by their files only. */
#ifndef KERNELS_X86_YMM_SUPER_H
#define KERNELS_X86_YMM_SUPER_H

#include "kernels/x86/ymm/super_sums.h"

/* How codes are kept, how many scales 32 columns have (0, 1 or 2: `scales` is sixteen rows' bytes for each) and
 * whether these are signed are known when compiled. */
struct super {
    struct codes as;
    uint32_t n_scales;
    bool is_signed;
    const uint8_t *codes, *scales;
    size_t code_bytes; /* of 32 columns */
    __m256 d[2];
};

/* d is sixteen f16. */
static ALWAYS_INLINE void super_scale(struct super *super, const uint8_t *d)
{
    super->d[0] = f16_scales(d, 0);
    super->d[1] = f16_scales(d, 1);
}

static ALWAYS_INLINE void sum_super(__m256i *isum, const struct extent e, const struct super *super,
                                    struct x_super x)
{
    __m256i factor[4];

    clear_sums(isum, e);
    for (size_t j = 0; j < 8; j++) {
        const uint8_t *codes = super->codes + j * super->code_bytes;
        read_ahead(codes, super->code_bytes, e.n);
        if (super->n_scales)
            open_factors(factor, super->as.most, super->scales + j * 16 * super->n_scales, super->n_scales,
                         super->is_signed);
        add_block(isum, e, super->as, codes, x.q + j * 8, 64, factor, super->n_scales);
    }
}

/* A block whose codes are values and 2^bias; bias < 0: values. */
static ALWAYS_INLINE void super_plain(__m256 *acc, const struct extent e, const struct super *super,
                                      const int bias, struct x_super x)
{
    const uint32_t n_pairs = 4 * super->n_scales;
    __m256i isum[2 * TILE_TOKENS], pairs[16];

    sum_super(isum, e, super, x);
    if (bias >= 0) {
        scale_pairs(pairs, n_pairs, super->scales, super->is_signed, bias);
        take_off(isum, e, pairs, n_pairs, n_pairs == 8 ? x.sum_16 : x.sum_32);
    }
    add_isum(acc, e, isum, super->d, x);
}

/* A block with as many minima, which d_min (sixteen f16) multiplies, as scales. */
static ALWAYS_INLINE void super_with_mins(__m256 *acc, const struct extent e, const struct super *super,
                                          const uint8_t *mins, const uint8_t *d_min, struct x_super x)
{
    const uint32_t n_pairs = 4 * super->n_scales;
    const __m256 w_min[2] = {f16_scales(d_min, 0), f16_scales(d_min, 1)};
    __m256i isum[2 * TILE_TOKENS], pairs[16];

    sum_super(isum, e, super, x);
    add_isum(acc, e, isum, super->d, x);
    scale_pairs(pairs, n_pairs, mins, false, 0);
    add_mins(acc, e, pairs, n_pairs, n_pairs == 8 ? x.sum_16 : x.sum_32, w_min, x);
}

#endif
