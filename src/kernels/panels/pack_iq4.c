/* IQ4_NL and IQ4_XS: nibbles that stand for the values of codebook_iq4. */
#include "kernels/panels/pack.h"
#include "kernels/ref/codebooks.h"

static void pack_iq4_nl(uint8_t *panel, uint32_t b, uint32_t lane, const uint8_t *row)
{
    const uint8_t *from = row + (size_t)b * 18;

    memcpy(panel + pair_scales_at(b, PANEL_Q4_BLOCK) + (size_t)lane * 2, from, 2);
    nibbles_pack(panel + pair_codes_at(b, PANEL_Q4_BLOCK), lane, from + 2);
}

static void unpack_iq4_nl(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    out->scale = f16_to_f32(f16_load(panel + pair_scales_at(b, PANEL_Q4_BLOCK) + (size_t)lane * 2));
    table_unpack(out->q, panel + pair_codes_at(b, PANEL_Q4_BLOCK), lane, codebook_iq4);
}

PACK_TYPE(iq4_nl, 32, 18)

static void pack_iq4_xs(uint8_t *panel, uint32_t s, uint32_t lane, const uint8_t *row)
{
    const uint8_t *from = row + (size_t)s * 136;
    uint8_t *to = panel + pair_codes_at(s, PANEL_IQ4XS_BYTES);

    memcpy(panel + pair_scales_at(s, PANEL_IQ4XS_BYTES) + (size_t)lane * 2, from, 2);
    for (uint32_t j = 0; j < 8; j++) {
        to[(size_t)j * 16 + lane] = (uint8_t)block32_iq4_xs_scale(from, j);
        nibbles_pack(to + PANEL_IQ4XS_CODES + (size_t)j * PANEL_Q4_BLOCK, lane, from + 8 + (size_t)j * 16);
    }
}

static void unpack_iq4_xs(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    const uint8_t *from = panel + pair_codes_at(b / 8, PANEL_IQ4XS_BYTES);
    uint16_t d = f16_load(panel + pair_scales_at(b / 8, PANEL_IQ4XS_BYTES) + (size_t)lane * 2);

    out->scale = f16_to_f32(d) * (float)(int8_t)from[(size_t)(b % 8) * 16 + lane];
    table_unpack(out->q, from + PANEL_IQ4XS_CODES + (size_t)(b % 8) * PANEL_Q4_BLOCK, lane, codebook_iq4);
}

PACK_TYPE(iq4_xs, 256, 136)

void kernels_init_iq4_nl_panels(struct kernels *k)
{
    k->types[TENSOR_TYPE_IQ4_NL] = PACK_SLOT(iq4_nl, PANEL_ROWS);
}

void kernels_init_iq4_xs_panels(struct kernels *k)
{
    k->types[TENSOR_TYPE_IQ4_XS] = PACK_SLOT(iq4_xs, PANEL_ROWS);
}
