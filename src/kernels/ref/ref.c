#include "kernels/kernels_private.h"

void kernels_init_ref(struct kernels *k)
{
    k->level = "ref";
    kernels_init_ref_int8(k);
    kernels_init_ref_float(k);
    kernels_init_ref_vector(k);
    kernels_init_ref_gated(k);
    kernels_init_ref_attention(k);
}
