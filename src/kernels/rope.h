/* rope - the angles of rotary position embedding (Su et al. 2021), the same bits on every machine.
 *
 * Made once for a model and a position; kernels.rope[] applies them. Thread: any. */
#ifndef KERNELS_ROPE_H
#define KERNELS_ROPE_H

#include <stdint.h>

/* Radians by position for each of n_rot / 2 pairs: base^(-2i / n_rot), divided by factors[i] where given (NULL:
 * none). base > 0. */
void rope_frequencies(double *out, uint32_t n_rot, float base, const float *factors);
/* cos and sin of position * frequencies[i], each times magnitude (1 but for YaRN). |angle| below 2^30. */
void rope_angles(float *cos, float *sin, const double *frequencies, uint32_t n_pairs, uint32_t position,
                 float magnitude);

#endif
