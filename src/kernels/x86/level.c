/* The two x86 levels, put together on top of ref. */
#include "kernels/kernels_private.h"
#include "kernels/x86/groups.h"
#include "kernels/x86/levels.h"

static void set_activations(struct kernels *k, const struct activation_kernels *f32,
                            const struct activation_kernels *int8)
{
    static const enum tensor_type float_types[] = {TENSOR_TYPE_F32, TENSOR_TYPE_F16, TENSOR_TYPE_BF16};
    static const enum tensor_type int8_types[] = {TENSOR_TYPE_Q8_0, TENSOR_TYPE_Q4_0, TENSOR_TYPE_Q4_K,
                                                  TENSOR_TYPE_Q6_K};

    for (size_t i = 0; i < sizeof float_types / sizeof *float_types; i++)
        k->types[float_types[i]].activation = f32;
    for (size_t i = 0; i < sizeof int8_types / sizeof *int8_types; i++)
        k->types[int8_types[i]].activation = int8;
}

static void init_panels(struct kernels *k)
{
    kernels_init_float_panels(k);
    kernels_init_q8_0_panels(k);
    kernels_init_q4_0_panels(k);
    kernels_init_q4_k_panels(k);
    kernels_init_q6_k_panels(k);
}

void kernels_init_avx2(struct kernels *k)
{
    init_panels(k);
    set_activations(k, &activation_f32_avx2, &activation_int8_avx2);
    kernels_init_float_avx2(k);
    kernels_init_q8_0_avx2(k);
    kernels_init_q4_0_avx2(k);
    kernels_init_q4_k_avx2(k);
    kernels_init_q6_k_avx2(k);
    kernels_init_vector_avx2(k);
    kernels_init_attention_avx2(k);
}

void kernels_init_avx512(struct kernels *k)
{
    init_panels(k);
    set_activations(k, &activation_f32_avx512, &activation_int8_avx512);
    kernels_init_float_avx512(k);
    kernels_init_q8_0_avx512(k);
    kernels_init_q4_0_avx512(k);
    kernels_init_q4_k_avx512(k);
    kernels_init_q6_k_avx512(k);
    kernels_init_vector_avx512(k);
    kernels_init_attention_avx512(k);
}
