#include "kernels/panels/pack.h"
#include "kernels/ref/codebooks.h"

static void pack_mxfp4(uint8_t *panel, uint32_t b, uint32_t lane, const uint8_t *row)
{
    const uint8_t *from = row + (size_t)b * 17;

    panel[four_scales_at(b) + lane] = from[0];
    nibbles_pack(panel + four_codes_at(b), lane, from + 1);
}

static void unpack_mxfp4(struct block32 *out, const uint8_t *panel, uint32_t b, uint32_t lane)
{
    out->scale = e8m0_half(panel[four_scales_at(b) + lane]);
    table_unpack(out->q, panel + four_codes_at(b), lane, codebook_fp4);
}

PACK_TYPE(mxfp4, 32, 17)

void kernels_init_mxfp4_panels(struct kernels *k)
{
    k->types[TENSOR_TYPE_MXFP4] = PACK_SLOT(mxfp4, PANEL_ROWS);
}
