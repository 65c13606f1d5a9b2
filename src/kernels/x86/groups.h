/* groups - activations of 8 bits as AVX2 and AVX-512 want them. Internal to kernels. */
#ifndef KERNELS_X86_GROUPS_H
#define KERNELS_X86_GROUPS_H

#include "kernels/panels/groups.h"

#define GROUP_MAX_AVX2      4 /* of rule 2 */
#define GROUP_MAX_INT8_AVX2 16
#define GROUP_MAX_AVX512    16

/* Rule 1's activations of a group in blocks of 32 columns, one array after the other; b: block, t: token within
 * the group. x86/activations_avx2.c fills them for both levels. */
struct group_int8 {
    int32_t *q;         /* [b][t][8]: four values each */
    float *scale;       /* [b][t] */
    float *scaled_sum;  /* [b][t]: scale * (float)sum of q */
    int32_t *minus_sum; /* [b][t]: -2^GROUP_SUM_BIAS * sum of q, to take off what makes codes unsigned */
};
#define GROUP_SUM_BIAS         7
#define GROUP_INT8_BLOCK_BYTES 44
static inline struct group_int8 group_int8_at(const void *prepared, uint32_t n_blocks, struct group g)
{
    size_t n = (size_t)n_blocks * g.size;
    struct group_int8 x;
    x.q = (int32_t *)((uintptr_t)prepared + (size_t)g.first * n_blocks * GROUP_INT8_BLOCK_BYTES);
    x.scale = (float *)(x.q + n * 8);
    x.scaled_sum = x.scale + n;
    x.minus_sum = (int32_t *)(x.scaled_sum + n);
    return x;
}

/* The same in blocks of 256 columns; s: block. Sums in pairs are below 2^15, the first one in the lower 16
 * bits, as 16 bit products take them. */
struct group_super {
    int32_t *q;        /* [s][t][64]: four values each */
    float *scale;      /* [s][t] */
    int32_t *minus_32; /* [s][t][8]: -2^GROUP_SUM_BIAS * sum of each 32 columns */
    int32_t *minus_16; /* [s][t][16]: -2^GROUP_HALF_BIAS * sum of each 16 columns */
    int32_t *sum_16;   /* [s][t][8]: of the halves of each 32 columns */
    int32_t *sum_32;   /* [s][t][4]: of each two times 32 columns */
};
#define GROUP_HALF_BIAS   5
#define GROUP_SUPER_BYTES 404
static inline struct group_super group_super_at(const void *prepared, uint32_t n_supers, struct group g)
{
    size_t n = (size_t)n_supers * g.size;
    struct group_super x;
    x.q = (int32_t *)((uintptr_t)prepared + (size_t)g.first * n_supers * GROUP_SUPER_BYTES);
    x.scale = (float *)(x.q + n * 64);
    x.minus_32 = (int32_t *)(x.scale + n);
    x.minus_16 = x.minus_32 + n * 8;
    x.sum_16 = x.minus_16 + n * 16;
    x.sum_32 = x.sum_16 + n * 8;
    return x;
}

/* At AMX those of whole groups are bf16 and lie in the order in which they are multiplied: some blocks of all
 * groups, then the next blocks. So they are read as one stream; a group's own columns would lie a power of two
 * apart for many shapes and push each other out. Behind them the last tokens are a buffer of AVX-512's; so are
 * all where they are too few to be worth the opening of codes. */
#define STEP_BLOCKS     4
#define STEP_TOKENS_MIN 48
static inline uint32_t group_steps_tokens(uint32_t n_tokens)
{
    return n_tokens < STEP_TOKENS_MIN ? 0 : n_tokens / GROUP_MAX_AVX512 * GROUP_MAX_AVX512;
}
struct group_step {
    uint16_t *x;       /* [block][token][32] */
    float *scale;      /* [block][token] */
    float *scaled_sum; /* [block][token] */
};
#define GROUP_BF16_BLOCK       (GROUP_MAX_AVX512 * 32)
#define GROUP_STEP_BLOCK_BYTES (GROUP_BF16_BLOCK * 2 + 2 * GROUP_MAX_AVX512 * 4)
static inline size_t group_steps_bytes(uint32_t n_blocks, uint32_t n_tokens)
{
    return (size_t)(group_steps_tokens(n_tokens) / GROUP_MAX_AVX512) * n_blocks * GROUP_STEP_BLOCK_BYTES;
}
static inline struct group_step group_step_at(const void *prepared, uint32_t n_blocks, uint32_t n_tokens,
                                              uint32_t group, uint32_t step)
{
    size_t n_left = n_blocks - (size_t)step * STEP_BLOCKS, n = n_left < STEP_BLOCKS ? n_left : STEP_BLOCKS;
    size_t n_groups = group_steps_tokens(n_tokens) / GROUP_MAX_AVX512,
           n_before = step * STEP_BLOCKS * n_groups + group * n;
    struct group_step at;
    at.x = (uint16_t *)((uintptr_t)prepared + n_before * GROUP_STEP_BLOCK_BYTES);
    at.scale = (float *)(void *)(at.x + n * GROUP_BF16_BLOCK);
    at.scaled_sum = at.scale + n * GROUP_MAX_AVX512;
    return at;
}

/* Those in blocks of 256 columns at AMX, of whole groups: a block of all groups, then the next block. */
struct group_super_tile {
    int8_t *q;     /* [columns by 64][token][64] */
    uint16_t *sum; /* [token][16][2]: of each 16 columns, in two parts that bf16 holds exactly */
    float *scale;  /* [token] */
};
#define GROUP_SUPER_TILE_SUM   (GROUP_MAX_AVX512 * 256)
#define GROUP_SUPER_TILE_SCALE (GROUP_SUPER_TILE_SUM + GROUP_MAX_AVX512 * 64)
#define GROUP_SUPER_TILE_BYTES (GROUP_SUPER_TILE_SCALE + GROUP_MAX_AVX512 * 4)
static inline size_t group_super_tiles_bytes(uint32_t n_supers, uint32_t n_tokens)
{
    return (size_t)(group_steps_tokens(n_tokens) / GROUP_MAX_AVX512) * n_supers * GROUP_SUPER_TILE_BYTES;
}
static inline struct group_super_tile group_super_tile_at(const void *prepared, uint32_t n_tokens,
                                                          uint32_t group, size_t s)
{
    size_t n_groups = group_steps_tokens(n_tokens) / GROUP_MAX_AVX512;
    struct group_super_tile at;
    at.q = (int8_t *)((uintptr_t)prepared + (s * n_groups + group) * GROUP_SUPER_TILE_BYTES);
    at.sum = (uint16_t *)(void *)(at.q + GROUP_SUPER_TILE_SUM);
    at.scale = (float *)(void *)(at.q + GROUP_SUPER_TILE_SCALE);
    return at;
}

extern const struct activation_kernels activation_int8_avx2, activation_int8_avx512, activation_int8_amx;
extern const struct activation_kernels activation_super_avx2, activation_super_avx512, activation_super_amx;
extern const struct activation_kernels activation_f32_avx2, activation_f32_avx512;

#endif
