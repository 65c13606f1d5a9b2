/* codebooks - what the codes of the types with tables stand for, as ggml's ggml-common.h has it. Internal to
 * kernels. */
#ifndef KERNELS_REF_CODEBOOKS_H
#define KERNELS_REF_CODEBOOKS_H

#include <stdint.h>

extern const int8_t codebook_iq4[16]; /* IQ4_NL, IQ4_XS */
extern const int8_t codebook_fp4[16]; /* MXFP4: E2M1 numbers, doubled */

#endif
