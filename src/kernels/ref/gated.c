/* What single architectures add to the vectors: gemma's GELU gates and soft caps, gpt-oss's limited gate. */
#include "kernels/f16.h"
#include "kernels/gelu.h"
#include "kernels/kernels_private.h"
#include "kernels/swiglu.h"
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

/* Comparisons keep NaN. */
static void swiglu_limited(float *out, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float x = gate[i] > SWIGLU_LIMIT ? SWIGLU_LIMIT : gate[i];
        float y = up[i] > SWIGLU_LIMIT ? SWIGLU_LIMIT : up[i] < -SWIGLU_LIMIT ? -SWIGLU_LIMIT : up[i];
        out[i] = x / (1.0F + exact_exp(-SWIGLU_SLOPE * x)) * (y + 1.0F);
    }
}

static void softcap(float *x, float cap, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = cap * tanh_exact(x[i] / cap);
}

void kernels_init_ref_gated(struct kernels *k)
{
    k->geglu = geglu;
    k->swiglu_limited = swiglu_limited;
    k->softcap = softcap;
}
