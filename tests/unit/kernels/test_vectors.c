/* vectors: norms, products, rope and attention give ref's bits at every level, touch only what they were given,
 * and attention does not depend on what a query does not see. */
#include "inputs.h"
#include "kernels/rope.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct rng rng;
static const struct kernels *levels[KERNELS_LEVELS_MAX];
static uint32_t n_levels;

struct floats { /* a guarded array */
    struct guarded memory;
    float *at;
    size_t n;
};

static struct floats floats_new(size_t n)
{
    struct floats f = {guarded_new(n * sizeof(float), 4), NULL, n};
    f.at = (float *)(void *)f.memory.data;
    return f;
}

static struct floats floats_of(size_t n, enum fill fill)
{
    struct floats f = floats_new(n);
    inputs_activations(f.at, n, fill, &rng);
    return f;
}

static void floats_free(struct floats *f)
{
    assert_true(guarded_free(&f->memory));
}

static void check_equal(const char *what, const struct kernels *k, const struct floats *want,
                        const struct floats *got)
{
    for (size_t i = 0; i < want->n; i++)
        if (!inputs_same(want->at[i], got->at[i]))
            fail_msg("%s %s, %zu values: %zu is %a, want %a", k->level, what, want->n, i, (double)got->at[i],
                     (double)want->at[i]);
}

/* --- element by element --------------------------------------------------------------------------------- */

enum operation {
    RMS_NORM,
    ADD,
    MUL,
    ADD_SCALED,
    SWIGLU,
    GEGLU,
    SWIGLU_LIMITED,
    SOFTCAP,
    SOFTMAX,
    OPERATION_COUNT
};
static const char *const operation_names[] = {
    "rms_norm", "add", "mul", "add_scaled", "swiglu", "geglu", "swiglu_limited", "softcap", "softmax"};

static void operate(const struct kernels *k, enum operation operation, float *out, const float *a,
                    const float *b, size_t n)
{
    switch (operation) {
    case RMS_NORM:
        k->rms_norm(out, a, b, (uint32_t)n, 1e-5F);
        break;
    case ADD:
        k->add(out, a, b, n);
        break;
    case MUL:
        k->mul(out, a, b, n);
        break;
    case ADD_SCALED:
        k->add_scaled(out, a, -0.37F, n);
        break;
    case SWIGLU:
        k->swiglu(out, a, b, n);
        break;
    case GEGLU:
        k->geglu(out, a, b, n);
        break;
    case SWIGLU_LIMITED:
        k->swiglu_limited(out, a, b, n);
        break;
    case SOFTCAP:
        k->softcap(out, 0.7F, n);
        break;
    default:
        k->softmax(out, (uint32_t)n);
    }
}

static void check_operation(enum operation operation, size_t n, enum fill fill)
{
    struct floats a = floats_of(n, fill), b = floats_of(n, fill), start = floats_of(n, fill),
                  want = floats_new(n);

    memcpy(want.at, start.at, n * sizeof(float));
    operate(levels[0], operation, want.at, a.at, b.at, n);
    for (uint32_t l = 1; l < n_levels; l++) {
        struct floats got = floats_new(n);
        memcpy(got.at, start.at, n * sizeof(float));
        operate(levels[l], operation, got.at, a.at, b.at, n);
        check_equal(operation_names[operation], levels[l], &want, &got);
        if (operation == RMS_NORM || operation == ADD || operation == MUL || operation == SWIGLU ||
            operation == GEGLU || operation == SWIGLU_LIMITED) {
            memcpy(got.at, a.at, n * sizeof(float)); /* in place */
            operate(levels[l], operation, got.at, got.at, b.at, n);
            check_equal(operation_names[operation], levels[l], &want, &got);
        }
        floats_free(&got);
    }
    floats_free(&a);
    floats_free(&b);
    floats_free(&start);
    floats_free(&want);
}

static void test_operations(void **state)
{
    (void)state;
    for (enum operation o = 0; o < OPERATION_COUNT; o++)
        for (enum fill fill = 0; fill < FILL_COUNT; fill++) {
            for (size_t n = 1; n <= 70; n++)
                check_operation(o, n, fill);
            check_operation(o, 1000 + rng_below(&rng, 1000), fill);
        }
}

