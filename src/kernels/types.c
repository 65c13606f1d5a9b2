#include "kernels/types.h"

#include <stddef.h>
#include <strings.h>

/* Block sizes: ggml-common.h, the static_asserts beside each block. */
static const struct tensor_type_info type_table[TENSOR_TYPE_COUNT] = {
    [TENSOR_TYPE_F32] = {"F32", 1, 4, true},
    [TENSOR_TYPE_F16] = {"F16", 1, 2, true},
    [TENSOR_TYPE_Q4_0] = {"Q4_0", 32, 18, true},
    [TENSOR_TYPE_Q4_1] = {"Q4_1", 32, 20, true},
    [TENSOR_TYPE_Q5_0] = {"Q5_0", 32, 22, true},
    [TENSOR_TYPE_Q5_1] = {"Q5_1", 32, 24, true},
    [TENSOR_TYPE_Q8_0] = {"Q8_0", 32, 34, true},
    [TENSOR_TYPE_Q8_1] = {"Q8_1", 32, 36, false},
    [TENSOR_TYPE_Q2_K] = {"Q2_K", 256, 84, true},
    [TENSOR_TYPE_Q3_K] = {"Q3_K", 256, 110, true},
    [TENSOR_TYPE_Q4_K] = {"Q4_K", 256, 144, true},
    [TENSOR_TYPE_Q5_K] = {"Q5_K", 256, 176, true},
    [TENSOR_TYPE_Q6_K] = {"Q6_K", 256, 210, true},
    [TENSOR_TYPE_Q8_K] = {"Q8_K", 256, 292, false},
    [TENSOR_TYPE_IQ2_XXS] = {"IQ2_XXS", 256, 66, false},
    [TENSOR_TYPE_IQ2_XS] = {"IQ2_XS", 256, 74, false},
    [TENSOR_TYPE_IQ3_XXS] = {"IQ3_XXS", 256, 98, true},
    [TENSOR_TYPE_IQ1_S] = {"IQ1_S", 256, 50, false},
    [TENSOR_TYPE_IQ4_NL] = {"IQ4_NL", 32, 18, true},
    [TENSOR_TYPE_IQ3_S] = {"IQ3_S", 256, 110, true},
    [TENSOR_TYPE_IQ2_S] = {"IQ2_S", 256, 82, false},
    [TENSOR_TYPE_IQ4_XS] = {"IQ4_XS", 256, 136, true},
    [TENSOR_TYPE_I8] = {"I8", 1, 1, false},
    [TENSOR_TYPE_I16] = {"I16", 1, 2, false},
    [TENSOR_TYPE_I32] = {"I32", 1, 4, false},
    [TENSOR_TYPE_I64] = {"I64", 1, 8, false},
    [TENSOR_TYPE_F64] = {"F64", 1, 8, false},
    [TENSOR_TYPE_IQ1_M] = {"IQ1_M", 256, 56, false},
    [TENSOR_TYPE_BF16] = {"BF16", 1, 2, true},
    [TENSOR_TYPE_TQ1_0] = {"TQ1_0", 256, 54, true},
    [TENSOR_TYPE_TQ2_0] = {"TQ2_0", 256, 66, true},
    [TENSOR_TYPE_MXFP4] = {"MXFP4", 32, 17, true},
};

const struct tensor_type_info *tensor_type_info(uint32_t type)
{
    if (type >= TENSOR_TYPE_COUNT || !type_table[type].name)
        return NULL;
    return &type_table[type];
}

bool tensor_type_parse(enum tensor_type *out, const char *name)
{
    for (uint32_t type = 0; type < TENSOR_TYPE_COUNT; type++)
        if (type_table[type].name && !strcasecmp(type_table[type].name, name)) {
            *out = (enum tensor_type)type;
            return true;
        }
    return false;
}

bool tensor_type_row_bytes(uint64_t *out, uint32_t type, uint64_t n_cols)
{
    const struct tensor_type_info *info = tensor_type_info(type);
    if (!info || n_cols % info->block_elements)
        return false;
    return !__builtin_mul_overflow(n_cols / info->block_elements, (uint64_t)info->block_bytes, out);
}
