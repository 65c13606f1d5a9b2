/* The tests of test_levels and test_levels_other, main included: every level of this machine gives ref's bits,
 * however rows and tokens are cut, and touches nothing outside of its buffers. */
#include "base/mem.h"
#include "inputs.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define OUT_CANARY 0x7FA5A5A5U

static struct rng rng;
static const struct kernels *levels[KERNELS_LEVELS_MAX];
static uint32_t n_levels;

/* --- matrices ------------------------------------------------------------------------------------------- */

struct problem {
    enum tensor_type type;
    uint32_t n_rows, n_cols, n_tokens;
    enum fill fill;
    const uint8_t *rows;
    const float *x;
    size_t x_stride, out_stride;
};

static uint32_t panels_of(const struct problem *p, const struct type_kernels *t)
{
    return (p->n_rows + t->panel_rows - 1) / t->panel_rows;
}

static struct guarded pack_in_ranges(const struct problem *p, const struct type_kernels *t)
{
    struct guarded packed = guarded_new(t->packed_bytes(p->n_rows, p->n_cols), KERNELS_ALIGNMENT);
    uint64_t row_bytes = 0;

    assert_true(tensor_type_row_bytes(&row_bytes, p->type, p->n_cols));
    for (uint32_t row = 0; row < p->n_rows;) {
        uint32_t n = (1 + (uint32_t)rng_below(&rng, 3)) * t->panel_rows;
        n = n < p->n_rows - row ? n : p->n_rows - row;
        t->pack(packed.data, p->n_rows, p->n_cols, row, n, p->rows + row * row_bytes);
        row += n;
    }
    return packed;
}

static struct guarded prepare_in_ranges(const struct problem *p, const struct type_kernels *t)
{
    const struct activation_kernels *a = t->activation;
    struct guarded prepared = guarded_new(a->bytes(p->n_cols, p->n_tokens), KERNELS_ALIGNMENT);
    uint32_t token = (uint32_t)rng_below(&rng, p->n_tokens + 1);
    uint32_t width = activation_columns(p->type);
    uint32_t column = (uint32_t)rng_below(&rng, p->n_cols / width + 1) * width;

    for (int i = 3; i >= 0; i--) { /* four quarters, from the last on */
        struct activation_part part = {p->n_cols, p->n_tokens, 0, token, 0, column};
        if (i & 1) {
            part.token_first = token;
            part.token_end = p->n_tokens;
        }
        if (i & 2) {
            part.column_first = column;
            part.column_end = p->n_cols;
        }
        a->prepare(prepared.data, p->x + part.column_first, p->x_stride, &part);
    }
    return prepared;
}

static struct guarded out_new(const struct problem *p)
{
    struct guarded out = guarded_new(((p->n_tokens - 1) * p->out_stride + p->n_rows) * sizeof(float), 4);
    for (size_t i = 0; i < out.bytes / sizeof(float); i++)
        ((float *)(void *)out.data)[i] = f32_of_bits(OUT_CANARY);
    return out;
}

/* Rows from a panel's first on as a matrix of their own. */
static void multiply_alone(const struct matmul *all, const struct type_kernels *t, uint32_t first, uint32_t end)
{
    struct matmul m = *all;
    m.weights = (const uint8_t *)all->weights + (first ? t->packed_bytes(first, all->n_cols) : 0);
    m.n_rows = end - first;
    m.out += first;
    t->matmul(&m, 0, m.n_rows);
}

static struct guarded multiply(const struct problem *p, const struct kernels *k)
{
    const struct type_kernels *t = &k->types[p->type];
    struct guarded packed = pack_in_ranges(p, t), prepared = prepare_in_ranges(p, t), out = out_new(p);
    struct matmul m = {packed.data,   p->n_rows,   p->n_cols,
                       prepared.data, p->n_tokens, (float *)(void *)out.data,
                       p->out_stride};

    for (uint32_t panel = 0, end; panel < panels_of(p, t); panel = end) {
        end = panel + 1 + (uint32_t)rng_below(&rng, panels_of(p, t) - panel);
        uint32_t row_end = end * t->panel_rows < p->n_rows ? end * t->panel_rows : p->n_rows;
        if (rng_below(&rng, 2))
            t->matmul(&m, panel * t->panel_rows, row_end);
        else
            multiply_alone(&m, t, panel * t->panel_rows, row_end);
    }
    assert_true(guarded_free(&packed));
    assert_true(guarded_free(&prepared));
    return out;
}

static void check_same(const struct problem *p, const struct kernels *k, const float *want, const float *got)
{
    for (uint32_t t = 0; t < p->n_tokens; t++)
        for (size_t i = 0;
             i < p->out_stride && t * p->out_stride + i < (p->n_tokens - 1) * p->out_stride + p->n_rows; i++) {
            size_t at = t * p->out_stride + i;
            if (i < p->n_rows ? inputs_same(want[at], got[at]) : f32_bits(got[at]) == OUT_CANARY)
                continue;
            fail_msg("%s %s: %u x %u, %u tokens, fill %d: row %zu of token %u is %a, want %a", k->level,
                     tensor_type_info(p->type)->name, p->n_rows, p->n_cols, p->n_tokens, (int)p->fill, i, t,
                     (double)got[at], (double)want[at]);
        }
}

