/* Types of blocks of 32 with one scale. */
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
