/* levels - the parts of the two x86 levels, each of which fills its own slots. Internal to kernels. */
#ifndef KERNELS_X86_LEVELS_H
#define KERNELS_X86_LEVELS_H

struct kernels;

/* packed_bytes, pack and row: the same for both levels. */
void kernels_init_float_panels(struct kernels *k);
void kernels_init_q8_0_panels(struct kernels *k);
void kernels_init_q4_0_panels(struct kernels *k);
void kernels_init_q4_k_panels(struct kernels *k);
void kernels_init_q6_k_panels(struct kernels *k);

void kernels_init_float_avx2(struct kernels *k);
void kernels_init_q8_0_avx2(struct kernels *k);
void kernels_init_q4_0_avx2(struct kernels *k);
void kernels_init_q4_k_avx2(struct kernels *k);
void kernels_init_q6_k_avx2(struct kernels *k);
void kernels_init_vector_avx2(struct kernels *k);
void kernels_init_attention_avx2(struct kernels *k);

void kernels_init_float_avx512(struct kernels *k);
void kernels_init_q8_0_avx512(struct kernels *k);
void kernels_init_q4_0_avx512(struct kernels *k);
void kernels_init_q4_k_avx512(struct kernels *k);
void kernels_init_q6_k_avx512(struct kernels *k);
void kernels_init_vector_avx512(struct kernels *k);
void kernels_init_attention_avx512(struct kernels *k);

#endif
