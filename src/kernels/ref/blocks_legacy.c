/* Types of blocks of 32 with one scale and perhaps a minimum. */
#include "kernels/ref/blocks.h"

#include "kernels/f16.h"

/* { f16 d; i8 qs[32] } */
void block32_q8_0(struct block32 *out, const uint8_t *row, uint32_t index)
{
    const uint8_t *b = row + (size_t)index * 34;

    out->scale = f16_to_f32(f16_load(b));
    memcpy(out->q, b + 2, 32);
}

/* { f16 d; u8 qs[16] }: low nibbles are elements 0..15, high ones 16..31; 8 stands for zero. */
void block32_q4_0(struct block32 *out, const uint8_t *row, uint32_t index)
{
    const uint8_t *b = row + (size_t)index * 18;

    out->scale = f16_to_f32(f16_load(b));
    for (int i = 0; i < 16; i++) {
        out->q[i] = (int8_t)((b[2 + i] & 15) - 8);
        out->q[16 + i] = (int8_t)((b[2 + i] >> 4) - 8);
    }
}

/* Sixteen bytes of nibbles: low ones are elements 0..15, high ones 16..31. */
static void read_nibbles(int8_t q[32], const uint8_t *qs)
{
    for (int i = 0; i < 16; i++) {
        q[i] = (int8_t)(qs[i] & 15);
        q[16 + i] = (int8_t)(qs[i] >> 4);
    }
}

/* Bit i is worth 16 of element i. */
static void add_fifth_bits(int8_t q[32], const uint8_t qh[4])
{
    for (int i = 0; i < 32; i++)
        q[i] = (int8_t)(q[i] | (qh[i / 8] >> (i % 8) & 1) << 4);
}

/* d * q + m: the minimum is -m. */
static void read_scale_and_min(struct block32 *out, const uint8_t *b)
{
    out->scale = f16_to_f32(f16_load(b));
    out->has_min = true;
    out->min = -f16_to_f32(f16_load(b + 2));
}

/* { f16 d; f16 m; u8 qs[16] } */
void block32_q4_1(struct block32 *out, const uint8_t *row, uint32_t index)
{
    const uint8_t *b = row + (size_t)index * 20;

    read_scale_and_min(out, b);
    read_nibbles(out->q, b + 4);
}

/* { f16 d; u8 qh[4]; u8 qs[16] }: 16 stands for zero. */
void block32_q5_0(struct block32 *out, const uint8_t *row, uint32_t index)
{
    const uint8_t *b = row + (size_t)index * 22;

    out->scale = f16_to_f32(f16_load(b));
    read_nibbles(out->q, b + 6);
    add_fifth_bits(out->q, b + 2);
    for (int i = 0; i < 32; i++)
        out->q[i] = (int8_t)(out->q[i] - 16);
}

/* { f16 d; f16 m; u8 qh[4]; u8 qs[16] } */
void block32_q5_1(struct block32 *out, const uint8_t *row, uint32_t index)
{
    const uint8_t *b = row + (size_t)index * 24;

    read_scale_and_min(out, b);
    read_nibbles(out->q, b + 8);
    add_fifth_bits(out->q, b + 4);
}