static void check_row(const struct problem *p, const struct kernels *k)
{
    const struct type_kernels *ref = &levels[0]->types[p->type], *t = &k->types[p->type];
    struct guarded ref_packed = pack_in_ranges(p, ref), packed = pack_in_ranges(p, t);
    struct guarded want = guarded_new(p->n_cols * sizeof(float), 4),
                   got = guarded_new(p->n_cols * sizeof(float), 4);
    uint32_t row = (uint32_t)rng_below(&rng, p->n_rows);

    ref->row((float *)(void *)want.data, ref_packed.data, p->n_rows, p->n_cols, row);
    t->row((float *)(void *)got.data, packed.data, p->n_rows, p->n_cols, row);
    for (uint32_t i = 0; i < p->n_cols; i++)
        if (!inputs_same(((float *)(void *)want.data)[i], ((float *)(void *)got.data)[i]))
            fail_msg("%s %s: row %u of %u differs at %u", k->level, tensor_type_info(p->type)->name, row,
                     p->n_rows, i);
    assert_true(guarded_free(&ref_packed) && guarded_free(&packed) && guarded_free(&want) &&
                guarded_free(&got));
}

static void check_problem(struct problem *p)
{
    uint64_t row_bytes = 0;
    assert_true(tensor_type_row_bytes(&row_bytes, p->type, p->n_cols));
    struct guarded rows = guarded_new(p->n_rows * row_bytes, 1);
    struct guarded x = guarded_new(((p->n_tokens - 1) * p->x_stride + p->n_cols) * sizeof(float), 4);

    inputs_rows(rows.data, p->type, (size_t)p->n_rows * p->n_cols, p->fill, &rng);
    inputs_activations((float *)(void *)x.data, x.bytes / sizeof(float), p->fill, &rng);
    p->rows = rows.data;
    p->x = (const float *)(void *)x.data;
    struct guarded want = multiply(p, levels[0]);
    for (uint32_t l = 1; l < n_levels; l++) {
        struct guarded got = multiply(p, levels[l]);
        check_same(p, levels[l], (const float *)(void *)want.data, (const float *)(void *)got.data);
        check_row(p, levels[l]);
        assert_true(guarded_free(&got));
    }
    assert_true(guarded_free(&want) && guarded_free(&rows) && guarded_free(&x));
}

static uint32_t pick_cols(enum tensor_type type, uint32_t n)
{
    static const uint32_t odd[] = {1, 2, 15, 33, 100, 257};
    static const uint32_t blocks32[] = {1, 2, 3, 4, 5, 17, 34}; /* some more than are opened at once */
    uint32_t block = tensor_type_info(type)->block_elements;
    return block == 1 ? odd[n % 6] : block * (block == 32 ? blocks32[n % 7] : 1 + n % 5);
}

static void check_type(enum tensor_type type)
{
    static const uint32_t row_counts[] = {1, 7, 8, 9, 15, 16, 17, 31, 48, 70, 130};
    static const uint32_t token_counts[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                            12, 13, 14, 15, 16, 17, 33, 48, 64, 79};

    for (uint32_t t = 0; t < sizeof token_counts / sizeof *token_counts; t++)
        for (enum fill fill = 0; fill < FILL_COUNT; fill++) {
            struct problem p = {.type = type, .n_tokens = token_counts[t], .fill = fill};
            p.n_rows = row_counts[rng_below(&rng, sizeof row_counts / sizeof *row_counts)];
            p.n_cols = pick_cols(type, (uint32_t)rng_below(&rng, 30));
            p.x_stride = p.n_cols + rng_below(&rng, 5);
            p.out_stride = p.n_rows + rng_below(&rng, 5);
            check_problem(&p);
        }
}

static void test_matmul(void **state)
{
    check_type(*(const enum tensor_type *)*state);
}

static void test_every_computable_type_is_tested_and_filled(void **state)
{
    uint32_t n = 0;

    (void)state;
    for (uint32_t type = 0; type < TENSOR_TYPE_COUNT; type++) {
        const struct tensor_type_info *info = tensor_type_info(type);
        bool listed = false;
        for (size_t i = 0; i < INPUTS_N_TYPES; i++)
            listed |= inputs_types[i].type == type;
        assert_int_equal(listed, info && info->can_compute);
        for (uint32_t l = 0; l < n_levels && listed; l++) {
            const struct type_kernels *t = &levels[l]->types[type];
            assert_true(t->activation && t->panel_rows && t->packed_bytes && t->pack && t->row && t->matmul);
        }
        n += listed;
    }
    assert_int_equal(n, INPUTS_N_TYPES);
}

