/* Rule 1 of DESIGN section 8, in plain C: what every other level has to match. Rows stay as the file has them.
 */
#include "kernels/kernels_private.h"
#include "kernels/quantise.h"
#include "kernels/ref/blocks.h"

#include <math.h>
#include <string.h>

struct x_block {
    int8_t q[32];
    float scale;
    int32_t sum[2]; /* of each half */
};

/* --- activations ---------------------------------------------------------------------------------------- */

static size_t x_bytes(uint32_t n_cols, uint32_t n_tokens)
{
    return (size_t)n_tokens * (n_cols / 32) * sizeof(struct x_block);
}

static void x_block_fill(struct x_block *out, const float *x)
{
    uint32_t amax = 0;
    float inverse;

    for (int i = 0; i < 32; i++) {
        uint32_t magnitude = f32_bits(x[i]) & 0x7FFFFFFFU;
        amax = magnitude > amax ? magnitude : amax;
    }
    *out = (struct x_block){.scale = quantise_scale(amax, &inverse)};
    if (inverse == 0)
        return;
    for (int i = 0; i < 32; i++) {
        out->q[i] = quantise_value(x[i], inverse);
        out->sum[i / 16] += out->q[i];
    }
}

static void x_prepare(void *prepared, const float *x, size_t x_stride, const struct activation_part *part)
{
    uint32_t n_blocks = part->n_cols / 32;

    for (uint32_t t = part->token_first; t < part->token_end; t++) {
        const float *from = x + t * x_stride;
        for (size_t b = part->column_first / 32; b < part->column_end / 32; b++, from += 32)
            x_block_fill((struct x_block *)prepared + (size_t)t * n_blocks + b, from);
    }
}

static const struct activation_kernels activation_int8 = {x_bytes, x_prepare};

/* --- rows ----------------------------------------------------------------------------------------------- */

static uint64_t row_bytes(enum tensor_type type, uint32_t n_cols)
{
    const struct tensor_type_info *info = tensor_type_info(type);
    return (uint64_t)(n_cols / info->block_elements) * info->block_bytes;
}

static float block_times(const struct block32 *w, const struct x_block *x, float acc)
{
    int32_t half[2] = {0, 0};

    for (int i = 0; i < 32; i++)
        half[i / 16] += w->q[i] * x->q[i];
    int32_t isum = w->sub_scale[0] * half[0] + w->sub_scale[1] * half[1];
    acc = fmaf((float)isum, w->scale * x->scale, acc);
    if (w->has_min) {
        int32_t x_sum = w->sub_min[0] * x->sum[0] + w->sub_min[1] * x->sum[1];
        acc = fmaf(-w->min, x->scale * (float)x_sum, acc);
    }
    return acc;
}

static void matmul_blocks(const struct matmul *m, enum tensor_type type, block32_read *read, uint32_t row_first,
                          uint32_t row_end)
{
    uint64_t stride = row_bytes(type, m->n_cols);
    uint32_t n_blocks = m->n_cols / 32;
    const struct x_block *x = m->activations;

    for (uint32_t row = row_first; row < row_end; row++) {
        const uint8_t *w = (const uint8_t *)m->weights + row * stride;
        for (uint32_t t = 0; t < m->n_tokens; t++)
            m->out[t * m->out_stride + row] = 0;
        for (uint32_t b = 0; b < n_blocks; b++) {
            struct block32 block = block32_plain();
            read(&block, w, b);
            for (uint32_t t = 0; t < m->n_tokens; t++) {
                float *acc = &m->out[t * m->out_stride + row];
                *acc = block_times(&block, &x[(size_t)t * n_blocks + b], *acc);
            }
        }
    }
}

static void row_of_blocks(float *out, const uint8_t *row, uint32_t n_cols, block32_read *read)
{
    for (uint32_t b = 0; b < n_cols / 32; b++) {
        struct block32 w = block32_plain();
        read(&w, row, b);
        block32_values(out + 32 * b, &w);
    }
}

/* --- the types ------------------------------------------------------------------------------------------ */

/* name, id */
#define INT8_TYPES(DO)                                                                                         \
    DO(q8_0, Q8_0)                                                                                             \
    DO(q4_0, Q4_0)                                                                                             \
    DO(q4_1, Q4_1)                                                                                             \
    DO(q5_0, Q5_0)                                                                                             \
    DO(q5_1, Q5_1)                                                                                             \
    DO(q2_k, Q2_K)                                                                                             \
    DO(q3_k, Q3_K)                                                                                             \
    DO(q4_k, Q4_K)                                                                                             \
    DO(q5_k, Q5_K)                                                                                             \
    DO(q6_k, Q6_K)                                                                                             \
    DO(iq4_nl, IQ4_NL)                                                                                         \
    DO(iq4_xs, IQ4_XS)                                                                                         \
    DO(mxfp4, MXFP4)                                                                                           \
    DO(iq3_s, IQ3_S)                                                                                           \
    DO(iq3_xxs, IQ3_XXS)                                                                                       \
    DO(tq1_0, TQ1_0)                                                                                           \
    DO(tq2_0, TQ2_0)

#define INT8_TYPE(name, id)                                                                                    \
    static size_t packed_bytes_##name(uint32_t n_rows, uint32_t n_cols)                                        \
    {                                                                                                          \
        return n_rows * row_bytes(TENSOR_TYPE_##id, n_cols);                                                   \
    }                                                                                                          \
    static void pack_##name(void *packed, uint32_t n_rows, uint32_t n_cols, uint32_t row_first, uint32_t n,    \
                            const void *rows)                                                                  \
    {                                                                                                          \
        uint64_t stride = row_bytes(TENSOR_TYPE_##id, n_cols);                                                 \
        (void)n_rows;                                                                                          \
        memcpy((uint8_t *)packed + row_first * stride, rows, n * stride);                                      \
    }                                                                                                          \
    static void row_##name(float *out, const void *packed, uint32_t n_rows, uint32_t n_cols, uint32_t row)     \
    {                                                                                                          \
        (void)n_rows;                                                                                          \
        row_of_blocks(out, (const uint8_t *)packed + row * row_bytes(TENSOR_TYPE_##id, n_cols), n_cols,        \
                      block32_##name);                                                                         \
    }                                                                                                          \
    static void matmul_##name(const struct matmul *m, uint32_t row_first, uint32_t row_end)                    \
    {                                                                                                          \
        matmul_blocks(m, TENSOR_TYPE_##id, block32_##name, row_first, row_end);                                \
    }

INT8_TYPES(INT8_TYPE)

#define INT8_SLOT(name, id)                                                                                    \
    k->types[TENSOR_TYPE_##id] = (struct type_kernels){&activation_int8, 1,          packed_bytes_##name,      \
                                                       pack_##name,      row_##name, matmul_##name};

void kernels_init_ref_int8(struct kernels *k)
{
    INT8_TYPES(INT8_SLOT)
}
