#include "kernels/panels/pack_k.h"

static void pack_q5_0(uint8_t *panel, uint32_t b, uint32_t lane, const uint8_t *row)
{
    const uint8_t *from = row + (size_t)b * 22;
    uint8_t *codes = panel + pair_codes_at(b, PANEL_Q5_BLOCK);

    memcpy(panel + pair_scales_at(b, PANEL_Q5_BLOCK) + (size_t)lane * 2, from, 2);
    for (uint32_t i = 0; i < 4; i++)
        memcpy(code_at(codes, i, lane), from + 6 + (size_t)i * 4, 4);
    fifth_bits_pack(codes + PANEL_Q4_BLOCK, lane, load_u32(from + 2));
}

static void unpack_q5_0(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    const uint8_t *codes = panel + pair_codes_at(b, PANEL_Q5_BLOCK);

    out->scale = f16_to_f32(f16_load(panel + pair_scales_at(b, PANEL_Q5_BLOCK) + (size_t)lane * 2));
    nibbles_unpack(out->q, codes, lane);
    high_bits_unpack(out->q, codes + PANEL_Q4_BLOCK, lane, 4);
    for (uint32_t i = 0; i < 32; i++)
        out->q[i] = (int8_t)(out->q[i] - 16);
}

PACK_TYPE(q5_0, 32, 22)

void kernels_init_q5_0_panels(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q5_0] = PACK_SLOT(q5_0, PANEL_ROWS);
}
