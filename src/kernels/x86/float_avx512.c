/* Rule 2 at AVX-512: for each output one chain of fma over the columns, so several panels or tokens at once. */
#include "kernels/kernels_private.h"
#include "kernels/panels/float_tiles.h"
#include "kernels/unroll.h"
#include "kernels/x86/groups.h"
#include "kernels/x86/levels.h"

#include <immintrin.h>

static ALWAYS_INLINE __m512 load_f32(const uint8_t *at)
{
    return _mm512_loadu_ps((const float *)at);
}

static ALWAYS_INLINE __m512 load_f16(const uint8_t *at)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)at));
}

static ALWAYS_INLINE __m512 load_bf16(const uint8_t *at)
{
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)at));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

static ALWAYS_INLINE __m512 load(const enum tensor_type type, const uint8_t *at)
{
    return type == TENSOR_TYPE_F32 ? load_f32(at) : type == TENSOR_TYPE_F16 ? load_f16(at) : load_bf16(at);
}

static ALWAYS_INLINE void store_panel(const struct tile *tile, uint32_t panel, const __m512 *acc,
                                      const uint32_t n)
{
    uint32_t row = panel * PANEL_ROWS, n_left = tile->n_rows - row;
    __mmask16 lanes = (__mmask16)(n_left >= PANEL_ROWS ? 0xFFFFU : (1U << n_left) - 1);
    UNROLL(16)
    for (uint32_t t = 0; t < n; t++)
        _mm512_mask_storeu_ps(tile->out + t * tile->out_stride + row, lanes, acc[t]);
}

/* Panels [first, first + n_panels) times n tokens. */
static ALWAYS_INLINE void panels_times(const struct tile *tile, uint32_t first, const uint32_t n_panels,
                                       const uint32_t n, const enum tensor_type type)
{
    const float *x = group_f32_at(tile->activations, tile->n_cols, tile->group);
    const size_t element_bytes = type == TENSOR_TYPE_F32 ? 4 : 2;
    const struct band_part part = band_part_of(tile, first, n_panels, element_bytes);
    __m512 acc[16], w[4];

    UNROLL(16)
    for (uint32_t i = 0; i < n_panels * n; i++)
        acc[i] = _mm512_setzero_ps();
    for (size_t k = 0; k < tile->n_cols; k++) {
        const uint8_t *column = part.at + k * part.column_bytes;
        read_ahead(column, n_panels * PANEL_ROWS * element_bytes, n);
        UNROLL(4)
        for (uint32_t p = 0; p < n_panels; p++)
            w[p] = load(type, column + p * PANEL_ROWS * element_bytes);
        UNROLL(16)
        for (uint32_t t = 0; t < n; t++) {
            __m512 xs = _mm512_set1_ps(x[k * n + t]);
            UNROLL(4)
            for (uint32_t p = 0; p < n_panels; p++)
                acc[p * n + t] = _mm512_fmadd_ps(w[p], xs, acc[p * n + t]);
        }
    }
    UNROLL(4)
    for (uint32_t p = 0; p < n_panels; p++)
        store_panel(tile, first + p, acc + p * n, n);
}

#define FLOAT_TYPE(name, type, panel_bytes)                                                                    \
    FLOAT_TILE(name, type, 2, 1)                                                                               \
    FLOAT_TILE(name, type, 2, 2)                                                                               \
    FLOAT_TILE(name, type, 2, 4)                                                                               \
    FLOAT_TILE(name, type, 2, 8)                                                                               \
    FLOAT_TILE(name, type, 1, 16)                                                                              \
    static void matmul_##name(const struct matmul *m, uint32_t row_first, uint32_t row_end)                    \
    {                                                                                                          \
        static tile_kernel *const kernels[] = {tile_##name##_1, tile_##name##_2, tile_##name##_4,              \
                                               tile_##name##_8, tile_##name##_16};                             \
        groups_matmul(m, row_first, row_end, panel_bytes(m->n_cols), GROUP_MAX_AVX512, kernels);               \
    }

FLOAT_TYPES(avx512, FLOAT_TYPE)
