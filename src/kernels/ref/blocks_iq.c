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

    out->scale = f16_to_f32(f16_load(b));
    out->sub_scale[0] = out->sub_scale[1] = block32_iq4_xs_scale(b, j);
    look_up_nibbles(out->q, b + 8 + (size_t)j * 16, codebook_iq4);
}

/* { u8 e; u8 qs[16] }: E2M1 numbers times 2^(e - 127). They are looked up doubled, so the scale is half. */
void block32_mxfp4(struct block32 *out, const uint8_t *row, uint32_t index)
{
    const uint8_t *b = row + (size_t)index * 17;

    out->scale = e8m0_half(b[0]);
    look_up_nibbles(out->q, b + 1, codebook_fp4);
}

/* --- IQ3: groups of four magnitudes from a grid, a sign for each value -------------------------------------
 */

/* A group's codes: magnitude in three bits, the sign above them. Four digits, and four bits, to four bytes. */
static void group_codes(uint8_t codes[4], uint32_t grid, uint32_t signs)
{
    uint32_t pairs = (grid & 077) | (grid & 07700) << 10;
    uint32_t magnitudes = (pairs & 0x00070007U) | (pairs & 0x00380038U) << 5;
    uint32_t all = magnitudes | ((signs & 15) * 0x00204081U & 0x01010101U) << 3;
    memcpy(codes, &all, sizeof all);
}

/* { f16 d; u8 qs[64]; u8 qh[8]; u8 signs[32]; u8 scales[4] }: a bit of qh is the ninth of one index. */
void block32_iq3_s_codes(uint8_t codes[32], const uint8_t *block, uint32_t j)
{
    const uint8_t *qs = block + 2 + (size_t)j * 8, *signs = block + 74 + (size_t)j * 4;

    for (uint32_t g = 0; g < 8; g++) {
        uint32_t index = qs[g] | (uint32_t)(block[66 + j] >> g & 1) << 8;
        group_codes(codes + (size_t)g * 4, codebook_iq3_s_grid[index], (uint32_t)signs[g / 2] >> (g % 2 * 4));
    }
}

uint8_t block32_iq3_s_scale(const uint8_t *block, uint32_t j)
{
    return block[106 + j / 2] >> (j % 2 * 4) & 15;
}

static uint32_t iq3_xxs_scale_and_signs(const uint8_t *block, uint32_t j)
{
    uint32_t all;
    memcpy(&all, block + 66 + (size_t)j * 4, sizeof all);
    return all;
}

/* { f16 d; u8 qs[64]; u32 scales_and_signs[8] }: seven signs for eight values, the eighth makes their number
 * even; the scale above them. */
void block32_iq3_xxs_codes(uint8_t codes[32], const uint8_t *block, uint32_t j)
{
    const uint8_t *qs = block + 2 + (size_t)j * 8;
    uint32_t all = iq3_xxs_scale_and_signs(block, j);

    for (uint32_t g = 0; g < 8; g++) {
        uint32_t signs = all >> (g / 2 * 7) & 127;
        signs |= (uint32_t)__builtin_parity(signs) << 7;
        group_codes(codes + (size_t)g * 4, codebook_iq3_xxs_grid[qs[g]], signs >> (g % 2 * 4));
    }
}

uint8_t block32_iq3_xxs_scale(const uint8_t *block, uint32_t j)
{
    return (uint8_t)(iq3_xxs_scale_and_signs(block, j) >> 28);
}

void block32_iq3_s(struct block32 *out, const uint8_t *row, uint32_t index)
{
    const uint8_t *b = row + (size_t)(index / 8) * 110;
    uint8_t codes[32];

    out->scale = f16_to_f32(f16_load(b));
    out->sub_scale[0] = out->sub_scale[1] = 1 + 2 * block32_iq3_s_scale(b, index % 8);
    block32_iq3_s_codes(codes, b, index % 8);
    for (int i = 0; i < 32; i++)
        out->q[i] = codebook_iq3_s[codes[i]];
}

void block32_iq3_xxs(struct block32 *out, const uint8_t *row, uint32_t index)
{
    const uint8_t *b = row + (size_t)(index / 8) * 98;
    uint8_t codes[32];

    out->scale = f16_to_f32(f16_load(b)) * 0.5F;
    out->sub_scale[0] = out->sub_scale[1] = 1 + 2 * block32_iq3_xxs_scale(b, index % 8);
    block32_iq3_xxs_codes(codes, b, index % 8);
    for (int i = 0; i < 32; i++)
        out->q[i] = codebook_iq3_xxs[codes[i]];
}