/* Large enough for several lots of panels and more than one pass over the tokens. */
static void test_large(void **state)
{
    static const enum tensor_type types[] = {TENSOR_TYPE_F16, TENSOR_TYPE_Q8_0, TENSOR_TYPE_Q4_K};
    static const enum tensor_type many_types[] = {/* each way in which tiles are multiplied */
                                                  TENSOR_TYPE_Q8_0, TENSOR_TYPE_Q4_1, TENSOR_TYPE_Q6_K,
                                                  TENSOR_TYPE_Q4_K, TENSOR_TYPE_Q3_K, TENSOR_TYPE_Q2_K};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct problem p = {.type = types[i], .n_rows = 333, .n_cols = 4096, .n_tokens = 53};
        p.x_stride = p.n_cols;
        p.out_stride = p.n_rows;
        check_problem(&p);
    }
    for (size_t i = 0; i < sizeof many_types / sizeof *many_types; i++) {
        struct problem many = {.type = many_types[i], .n_rows = 40, .n_cols = 768, .n_tokens = 533};
        many.x_stride = many.n_cols;
        many.out_stride = many.n_rows;
        check_problem(&many);
    }
}

/* Bytes that no file of good faith holds: infinite scales, NaN. Nothing crashes, levels agree, and a token that
 * is not finite leaves its neighbours alone. */
static void test_not_finite(void **state)
{
    (void)state;
    for (size_t i = 0; i < INPUTS_N_TYPES; i++) {
        enum tensor_type type = inputs_types[i].type;
        uint32_t n_cols = tensor_type_info(type)->block_elements == 1 ? 40 : 256, n_rows = 20;
        uint64_t row_bytes = 0;
        static float x[50 * 256]; /* more tokens than groups have */
        struct problem p = {.type = type, .n_rows = n_rows, .n_cols = n_cols, .n_tokens = 50};
        assert_true(tensor_type_row_bytes(&row_bytes, type, n_cols));
        uint8_t *rows = mem_array(n_rows, row_bytes);

        inputs_rows(rows, type, (size_t)n_rows * n_cols, FILL_RANDOM, &rng);
        for (size_t b = 0; b < row_bytes; b++)
            rows[3 * row_bytes + b] = 0xFF; /* one row of NaN scales */
        inputs_activations(x, 50 * n_cols, FILL_RANDOM, &rng);
        x[2 * n_cols + 7] = NAN;
        x[3 * n_cols + 9] = -INFINITY;
        p.rows = rows;
        p.x = x;
        p.x_stride = n_cols;
        p.out_stride = n_rows;
        struct guarded want = multiply(&p, levels[0]);
        const float *w = (const float *)(void *)want.data;
        assert_true(isfinite(w[0]) && isfinite(w[n_rows]) && isfinite(w[4 * n_rows]));
        assert_false(isfinite(w[2 * n_rows]) || isfinite(w[3 * n_rows]));
        for (uint32_t l = 1; l < n_levels; l++) {
            struct guarded got = multiply(&p, levels[l]);
            check_same(&p, levels[l], w, (const float *)(void *)got.data);
            assert_true(guarded_free(&got));
        }
        assert_true(guarded_free(&want));
        mem_free(rows);
    }
}

/* --- choosing a level ----------------------------------------------------------------------------------- */

static void test_select(void **state)
{
    const struct kernels *k = NULL;
    struct error err = {0};

    (void)state;
    assert_string_equal(levels[0]->level, "ref");
    for (uint32_t l = 0; l < n_levels; l++) {
        assert_int_equal(kernels_select_level(&k, levels[l]->level, &err), STATUS_OK);
        assert_ptr_equal(k, levels[l]);
    }
    unsetenv("SHOAL_CPU");
    assert_int_equal(kernels_select(&k, &err), STATUS_OK);
    assert_ptr_equal(k, levels[n_levels - 1]);
    setenv("SHOAL_CPU", "ref", 1);
    assert_int_equal(kernels_select(&k, &err), STATUS_OK);
    assert_ptr_equal(k, levels[0]);
    setenv("SHOAL_CPU", "avx9000", 1);
    assert_int_equal(kernels_select(&k, &err), STATUS_BAD_USAGE);
    assert_non_null(strstr(err.text, "avx9000"));
    assert_non_null(strstr(err.text, "ref"));
    unsetenv("SHOAL_CPU");
}

int main(void)
{
    struct CMUnitTest tests[INPUTS_N_TYPES + 4] = {
        cmocka_unit_test(test_every_computable_type_is_tested_and_filled),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_select),
    };
    enum tensor_type types[INPUTS_N_TYPES];

    for (size_t i = 0; i < INPUTS_N_TYPES; i++) {
        types[i] = inputs_types[i].type;
        tests[4 + i] =
            (struct CMUnitTest){tensor_type_info(types[i])->name, test_matmul, NULL, NULL, &types[i]};
    }
    kernels_thread_start();
    rng = inputs_rng();
    n_levels = kernels_levels(levels);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
