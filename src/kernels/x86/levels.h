/* levels - the parts of the x86 levels, each of which fills its own slots. Internal to kernels. */
#ifndef KERNELS_X86_LEVELS_H
#define KERNELS_X86_LEVELS_H

#include "kernels/panels/types.h"

#include <stdbool.h>

/* matmul of each, in NAME_avx2.c, NAME_avxvnni.c and NAME_avx512.c, alone or with its family; AMX's is in the
 * last. */
#define X86_INT8_INITS(name)                                                                                   \
    void kernels_init_##name##_avx2(struct kernels *k);                                                        \
    void kernels_init_##name##_avxvnni(struct kernels *k);                                                     \
    void kernels_init_##name##_avx512(struct kernels *k);                                                      \
    void kernels_init_##name##_amx(struct kernels *k);
PANELS_INT8_TYPES(X86_INT8_INITS)

bool x86_is_amd(void); /* which some choices between equal bits depend on */

void kernels_init_float_avx2(struct kernels *k);
void kernels_init_vector_avx2(struct kernels *k);
void kernels_init_attention_avx2(struct kernels *k);
void kernels_init_float_avx512(struct kernels *k);
void kernels_init_vector_avx512(struct kernels *k);
void kernels_init_attention_avx512(struct kernels *k);

#endif
