/* pack_k - what the K types and their like share when they are packed: several blocks of 32 stand in the same
 * bytes of a file, each in other bits, and are taken apart by words. */
#ifndef KERNELS_PANELS_PACK_K_H
#define KERNELS_PANELS_PACK_K_H

#include "kernels/panels/pack.h"

/* Exchanges what a holds under mask << shift with what b holds under mask: with two fields of `shift` bits in
 * each, a takes both first ones and b both second ones. */
static inline void exchange_fields(uint32_t *a, uint32_t *b, uint32_t shift, uint32_t mask)
{
    uint32_t differ = (*a >> shift ^ *b) & mask;
    *b ^= differ;
    *a ^= differ << shift;
}

/* The high bits of eight blocks, bit j of 32 bytes block j's, to where each block has them. */
static inline void high_bits_pack(uint8_t *codes, size_t block_bytes, uint32_t lane, const uint8_t *bytes)
{
    static const uint32_t masks[] = {0x55555555U, 0x33333333U, 0x0F0F0F0FU};
    uint32_t w[8];

    for (uint32_t i = 0; i < 8; i++)
        w[i] = load_u32(bytes + 4 * (size_t)i);
    for (uint32_t round = 0; round < 3; round++) /* eight by eight bits, transposed in each byte */
        for (uint32_t i = 0; i < 8; i++)
            if (!(i >> round & 1))
                exchange_fields(&w[i], &w[i + (1U << round)], 1U << round, masks[round]);
    for (uint32_t j = 0; j < 8; j++)
        store_u32(code_at(codes + j * block_bytes, 0, lane), w[j]);
}

static inline void high_bits_unpack(int8_t q[32], const uint8_t *codes, uint32_t lane, uint32_t shift)
{
    for (uint32_t i = 0; i < 32; i++)
        q[i] = (int8_t)(q[i] | (codes[(size_t)lane * 4 + i % 4] >> (i / 4) & 1) << shift);
}

/* The two bit codes of four blocks, bits 2j of 32 bytes block j's. */
static inline void two_bits_pack(uint8_t *codes, size_t block_bytes, uint32_t lane, const uint8_t *qs)
{
    for (uint32_t half = 0; half < 2; half++) {
        uint32_t w[4];
        for (uint32_t i = 0; i < 4; i++)
            w[i] = load_u32(qs + 16 * (size_t)half + 4 * (size_t)i);
        exchange_fields(&w[0], &w[1], 2, 0x33333333U);
        exchange_fields(&w[2], &w[3], 2, 0x33333333U);
        exchange_fields(&w[0], &w[2], 4, 0x0F0F0F0FU);
        exchange_fields(&w[1], &w[3], 4, 0x0F0F0F0FU);
        for (uint32_t j = 0; j < 4; j++)
            store_u32(code_at(codes + j * block_bytes, half, lane), w[j]);
    }
}

static inline void two_bits_unpack(int8_t q[32], const uint8_t *codes, uint32_t lane)
{
    for (uint32_t i = 0; i < 32; i++)
        q[i] = (int8_t)(codes[(size_t)(i / 16) * 64 + (size_t)lane * 4 + i % 4] >> (i % 16 / 4 * 2) & 3);
}

/* What stands before the codes of Q4_K and Q5_K: d, dmin, scales. */
static inline void k_mins_pack(uint8_t *to, uint32_t lane, const uint8_t *from)
{
    memcpy(to + (size_t)lane * 2, from, 2);
    memcpy(to + PANEL_SCALE_BYTES + (size_t)lane * 2, from + 2, 2);
    for (size_t i = 0; i < 12; i++)
        to[PANEL_Q4K_SCALES + i * 16 + lane] = from[4 + i];
}

static inline void k_mins_unpack(struct block32 *out, const uint8_t *from, uint32_t j, uint32_t lane)
{
    uint8_t packed[12], scale, min;

    for (size_t i = 0; i < 12; i++)
        packed[i] = from[PANEL_Q4K_SCALES + i * 16 + lane];
    block32_k_scales(packed, j, &scale, &min);
    out->scale = f16_to_f32(f16_load(from + (size_t)lane * 2)) * (float)scale;
    out->has_min = true;
    out->min = f16_to_f32(f16_load(from + PANEL_SCALE_BYTES + (size_t)lane * 2)) * (float)min;
}

/* The nibbles of two blocks, the low ones of 32 bytes the first's. */
static inline void two_nibbles_pack(uint8_t *codes, uint8_t *second, uint32_t lane, const uint8_t *qs)
{
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t a = load_u32(qs + 4 * (size_t)i), b = load_u32(qs + 16 + 4 * (size_t)i);
        exchange_fields(&a, &b, 4, 0x0F0F0F0FU);
        store_u32(code_at(codes, i, lane), a);
        store_u32(code_at(second, i, lane), b);
    }
}

#endif
