/* vector_body - norms, products and rope for the level that the including file is compiled for. The meaning is
 * ref/vector.c. Included by the levels' vector_LEVEL.c only. */
#ifndef KERNELS_SIMD_VECTOR_BODY_H
#define KERNELS_SIMD_VECTOR_BODY_H

#include "kernels/kernels_private.h"
#include "kernels/simd/gated_body.h"
#include "kernels/simd/simd.h"

#include <math.h>

#define LANE_VECTORS (16 / LANES) /* that make sixteen virtual lanes */

static void rms_norm(float *out, const float *x, const float *weight, uint32_t n, float eps)
{
    vf lanes[LANE_VECTORS] = {0};

    for (uint32_t i = 0; i < n; i += LANES) {
        vf v = vf_load_first(x + i, n - i);
        vf *lane = &lanes[i / LANES % LANE_VECTORS];
        *lane = vf_fma(v, v, *lane);
    }
    vf inverse = vf_set1(1.0F / sqrtf(vf_join_lanes(lanes) / (float)n + eps));
    for (uint32_t i = 0; i < n; i += LANES) {
        vf y = vf_mul(vf_mul(vf_load_first(x + i, n - i), inverse), vf_load_first(weight + i, n - i));
        vf_store_first(out + i, y, n - i);
    }
}

static void add(float *out, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
        vf_store_first(out + i, vf_add(vf_load_first(a + i, n - i), vf_load_first(b + i, n - i)), n - i);
}

static void mul(float *out, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
        vf_store_first(out + i, vf_mul(vf_load_first(a + i, n - i), vf_load_first(b + i, n - i)), n - i);
}

static void add_scaled(float *out, const float *x, float scale, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        vf y = vf_fma(vf_load_first(x + i, n - i), vf_set1(scale), vf_load_first(out + i, n - i));
        vf_store_first(out + i, y, n - i);
    }
}

static void swiglu(float *out, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        vf g = vf_load_first(gate + i, n - i);
        vf y = vf_div(g, vf_add(vf_set1(1.0F), vf_exp(vf_negate(g))));
        vf_store_first(out + i, vf_mul(y, vf_load_first(up + i, n - i)), n - i);
    }
}

static void geglu(float *out, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        vf g = vf_gelu(vf_load_first(gate + i, n - i));
        vf_store_first(out + i, vf_mul(g, vf_load_first(up + i, n - i)), n - i);
    }
}

static void swiglu_limited(float *out, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        vf y = vf_swiglu_limited(vf_load_first(gate + i, n - i), vf_load_first(up + i, n - i));
        vf_store_first(out + i, y, n - i);
    }
}

static void softcap(float *x, float cap, size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
        vf_store_first(x + i, vf_softcap(vf_load_first(x + i, n - i), vf_set1(cap)), n - i);
}

static void softmax(float *x, uint32_t n)
{
    vf lanes[LANE_VECTORS] = {0}, most = vf_set1(-INFINITY);

    for (uint32_t i = 0; i < n; i += LANES)
        most = vf_max(vf_pick(vf_load_first(x + i, n - i), vf_set1(-INFINITY), 0, (int)(n - i)), most);
    vf largest = vf_set1(vf_largest(most));
    for (uint32_t i = 0; i < n; i += LANES) {
        vf e = vf_exp(vf_sub(vf_load_first(x + i, n - i), largest));
        vf *lane = &lanes[i / LANES % LANE_VECTORS];
        *lane = vf_add(*lane, vf_pick(e, vf_set1(0), 0, (int)(n - i)));
        vf_store_first(x + i, e, n - i);
    }
    vf sum = vf_set1(vf_join_lanes(lanes));
    for (uint32_t i = 0; i < n; i += LANES)
        vf_store_first(x + i, vf_div(vf_load_first(x + i, n - i), sum), n - i);
}

static void rope_pairs(float *heads, uint32_t n_heads, uint32_t head_dim, uint32_t n_rot, const float *cos,
                       const float *sin)
{
    for (uint32_t i = 0; i < n_rot; i += LANES) {
        uint32_t n = n_rot - i;
        vf c = vf_load_twice(cos + i / 2, n / 2), s = vf_load_twice(sin + i / 2, n / 2);
        for (uint32_t h = 0; h < n_heads; h++) {
            float *at = heads + (size_t)h * head_dim + i;
            vf x = vf_load_first(at, n);
            vf_store_first(at, vf_fma_alternating(x, c, vf_mul(vf_swap_pairs(x), s)), n);
        }
    }
}

static void rope_halves(float *heads, uint32_t n_heads, uint32_t head_dim, uint32_t n_rot, const float *cos,
                        const float *sin)
{
    uint32_t half = n_rot / 2;

    for (uint32_t i = 0; i < half; i += LANES) {
        uint32_t n = half - i;
        vf c = vf_load_first(cos + i, n), s = vf_load_first(sin + i, n);
        for (uint32_t h = 0; h < n_heads; h++) {
            float *at = heads + (size_t)h * head_dim + i;
            vf a = vf_load_first(at, n), b = vf_load_first(at + half, n);
            vf_store_first(at, vf_fms(a, c, vf_mul(b, s)), n);
            vf_store_first(at + half, vf_fma(b, c, vf_mul(a, s)), n);
        }
    }
}

void SIMD_LEVEL(kernels_init_vector)(struct kernels *k)
{
    k->rms_norm = rms_norm;
    k->add = add;
    k->mul = mul;
    k->add_scaled = add_scaled;
    k->swiglu = swiglu;
    k->geglu = geglu;
    k->swiglu_limited = swiglu_limited;
    k->softcap = softcap;
    k->softmax = softmax;
    k->rope[ROPE_PAIRS] = rope_pairs;
    k->rope[ROPE_HALVES] = rope_halves;
}

#endif
