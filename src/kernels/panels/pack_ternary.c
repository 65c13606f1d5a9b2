/* TQ1_0 and TQ2_0: the same two bit codes. */
#include "kernels/panels/pack_k.h"

static void ternary_pack(uint8_t *panel, uint32_t s, uint32_t lane, uint32_t j, const uint8_t codes[32])
{
    uint8_t *to = panel + pair_codes_at(s, PANEL_TERNARY_BYTES) + (size_t)j * PANEL_Q2_BLOCK;

    for (uint32_t half = 0; half < 2; half++) {
        uint32_t all = 0;
        for (uint32_t i = 0; i < 4; i++)
            all |= load_u32(codes + 16 * (size_t)half + 4 * (size_t)i) << (2 * i);
        store_u32(code_at(to, half, lane), all);
    }
}

#define PACK_TERNARY(name, bytes, scale_at)                                                                    \
    static void pack_##name(uint8_t *panel, uint32_t s, uint32_t lane, const uint8_t *row)                     \
    {                                                                                                          \
        const uint8_t *from = row + (size_t)s * (bytes);                                                       \
        memcpy(panel + pair_scales_at(s, PANEL_TERNARY_BYTES) + (size_t)lane * 2, from + (scale_at), 2);       \
        for (uint32_t j = 0; j < 8; j++) {                                                                     \
            uint8_t codes[32];                                                                                 \
            block32_##name##_codes(codes, from, j);                                                            \
            ternary_pack(panel, s, lane, j, codes);                                                            \
        }                                                                                                      \
    }

PACK_TERNARY(tq1_0, 54, 52)
PACK_TERNARY(tq2_0, 66, 64)

static void unpack_tq2_0(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    const uint8_t *from = panel + pair_codes_at(b / 8, PANEL_TERNARY_BYTES);

    out->scale = f16_to_f32(f16_load(panel + pair_scales_at(b / 8, PANEL_TERNARY_BYTES) + (size_t)lane * 2));
    two_bits_unpack(out->q, from + (size_t)(b % 8) * PANEL_Q2_BLOCK, lane);
    for (uint32_t i = 0; i < 32; i++)
        out->q[i] = (int8_t)(out->q[i] - 1);
}

static void unpack_tq1_0(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    unpack_tq2_0(out, panel, b, lane);
}

PACK_TYPE(tq1_0, 256, 54)
PACK_TYPE(tq2_0, 256, 66)

void kernels_init_tq1_0_panels(struct kernels *k)
{
    k->types[TENSOR_TYPE_TQ1_0] = PACK_SLOT(tq1_0, PANEL_ROWS);
}

void kernels_init_tq2_0_panels(struct kernels *k)
{
    k->types[TENSOR_TYPE_TQ2_0] = PACK_SLOT(tq2_0, PANEL_ROWS);
}
