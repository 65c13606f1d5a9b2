/* codes_neon - codes of a block of 32 columns, opened for four rows (a quarter of a panel) in each of the ways
 * in which they are kept: w[i] has four signed bytes of column group i for each row. Included by the files of
 * the families only. */
#ifndef KERNELS_ARM_CODES_NEON_H
#define KERNELS_ARM_CODES_NEON_H

#include "kernels/panels/panels.h"
#include "kernels/unroll.h"

#include <arm_neon.h>

static ALWAYS_INLINE uint8x16_t load_codes(const uint8_t *codes, size_t group, size_t quarter)
{
    return vld1q_u8(codes + 64 * group + 16 * quarter);
}

/* Eight bits + 128. */
static ALWAYS_INLINE void codes_bytes(int8x16_t w[8], const uint8_t *codes, size_t quarter)
{
    UNROLL(8)
    for (size_t i = 0; i < 8; i++)
        w[i] = vreinterpretq_s8_u8(veorq_u8(load_codes(codes, i, quarter), vdupq_n_u8(0x80)));
}

static ALWAYS_INLINE void nibbles(uint8x16_t w[8], const uint8_t *codes, size_t quarter)
{
    UNROLL(4)
    for (size_t i = 0; i < 4; i++) {
        uint8x16_t both = load_codes(codes, i, quarter);
        w[i] = vandq_u8(both, vdupq_n_u8(15));
        w[4 + i] = vshrq_n_u8(both, 4);
    }
}

/* Two bits: group i of half a block is bits 2i. */
static ALWAYS_INLINE void two_bits(uint8x16_t w[8], const uint8_t *codes, size_t quarter)
{
    UNROLL(2)
    for (size_t half = 0; half < 2; half++) {
        uint8x16_t all = load_codes(codes, half, quarter), low = vdupq_n_u8(3);
        w[4 * half] = vandq_u8(all, low);
        w[4 * half + 1] = vandq_u8(vshrq_n_u8(all, 2), low);
        w[4 * half + 2] = vandq_u8(vshrq_n_u8(all, 4), low);
        w[4 * half + 3] = vshrq_n_u8(all, 6);
    }
}

/* Bit i of `high`'s bytes is bit `at` of group i. */
static ALWAYS_INLINE void add_high_bits(uint8x16_t w[8], uint8x16_t high, const int at)
{
    const uint8x16_t bit = vdupq_n_u8((uint8_t)(1U << at));
    UNROLL(8)
    for (int i = 0; i < 8; i++)
        w[i] = vorrq_u8(w[i], vandq_u8(vshlq_u8(high, vdupq_n_s8((int8_t)(at - i))), bit));
}

/* Unsigned codes less what stands for zero. */
static ALWAYS_INLINE void less(int8x16_t to[8], const uint8x16_t w[8], const uint8_t zero)
{
    UNROLL(8)
    for (size_t i = 0; i < 8; i++)
        to[i] = vreinterpretq_s8_u8(zero ? vsubq_u8(w[i], vdupq_n_u8(zero)) : w[i]);
}

static ALWAYS_INLINE void codes_nibbles(int8x16_t to[8], const uint8_t *codes, size_t quarter,
                                        const uint8_t zero)
{
    uint8x16_t w[8];
    nibbles(w, codes, quarter);
    less(to, w, zero);
}

static ALWAYS_INLINE void codes_five_bits(int8x16_t to[8], const uint8_t *codes, size_t quarter,
                                          const uint8_t zero)
{
    uint8x16_t w[8];
    nibbles(w, codes, quarter);
    add_high_bits(w, vld1q_u8(codes + PANEL_Q4_BLOCK + 16 * quarter), 4);
    less(to, w, zero);
}

static ALWAYS_INLINE void codes_six_bits(int8x16_t to[8], const uint8_t *codes, size_t quarter,
                                         const uint8_t zero)
{
    uint8x16_t w[8], high[8];
    nibbles(w, codes, quarter);
    two_bits(high, codes + PANEL_Q4_BLOCK, quarter);
    UNROLL(8)
    for (size_t i = 0; i < 8; i++)
        w[i] = vsliq_n_u8(w[i], high[i], 4);
    less(to, w, zero);
}

static ALWAYS_INLINE void codes_two_bits(int8x16_t to[8], const uint8_t *codes, size_t quarter,
                                         const uint8_t zero)
{
    uint8x16_t w[8];
    two_bits(w, codes, quarter);
    less(to, w, zero);
}

static ALWAYS_INLINE void codes_three_bits(int8x16_t to[8], const uint8_t *codes, size_t quarter,
                                           const uint8_t zero)
{
    uint8x16_t w[8];
    two_bits(w, codes, quarter);
    add_high_bits(w, vld1q_u8(codes + PANEL_Q2_BLOCK + 16 * quarter), 2);
    less(to, w, zero);
}

/* Unsigned, by what a block of them has: PANEL_Q4_BLOCK or PANEL_Q5_BLOCK bytes. */
static ALWAYS_INLINE void codes_four_or_five_bits(int8x16_t to[8], const uint8_t *codes, size_t quarter,
                                                  const size_t block_bytes)
{
    if (block_bytes == PANEL_Q5_BLOCK)
        codes_five_bits(to, codes, quarter, 0);
    else
        codes_nibbles(to, codes, quarter, 0);
}

/* Nibbles that stand for the values of a table. */
static ALWAYS_INLINE void codes_table(int8x16_t to[8], const uint8_t *codes, size_t quarter, int8x16_t table)
{
    uint8x16_t w[8];
    nibbles(w, codes, quarter);
    UNROLL(8)
    for (size_t i = 0; i < 8; i++)
        to[i] = vqtbl1q_s8(table, w[i]);
}

#endif
