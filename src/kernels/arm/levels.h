/* levels - the parts of the NEON level, each of which fills its own slots. Internal to kernels. */
#ifndef KERNELS_ARM_LEVELS_H
#define KERNELS_ARM_LEVELS_H

#include "kernels/panels/types.h"

/* matmul of each quantised type, in the file of its family. */
#define ARM_INIT(name) void kernels_init_##name##_neon(struct kernels *k);
PANELS_INT8_TYPES(ARM_INIT)

void kernels_init_float_neon(struct kernels *k);
void kernels_init_vector_neon(struct kernels *k);
void kernels_init_attention_neon(struct kernels *k);

#endif
