#include "kernels/x86/pack.h"

/* Block j of 8: four columns from k of low nibbles, and of the high two bits. */
static uint32_t q6_k_low(const uint8_t *from, uint32_t j, size_t k)
{
    return load_u32(from + (size_t)(j / 4) * 64 + (size_t)(j % 2) * 32 + k) >> (j % 4 / 2 * 4) & 0x0F0F0F0FU;
}

static uint32_t q6_k_high(const uint8_t *from, uint32_t j, size_t k)
{
    return load_u32(from + 128 + (size_t)(j / 4) * 32 + k) >> (j % 4 * 2) & 0x03030303U;
}

static void pack_q6_k(uint8_t *panel, uint32_t s, uint32_t lane, const uint8_t *row)
{
    const uint8_t *from = row + (size_t)s * 210;
    uint8_t *to = panel + pair_codes_at(s, PANEL_Q6K_BYTES);

    memcpy(panel + pair_scales_at(s, PANEL_Q6K_BYTES) + (size_t)lane * 2, from + 208, 2);
    for (size_t i = 0; i < 16; i++)
        to[i * 16 + lane] = from[192 + i];
    for (uint32_t j = 0; j < 8; j++) {
        uint8_t *codes = to + PANEL_Q6K_CODES + (size_t)j * PANEL_Q6K_BLOCK;
        uint32_t first = 0, second = 0;
        for (uint32_t i = 0; i < 4; i++) {
            size_t k = 4 * (size_t)i;
            store_u32(code_at(codes, i, lane), q6_k_low(from, j, k) | q6_k_low(from, j, k + 16) << 4);
            first |= q6_k_high(from, j, k) << (2 * i);
            second |= q6_k_high(from, j, k + 16) << (2 * i);
        }
        store_u32(code_at(codes + PANEL_Q4_BLOCK, 0, lane), first);
        store_u32(code_at(codes + PANEL_Q4_BLOCK, 1, lane), second);
    }
}

static void unpack_q6_k(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    const uint8_t *from = panel + pair_codes_at(b / 8, PANEL_Q6K_BYTES);
    const uint8_t *codes = from + PANEL_Q6K_CODES + (size_t)(b % 8) * PANEL_Q6K_BLOCK;
    const uint8_t *high = codes + PANEL_Q4_BLOCK + (size_t)lane * 4;

    out->scale = f16_to_f32(f16_load(panel + pair_scales_at(b / 8, PANEL_Q6K_BYTES) + (size_t)lane * 2));
    for (size_t i = 0; i < 2; i++)
        out->sub_scale[i] = (int8_t)from[((size_t)(b % 8) * 2 + i) * 16 + lane];
    nibbles_unpack(out->q, codes, lane);
    for (uint32_t i = 0; i < 32; i++) {
        int bits = high[(size_t)(i / 16) * 64 + i % 4] >> (i % 16 / 4 * 2) & 3;
        out->q[i] = (int8_t)((out->q[i] | bits << 4) - 32);
    }
}

PACK_TYPE(q6_k, 256, 210)

void kernels_init_q6_k_panels(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q6_K] = PACK_SLOT(q6_k);
}
