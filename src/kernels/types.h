/* types - the element types that GGUF names: what a block of each holds and whether we compute with it.
 *
 * A row is whole blocks, so the columns of a matrix are a multiple of block_elements. Ids are ggml's.
 * Thread: any. */
#ifndef KERNELS_TYPES_H
#define KERNELS_TYPES_H

#include <stdbool.h>
#include <stdint.h>

enum tensor_type {
    TENSOR_TYPE_F32 = 0,
    TENSOR_TYPE_F16 = 1,
    TENSOR_TYPE_Q4_0 = 2,
    TENSOR_TYPE_Q4_1 = 3,
    TENSOR_TYPE_Q5_0 = 6,
    TENSOR_TYPE_Q5_1 = 7,
    TENSOR_TYPE_Q8_0 = 8,
    TENSOR_TYPE_Q8_1 = 9,
    TENSOR_TYPE_Q2_K = 10,
    TENSOR_TYPE_Q3_K = 11,
    TENSOR_TYPE_Q4_K = 12,
    TENSOR_TYPE_Q5_K = 13,
    TENSOR_TYPE_Q6_K = 14,
    TENSOR_TYPE_Q8_K = 15,
    TENSOR_TYPE_IQ2_XXS = 16,
    TENSOR_TYPE_IQ2_XS = 17,
    TENSOR_TYPE_IQ3_XXS = 18,
    TENSOR_TYPE_IQ1_S = 19,
    TENSOR_TYPE_IQ4_NL = 20,
    TENSOR_TYPE_IQ3_S = 21,
    TENSOR_TYPE_IQ2_S = 22,
    TENSOR_TYPE_IQ4_XS = 23,
    TENSOR_TYPE_I8 = 24,
    TENSOR_TYPE_I16 = 25,
    TENSOR_TYPE_I32 = 26,
    TENSOR_TYPE_I64 = 27,
    TENSOR_TYPE_F64 = 28,
    TENSOR_TYPE_IQ1_M = 29,
    TENSOR_TYPE_BF16 = 30,
    TENSOR_TYPE_TQ1_0 = 34,
    TENSOR_TYPE_TQ2_0 = 35,
    TENSOR_TYPE_MXFP4 = 39,
    TENSOR_TYPE_COUNT = 40 /* one past the largest id; not every id below it is a type */
};

struct tensor_type_info {
    const char *name; /* "Q4_K" */
    uint32_t block_elements, block_bytes;
    bool can_compute; /* matrices of this type can be packed and multiplied, at every level */
};

/* NULL for an id that is unknown or no longer in use. */
const struct tensor_type_info *tensor_type_info(uint32_t type);
/* The id of a name in any case ("q4_k"); false when there is none. */
bool tensor_type_parse(enum tensor_type *out, const char *name);
/* Bytes of a row as the file has it. False: unknown type, no whole number of blocks, or too large. */
bool tensor_type_row_bytes(uint64_t *out, uint32_t type, uint64_t n_cols);

#endif
