#include "kernels/panels/pack_k.h"

static void pack_q3_k(uint8_t *panel, uint32_t s, uint32_t lane, const uint8_t *row)
{
    const uint8_t *from = row + (size_t)s * 110;
    uint8_t *to = panel + pair_codes_at(s, PANEL_Q3K_BYTES), *codes = to + PANEL_Q3K_CODES;

    memcpy(panel + pair_scales_at(s, PANEL_Q3K_BYTES) + (size_t)lane * 2, from + 108, 2);
    for (size_t i = 0; i < 12; i++)
        to[i * 16 + lane] = from[96 + i];
    for (size_t half = 0; half < 2; half++)
        two_bits_pack(codes + 4 * half * PANEL_Q3_BLOCK, PANEL_Q3_BLOCK, lane, from + 32 + 32 * half);
    high_bits_pack(codes + PANEL_Q2_BLOCK, PANEL_Q3_BLOCK, lane, from);
}

static void unpack_q3_k(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    const uint8_t *from = panel + pair_codes_at(b / 8, PANEL_Q3K_BYTES);
    const uint8_t *codes = from + PANEL_Q3K_CODES + (size_t)(b % 8) * PANEL_Q3_BLOCK;
    uint8_t packed[12];

    for (size_t i = 0; i < 12; i++)
        packed[i] = from[i * 16 + lane];
    out->scale = f16_to_f32(f16_load(panel + pair_scales_at(b / 8, PANEL_Q3K_BYTES) + (size_t)lane * 2));
    for (uint32_t i = 0; i < 2; i++)
        out->sub_scale[i] = block32_q3_k_scale(packed, b % 8 * 2 + i);
    two_bits_unpack(out->q, codes, lane);
    high_bits_unpack(out->q, codes + PANEL_Q2_BLOCK, lane, 2);
    for (uint32_t i = 0; i < 32; i++)
        out->q[i] = (int8_t)(out->q[i] - 4);
}

PACK_TYPE(q3_k, 256, 110)

void kernels_init_q3_k_panels(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q3_K] = PACK_SLOT(q3_k, PANEL_ROWS);
}
