#include "kernels/rope.h"

#include "kernels/exact.h"

#include <stddef.h>

void rope_frequencies(double *out, uint32_t n_rot, float base, const float *factors)
{
    double log_base = exact_log_double((double)base);

    for (uint32_t i = 0; i < n_rot / 2; i++) {
        out[i] = exact_exp_double(-2.0 * (double)i / (double)n_rot * log_base);
        if (factors)
            out[i] /= (double)factors[i];
    }
}

void rope_angles(float *cos, float *sin, const double *frequencies, uint32_t n_pairs, uint32_t position,
                 float magnitude)
{
    for (uint32_t i = 0; i < n_pairs; i++) {
        double angle = (double)position * frequencies[i];
        cos[i] = (float)(exact_cos_double(angle) * (double)magnitude);
        sin[i] = (float)(exact_sin_double(angle) * (double)magnitude);
    }
}
