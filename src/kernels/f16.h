/* f16 - half precision and bfloat16 to and from f32, as the hardware does it: IEEE 754 binary16, nearest-even,
 * denormals kept, NaN made quiet. Thread: any. */
#ifndef KERNELS_F16_H
#define KERNELS_F16_H

#include <stdint.h>
#include <string.h>

static inline float f32_of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t f32_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static inline uint16_t f16_load(const void *at) /* little-endian, any alignment */
{
    uint16_t h;
    memcpy(&h, at, sizeof h);
    return h;
}

static inline float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000U) << 16, exponent = (h >> 10) & 31U, fraction = h & 0x3FFU;

    if (exponent == 31)
        return f32_of_bits(sign | 0x7F800000U | fraction << 13 | (fraction ? 0x400000U : 0));
    if (exponent == 0) { /* fraction * 2^-24, exact */
        float f = (float)fraction * 0x1p-24F;
        return sign ? -f : f;
    }
    return f32_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

static inline uint16_t f16_of_f32(float f)
{
    uint32_t bits = f32_bits(f), magnitude = bits & 0x7FFFFFFFU;
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000U);

    if (magnitude > 0x7F800000U) /* NaN */
        return (uint16_t)(sign | 0x7E00U | (magnitude >> 13 & 0x3FFU));
    if (magnitude >= 0x477FF000U) /* 65520 and above */
        return (uint16_t)(sign | 0x7C00U);
    if (magnitude < 0x38800000U) { /* below 2^-14: units of 2^-24; adding 0.5 leaves them in the lowest bits */
        float units = f32_of_bits(magnitude) + 0.5F;
        return (uint16_t)(sign | (f32_bits(units) - 0x3F000000U));
    }
    magnitude += 0xFFFU + (magnitude >> 13 & 1U);
    return (uint16_t)(sign | ((magnitude - 0x38000000U) >> 13));
}

/* Half of an E8M0 number: 2^(e - 128), a denormal below 2. */
static inline float e8m0_half(uint8_t e)
{
    return f32_of_bits(e < 2 ? 0x00200000U << e : (uint32_t)(e - 1) << 23);
}

static inline float bf16_to_f32(uint16_t b)
{
    return f32_of_bits((uint32_t)b << 16);
}

#endif
