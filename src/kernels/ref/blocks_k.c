/* The K types: 256 values under one or two f16, with small whole scales in between. */
#include "kernels/ref/blocks.h"

#include "kernels/f16.h"

/* { u8 scales[16]; u8 qs[64]; f16 d; f16 dmin }: half h of 128 values has 32 bytes of qs, whose bits 2n are its
 * block n. Low nibbles of scales are scales, high ones minima, of 16 values each. */
void block32_q2_k(struct block32 *out, const uint8_t *row, uint32_t index)
{
    const uint8_t *b = row + (size_t)(index / 8) * 84;
    uint32_t j = index % 8;
    const uint8_t *qs = b + 16 + (size_t)(j / 4) * 32, *scales = b + (size_t)j * 2;

    out->scale = f16_to_f32(f16_load(b + 80));
    out->has_min = true;
    out->min = f16_to_f32(f16_load(b + 82));
    for (int i = 0; i < 2; i++) {
        out->sub_scale[i] = scales[i] & 15;
        out->sub_min[i] = scales[i] >> 4;
    }
    for (int i = 0; i < 32; i++)
        out->q[i] = (int8_t)(qs[i] >> (j % 4 * 2) & 3);
}

int8_t block32_q3_k_scale(const uint8_t packed[12], uint32_t i)
{
    int low = i < 8 ? packed[i] & 15 : packed[i - 8] >> 4;
    return (int8_t)((low | (packed[8 + i % 4] >> (i / 4 * 2) & 3) << 4) - 32);
}

/* { u8 hmask[32]; u8 qs[64]; u8 scales[12]; f16 d }: low bits as Q2_K's; bit j of hmask[i] is worth 4 of
 * element i of block j; 4 stands for zero. */
void block32_q3_k(struct block32 *out, const uint8_t *row, uint32_t index)
{
    const uint8_t *b = row + (size_t)(index / 8) * 110;
    uint32_t j = index % 8;
    const uint8_t *qs = b + 32 + (size_t)(j / 4) * 32;

    out->scale = f16_to_f32(f16_load(b + 108));
    for (uint32_t i = 0; i < 2; i++)
        out->sub_scale[i] = block32_q3_k_scale(b + 96, 2 * j + i);
    for (int i = 0; i < 32; i++)
        out->q[i] = (int8_t)(((qs[i] >> (j % 4 * 2) & 3) | (b[i] >> j & 1) << 2) - 4);
}

void block32_k_scales(const uint8_t packed[12], uint32_t j, uint8_t *scale, uint8_t *min)
{
    if (j < 4) {
        *scale = packed[j] & 63;
        *min = packed[j + 4] & 63;
    } else {
        *scale = (uint8_t)((packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4);
        *min = (uint8_t)((packed[j + 4] >> 4) | (packed[j] >> 6) << 4);
    }
}

/* { f16 d; f16 dmin; u8 scales[12]; u8 qs[128] }: 32 bytes hold blocks 2j (low nibbles) and 2j + 1 (high). */
void block32_q4_k(struct block32 *out, const uint8_t *row, uint32_t index)
{
    const uint8_t *b = row + (size_t)(index / 8) * 144;
    uint32_t j = index % 8;
    const uint8_t *qs = b + 16 + (size_t)(j / 2) * 32;
    uint8_t scale, min;

    block32_k_scales(b + 4, j, &scale, &min);
    out->scale = f16_to_f32(f16_load(b));
    out->sub_scale[0] = out->sub_scale[1] = scale;
    out->has_min = true;
    out->min = f16_to_f32(f16_load(b + 2));
    out->sub_min[0] = out->sub_min[1] = min;
    for (int i = 0; i < 32; i++)
        out->q[i] = (int8_t)(j % 2 ? qs[i] >> 4 : qs[i] & 15);
}

/* { f16 d; f16 dmin; u8 scales[12]; u8 qh[32]; u8 qs[128] }: as Q4_K; bit j of qh[i] is worth 16 of element i
 * of block j. */
void block32_q5_k(struct block32 *out, const uint8_t *row, uint32_t index)
{
    const uint8_t *b = row + (size_t)(index / 8) * 176;
    uint32_t j = index % 8;
    const uint8_t *qs = b + 48 + (size_t)(j / 2) * 32, *qh = b + 16;
    uint8_t scale, min;

    block32_k_scales(b + 4, j, &scale, &min);
    out->scale = f16_to_f32(f16_load(b));
    out->sub_scale[0] = out->sub_scale[1] = scale;
    out->has_min = true;
    out->min = f16_to_f32(f16_load(b + 2));
    out->sub_min[0] = out->sub_min[1] = min;
    for (int i = 0; i < 32; i++)
        out->q[i] = (int8_t)((j % 2 ? qs[i] >> 4 : qs[i] & 15) | (qh[i] >> j & 1) << 4);
}

/* { u8 ql[128]; u8 qh[64]; i8 scales[16]; f16 d }: half h of 128 values has 64 bytes of ql, 32 of qh. Its
 * blocks 0 and 1 are the low nibbles of ql's two halves, 2 and 3 the high ones; block n takes bits 2n of qh. */
void block32_q6_k(struct block32 *out, const uint8_t *row, uint32_t index)
{
    const uint8_t *b = row + (size_t)(index / 8) * 210;
    uint32_t j = index % 8, half = j / 4, n = j % 4;
    const uint8_t *ql = b + (size_t)half * 64 + (size_t)(n % 2) * 32, *qh = b + 128 + (size_t)half * 32;
    const int8_t *scales = (const int8_t *)b + 192 + (size_t)j * 2;

    out->scale = f16_to_f32(f16_load(b + 208));
    out->sub_scale[0] = scales[0];
    out->sub_scale[1] = scales[1];
    for (int i = 0; i < 32; i++) {
        int low = n / 2 ? ql[i] >> 4 : ql[i] & 15;
        out->q[i] = (int8_t)((low | (qh[i] >> (2 * n) & 3) << 4) - 32);
    }
}
