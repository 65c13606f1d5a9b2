/* quantise - rule 1's activations: the values of a block, 32 or 256, to 8 bits each. Internal to kernels;
 * vector versions match it. */
#ifndef KERNELS_QUANTISE_H
#define KERNELS_QUANTISE_H

#include "kernels/f16.h"

/* The scale of a block from the largest magnitude's bits, and what to multiply values by. A block whose scale
 * would be denormal counts as zero; one that is not finite gives NaN. */
static inline float quantise_scale(uint32_t amax_bits, float *inverse)
{
    float scale = f32_of_bits(amax_bits) / 127.0F;

    *inverse = 0;
    if (amax_bits >= 0x7F800000U)
        return f32_of_bits(0x7FC00000U);
    if (scale < 0x1p-126F)
        return 0;
    *inverse = 1.0F / scale;
    return scale;
}

/* x * inverse to the nearest whole number, ties to even; |result| <= 127 because three roundings of 2^-24
 * cannot carry 127 to 127.5. */
static inline int8_t quantise_value(float x, float inverse)
{
    return (int8_t)(int32_t)(f32_bits(x * inverse + 0x1.8p23F) - 0x4B400000U);
}

#endif
