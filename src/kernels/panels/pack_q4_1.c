#include "kernels/panels/pack.h"

static void pack_q4_1(uint8_t *panel, uint32_t b, uint32_t lane, const uint8_t *row)
{
    const uint8_t *from = row + (size_t)b * 20;
    uint8_t *to = panel + (size_t)b * (PANEL_MIN_CODES + PANEL_Q4_BLOCK);

    scale_and_min_pack(to, lane, from);
    for (uint32_t i = 0; i < 4; i++)
        memcpy(code_at(to + PANEL_MIN_CODES, i, lane), from + 4 + (size_t)i * 4, 4);
}

static void unpack_q4_1(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    const uint8_t *from = panel + (size_t)b * (PANEL_MIN_CODES + PANEL_Q4_BLOCK);

    scale_and_min_unpack(out, from, lane);
    nibbles_unpack(out->q, from + PANEL_MIN_CODES, lane);
}

PACK_TYPE(q4_1, 32, 20)

void kernels_init_q4_1_panels(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q4_1] = PACK_SLOT(q4_1, PANEL_ROWS);
}
