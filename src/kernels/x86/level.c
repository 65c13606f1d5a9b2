/* The x86 levels, put together on top of ref. */
#include "kernels/kernels_private.h"
#include "kernels/x86/groups.h"
#include "kernels/x86/levels.h"

static void set_activations(struct kernels *k, const struct activation_kernels *f32,
                            const struct activation_kernels *int8, const struct activation_kernels *super)
{
    for (uint32_t type = 0; type < TENSOR_TYPE_COUNT; type++) {
        const struct tensor_type_info *info = tensor_type_info(type);
        if (info && info->can_compute)
            k->types[type].activation = info->block_elements == 1    ? f32
                                        : info->block_elements == 32 ? int8
                                                                     : super;
    }
}

#define INIT_PANELS(name)  kernels_init_##name##_panels(k);
#define INIT_AVX2(name)    kernels_init_##name##_avx2(k);
#define INIT_AVXVNNI(name) kernels_init_##name##_avxvnni(k);
#define INIT_AVX512(name)  kernels_init_##name##_avx512(k);
#define INIT_AMX(name)     kernels_init_##name##_amx(k);

static void init_panels(struct kernels *k)
{
    kernels_init_float_panels(k);
    PANELS_INT8_TYPES(INIT_PANELS)
}

void kernels_init_avx2(struct kernels *k)
{
    groups_ask_ahead = !x86_is_amd();
    init_panels(k);
    set_activations(k, &activation_f32_avx2, &activation_int8_avx2, &activation_super_avx2);
    kernels_init_float_avx2(k);
    PANELS_INT8_TYPES(INIT_AVX2)
    kernels_init_vector_avx2(k);
    kernels_init_attention_avx2(k);
}

void kernels_init_avxvnni(struct kernels *k)
{
    kernels_init_avx2(k);
    PANELS_INT8_TYPES(INIT_AVXVNNI)
}

void kernels_init_avx512(struct kernels *k)
{
    init_panels(k);
    set_activations(k, &activation_f32_avx512, &activation_int8_avx512, &activation_super_avx512);
    kernels_init_float_avx512(k);
    PANELS_INT8_TYPES(INIT_AVX512)
    kernels_init_vector_avx512(k);
    kernels_init_attention_avx512(k);
}

void kernels_init_amx(struct kernels *k)
{
    kernels_init_avx512(k);
    set_activations(k, &activation_f32_avx512, &activation_int8_amx, &activation_super_amx);
    PANELS_INT8_TYPES(INIT_AMX)
}
