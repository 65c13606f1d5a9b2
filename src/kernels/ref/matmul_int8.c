/* Rule 1 of DESIGN section 8, in plain C: what every other level has to match. Rows stay as the file has them.
 */
#include "kernels/kernels_private.h"
#include "kernels/quantise.h"
#include "kernels/ref/blocks.h"

#include <math.h>
#include <string.h>

/* --- activations ---------------------------------------------------------------------------------------- */

/* A block is as wide as the type's: 32 columns, or 256. What an array of blocks holds lies in these one after
 * the other: scales, whole numbers, their sums by sixteens. */
struct x_blocks {
    float *scale;
    int8_t (*q)[16];
    int32_t *sum; /* of each q */
};
static struct x_blocks x_blocks_at(const void *prepared, uint32_t n_cols, uint32_t n_tokens, uint32_t width)
{
    size_t n = (size_t)n_tokens * n_cols;
    struct x_blocks x;
    x.scale = (float *)(uintptr_t)prepared;
    x.sum = (int32_t *)(x.scale + n / width);
    x.q = (int8_t(*)[16])(x.sum + n / 16);
    return x;
}

static size_t x_bytes(uint32_t n_cols, uint32_t n_tokens, uint32_t width)
{
    size_t n = (size_t)n_tokens * n_cols;
    return n / width * sizeof(float) + n / 16 * (sizeof(int32_t) + 16);
}

static void x_block_fill(const struct x_blocks *to, size_t block, const float *x, uint32_t width)
{
    uint32_t amax = 0;
    float inverse;

    for (uint32_t i = 0; i < width; i++) {
        uint32_t magnitude = f32_bits(x[i]) & 0x7FFFFFFFU;
        amax = magnitude > amax ? magnitude : amax;
    }
    to->scale[block] = quantise_scale(amax, &inverse);
    for (uint32_t i = 0; i < width; i++) {
        size_t at = block * (width / 16) + i / 16;
        to->q[at][i % 16] = inverse == 0 ? 0 : quantise_value(x[i], inverse);
        to->sum[at] = (i % 16 ? to->sum[at] : 0) + to->q[at][i % 16];
    }
}

static void x_prepare(void *prepared, const float *x, size_t x_stride, const struct activation_part *part,
                      uint32_t width)
{
    struct x_blocks to = x_blocks_at(prepared, part->n_cols, part->n_tokens, width);
    size_t n_blocks = part->n_cols / width;

    for (uint32_t t = part->token_first; t < part->token_end; t++) {
        const float *from = x + t * x_stride;
        for (size_t b = part->column_first / width; b < part->column_end / width; b++, from += width)
            x_block_fill(&to, t * n_blocks + b, from, width);
    }
}

#define X_OF_WIDTH(width)                                                                                      \
    static size_t x_bytes_##width(uint32_t n_cols, uint32_t n_tokens)                                          \
    {                                                                                                          \
        return x_bytes(n_cols, n_tokens, width);                                                               \
    }                                                                                                          \
    static void x_prepare_##width(void *prepared, const float *x, size_t x_stride,                             \
                                  const struct activation_part *part)                                          \
    {                                                                                                          \
        x_prepare(prepared, x, x_stride, part, width);                                                         \
    }                                                                                                          \
    static const struct activation_kernels activation_##width = {x_bytes_##width, x_prepare_##width};
X_OF_WIDTH(32)
X_OF_WIDTH(256)

/* --- rows ----------------------------------------------------------------------------------------------- */

static uint64_t row_bytes(enum tensor_type type, uint32_t n_cols)
{
    const struct tensor_type_info *info = tensor_type_info(type);
    return (uint64_t)(n_cols / info->block_elements) * info->block_bytes;
}

/* What of a block's sums has to be multiplied with its scales. */
struct sums {
    int32_t isum, x_sum;
};

