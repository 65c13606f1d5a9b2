/* tanh - by Cephes' two ways (Moshier): a polynomial near 0, where 1 - 2 / (exp(2x) + 1) would lose digits.
 * simd/gated_body.h repeats it step by step. Internal to kernels. */
#ifndef KERNELS_TANH_H
#define KERNELS_TANH_H

#include "kernels/exact.h"

#include <math.h>

#define TANH_NEAR 0.625F
#define TANH_C1   (-3.33332819422e-1F)
#define TANH_C2   1.33314422036e-1F
#define TANH_C3   (-5.37397155531e-2F)
#define TANH_C4   2.06390887954e-2F
#define TANH_C5   (-5.70498872745e-3F)

static inline float tanh_exact(float x)
{
    float size = fabsf(x), z = x * x;
    if (size < TANH_NEAR) {
        float p = fmaf(TANH_C5, z, TANH_C4);
        p = fmaf(p, z, TANH_C3);
        p = fmaf(p, z, TANH_C2);
        p = fmaf(p, z, TANH_C1);
        return fmaf(p * z, x, x);
    }
    return copysignf(1.0F - 2.0F / (exact_exp(size + size) + 1.0F), x);
}

#endif
