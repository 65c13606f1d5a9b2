#include "kernels/panels/pack_k.h"

/* Blocks 0 and 2, 1 and 3 of each half share their bytes. */
static void pack_q6_k(uint8_t *panel, uint32_t s, uint32_t lane, const uint8_t *row)
{
    const uint8_t *from = row + (size_t)s * 210;
    uint8_t *to = panel + pair_codes_at(s, PANEL_Q6K_BYTES);

    memcpy(panel + pair_scales_at(s, PANEL_Q6K_BYTES) + (size_t)lane * 2, from + 208, 2);
    for (size_t i = 0; i < 16; i++)
        to[i * 16 + lane] = from[192 + i];
    for (size_t half = 0; half < 2; half++) {
        uint8_t *codes = to + PANEL_Q6K_CODES + half * 4 * PANEL_Q6K_BLOCK;
        for (size_t i = 0; i < 2; i++)
            two_nibbles_pack(codes + i * PANEL_Q6K_BLOCK, codes + (i + 2) * PANEL_Q6K_BLOCK, lane,
                             from + 64 * half + 32 * i);
        two_bits_pack(codes + PANEL_Q4_BLOCK, PANEL_Q6K_BLOCK, lane, from + 128 + 32 * half);
    }
}

static void unpack_q6_k(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    const uint8_t *from = panel + pair_codes_at(b / 8, PANEL_Q6K_BYTES);
    const uint8_t *codes = from + PANEL_Q6K_CODES + (size_t)(b % 8) * PANEL_Q6K_BLOCK;
    const uint8_t *high = codes + PANEL_Q4_BLOCK + (size_t)lane * 4;

    out->scale = f16_to_f32(f16_load(panel + pair_scales_at(b / 8, PANEL_Q6K_BYTES) + (size_t)lane * 2));
    for (size_t i = 0; i < 2; i++)
        out->sub_scale[i] = (int8_t)from[((size_t)(b % 8) * 2 + i) * 16 + lane];
    nibbles_unpack(out->q, codes, lane);
    for (uint32_t i = 0; i < 32; i++) {
        int bits = high[(size_t)(i / 16) * 64 + i % 4] >> (i % 16 / 4 * 2) & 3;
        out->q[i] = (int8_t)((out->q[i] | bits << 4) - 32);
    }
}

PACK_TYPE(q6_k, 256, 210)

void kernels_init_q6_k_panels(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q6_K] = PACK_SLOT(q6_k, PANEL_ROWS);
}