static void add_32(struct sums *to, const struct block32 *w, const struct x_blocks *x, size_t at)
{
    for (size_t half = 0; half < 2; half++) {
        int32_t dot = 0;
        for (size_t i = 0; i < 16; i++)
            dot += w->q[16 * half + i] * x->q[at + half][i];
        to->isum += w->sub_scale[half] * dot;
        to->x_sum += w->sub_min[half] * x->sum[at + half];
    }
}

/* A block of the type, by 32 columns. */
struct w_block {
    struct block32 part[8];
    uint32_t n_parts;
};

static float block_times(const struct w_block *w, const struct x_blocks *x, size_t x_block, float acc)
{
    const struct block32 *first = &w->part[0];
    struct sums sums = {0, 0};

    for (uint32_t j = 0; j < w->n_parts; j++)
        add_32(&sums, &w->part[j], x, (x_block * w->n_parts + j) * 2);
    acc = fmaf((float)sums.isum, first->scale * x->scale[x_block], acc);
    if (first->has_min)
        acc = fmaf(-first->min, x->scale[x_block] * (float)sums.x_sum, acc);
    return acc;
}

static void row_times(const struct matmul *m, const uint8_t *row, block32_read *read, uint32_t width,
                      float *out)
{
    struct x_blocks x = x_blocks_at(m->activations, m->n_cols, m->n_tokens, width);
    struct w_block w = {.n_parts = width / 32};
    size_t n_blocks = m->n_cols / width;

    for (uint32_t t = 0; t < m->n_tokens; t++)
        out[t * m->out_stride] = 0;
    for (size_t b = 0; b < n_blocks; b++) {
        for (uint32_t j = 0; j < w.n_parts; j++) {
            w.part[j] = block32_plain();
            read(&w.part[j], row, (uint32_t)b * w.n_parts + j);
        }
        for (uint32_t t = 0; t < m->n_tokens; t++) {
            float *acc = &out[t * m->out_stride];
            *acc = block_times(&w, &x, t * n_blocks + b, *acc);
        }
    }
}

static void matmul_blocks(const struct matmul *m, enum tensor_type type, block32_read *read, uint32_t row_first,
                          uint32_t row_end)
{
    for (size_t row = row_first; row < row_end; row++)
        row_times(m, (const uint8_t *)m->weights + row * row_bytes(type, m->n_cols), read,
                  tensor_type_info(type)->block_elements, m->out + row);
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

/* name, id, columns of a block */
#define INT8_TYPES(DO)                                                                                         \
    DO(q8_0, Q8_0, 32)                                                                                         \
    DO(q4_0, Q4_0, 32)                                                                                         \
    DO(q4_1, Q4_1, 32)                                                                                         \
    DO(q5_0, Q5_0, 32)                                                                                         \
    DO(q5_1, Q5_1, 32)                                                                                         \
    DO(q2_k, Q2_K, 256)                                                                                        \
    DO(q3_k, Q3_K, 256)                                                                                        \
    DO(q4_k, Q4_K, 256)                                                                                        \
    DO(q5_k, Q5_K, 256)                                                                                        \
    DO(q6_k, Q6_K, 256)                                                                                        \
    DO(iq4_nl, IQ4_NL, 32)                                                                                     \
    DO(iq4_xs, IQ4_XS, 256)                                                                                    \
    DO(mxfp4, MXFP4, 32)                                                                                       \
    DO(iq3_s, IQ3_S, 256)                                                                                      \
    DO(iq3_xxs, IQ3_XXS, 256)                                                                                  \
    DO(tq1_0, TQ1_0, 256)                                                                                      \
    DO(tq2_0, TQ2_0, 256)

#define INT8_TYPE(name, id, width)                                                                             \
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

#define INT8_SLOT(name, id, width)                                                                             \
    k->types[TENSOR_TYPE_##id] = (struct type_kernels){&activation_##width, 1,          packed_bytes_##name,   \
                                                       pack_##name,         row_##name, matmul_##name};

void kernels_init_ref_int8(struct kernels *k)
{
    INT8_TYPES(INT8_SLOT)
}
