/* Rule 2 at AVX2: for each output one chain of fma over the columns, so several panels or tokens at once. */
#include "kernels/x86/levels.h"
#include "kernels/x86/matmul_avx2.h"

/* Columns of half a panel as f32. */
static ALWAYS_INLINE __m256 load(const enum tensor_type type, const uint8_t *panel, size_t k, uint32_t half)
{
    if (type == TENSOR_TYPE_F32)
        return _mm256_loadu_ps((const float *)(panel + k * 64 + 32 * half));
    __m128i narrow = _mm_loadu_si128((const __m128i *)(panel + k * 32 + 16 * half));
    if (type == TENSOR_TYPE_F16)
        return _mm256_cvtph_ps(narrow);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(narrow), 16));
}

/* Panels [first, first + n_panels) times n tokens. */
static ALWAYS_INLINE void panels_times(const struct tile *tile, uint32_t first, const uint32_t n_panels,
                                       const uint32_t n, const enum tensor_type type)
{
    const float *x = group_f32_at(tile->activations, tile->n_cols, tile->group);
    const uint8_t *panel = tile->panel + first * tile->panel_bytes;
    const struct extent e = {n, 2, 0};
    __m256 acc[8];

    UNROLL(8)
    for (uint32_t i = 0; i < n_panels * n * 2; i++)
        acc[i] = _mm256_setzero_ps();
    for (size_t k = 0; k < tile->n_cols; k++) {
        UNROLL(4)
        for (uint32_t p = 0; p < n_panels; p++) {
            __m256 w0 = load(type, panel + p * tile->panel_bytes, k, 0);
            __m256 w1 = load(type, panel + p * tile->panel_bytes, k, 1);
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
        groups_matmul(m, row_first, row_end, panel_bytes(m->n_cols), GROUP_MAX_AVX2, kernels);                 \
    }

FLOAT_TYPE(f32, TENSOR_TYPE_F32, panel_bytes_f32)
FLOAT_TYPE(f16, TENSOR_TYPE_F16, panel_bytes_f16)
FLOAT_TYPE(bf16, TENSOR_TYPE_BF16, panel_bytes_f16)

void kernels_init_float_avx2(struct kernels *k)
{
    k->types[TENSOR_TYPE_F32].matmul = matmul_f32;
    k->types[TENSOR_TYPE_F16].matmul = matmul_f16;
    k->types[TENSOR_TYPE_BF16].matmul = matmul_bf16;
}
