/* The IQ types and MXFP4: codes are looked up in a table. */
#include "kernels/ref/blocks.h"

#include "kernels/f16.h"
#include "kernels/ref/codebooks.h"

/* Sixteen bytes of nibbles: low ones are elements 0..15, high ones 16..31. */
static void look_up_nibbles(int8_t q[32], const uint8_t *qs, const int8_t table[16])
{
    for (int i = 0; i < 16; i++) {
        q[i] = table[qs[i] & 15];
        q[16 + i] = table[qs[i] >> 4];
    }
}

/* { f16 d; u8 qs[16] } */
void block32_iq4_nl(struct block32 *out, const uint8_t *row, uint32_t index)
{
    const uint8_t *b = row + (size_t)index * 18;

    out->scale = f16_to_f32(f16_load(b));
    look_up_nibbles(out->q, b + 2, codebook_iq4);
}

int8_t block32_iq4_xs_scale(const uint8_t *block, uint32_t j)
{
    int low = block[4 + j / 2] >> (j % 2 * 4) & 15;
    int high = f16_load(block + 2) >> (2 * j) & 3;
    return (int8_t)((low | high << 4) - 32);
}

/* { f16 d; u16 scales_h; u8 scales_l[4]; u8 qs[128] }: scales of six bits, 32 stands for zero. */
void block32_iq4_xs(struct block32 *out, const uint8_t *row, uint32_t index)
{
    const uint8_t *b = row + (size_t)(index / 8) * 136;
    uint32_t j = index % 8;

    out->scale = f16_to_f32(f16_load(b)) * (float)block32_iq4_xs_scale(b, j);
    look_up_nibbles(out->q, b + 8 + (size_t)j * 16, codebook_iq4);
}

/* { u8 e; u8 qs[16] }: E2M1 numbers times 2^(e - 127). They are looked up doubled, so the scale is half. */
void block32_mxfp4(struct block32 *out, const uint8_t *row, uint32_t index)
{
    const uint8_t *b = row + (size_t)index * 17;

    out->scale = e8m0_half(b[0]);
    look_up_nibbles(out->q, b + 1, codebook_fp4);
}
