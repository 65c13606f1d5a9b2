#include "kernels/panels/pack_k.h"

static void pack_q5_1(uint8_t *panel, uint32_t b, uint32_t lane, const uint8_t *row)
{
    const uint8_t *from = row + (size_t)b * 24;
    uint8_t *to = panel + (size_t)b * (PANEL_MIN_CODES + PANEL_Q5_BLOCK), *codes = to + PANEL_MIN_CODES;

    scale_and_min_pack(to, lane, from);
    for (uint32_t i = 0; i < 4; i++)
        memcpy(code_at(codes, i, lane), from + 8 + (size_t)i * 4, 4);
    fifth_bits_pack(codes + PANEL_Q4_BLOCK, lane, load_u32(from + 4));
}

static void unpack_q5_1(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    const uint8_t *from = panel + (size_t)b * (PANEL_MIN_CODES + PANEL_Q5_BLOCK);

    scale_and_min_unpack(out, from, lane);
    nibbles_unpack(out->q, from + PANEL_MIN_CODES, lane);
    high_bits_unpack(out->q, from + PANEL_MIN_CODES + PANEL_Q4_BLOCK, lane, 4);
}

PACK_TYPE(q5_1, 32, 24)

void kernels_init_q5_1_panels(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q5_1] = PACK_SLOT(q5_1, PANEL_ROWS);
}