/* swiglu(-x, -1) * -1/x is the logistic function: reaches every branch of the vectors' exp. */
static void test_exp_range(void **state)
{
    enum { N = 4096 };
    struct floats gate = floats_new(N), up = floats_new(N), want = floats_new(N), got = floats_new(N);

    (void)state;
    for (size_t i = 0; i < N; i++) {
        gate.at[i] = (float)(rng_unit(&rng) * 240 - 120);
        up.at[i] = 1;
    }
    gate.at[0] = INFINITY;
    gate.at[1] = -INFINITY;
    gate.at[2] = NAN;
    levels[0]->swiglu(want.at, gate.at, up.at, N);
    for (uint32_t l = 1; l < n_levels; l++) {
        levels[l]->swiglu(got.at, gate.at, up.at, N);
        check_equal("swiglu", levels[l], &want, &got);
    }
    floats_free(&gate);
    floats_free(&up);
    floats_free(&want);
    floats_free(&got);
}

/* Both ways of tanh, their border, and how close they are to the mathematical functions. */
static void test_caps_and_gates(void **state)
{
    enum { N = 4096 };
    struct floats x = floats_new(N), ones = floats_new(N), want = floats_new(N), got = floats_new(N);

    (void)state;
    for (size_t i = 0; i < N; i++) {
        x.at[i] = (float)((rng_unit(&rng) - 0.5) * (i % 3 ? 4 : 60));
        ones.at[i] = 1;
    }
    x.at[0] = 0.625F;
    x.at[1] = -0.0F;
    x.at[2] = 1e-30F;
    for (uint32_t l = 0; l < n_levels; l++) {
        memcpy(got.at, x.at, N * sizeof(float));
        levels[l]->softcap(got.at, 1.0F, N);
        if (l == 0)
            memcpy(want.at, got.at, N * sizeof(float));
        check_equal("softcap", levels[l], &want, &got);
    }
    for (size_t i = 0; i < N; i++)
        assert_true(fabs((double)want.at[i] - tanh((double)x.at[i])) <= 3e-7 * fabs(tanh((double)x.at[i])));
    for (uint32_t l = 0; l < n_levels; l++) {
        levels[l]->geglu(got.at, x.at, ones.at, N);
        if (l == 0)
            memcpy(want.at, got.at, N * sizeof(float));
        check_equal("geglu", levels[l], &want, &got);
    }
    for (size_t i = 0; i < N; i++) {
        double v = (double)x.at[i], gelu = v / 2 * (1 + tanh(0.7978845608028654 * (v + 0.044715 * v * v * v)));
        assert_true(fabs((double)want.at[i] - gelu) <= 1.2e-3 * fabs(v) + 1e-6);
    }
    x.at[0] = INFINITY;
    x.at[1] = -INFINITY;
    x.at[2] = NAN;
    x.at[3] = -1e30F;
    for (uint32_t l = 0; l < n_levels; l++) {
        levels[l]->geglu(got.at, x.at, ones.at, N);
        assert_true(got.at[0] == INFINITY && isnan(got.at[2]) && got.at[3] == 0);
        memcpy(got.at, x.at, N * sizeof(float));
        levels[l]->softcap(got.at, 2.0F, N);
        assert_true(got.at[0] == 2 && got.at[1] == -2 && isnan(got.at[2]));
    }
    floats_free(&x);
    floats_free(&ones);
    floats_free(&want);
    floats_free(&got);
}

