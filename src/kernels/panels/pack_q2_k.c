#include "kernels/panels/pack_k.h"

static void pack_q2_k(uint8_t *panel, uint32_t s, uint32_t lane, const uint8_t *row)
{
    const uint8_t *from = row + (size_t)s * 84;
    uint8_t *to = panel + (size_t)s * PANEL_Q2K_BYTES, *codes = to + PANEL_Q2K_CODES;

    memcpy(to + (size_t)lane * 2, from + 80, 2);
    memcpy(to + PANEL_SCALE_BYTES + (size_t)lane * 2, from + 82, 2);
    for (size_t i = 0; i < 16; i++)
        to[64 + i * 16 + lane] = from[i];
    for (size_t half = 0; half < 2; half++)
        two_bits_pack(codes + 4 * half * PANEL_Q2_BLOCK, PANEL_Q2_BLOCK, lane, from + 16 + 32 * half);
}

static void unpack_q2_k(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    const uint8_t *from = panel + (size_t)(b / 8) * PANEL_Q2K_BYTES;

    out->scale = f16_to_f32(f16_load(from + (size_t)lane * 2));
    out->has_min = true;
    out->min = f16_to_f32(f16_load(from + PANEL_SCALE_BYTES + (size_t)lane * 2));
    for (size_t i = 0; i < 2; i++) {
        uint8_t both = from[64 + ((size_t)(b % 8) * 2 + i) * 16 + lane];
        out->sub_scale[i] = both & 15;
        out->sub_min[i] = both >> 4;
    }
    two_bits_unpack(out->q, from + PANEL_Q2K_CODES + (size_t)(b % 8) * PANEL_Q2_BLOCK, lane);
}

PACK_TYPE(q2_k, 256, 84)

void kernels_init_q2_k_panels(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q2_K] = PACK_SLOT(q2_k, PANEL_ROWS);
}
