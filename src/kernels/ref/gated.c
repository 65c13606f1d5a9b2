/* What gemma's layers add to the vectors: GELU gates and soft caps. */
#include "kernels/f16.h"
#include "kernels/gelu.h"
#include "kernels/kernels_private.h"
#include "kernels/tanh.h"

static float gelu(float x)
{
    float h = f16_to_f32(f16_of_f32(x));
    float u = GELU_ROOT * h * (1.0F + GELU_CUBE * h * h);
    if (x >= GELU_FLAT)
        return x;
    if (x <= -GELU_FLAT)
        return 0;
    return f16_to_f32(f16_of_f32(0.5F * h * (1.0F + tanh_exact(u))));
}

static void geglu(float *out, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = gelu(gate[i]) * up[i];
}

static void softcap(float *x, float cap, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = cap * tanh_exact(x[i] / cap);
}

void kernels_init_ref_gated(struct kernels *k)
{
    k->geglu = geglu;
    k->softcap = softcap;
}