static void test_limited_gate(void **state)
{
    enum { N = 4096 };
    struct floats gate = floats_new(N), up = floats_new(N), want = floats_new(N), got = floats_new(N);

    (void)state;
    for (size_t i = 0; i < N; i++) {
        gate.at[i] = (float)((rng_unit(&rng) - 0.5) * (i % 3 ? 30 : 200));
        up.at[i] = (float)((rng_unit(&rng) - 0.5) * 30);
    }
    for (uint32_t l = 0; l < n_levels; l++) {
        levels[l]->swiglu_limited(got.at, gate.at, up.at, N);
        if (l == 0)
            memcpy(want.at, got.at, N * sizeof(float));
        check_equal("swiglu_limited", levels[l], &want, &got);
    }
    for (size_t i = 0; i < N; i++) {
        double x = fmin((double)gate.at[i], 7), y = fmax(-7, fmin((double)up.at[i], 7));
        double right = x / (1 + exp(-1.702 * x)) * (y + 1);
        assert_true(fabs((double)want.at[i] - right) <= 1e-5 * fabs(right) + 1e-6);
    }
    gate.at[0] = up.at[0] = INFINITY; /* is limited; what is no number stays so */
    gate.at[1] = NAN;
    up.at[2] = NAN;
    gate.at[3] = 7;
    up.at[3] = -INFINITY;
    for (uint32_t l = 0; l < n_levels; l++) {
        levels[l]->swiglu_limited(got.at, gate.at, up.at, N);
        assert_true(got.at[0] > 55.9F && got.at[0] < 56 && isnan(got.at[1]) && isnan(got.at[2]));
        assert_true(got.at[3] > -42 && got.at[3] < -41.9F);
    }
    floats_free(&gate);
    floats_free(&up);
    floats_free(&want);
    floats_free(&got);
}

/* --- rope ----------------------------------------------------------------------------------------------- */

static void check_rope(enum rope_style style, uint32_t n_heads, uint32_t head_dim, uint32_t n_rot)
{
    double frequencies[128];
    struct floats cos = floats_new(n_rot / 2), sin = floats_new(n_rot / 2);
    struct floats start = floats_of((size_t)n_heads * head_dim, FILL_RANDOM), want = floats_new(start.n);

    rope_frequencies(frequencies, n_rot, 10000.0F, NULL);
    rope_angles(cos.at, sin.at, frequencies, n_rot / 2, (uint32_t)rng_below(&rng, 5000), 1.0F);
    memcpy(want.at, start.at, start.n * sizeof(float));
    levels[0]->rope[style](want.at, n_heads, head_dim, n_rot, cos.at, sin.at);
    for (uint32_t l = 1; l < n_levels; l++) {
        struct floats got = floats_new(start.n);
        memcpy(got.at, start.at, start.n * sizeof(float));
        levels[l]->rope[style](got.at, n_heads, head_dim, n_rot, cos.at, sin.at);
        check_equal(style == ROPE_PAIRS ? "rope pairs" : "rope halves", levels[l], &want, &got);
        floats_free(&got);
    }
    for (uint32_t h = 0; h < n_heads; h++) /* beyond n_rot nothing is turned */
        for (uint32_t i = n_rot; i < head_dim; i++)
            assert_true(want.at[h * head_dim + i] == start.at[h * head_dim + i]);
    floats_free(&cos);
    floats_free(&sin);
    floats_free(&start);
    floats_free(&want);
}

static void test_rope(void **state)
{
    (void)state;
    for (enum rope_style style = 0; style < ROPE_STYLE_COUNT; style++)
        for (uint32_t n_rot = 2; n_rot <= 80; n_rot += 2) {
            check_rope(style, 1 + (uint32_t)rng_below(&rng, 3), n_rot, n_rot);
            check_rope(style, 2, n_rot + 1 + (uint32_t)rng_below(&rng, 20), n_rot);
        }
}

/* --- attention ------------------------------------------------------------------------------------------ */

#define N_TILES_MAX  5
#define N_TOKENS_MAX 40

struct scene {
    struct attention a;
    uint32_t n_positions, n_tokens;
    uint32_t positions[N_TOKENS_MAX];
    struct floats keys, values, q; /* by position, by position, by token */
    struct floats sinks;           /* by head; in a.sinks or not */
};

static uint32_t k_floats(const struct scene *s)
{
    return s->a.layout.n_kv_heads * s->a.layout.head_dim_k;
}

