#include "kernels/panels/pack.h"

static void pack_q4_0(uint8_t *panel, uint32_t b, uint32_t lane, const uint8_t *row)
{
    const uint8_t *from = row + (size_t)b * 18;
    uint8_t *codes = panel + pair_codes_at(b, PANEL_Q4_BLOCK);

    memcpy(panel + pair_scales_at(b, PANEL_Q4_BLOCK) + (size_t)lane * 2, from, 2);
    for (uint32_t i = 0; i < 4; i++)
        memcpy(code_at(codes, i, lane), from + 2 + (size_t)i * 4, 4);
}

static void unpack_q4_0(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    out->scale = f16_to_f32(f16_load(panel + pair_scales_at(b, PANEL_Q4_BLOCK) + (size_t)lane * 2));
    nibbles_unpack(out->q, panel + pair_codes_at(b, PANEL_Q4_BLOCK), lane);
    for (uint32_t i = 0; i < 32; i++)
        out->q[i] = (int8_t)(out->q[i] - 8);
}

PACK_TYPE(q4_0, 32, 18)

void kernels_init_q4_0_panels(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q4_0] = PACK_SLOT(q4_0, PANEL_ROWS);
}
