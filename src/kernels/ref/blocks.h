/* blocks - GGUF's quantised blocks, 32 values of a row at a time, in the one form that the rules speak of.
 *
 * The value of element i is scale * sub_scale[i / 16] * q[i] - min * sub_min[i / 16]. A type is one function
 * here; layouts as in ggml's ggml-common.h. Internal to kernels. */
#ifndef KERNELS_REF_BLOCKS_H
#define KERNELS_REF_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

struct block32 {
    int8_t q[32];
    float scale; /* w_scale of the rules */
    int32_t sub_scale[2];
    bool has_min;
    float min; /* w_min */
    int32_t sub_min[2];
};

/* Block `index` (of 32 values) of the row that begins at `row`. Does not touch what the type has not: start
 * from block32_plain. */
typedef void block32_read(struct block32 *out, const uint8_t *row, uint32_t index);

static inline struct block32 block32_plain(void)
{
    return (struct block32){.sub_scale = {1, 1}, .sub_min = {1, 1}};
}

block32_read block32_tq1_0, block32_tq2_0;
block32_read block32_iq4_nl, block32_iq4_xs, block32_mxfp4, block32_iq3_s, block32_iq3_xxs;
block32_read block32_q8_0, block32_q4_0, block32_q4_1, block32_q5_0, block32_q5_1;
block32_read block32_q2_k, block32_q3_k, block32_q4_k, block32_q5_k, block32_q6_k;

/* Its values as f32; exact but for the subtraction of a minimum. */
void block32_values(float out[32], const struct block32 *block);

/* The scale of IQ4_XS, j of 8, -32..31. */
int8_t block32_iq4_xs_scale(const uint8_t *block, uint32_t j);
/* Codes that stand for themselves less 1: of j of 8. */
void block32_tq1_0_codes(uint8_t codes[32], const uint8_t *block, uint32_t j);
void block32_tq2_0_codes(uint8_t codes[32], const uint8_t *block, uint32_t j);
/* Indices of codebook_iq3_s and _xxs, and scales below 16 that stand for 1 + 2 * scale: of j of 8. */
void block32_iq3_s_codes(uint8_t codes[32], const uint8_t *block, uint32_t j);
void block32_iq3_xxs_codes(uint8_t codes[32], const uint8_t *block, uint32_t j);
uint8_t block32_iq3_s_scale(const uint8_t *block, uint32_t j);
uint8_t block32_iq3_xxs_scale(const uint8_t *block, uint32_t j);

/* The six bit scales and minima of Q4_K and Q5_K: of block j of 8. */
void block32_k_scales(const uint8_t packed[12], uint32_t j, uint8_t *scale, uint8_t *min);
/* The six bit scales of Q3_K, -32..31: of half block i of 16. */
int8_t block32_q3_k_scale(const uint8_t packed[12], uint32_t i);

#endif
