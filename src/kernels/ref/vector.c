/* Vectors of f32: rules 3 and 4 of DESIGN section 8. A sum has sixteen lanes, lane i taking elements i, i + 16,
 * ... in order, joined by halves: i with i + 8, then + 4, + 2, + 1. */
#include "kernels/exact.h"
#include "kernels/kernels_private.h"

#include <math.h>

static float join_lanes(float lanes[16])
{
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lanes[i] += lanes[i + half];
    return lanes[0];
}

static void rms_norm(float *out, const float *x, const float *weight, uint32_t n, float eps)
{
    float lanes[16] = {0};

    for (uint32_t i = 0; i < n; i++)
        lanes[i % 16] = fmaf(x[i], x[i], lanes[i % 16]);
    float inverse = 1.0F / sqrtf(join_lanes(lanes) / (float)n + eps);
    for (uint32_t i = 0; i < n; i++)
        out[i] = x[i] * inverse * weight[i];
}

static void add(float *out, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = a[i] + b[i];
}

static void mul(float *out, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = a[i] * b[i];
}

static void add_scaled(float *out, const float *x, float scale, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = fmaf(x[i], scale, out[i]);
}

static void swiglu(float *out, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = gate[i] / (1.0F + exact_exp(-gate[i])) * up[i];
}

static void softmax(float *x, uint32_t n)
{
    float lanes[16] = {0}, largest = -INFINITY;

    for (uint32_t i = 0; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    for (uint32_t i = 0; i < n; i++) {
        x[i] = exact_exp(x[i] - largest);
        lanes[i % 16] += x[i];
    }
    float sum = join_lanes(lanes);
    for (uint32_t i = 0; i < n; i++)
        x[i] /= sum;
}

static void turn(float *x0, float *x1, float cos, float sin)
{
    float a = *x0, b = *x1;
    *x0 = fmaf(a, cos, -(b * sin));
    *x1 = fmaf(b, cos, a * sin);
}

static void rope_pairs(float *heads, uint32_t n_heads, uint32_t head_dim, uint32_t n_rot, const float *cos,
                       const float *sin)
{
    for (uint32_t h = 0; h < n_heads; h++)
        for (uint32_t i = 0; i < n_rot / 2; i++) {
            float *x = heads + (size_t)h * head_dim + 2 * (size_t)i;
            turn(x, x + 1, cos[i], sin[i]);
        }
}

static void rope_halves(float *heads, uint32_t n_heads, uint32_t head_dim, uint32_t n_rot, const float *cos,
                        const float *sin)
{
    for (uint32_t h = 0; h < n_heads; h++)
        for (uint32_t i = 0; i < n_rot / 2; i++) {
            float *x = heads + (size_t)h * head_dim + i;
            turn(x, x + n_rot / 2, cos[i], sin[i]);
        }
}

void kernels_init_ref_vector(struct kernels *k)
{
    k->rms_norm = rms_norm;
    k->add = add;
    k->mul = mul;
    k->add_scaled = add_scaled;
    k->swiglu = swiglu;
    k->softmax = softmax;
    k->rope[ROPE_PAIRS] = rope_pairs;
    k->rope[ROPE_HALVES] = rope_halves;
}
