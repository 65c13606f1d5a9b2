#include "kernels/panels/pack_k.h"

static void pack_q4_k(uint8_t *panel, uint32_t s, uint32_t lane, const uint8_t *row)
{
    const uint8_t *from = row + (size_t)s * 144;
    uint8_t *to = panel + (size_t)s * PANEL_Q4K_BYTES, *codes = to + PANEL_Q4K_CODES;

    k_mins_pack(to, lane, from);
    for (size_t i = 0; i < 4; i++) {
        uint8_t *first = codes + 2 * i * PANEL_Q4_BLOCK;
        two_nibbles_pack(first, first + PANEL_Q4_BLOCK, lane, from + 16 + 32 * i);
    }
}

static void unpack_q4_k(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    const uint8_t *from = panel + (size_t)(b / 8) * PANEL_Q4K_BYTES;

    k_mins_unpack(out, from, b % 8, lane);
    nibbles_unpack(out->q, from + PANEL_Q4K_CODES + (size_t)(b % 8) * PANEL_Q4_BLOCK, lane);
}

PACK_TYPE(q4_k, 256, 144)

void kernels_init_q4_k_panels(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q4_K] = PACK_SLOT(q4_k, PANEL_ROWS);
}
