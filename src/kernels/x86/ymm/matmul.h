/* matmul - what the families of quantised types share: a panel by up to TILE_TOKENS tokens, of which a block's
 * codes are opened once for all. Included by the families' files only. */
#ifndef KERNELS_X86_YMM_MATMUL_H
#define KERNELS_X86_YMM_MATMUL_H

#include "kernels/x86/levels.h"
#include "kernels/x86/ymm/dots.h"

/* From panel_NAME(acc, panel, n_cols, activations, extent), a panel times a tile's tokens, the functions for
 * each number of tokens and the slot matmul_NAME. blocks: int8 or super, of `width` columns. */
#define MATMUL_TILE(name, blocks, width, suffix, n_tokens, n_at_once, acc_tokens)                              \
    static void tile_##name##_##suffix(const struct tile *tile)                                                \
    {                                                                                                          \
        struct group_##blocks x = group_##blocks##_at(tile->activations, tile->n_cols / (width), tile->group); \
        const struct extent e = {n_tokens, n_at_once};                                                         \
        for (uint32_t p = 0; p < tile->n_panels; p++) {                                                        \
            __m256 acc[2 * (acc_tokens)];                                                                      \
            for (size_t i = 0; i < 2 * e.n; i++)                                                               \
                acc[i] = _mm256_setzero_ps();                                                                  \
            panel_##name(acc, tile->panel + p * tile->panel_bytes, tile->n_cols, &x, e);                       \
            store_tile(tile, p, acc, e);                                                                       \
        }                                                                                                      \
    }
#define MATMUL_YMM(name, blocks, width)                                                                        \
    MATMUL_TILE(name, blocks, width, 1, 1, 1, 1)                                                               \
    MATMUL_TILE(name, blocks, width, 2, 2, 2, 2)                                                               \
    MATMUL_TILE(name, blocks, width, many, tile->group.size, 4, TILE_TOKENS)                                   \
    static void matmul_##name(const struct matmul *m, uint32_t row_first, uint32_t row_end)                    \
    {                                                                                                          \
        static tile_kernel *const kernels[] = {tile_##name##_1, tile_##name##_2, tile_##name##_many,           \
                                               tile_##name##_many, tile_##name##_many};                        \
        groups_matmul(m, row_first, row_end, panel_bytes_##name(m->n_cols), TILE_TOKENS, kernels);             \
    }

/* The part of the level that sets a type's slot. */
#define INIT_YMM(name, id, matmul_name)                                                                        \
    void YMM_LEVEL(kernels_init_##name)(struct kernels * k)                                                    \
    {                                                                                                          \
        k->types[TENSOR_TYPE_##id].matmul = matmul_##matmul_name;                                              \
    }

#endif