static uint32_t v_floats(const struct scene *s)
{
    return s->a.layout.n_kv_heads * s->a.layout.head_dim_v;
}

static struct scene scene_new(enum fill fill)
{
    static const uint32_t dims[] = {1, 8, 15, 16, 17, 32, 48, 64, 72, 96, 128};
    struct scene s = {.n_positions = 1 + (uint32_t)rng_below(&rng, N_TILES_MAX * KV_TILE_POSITIONS)};

    s.a.layout.n_kv_heads = 1 + (uint32_t)rng_below(&rng, 3);
    s.a.layout.head_dim_k = dims[rng_below(&rng, 11)];
    s.a.layout.head_dim_v = dims[rng_below(&rng, 11)];
    s.a.layout.element = (enum kv_element)rng_below(&rng, KV_ELEMENT_COUNT);
    s.a.n_heads = s.a.layout.n_kv_heads * (1 + (uint32_t)rng_below(&rng, 6));
    s.a.window = rng_below(&rng, 2) ? 0 : 1 + (uint32_t)rng_below(&rng, 150);
    s.a.scale = 1.0F / sqrtf((float)s.a.layout.head_dim_k);
    s.a.softcap = rng_below(&rng, 3) ? 0 : 5.0F;
    s.sinks = floats_new(s.a.n_heads);
    for (uint32_t h = 0; h < s.a.n_heads; h++)
        s.sinks.at[h] = 2 * inputs_normal(&rng);
    s.a.sinks = rng_below(&rng, 3) ? NULL : s.sinks.at;
    s.n_tokens = 1 + (uint32_t)rng_below(&rng, s.n_positions < N_TOKENS_MAX ? s.n_positions : N_TOKENS_MAX);
    for (uint32_t t = 0; t < s.n_tokens; t++)
        s.positions[t] = s.n_positions - s.n_tokens + t;
    s.keys = floats_of((size_t)s.n_positions * k_floats(&s), fill);
    s.values = floats_of((size_t)s.n_positions * v_floats(&s), fill);
    s.q = floats_of((size_t)s.n_tokens * s.a.n_heads * s.a.layout.head_dim_k, fill);
    return s;
}

static void scene_free(struct scene *s)
{
    floats_free(&s->keys);
    floats_free(&s->values);
    floats_free(&s->q);
    floats_free(&s->sinks);
}

/* All heads of all tokens. Tiles begin as NaN, so that what was not stored would show. */
static struct floats attend(const struct scene *s, const struct kernels *k, bool tile_by_tile)
{
    const struct kv_layout *l = &s->a.layout;
    uint32_t n_tiles = (s->n_positions + KV_TILE_POSITIONS - 1) / KV_TILE_POSITIONS;
    uint32_t group = s->a.n_heads / l->n_kv_heads, n_partials = s->n_tokens * group;
    size_t out_stride = (size_t)s->a.n_heads * l->head_dim_v,
           n_floats = attention_partial_floats(l->head_dim_v);
    struct attention_queries queries = {s->q.at, (size_t)s->a.n_heads * l->head_dim_k, s->positions,
                                        s->n_tokens};
    struct guarded tiles[N_TILES_MAX], scratch = guarded_new(2 * n_partials * n_floats * sizeof(float), 64);
    struct floats out = floats_new(s->n_tokens * out_stride);
    void *at[N_TILES_MAX];
    float *part = (float *)(void *)scratch.data, *whole = part + n_partials * n_floats;

