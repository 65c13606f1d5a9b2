/* float_tiles - the tile kernels of rule 2's types for a level. A file that uses FLOAT_TILE has
 *   static ALWAYS_INLINE void panels_times(const struct tile *, uint32_t first, const uint32_t n_panels,
 *                                          const uint32_t n, const enum tensor_type)
 * panels [first, first + n_panels) times n tokens, compiled anew for each number and type. Internal to kernels.
 */
#ifndef KERNELS_PANELS_FLOAT_TILES_H
#define KERNELS_PANELS_FLOAT_TILES_H

#include "kernels/panels/groups.h"

/* As read_ahead, where four panels are read side by side: for one column of one. */
#define COLUMN_AHEAD_FAR  (AHEAD_FAR / 4)
#define COLUMN_AHEAD_NEAR 1024
static ALWAYS_INLINE void read_column_ahead(const uint8_t *column, const uint32_t n_tokens)
{
    if (n_tokens > AHEAD_TOKENS || !groups_ask_ahead)
        return;
    __builtin_prefetch((const void *)((uintptr_t)column + COLUMN_AHEAD_FAR), 0, 2);
    __builtin_prefetch((const void *)((uintptr_t)column + COLUMN_AHEAD_NEAR));
}

/* tile_NAME_N: n tokens, so many panels at once and the rest one by one. */
#define FLOAT_TILE(name, type, at_once, n)                                                                     \
    static void tile_##name##_##n(const struct tile *tile)                                                     \
    {                                                                                                          \
        uint32_t p = 0;                                                                                        \
        for (; p + (at_once) <= tile->n_panels; p += (at_once))                                                \
            panels_times(tile, p, at_once, n, type);                                                           \
        for (; (at_once) > 1 && p < tile->n_panels; p++)                                                       \
            panels_times(tile, p, 1, n, type);                                                                 \
    }

/* matmul_NAME of groups of four tokens at most. */
#define FLOAT_TYPE_OF_4(name, type, panel_bytes)                                                               \
    FLOAT_TILE(name, type, 4, 1)                                                                               \
    FLOAT_TILE(name, type, 2, 2)                                                                               \
    FLOAT_TILE(name, type, 1, 4)                                                                               \
    static void matmul_##name(const struct matmul *m, uint32_t row_first, uint32_t row_end)                    \
    {                                                                                                          \
        static tile_kernel *const kernels[] = {tile_##name##_1, tile_##name##_2, tile_##name##_4};             \
        groups_matmul(m, row_first, row_end, panel_bytes(m->n_cols), 4, kernels);                              \
    }

/* kernels_init_float_LEVEL, of the three types by TYPE(name, tensor type, bytes of a panel). */
#define FLOAT_TYPES(level, TYPE)                                                                               \
    TYPE(f32, TENSOR_TYPE_F32, panel_bytes_f32)                                                                \
    TYPE(f16, TENSOR_TYPE_F16, panel_bytes_f16)                                                                \
    TYPE(bf16, TENSOR_TYPE_BF16, panel_bytes_f16)                                                              \
    void kernels_init_float_##level(struct kernels *k)                                                         \
    {                                                                                                          \
        k->types[TENSOR_TYPE_F32].matmul = matmul_f32;                                                         \
        k->types[TENSOR_TYPE_F16].matmul = matmul_f16;                                                         \
        k->types[TENSOR_TYPE_BF16].matmul = matmul_bf16;                                                       \
    }

#endif
