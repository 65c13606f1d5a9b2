/* float_tiles - the tile kernels of rule 2's types for a level. A file that uses FLOAT_TILE has
 *   static ALWAYS_INLINE void panels_times(const struct tile *, uint32_t first, const uint32_t n_panels,
 *                                          const uint32_t n, const enum tensor_type)
 * panels [first, first + n_panels) times n tokens, compiled anew for each number and type. Internal to kernels.
 */
#ifndef KERNELS_PANELS_FLOAT_TILES_H
#define KERNELS_PANELS_FLOAT_TILES_H

#include "kernels/panels/groups.h"

/* Panels [first, first + n) of a tile, which are in one band: panel i's column k is at
 * at + k * column_bytes + i * sixteen elements. */
struct band_part {
    const uint8_t *at;
    size_t column_bytes;
};
static ALWAYS_INLINE struct band_part band_part_of(const struct tile *tile, uint32_t first, const uint32_t n,
                                                   const size_t element_bytes)
{
    uint32_t width = n == BAND_PANELS ? BAND_PANELS : band_width(tile->n_panels, first);
    return (struct band_part){tile->panel + band_panel_at(first, tile->panel_bytes, element_bytes),
                              width * PANEL_ROWS * element_bytes};
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
    FLOAT_TILE(name, type, 2, 1)                                                                               \
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
