/* Rule 2 at NEON: for each output one chain of fma over the columns, so several panels or tokens at once. */
#include "kernels/arm/levels.h"
#include "kernels/arm/matmul_neon.h"
#include "kernels/panels/float_tiles.h"

/* A column of a panel as f32. */
static ALWAYS_INLINE void load(float32x4_t w[4], const enum tensor_type type, const uint8_t *column)
{
    UNROLL(4)
    for (size_t r = 0; r < 4; r++) {
        if (type == TENSOR_TYPE_F32) {
            w[r] = vld1q_f32((const float *)(const void *)column + 4 * r);
            continue;
        }
        uint16x4_t narrow = vld1_u16((const uint16_t *)(const void *)column + 4 * r);
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
    const size_t element_bytes = type == TENSOR_TYPE_F32 ? 4 : 2;
    const struct band_part part = band_part_of(tile, first, n_panels, element_bytes);
    float32x4_t acc[16], w[4];

    UNROLL(16)
    for (uint32_t i = 0; i < n_panels * n * 4; i++)
        acc[i] = vdupq_n_f32(0);
    for (size_t k = 0; k < tile->n_cols; k++) {
        UNROLL(4)
        for (uint32_t p = 0; p < n_panels; p++) {
            load(w, type, part.at + k * part.column_bytes + p * PANEL_ROWS * element_bytes);
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

_Static_assert(GROUP_MAX_NEON == 4, "FLOAT_TYPE_OF_4");
FLOAT_TYPES(neon, FLOAT_TYPE_OF_4)