    for (uint32_t i = 0; i < n_tiles; i++) {
        tiles[i] = guarded_new(kv_tile_bytes(l), KERNELS_ALIGNMENT);
        memset(tiles[i].data, 0xFF, kv_tile_bytes(l));
        at[i] = tiles[i].data;
    }
    for (uint32_t p = s->n_positions; p-- > 0;) /* in any order */
        k->kv_store(l, at[p / KV_TILE_POSITIONS], p % KV_TILE_POSITIONS, s->keys.at + (size_t)p * k_floats(s),
                    s->values.at + (size_t)p * v_floats(s));
    for (uint32_t h = 0; h < l->n_kv_heads; h++) {
        if (!tile_by_tile) {
            kernels_attend(k, &s->a, at, h, &queries, out.at, out_stride, part);
            continue;
        }
        attention_partials_clear(whole, n_partials, l->head_dim_v);
        for (uint32_t i = 0; i < n_tiles; i++) {
            k->attend_tile(&s->a, at[i], i, h, &queries, part);
            k->attend_merge(whole, part, n_partials, l->head_dim_v);
        }
        for (uint32_t i = 0; s->a.sinks && i < n_partials; i++) {
            attention_partials_clear(part, 1, l->head_dim_v);
            part[0] = s->a.sinks[h * group + i % group];
            part[1] = 1;
            k->attend_merge(whole + i * n_floats, part, 1, l->head_dim_v);
        }
        for (uint32_t i = 0; i < n_partials; i++)
            k->attend_finish(out.at + i / group * out_stride + (h * group + i % group) * l->head_dim_v,
                             whole + i * n_floats, l->head_dim_v);
    }
    for (uint32_t i = 0; i < n_tiles; i++)
        assert_true(guarded_free(&tiles[i]));
    assert_true(guarded_free(&scratch));
    return out;
}

static double amax_of(const float *x, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)x[i]));
    return most;
}

/* Q8_0: half of a scale that is at most the f16 above amax / 127 (kernels.h). */
static double q8_0_error(const float *head, size_t d, size_t head_dim)
{
    size_t first = d / KV_BLOCK * KV_BLOCK, n = head_dim - first < KV_BLOCK ? head_dim - first : KV_BLOCK;
    return amax_of(head + first, n) / 254 * (1 + 0x1p-10) + 0x1p-25;
}

/* The same attention in double precision, and how far from it the answer may be: scores off by at most `score`
 * change each weight by a factor of at most exp(2 * score). */
static double attention_in_double(const struct scene *s, uint32_t t, uint32_t h, uint32_t d, double *bound)
{
    const struct kv_layout *l = &s->a.layout;
    uint32_t kv_head = h / (s->a.n_heads / l->n_kv_heads), end = s->positions[t] + 1;
    uint32_t first = s->a.window && end > s->a.window ? end - s->a.window : 0;
    const float *q = s->q.at + ((size_t)t * s->a.n_heads + h) * l->head_dim_k;
    double scores[N_TILES_MAX * KV_TILE_POSITIONS], largest = -HUGE_VAL, sum = 0, want = 0;
    double most = 0, score_error = 0, value_error = 0;

    for (uint32_t p = first; p < end; p++) {
        const float *k = s->keys.at + (size_t)p * k_floats(s) + (size_t)kv_head * l->head_dim_k;
        double error = 0;
        scores[p] = 0;
        for (uint32_t i = 0; i < l->head_dim_k; i++) {
            scores[p] += (double)q[i] * (double)k[i];
            error += fabs((double)q[i]) * q8_0_error(k, i, l->head_dim_k);
        }
        scores[p] *= (double)s->a.scale;
        score_error = fmax(score_error, error * (double)s->a.scale);
        if (s->a.softcap != 0)
            scores[p] = (double)s->a.softcap * tanh(scores[p] / (double)s->a.softcap);
        largest = fmax(largest, scores[p]);
    }
    if (s->a.sinks) {
        largest = fmax(largest, (double)s->a.sinks[h]);
        sum = exp((double)s->a.sinks[h] - largest);
    }
    for (uint32_t p = first; p < end; p++)
        sum += scores[p] = exp(scores[p] - largest);
    for (uint32_t p = first; p < end; p++) {
        const float *v = s->values.at + (size_t)p * v_floats(s) + (size_t)kv_head * l->head_dim_v;
        want += scores[p] / sum * (double)v[d];
        most = fmax(most, fabs((double)v[d]));
        value_error = fmax(value_error, q8_0_error(v, d, l->head_dim_v));
    }
    *bound = (l->element == KV_ELEMENT_F16 ? 0.05 : 2e-4) * (1 + most);
    if (l->element == KV_ELEMENT_Q8_0)
        *bound += value_error + expm1(2 * score_error) * most;
    return want;
}

