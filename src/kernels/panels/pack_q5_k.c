#include "kernels/panels/pack_k.h"

static void pack_q5_k(uint8_t *panel, uint32_t s, uint32_t lane, const uint8_t *row)
{
    const uint8_t *from = row + (size_t)s * 176;
    uint8_t *to = panel + (size_t)s * PANEL_Q5K_BYTES, *codes = to + PANEL_Q4K_CODES;

    k_mins_pack(to, lane, from);
    for (size_t i = 0; i < 4; i++) {
        uint8_t *first = codes + 2 * i * PANEL_Q5_BLOCK;
        two_nibbles_pack(first, first + PANEL_Q5_BLOCK, lane, from + 48 + 32 * i);
    }
    high_bits_pack(codes + PANEL_Q4_BLOCK, PANEL_Q5_BLOCK, lane, from + 16);
}

static void unpack_q5_k(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    const uint8_t *from = panel + (size_t)(b / 8) * PANEL_Q5K_BYTES;
    const uint8_t *codes = from + PANEL_Q4K_CODES + (size_t)(b % 8) * PANEL_Q5_BLOCK;

    k_mins_unpack(out, from, b % 8, lane);
    nibbles_unpack(out->q, codes, lane);
    high_bits_unpack(out->q, codes + PANEL_Q4_BLOCK, lane, 4);
}

PACK_TYPE(q5_k, 256, 176)

void kernels_init_q5_k_panels(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q5_K] = PACK_SLOT(q5_k, PANEL_ROWS);
}
