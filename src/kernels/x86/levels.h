/* levels - the parts of the x86 levels, each of which fills its own slots. Internal to kernels. */
#ifndef KERNELS_X86_LEVELS_H
#define KERNELS_X86_LEVELS_H

#include "kernels/panels/types.h"

/* Of these, those whose blocks AMX multiplies; the others stay AVX-512's there. */
#define X86_TILES_TYPES(DO)                                                                                    \
    DO(q8_0)                                                                                                   \
    DO(q4_0)                                                                                                   \
    DO(q4_1)                                                                                                   \
    DO(q5_0)                                                                                                   \
    DO(q5_1)                                                                                                   \
    DO(q3_k)                                                                                                   \
    DO(q4_k)                                                                                                   \
    DO(q5_k)                                                                                                   \
    DO(q6_k)                                                                                                   \
    DO(iq4_nl)                                                                                                 \
    DO(iq4_xs)                                                                                                 \
    DO(mxfp4)                                                                                                  \
    DO(iq3_s)                                                                                                  \
    DO(iq3_xxs)                                                                                                \
    DO(tq1_0)                                                                                                  \
    DO(tq2_0)
#define X86_TILES_INITS(name) void kernels_init_##name##_amx(struct kernels *k);
X86_TILES_TYPES(X86_TILES_INITS)

/* matmul of each, in NAME_avx2.c and NAME_avx512.c, alone or with its family. */
#define X86_INT8_INITS(name)                                                                                   \
    void kernels_init_##name##_avx2(struct kernels *k);                                                        \
    void kernels_init_##name##_avx512(struct kernels *k);
PANELS_INT8_TYPES(X86_INT8_INITS)

void kernels_init_float_avx2(struct kernels *k);
void kernels_init_vector_avx2(struct kernels *k);
void kernels_init_attention_avx2(struct kernels *k);
void kernels_init_float_avx512(struct kernels *k);
void kernels_init_vector_avx512(struct kernels *k);
void kernels_init_attention_avx512(struct kernels *k);

#endif