static void check_close_to_double(const struct scene *s, const struct floats *got)
{
    const struct kv_layout *l = &s->a.layout;

    for (uint32_t t = 0; t < s->n_tokens; t += 1 + (uint32_t)rng_below(&rng, 3))
        for (uint32_t h = 0; h < s->a.n_heads; h++)
            for (uint32_t d = (uint32_t)rng_below(&rng, 7); d < l->head_dim_v; d += 7) {
                double bound, want = attention_in_double(s, t, h, d, &bound);
                double have = (double)got->at[((size_t)t * s->a.n_heads + h) * l->head_dim_v + d];
                if (!(fabs(have - want) <= bound))
                    fail_msg("attention, element %d: token %u head %u dim %u is %g, want %g to within %g",
                             (int)l->element, t, h, d, have, want, bound);
            }
}

/* One position alone gives its value as it is read back. */
static void read_back(float *out, const struct kernels *k, uint32_t head_dim, const float *v)
{
    struct attention a = {.layout = {1, head_dim, head_dim, KV_ELEMENT_Q8_0}, .n_heads = 1, .scale = 1};
    struct guarded tile = guarded_new(kv_tile_bytes(&a.layout), KERNELS_ALIGNMENT);
    struct guarded scratch = guarded_new(2 * attention_partial_floats(head_dim) * sizeof(float), 64);
    uint32_t position = 0;
    struct attention_queries queries = {v, head_dim, &position, 1};
    void *tiles[] = {tile.data};

    memset(tile.data, 0xFF, kv_tile_bytes(&a.layout));
    k->kv_store(&a.layout, tile.data, 0, v, v);
    kernels_attend(k, &a, tiles, 0, &queries, out, head_dim, (float *)(void *)scratch.data);
    assert_true(guarded_free(&tile));
    assert_true(guarded_free(&scratch));
}

static void test_q8_0_values(void **state)
{
    static const uint32_t dims[] = {1, 15, 31, 32, 33, 64, 72, 96, 128, 256};
    (void)state;
    for (uint32_t l = 0; l < n_levels; l++)
        for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
            for (int exponent = -24; exponent <= 15; exponent++) {
                struct floats v = floats_new(dims[i]), out = floats_new(dims[i]);
                for (uint32_t d = 0; d < dims[i]; d++) /* whole multiples of a power of two that f16 has */
                    v.at[d] = ldexpf((float)rng_below(&rng, 255) - 127, exponent);
                for (uint32_t d = 0; d < dims[i]; d += KV_BLOCK)
                    v.at[d] = ldexpf(rng_below(&rng, 2) ? -127 : 127, exponent);
                read_back(out.at, levels[l], dims[i], v.at);
                for (uint32_t d = 0; d < dims[i]; d++)
                    assert_true(out.at[d] == v.at[d]);
                for (uint32_t d = 0; d < dims[i]; d++)
                    v.at[d] = inputs_normal(&rng) * ldexpf(1, exponent);
                read_back(out.at, levels[l], dims[i], v.at);
                for (uint32_t d = 0; d < dims[i]; d++)
                    assert_true(fabs((double)out.at[d] - (double)v.at[d]) <= q8_0_error(v.at, d, dims[i]));
                floats_free(&v);
                floats_free(&out);
            }
}

/* Eight and a half bits a value. */
static void test_q8_0_bytes(void **state)
{
    (void)state;
    for (uint32_t heads = 1; heads <= 8; heads++)
        for (uint32_t dim = 32; dim <= 256; dim += 32) {
            struct kv_layout layout = {heads, dim, dim, KV_ELEMENT_Q8_0};
            assert_int_equal(kv_tile_bytes(&layout), (size_t)KV_TILE_POSITIONS * heads * 2 * dim * 17 / 16);
        }
}

