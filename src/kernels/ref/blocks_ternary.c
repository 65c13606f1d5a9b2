/* TQ1_0 and TQ2_0: 256 values of -1, 0 and 1 under one f16. */
#include "kernels/ref/blocks.h"

#include "kernels/f16.h"

/* Digit n of the numbers of base 3 that four bytes, over 256, are the fractions of. */
static void digits(uint8_t codes[4], const uint8_t bytes[4], uint32_t n)
{
    static const uint64_t power[] = {1, 3, 9, 27, 81}, low = 0x00FF00FF00FF00FFU;
    uint32_t all;
    memcpy(&all, bytes, sizeof all);
    uint64_t wide = all & 0x0000FFFFU, pairs; /* 16 bits for each byte */
    wide |= (uint64_t)(all & 0xFFFF0000U) << 16;
    wide = (wide | wide << 8) & low;
    wide = ((wide * power[n] & low) * 3 >> 8) & low;
    pairs = wide | wide >> 8;
    all = (uint32_t)((pairs & 0xFFFFU) | (pairs >> 16 & 0xFFFF0000U));
    memcpy(codes, &all, sizeof all);
}

/* { u8 qs[48]; u8 qh[4]; f16 d }: 32 bytes hold five digits for each of blocks 0..4, sixteen more those of the
 * half blocks 10..14, the last four bytes four digits each. */
void block32_tq1_0_codes(uint8_t codes[32], const uint8_t *block, uint32_t j)
{
    for (uint32_t i = 0; i < 32; i += 4) {
        uint32_t half = 2 * j + i / 16;
        if (j < 5)
            digits(codes + i, block + i, j);
        else if (half < 15)
            digits(codes + i, block + 32 + i % 16, half - 10);
        else
            digits(codes + i, block + 48, i % 16 / 4);
    }
}

/* { u8 qs[64]; f16 d }: 32 bytes hold two bits for each of four blocks. */
void block32_tq2_0_codes(uint8_t codes[32], const uint8_t *block, uint32_t j)
{
    for (size_t i = 0; i < 32; i += 8) {
        uint64_t all;
        memcpy(&all, block + (size_t)(j / 4) * 32 + i, sizeof all);
        all = all >> (j % 4 * 2) & 0x0303030303030303U;
        memcpy(codes + i, &all, sizeof all);
    }
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
