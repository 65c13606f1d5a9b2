/* TQ1_0 and TQ2_0: 256 values of -1, 0 and 1 under one f16. */
#include "kernels/ref/blocks.h"

#include "kernels/f16.h"

/* Digit n of the number of base 3 that the byte, over 256, is the fraction of. */
static uint8_t digit(uint8_t byte, uint32_t n)
{
    static const uint8_t power[] = {1, 3, 9, 27, 81};
    return (uint8_t)((uint8_t)(byte * power[n]) * 3 >> 8);
}

/* { u8 qs[48]; u8 qh[4]; f16 d }: 32 bytes hold five digits for each of blocks 0..4, sixteen more those of the
 * half blocks 10..14, the last four bytes four digits each. */
void block32_tq1_0_codes(uint8_t codes[32], const uint8_t *block, uint32_t j)
{
    for (uint32_t i = 0; i < 32; i++) {
        uint32_t half = 2 * j + i / 16;
        codes[i] = j < 5       ? digit(block[i], j)
                   : half < 15 ? digit(block[32 + i % 16], half - 10)
                               : digit(block[48 + i % 4], i % 16 / 4);
    }
}

/* { u8 qs[64]; f16 d }: 32 bytes hold two bits for each of four blocks. */
void block32_tq2_0_codes(uint8_t codes[32], const uint8_t *block, uint32_t j)
{
    for (uint32_t i = 0; i < 32; i++)
        codes[i] = block[j / 4 * 32 + i] >> (j % 4 * 2) & 3;
}

void block32_tq1_0(struct block32 *out, const uint8_t *row, uint32_t index)
{
    const uint8_t *b = row + (size_t)(index / 8) * 54;
    uint8_t codes[32];

    out->scale = f16_to_f32(f16_load(b + 52));
    block32_tq1_0_codes(codes, b, index % 8);
    for (int i = 0; i < 32; i++)
        out->q[i] = (int8_t)(codes[i] - 1);
}

void block32_tq2_0(struct block32 *out, const uint8_t *row, uint32_t index)
{
    const uint8_t *b = row + (size_t)(index / 8) * 66;
    uint8_t codes[32];

    out->scale = f16_to_f32(f16_load(b + 64));
    block32_tq2_0_codes(codes, b, index % 8);
    for (int i = 0; i < 32; i++)
        out->q[i] = (int8_t)(codes[i] - 1);
}
