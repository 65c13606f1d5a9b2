/* Rule 2 at NEON: for each output one chain of fma over the columns, so several panels or tokens at once. */
#include "kernels/arm/levels.h"
#include "kernels/arm/matmul_neon.h"

/* A column of a panel as f32. */
static ALWAYS_INLINE void load(float32x4_t w[4], const enum tensor_type type, const uint8_t *panel, size_t k)
{
    UNROLL(4)
    for (size_t r = 0; r < 4; r++) {
        if (type == TENSOR_TYPE_F32) {
            w[r] = vld1q_f32((const float *)(const void *)(panel + k * 64) + 4 * r);
            continue;
        }
        uint16x4_t narrow = vld1_u16((const uint16_t *)(const void *)(panel + k * 32) + 4 * r);
        if (type == TENSOR_TYPE_F16)
            w[r] = vcvt_f32_f16(vreinterpret_f16_u16(narrow));
        else
            w[r] = vreinterpretq_f32_u32(vshll_n_u16(narrow, 16));
    }
}

/* Panels [first, first + n_panels) times n tokens. */
static ALWAYS_INLINE void panels_times(const struct tile *tile, uint32_t first, const uint32_t n_panels,
                                       const uint32_t n, const enum tensor_type type)
{
    const float *x = group_f32_at(tile->activations, tile->n_cols, tile->group);
    const uint8_t *panel = tile->panel + first * tile->panel_bytes;
    float32x4_t acc[16], w[4];

    UNROLL(16)
    for (uint32_t i = 0; i < n_panels * n * 4; i++)
        acc[i] = vdupq_n_f32(0);
    for (size_t k = 0; k < tile->n_cols; k++) {
        UNROLL(4)
        for (uint32_t p = 0; p < n_panels; p++) {
            load(w, type, panel + p * tile->panel_bytes, k);
            UNROLL(4)
            for (uint32_t t = 0; t < n; t++)
                UNROLL(4)
            for (uint32_t r = 0; r < 4; r++) {
                float32x4_t *to = &acc[(p * n + t) * 4 + r];
                *to = vfmaq_n_f32(*to, w[r], x[k * n + t]);
            }
        }
    }
    UNROLL(4)
    for (uint32_t p = 0; p < n_panels; p++)
        store_panel(tile, first + p, acc + (size_t)p * n * 4, n);
}

static ALWAYS_INLINE void tile_times(const struct tile *tile, const uint32_t n_panels, const uint32_t n,
                                     const enum tensor_type type)
{
    uint32_t p = 0;

    for (; p + n_panels <= tile->n_panels; p += n_panels)
        panels_times(tile, p, n_panels, n, type);
    if (n_panels > 1)
        for (; p < tile->n_panels; p++)
            panels_times(tile, p, 1, n, type);
}

#define FLOAT_TILE(name, type, n_panels, n)                                                                    \
    static void tile_##name##_##n(const struct tile *tile)                                                     \
    {                                                                                                          \
        tile_times(tile, n_panels, n, type);                                                                   \
    }
#define FLOAT_TYPE(name, type, panel_bytes)                                                                    \
    FLOAT_TILE(name, type, 4, 1)                                                                               \
    FLOAT_TILE(name, type, 2, 2)                                                                               \
    FLOAT_TILE(name, type, 1, 4)                                                                               \
    static void matmul_##name(const struct matmul *m, uint32_t row_first, uint32_t row_end)                    \
    {                                                                                                          \
        static tile_kernel *const kernels[] = {tile_##name##_1, tile_##name##_2, tile_##name##_4};             \
        groups_matmul(m, row_first, row_end, panel_bytes(m->n_cols), GROUP_MAX_NEON, kernels);                 \
    }

FLOAT_TYPE(f32, TENSOR_TYPE_F32, panel_bytes_f32)
FLOAT_TYPE(f16, TENSOR_TYPE_F16, panel_bytes_f16)
FLOAT_TYPE(bf16, TENSOR_TYPE_BF16, panel_bytes_f16)

void kernels_init_float_neon(struct kernels *k)
{
    k->types[TENSOR_TYPE_F32].matmul = matmul_f32;
    k->types[TENSOR_TYPE_F16].matmul = matmul_f16;
    k->types[TENSOR_TYPE_BF16].matmul = matmul_bf16;
}
