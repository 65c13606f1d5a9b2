/* Rule 2 of DESIGN section 8: F32, F16 and BF16 matrices. Rows stay as the file has them. */
#include "kernels/f16.h"
#include "kernels/kernels_private.h"

#include <math.h>
#include <string.h>

static float load_f32(const uint8_t *at)
{
    float f;
    memcpy(&f, at, sizeof f);
    return f;
}

static float load_f16(const uint8_t *at)
{
    return f16_to_f32(f16_load(at));
}

static float load_bf16(const uint8_t *at)
{
    return bf16_to_f32(f16_load(at));
}

static size_t x_bytes(uint32_t n_cols, uint32_t n_tokens)
{
    return (size_t)n_tokens * n_cols * sizeof(float);
}

static void x_prepare(void *prepared, const float *x, size_t x_stride, const struct activation_part *part)
{
    size_t n = part->column_end - part->column_first;
    for (uint32_t t = part->token_first; t < part->token_end; t++)
        memcpy((float *)prepared + (size_t)t * part->n_cols + part->column_first, x + t * x_stride,
               n * sizeof(float));
}

static const struct activation_kernels activation_f32 = {x_bytes, x_prepare};

#define FLOAT_TYPE(name, bytes)                                                                                \
    static size_t packed_bytes_##name(uint32_t n_rows, uint32_t n_cols)                                        \
    {                                                                                                          \
        return (size_t)n_rows * n_cols * (bytes);                                                              \
    }                                                                                                          \
    static void pack_##name(void *packed, uint32_t n_rows, uint32_t n_cols, uint32_t row_first, uint32_t n,    \
                            const void *rows)                                                                  \
    {                                                                                                          \
        size_t stride = (size_t)n_cols * (bytes);                                                              \
        (void)n_rows;                                                                                          \
        memcpy((uint8_t *)packed + row_first * stride, rows, n * stride);                                      \
    }                                                                                                          \
    static void row_##name(float *out, const void *packed, uint32_t n_rows, uint32_t n_cols, uint32_t row)     \
    {                                                                                                          \
        const uint8_t *w = (const uint8_t *)packed + (size_t)row * n_cols * (bytes);                           \
        (void)n_rows;                                                                                          \
        for (size_t i = 0; i < n_cols; i++)                                                                    \
            out[i] = load_##name(w + i * (bytes));                                                             \
    }                                                                                                          \
    static void matmul_##name(const struct matmul *m, uint32_t row_first, uint32_t row_end)                    \
    {                                                                                                          \
        for (uint32_t row = row_first; row < row_end; row++)                                                   \
            for (uint32_t t = 0; t < m->n_tokens; t++) {                                                       \
                const uint8_t *w = (const uint8_t *)m->weights + (size_t)row * m->n_cols * (bytes);            \
                const float *x = (const float *)m->activations + (size_t)t * m->n_cols;                        \
                float acc = 0;                                                                                 \
                for (size_t i = 0; i < m->n_cols; i++)                                                         \
                    acc = fmaf(load_##name(w + i * (bytes)), x[i], acc);                                       \
                m->out[t * m->out_stride + row] = acc;                                                         \
            }                                                                                                  \
    }

FLOAT_TYPE(f32, 4)
FLOAT_TYPE(f16, 2)
FLOAT_TYPE(bf16, 2)

#define FLOAT_SLOT(name)                                                                                       \
    (struct type_kernels)                                                                                      \
    {                                                                                                          \
        &activation_f32, 1, packed_bytes_##name, pack_##name, row_##name, matmul_##name                        \
    }

void kernels_init_ref_float(struct kernels *k)
{
    k->types[TENSOR_TYPE_F32] = FLOAT_SLOT(f32);
    k->types[TENSOR_TYPE_F16] = FLOAT_SLOT(f16);
    k->types[TENSOR_TYPE_BF16] = FLOAT_SLOT(bf16);
}
