/* The NEON level, put together on top of ref. */
#include "kernels/arm/groups.h"
#include "kernels/arm/levels.h"
#include "kernels/kernels_private.h"

static const struct activation_kernels *activation_of(const struct tensor_type_info *type)
{
    return type->block_elements == 1    ? &activation_f32_neon
           : type->block_elements == 32 ? &activation_int8_neon
                                        : &activation_super_neon;
}

#define INIT_PANELS(name) kernels_init_##name##_panels(k);
#define INIT_NEON(name)   kernels_init_##name##_neon(k);

void kernels_init_neon(struct kernels *k)
{
    kernels_init_float_panels(k);
    PANELS_INT8_TYPES(INIT_PANELS)
    for (uint32_t type = 0; type < TENSOR_TYPE_COUNT; type++) {
        const struct tensor_type_info *info = tensor_type_info(type);
        if (info && info->can_compute)
            k->types[type].activation = activation_of(info);
    }
    kernels_init_float_neon(k);
    PANELS_INT8_TYPES(INIT_NEON)
    kernels_init_vector_neon(k);
    kernels_init_attention_neon(k);
}
