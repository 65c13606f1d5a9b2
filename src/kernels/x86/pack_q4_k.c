#include "kernels/x86/pack.h"

static void pack_q4_k(uint8_t *panel, uint32_t s, uint32_t lane, const uint8_t *row)
{
    const uint8_t *from = row + (size_t)s * 144;
    uint8_t *to = panel + (size_t)s * PANEL_Q4K_BYTES;

    memcpy(to + (size_t)lane * 2, from, 2);
    memcpy(to + 32 + (size_t)lane * 2, from + 2, 2);
    for (size_t i = 0; i < 12; i++)
        to[PANEL_Q4K_SCALES + i * 16 + lane] = from[4 + i];
    for (size_t j = 0; j < 8; j++) {
        const uint8_t *qs = from + 16 + j / 2 * 32;
        uint32_t shift = j % 2 * 4;
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t low = load_u32(qs + 4 * (size_t)i) >> shift & 0x0F0F0F0FU;
            uint32_t high = load_u32(qs + 16 + 4 * (size_t)i) >> shift & 0x0F0F0F0FU;
            store_u32(code_at(to + PANEL_Q4K_CODES + j * PANEL_Q4_BLOCK, i, lane), low | high << 4);
        }
    }
}

static void unpack_q4_k(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    const uint8_t *from = panel + (size_t)(b / 8) * PANEL_Q4K_BYTES;
    uint8_t packed[12], scale, min;

    for (size_t i = 0; i < 12; i++)
        packed[i] = from[PANEL_Q4K_SCALES + i * 16 + lane];
    block32_k_scales(packed, b % 8, &scale, &min);
    out->scale = f16_to_f32(f16_load(from + (size_t)lane * 2)) * (float)scale;
    out->has_min = true;
    out->min = f16_to_f32(f16_load(from + 32 + (size_t)lane * 2)) * (float)min;
    nibbles_unpack(out->q, from + PANEL_Q4K_CODES + (size_t)(b % 8) * PANEL_Q4_BLOCK, lane);
}

PACK_TYPE(q4_k, 256, 144)

void kernels_init_q4_k_panels(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q4_K] = PACK_SLOT(q4_k);
}
