#include "kernels/ref/blocks.h"

void block32_values(float out[32], const struct block32 *w)
{
    for (int i = 0; i < 32; i++) {
        float value = w->scale * (float)w->sub_scale[i / 16] * (float)w->q[i];
        out[i] = w->has_min ? value - w->min * (float)w->sub_min[i / 16] : value;
    }
}
