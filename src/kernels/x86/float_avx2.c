/* Rule 2 at AVX2: for each output one chain of fma over the columns, so several panels or tokens at once. */
#include "kernels/panels/float_tiles.h"
#include "kernels/x86/groups.h"
#include "kernels/x86/levels.h"
#include "kernels/x86/ymm/store.h"

/* Columns of half a panel as f32. */
static ALWAYS_INLINE __m256 load(const enum tensor_type type, const uint8_t *column, uint32_t half)
{
    if (type == TENSOR_TYPE_F32)
        return _mm256_loadu_ps((const float *)(column + 32 * half));
    __m128i narrow = _mm_loadu_si128((const __m128i *)(column + 16 * half));
    if (type == TENSOR_TYPE_F16)
        return _mm256_cvtph_ps(narrow);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(narrow), 16));
}

/* Panels [first, first + n_panels) times n tokens. */
static ALWAYS_INLINE void panels_times(const struct tile *tile, uint32_t first, const uint32_t n_panels,
                                       const uint32_t n, const enum tensor_type type)
{
    const float *x = group_f32_at(tile->activations, tile->n_cols, tile->group);
    const size_t element_bytes = type == TENSOR_TYPE_F32 ? 4 : 2;
    const struct band_part part = band_part_of(tile, first, n_panels, element_bytes);
    const struct extent e = {n, n};
    __m256 acc[8];

    UNROLL(8)
    for (uint32_t i = 0; i < n_panels * n * 2; i++)
        acc[i] = _mm256_setzero_ps();
    for (size_t k = 0; k < tile->n_cols; k++) {
        read_ahead(part.at + k * part.column_bytes, n_panels * PANEL_ROWS * element_bytes, n);
        UNROLL(4)
        for (uint32_t p = 0; p < n_panels; p++) {
            const uint8_t *column = part.at + k * part.column_bytes + p * PANEL_ROWS * element_bytes;
            __m256 w0 = load(type, column, 0), w1 = load(type, column, 1);
            UNROLL(4)
            for (uint32_t t = 0; t < n; t++) {
                __m256 xs = _mm256_set1_ps(x[k * n + t]), *to = &acc[(p * n + t) * 2];
                to[0] = _mm256_fmadd_ps(w0, xs, to[0]);
                to[1] = _mm256_fmadd_ps(w1, xs, to[1]);
            }
        }
    }
    UNROLL(4)
    for (uint32_t p = 0; p < n_panels; p++)
        store_tile(tile, first + p, acc + (size_t)p * n * 2, e);
}

_Static_assert(GROUP_MAX_AVX2 == 4, "FLOAT_TYPE_OF_4");
FLOAT_TYPES(avx2, FLOAT_TYPE_OF_4)
