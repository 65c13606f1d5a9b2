/* IQ3_S and IQ3_XXS: nibbles of magnitude and sign. */
#include "kernels/panels/pack.h"
#include "kernels/ref/codebooks.h"

static void iq3_pack(uint8_t *panel, uint32_t s, uint32_t lane, uint32_t j, uint8_t scale,
                     const uint8_t codes[32])
{
    uint8_t *to = panel + pair_codes_at(s, PANEL_IQ3_BYTES);
    uint8_t *scales = to + (size_t)(j % 4) * 16 + lane;

    *scales = (uint8_t)(j < 4 ? scale : *scales | scale << 4);
    to += PANEL_IQ3_CODES + (size_t)j * PANEL_Q4_BLOCK;
    for (uint32_t i = 0; i < 4; i++)
        store_u32(code_at(to, i, lane), load_u32(codes + (size_t)i * 4) | load_u32(codes + 16 + (size_t)i * 4)
                                                                              << 4);
}

static void iq3_unpack(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane,
                       const int8_t table[16])
{
    const uint8_t *from = panel + pair_codes_at(b / 8, PANEL_IQ3_BYTES);
    uint32_t j = b % 8, scale = from[(size_t)(j % 4) * 16 + lane] >> (j / 4 * 4) & 15;
    uint16_t d = f16_load(panel + pair_scales_at(b / 8, PANEL_IQ3_BYTES) + (size_t)lane * 2);

    out->scale = f16_to_f32(d) * (float)(1 + 2 * scale);
    table_unpack(out->q, from + PANEL_IQ3_CODES + (size_t)j * PANEL_Q4_BLOCK, lane, table);
}

#define PACK_IQ3(name, bytes)                                                                                  \
    static void pack_##name(uint8_t *panel, uint32_t s, uint32_t lane, const uint8_t *row)                     \
    {                                                                                                          \
        const uint8_t *from = row + (size_t)s * (bytes);                                                       \
        memcpy(panel + pair_scales_at(s, PANEL_IQ3_BYTES) + (size_t)lane * 2, from, 2);                        \
        for (uint32_t j = 0; j < 8; j++) {                                                                     \
            uint8_t codes[32];                                                                                 \
            block32_##name##_codes(codes, from, j);                                                            \
            iq3_pack(panel, s, lane, j, block32_##name##_scale(from, j), codes);                               \
        }                                                                                                      \
    }

PACK_IQ3(iq3_s, 110)
PACK_IQ3(iq3_xxs, 98)

static void unpack_iq3_s(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    iq3_unpack(out, panel, b, lane, codebook_iq3_s);
}

static void unpack_iq3_xxs(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    iq3_unpack(out, panel, b, lane, codebook_iq3_xxs);
    out->scale *= 0.5F;
}

PACK_TYPE(iq3_s, 256, 110)
PACK_TYPE(iq3_xxs, 256, 98)

void kernels_init_iq3_s_panels(struct kernels *k)
{
    k->types[TENSOR_TYPE_IQ3_S] = PACK_SLOT(iq3_s, PANEL_ROWS);
}

void kernels_init_iq3_xxs_panels(struct kernels *k)
{
    k->types[TENSOR_TYPE_IQ3_XXS] = PACK_SLOT(iq3_xxs, PANEL_ROWS);
}
