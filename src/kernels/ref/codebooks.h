/* codebooks - what the codes of the types with tables stand for, as ggml's ggml-common.h has it. Internal to
 * kernels. */
#ifndef KERNELS_REF_CODEBOOKS_H
#define KERNELS_REF_CODEBOOKS_H

#include <stdint.h>

extern const int8_t codebook_iq4[16]; /* IQ4_NL, IQ4_XS */
extern const int8_t codebook_fp4[16]; /* MXFP4: E2M1 numbers, doubled */

/* Eight magnitudes and their negatives; of IQ3_XXS halved, so that the largest is 31. */
extern const int8_t codebook_iq3_s[16], codebook_iq3_xxs[16];
/* Four magnitudes each: octal digits, the lowest one the first. */
extern const uint16_t codebook_iq3_s_grid[512], codebook_iq3_xxs_grid[256];

#endif
