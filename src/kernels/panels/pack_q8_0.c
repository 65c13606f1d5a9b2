#include "kernels/panels/pack.h"

static void pack_q8_0(uint8_t *panel, uint32_t b, uint32_t lane, const uint8_t *row)
{
    const uint8_t *from = row + (size_t)b * 34;
    uint8_t *codes = panel + pair_codes_at(b, PANEL_Q8_BLOCK);

    memcpy(panel + pair_scales_at(b, PANEL_Q8_BLOCK) + (size_t)lane * 2, from, 2);
    for (uint32_t i = 0; i < 8; i++)
        store_u32(code_at(codes, i, lane), load_u32(from + 2 + (size_t)i * 4) ^ 0x80808080U);
}

static void unpack_q8_0(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    const uint8_t *codes = panel + pair_codes_at(b, PANEL_Q8_BLOCK) + (size_t)lane * 4;

    out->scale = f16_to_f32(f16_load(panel + pair_scales_at(b, PANEL_Q8_BLOCK) + (size_t)lane * 2));
    for (uint32_t i = 0; i < 32; i++)
        out->q[i] = (int8_t)(codes[(size_t)(i / 4) * 64 + i % 4] ^ 0x80);
}

PACK_TYPE(q8_0, 32, 34)

void kernels_init_q8_0_panels(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q8_0] = PACK_SLOT(q8_0, PANEL_ROWS);
}