static void test_attention(void **state)
{
    (void)state;
    for (int i = 0; i < 120; i++) {
        enum fill fill = i % 4 ? FILL_ALTERNATING : FILL_MINUS_ZERO;
        struct scene s = scene_new(fill);
        if (i % 4 > 1) /* plain values, small enough for f16 keys to matter little */
            for (size_t j = 0; j < s.q.n; j++)
                s.q.at[j] = inputs_normal(&rng) * 0.3F;
        if (i % 4 > 1)
            for (size_t j = 0; j < s.keys.n; j++)
                s.keys.at[j] = inputs_normal(&rng);
        if (i % 4 > 1)
            for (size_t j = 0; j < s.values.n; j++)
                s.values.at[j] = inputs_normal(&rng);
        struct floats want = attend(&s, levels[0], false), tiled = attend(&s, levels[0], true);
        check_equal("attention tile by tile", levels[0], &want, &tiled);
        check_close_to_double(&s, &want);
        floats_free(&tiled);
        for (uint32_t l = 1; l < n_levels; l++) {
            struct floats got = attend(&s, levels[l], i % 2);
            check_equal("attention", levels[l], &want, &got);
            floats_free(&got);
        }
        floats_free(&want);
        scene_free(&s);
    }
}

static void test_attention_of_hostile_values(void **state)
{
    static const enum fill fills[] = {FILL_RANDOM, FILL_ZERO, FILL_LARGEST, FILL_DENORMAL};

    (void)state;
    for (int i = 0; i < 60; i++) {
        struct scene s = scene_new(fills[i % 4]);
        struct floats want = attend(&s, levels[0], false);
        for (uint32_t l = 1; l < n_levels; l++) {
            struct floats got = attend(&s, levels[l], i % 2);
            check_equal("attention", levels[l], &want, &got);
            floats_free(&got);
        }
        floats_free(&want);
        scene_free(&s);
    }
}

/* Tokens computed alone give the same as together; a later position that is not finite cannot reach earlier
 * ones. */
static void test_attention_by_token(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++) {
        struct scene s = scene_new(FILL_RANDOM);
        size_t n_out = (size_t)s.a.n_heads * s.a.layout.head_dim_v;
        for (uint32_t l = 0; l < n_levels; l++) {
            struct floats whole = attend(&s, levels[l], false);
            struct scene one = s;
            uint32_t t = (uint32_t)rng_below(&rng, s.n_tokens);
            struct floats keys = floats_of(s.keys.n, FILL_RANDOM), values = floats_of(s.values.n, FILL_RANDOM);
            memcpy(keys.at, s.keys.at, s.keys.n * sizeof(float));
            memcpy(values.at, s.values.at, s.values.n * sizeof(float));
            for (size_t j = (size_t)(s.positions[t] + 1) * k_floats(&s); j < keys.n; j++)
                keys.at[j] = NAN;
            for (size_t j = (size_t)(s.positions[t] + 1) * v_floats(&s); j < values.n; j++)
                values.at[j] = INFINITY;
            one.keys = keys;
            one.values = values;
            struct floats poisoned = attend(&one, levels[l], false);
            one.n_tokens = 1;
            one.positions[0] = s.positions[t];
            one.q.at = s.q.at + (size_t)t * s.a.n_heads * s.a.layout.head_dim_k;
            struct floats alone = attend(&one, levels[l], false);
            for (size_t j = 0; j < n_out; j++) {
                assert_true(inputs_same(whole.at[t * n_out + j], poisoned.at[t * n_out + j]));
                assert_true(inputs_same(whole.at[t * n_out + j], alone.at[j]));
            }
            floats_free(&whole);
            floats_free(&poisoned);
            floats_free(&alone);
            floats_free(&keys);
            floats_free(&values);
        }
        scene_free(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_exp_range),
        cmocka_unit_test(test_caps_and_gates),
        cmocka_unit_test(test_limited_gate),
        cmocka_unit_test(test_rope),
        cmocka_unit_test(test_q8_0_values),
        cmocka_unit_test(test_q8_0_bytes),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_attention_of_hostile_values),
        cmocka_unit_test(test_attention_by_token),
    };

    kernels_thread_start();
    rng = inputs_rng();
    n_levels = kernels_levels(levels);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
