/* ref: the meaning of the arithmetic has another source here: blocks taken apart as ggml's documentation
 * describes them, sums in double precision. */
#include "base/hash.h"
#include "base/mem.h"
#include "inputs.h"
#include "kernels/exact.h"
#include "kernels/ref/codebooks.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct rng rng;
static const struct kernels *ref;

/* --- values of a row, whole block by whole block -------------------------------------------------------- */

static double half(const uint8_t *at) /* IEEE 754 binary16 from its definition */
{
    uint32_t bits = (uint32_t)at[0] | (uint32_t)at[1] << 8;
    int exponent = (int)(bits >> 10 & 31);
    double fraction = (double)(bits & 1023) / 1024;
    double v = exponent == 0 ? ldexp(fraction, -14) : ldexp(1 + fraction, exponent - 15);
    return bits >> 15 ? -v : v;
}

static void values_f32(double *y, const uint8_t *x)
{
    float f;
    memcpy(&f, x, 4);
    y[0] = (double)f;
}

static void values_f16(double *y, const uint8_t *x)
{
    y[0] = half(x);
}

static void values_bf16(double *y, const uint8_t *x)
{
    uint8_t wide[4] = {0, 0, x[0], x[1]};
    values_f32(y, wide);
}

static void values_q8_0(double *y, const uint8_t *x)
{
    for (int j = 0; j < 32; j++)
        y[j] = half(x) * (int8_t)x[2 + j];
}

static void values_q4_0(double *y, const uint8_t *x)
{
    for (int j = 0; j < 16; j++) {
        y[j] = half(x) * ((x[2 + j] & 0x0F) - 8);
        y[j + 16] = half(x) * ((x[2 + j] >> 4) - 8);
    }
}

static void values_q4_1(double *y, const uint8_t *x)
{
    for (int j = 0; j < 16; j++) {
        y[j] = half(x) * (x[4 + j] & 0x0F) + half(x + 2);
        y[j + 16] = half(x) * (x[4 + j] >> 4) + half(x + 2);
    }
}

/* qh is a little-endian number whose bit j goes with element j. */
static int fifth_bit(const uint8_t *qh, int j)
{
    uint32_t all = (uint32_t)qh[0] | (uint32_t)qh[1] << 8 | (uint32_t)qh[2] << 16 | (uint32_t)qh[3] << 24;
    return all >> j & 1 ? 16 : 0;
}

static void values_q5_0(double *y, const uint8_t *x)
{
    for (int j = 0; j < 16; j++) {
        y[j] = half(x) * ((x[6 + j] & 0x0F) + fifth_bit(x + 2, j) - 16);
        y[j + 16] = half(x) * ((x[6 + j] >> 4) + fifth_bit(x + 2, j + 16) - 16);
    }
}

static void values_q5_1(double *y, const uint8_t *x)
{
    for (int j = 0; j < 16; j++) {
        y[j] = half(x) * ((x[8 + j] & 0x0F) + fifth_bit(x + 4, j)) + half(x + 2);
        y[j + 16] = half(x) * ((x[8 + j] >> 4) + fifth_bit(x + 4, j + 16)) + half(x + 2);
    }
}

/* 128 values at a time: four groups of 32 from the same 32 bytes, two bits each; 16 values share a scale. */
static void values_q2_k(double *y, const uint8_t *x)
{
    const uint8_t *sc = x, *q = x + 16;
    double d = half(x + 80), min = half(x + 82);

    for (int n = 0; n < 256; n += 128, q += 32)
        for (int shift = 0; shift < 8; shift += 2)
            for (int l = 0; l < 32; l++) {
                int both = sc[n / 16 + shift + l / 16];
                *y++ = d * (both & 0xF) * (q[l] >> shift & 3) - min * (both >> 4);
            }
}

/* ggml puts its sixteen scales together from three words at once; the same words here. */
static void values_q3_k(double *y, const uint8_t *x)
{
    const uint8_t *hm = x, *q = x + 32;
    uint32_t aux[4] = {0}, low = 0x0F0F0F0FU, two = 0x03030303U;
    double d = half(x + 108);
    int is = 0, mask = 1;

    for (int i = 0; i < 12; i++)
        aux[i / 4] |= (uint32_t)x[96 + i] << i % 4 * 8;
    uint32_t top = aux[2];
    aux[2] = (aux[0] >> 4 & low) | (top >> 4 & two) << 4;
    aux[3] = (aux[1] >> 4 & low) | (top >> 6 & two) << 4;
    aux[0] = (aux[0] & low) | (top & two) << 4;
    aux[1] = (aux[1] & low) | (top >> 2 & two) << 4;
    for (int n = 0; n < 256; n += 128, q += 32)
        for (int shift = 0; shift < 8; shift += 2, mask <<= 1, is += 2)
            for (int l = 0; l < 32; l++) {
                int scale = (int)(aux[(is + l / 16) / 4] >> (is + l / 16) % 4 * 8 & 255) - 32;
                *y++ = d * scale * ((q[l] >> shift & 3) - (hm[l] & mask ? 0 : 4));
            }
}

/* The eight scales and minima of a block, taken out of twelve bytes. */
static void k_scales(double sc[8], double m[8], const uint8_t *scales)
{
    for (int j = 0; j < 4; j++) {
        sc[j] = scales[j] & 63;
        m[j] = scales[j + 4] & 63;
        sc[j + 4] = (scales[j + 8] & 0xF) + 16 * (scales[j] >> 6);
        m[j + 4] = (scales[j + 8] >> 4) + 16 * (scales[j + 4] >> 6);
    }
}

/* 64 values at a time share 32 bytes: low nibbles under scale `is`, high ones under `is + 1`. */
static void values_q4_k(double *y, const uint8_t *x)
{
    const uint8_t *q = x + 16;
    double d = half(x), min = half(x + 2), sc[8], m[8];

    k_scales(sc, m, x + 4);
    for (int is = 0; is < 8; is += 2, q += 32) {
        for (int l = 0; l < 32; l++)
            *y++ = d * sc[is] * (q[l] & 0xF) - min * m[is];
        for (int l = 0; l < 32; l++)
            *y++ = d * sc[is + 1] * (q[l] >> 4) - min * m[is + 1];
    }
}

/* The same with a fifth bit: masks u1 and u2 move up through qh by two for each 64 values. */
static void values_q5_k(double *y, const uint8_t *x)
{
    const uint8_t *qh = x + 16, *ql = x + 48;
    double d = half(x), min = half(x + 2), sc[8], m[8];
    int u1 = 1, u2 = 2;

    k_scales(sc, m, x + 4);
    for (int is = 0; is < 8; is += 2, ql += 32, u1 <<= 2, u2 <<= 2) {
        for (int l = 0; l < 32; l++)
            *y++ = d * sc[is] * ((ql[l] & 0xF) + (qh[l] & u1 ? 16 : 0)) - min * m[is];
        for (int l = 0; l < 32; l++)
            *y++ = d * sc[is + 1] * ((ql[l] >> 4) + (qh[l] & u2 ? 16 : 0)) - min * m[is + 1];
    }
}

/* 128 values at a time: element l of four groups of 32 from ql[l], ql[l + 32] and qh[l]. */
static void values_q6_k(double *y, const uint8_t *x)
{
    const uint8_t *ql = x, *qh = x + 128;
    const int8_t *sc = (const int8_t *)x + 192;
    double d = half(x + 208);

    for (int n = 0; n < 256; n += 128, y += 128, ql += 64, qh += 32, sc += 8)
        for (int l = 0; l < 32; l++) {
            int is = l / 16;
            y[l] = d * sc[is] * (((ql[l] & 0xF) | ((qh[l] >> 0) & 3) << 4) - 32);
            y[l + 32] = d * sc[is + 2] * (((ql[l + 32] & 0xF) | ((qh[l] >> 2) & 3) << 4) - 32);
            y[l + 64] = d * sc[is + 4] * (((ql[l] >> 4) | ((qh[l] >> 4) & 3) << 4) - 32);
            y[l + 96] = d * sc[is + 6] * (((ql[l + 32] >> 4) | ((qh[l] >> 6) & 3) << 4) - 32);
        }
}

static const int nonlinear[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

static void values_iq4_nl(double *y, const uint8_t *x)
{
    for (int j = 0; j < 16; j++) {
        y[j] = half(x) * nonlinear[x[2 + j] & 0x0F];
        y[j + 16] = half(x) * nonlinear[x[2 + j] >> 4];
    }
}

/* scales_h is a little-endian number that holds two bits for each of eight scales, scales_l four bits. */
static void values_iq4_xs(double *y, const uint8_t *x)
{
    unsigned high = (unsigned)x[2] | (unsigned)x[3] << 8;
    const uint8_t *low = x + 4, *q = x + 8;

    for (int ib = 0; ib < 8; ib++, q += 16, y += 32) {
        int scale = (low[ib / 2] >> 4 * (ib % 2) & 0xF) + 16 * (int)(high >> 2 * ib & 3) - 32;
        for (int j = 0; j < 16; j++) {
            y[j] = half(x) * scale * nonlinear[q[j] & 0xF];
            y[j + 16] = half(x) * scale * nonlinear[q[j] >> 4];
        }
    }
}

/* OCP microscaling formats: a number of one sign bit, two exponent bits (bias 1) and one bit of fraction, times
 * 2^(e - 127). */
static double fp4(int bits)
{
    int exponent = bits >> 1 & 3;
    double v = exponent ? ldexp(1 + 0.5 * (bits & 1), exponent - 1) : 0.5 * (bits & 1);
    return bits & 8 ? -v : v;
}

static void values_mxfp4(double *y, const uint8_t *x)
{
    for (int j = 0; j < 16; j++) {
        y[j] = ldexp(fp4(x[1 + j] & 0xF), x[0] - 127);
        y[j + 16] = ldexp(fp4(x[1 + j] >> 4), x[0] - 127);
    }
}

/* Value `i` of an entry of the grids, which a test below compares with ggml's bytes. */
static int iq3_s_value(uint32_t entry, int i)
{
    return 1 + 2 * (codebook_iq3_s_grid[entry] >> 3 * i & 7);
}

static int iq3_xxs_value(uint32_t entry, int i)
{
    int level = codebook_iq3_xxs_grid[entry] >> 3 * i & 7;
    return level == 7 ? 0x3E : 4 + 8 * level;
}

/* ggml's loop: 32 values at a time share a nibble of scales, a byte of qh and four of signs. */
static void values_iq3_s(double *y, const uint8_t *x)
{
    const uint8_t *qs = x + 2, *qh = x + 66, *signs = x + 74, *scales = x + 106;

    for (int ib32 = 0; ib32 < 8; ib32++, qs += 8, signs += 4) {
        double d = half(x) * (1 + 2 * (ib32 % 2 ? scales[ib32 / 2] >> 4 : scales[ib32 / 2] & 0xf));
        for (int l = 0; l < 4; l++, y += 8) {
            uint32_t grid1 = qs[2 * l] | ((unsigned)qh[ib32] << (8 - 2 * l) & 256);
            uint32_t grid2 = qs[2 * l + 1] | ((unsigned)qh[ib32] << (7 - 2 * l) & 256);
            for (int j = 0; j < 4; j++) {
                y[j] = d * iq3_s_value(grid1, j) * (signs[l] & 1 << j ? -1 : 1);
                y[j + 4] = d * iq3_s_value(grid2, j) * (signs[l] & 1 << (j + 4) ? -1 : 1);
            }
        }
    }
}

/* The eighth sign is set when an odd number of the other seven is. */
static void values_iq3_xxs(double *y, const uint8_t *x)
{
    const uint8_t *qs = x + 2, *gas = x + 66;

    for (int ib32 = 0; ib32 < 8; ib32++, qs += 8, gas += 4) {
        uint32_t aux =
            (uint32_t)gas[0] | (uint32_t)gas[1] << 8 | (uint32_t)gas[2] << 16 | (uint32_t)gas[3] << 24;
        double d = half(x) * (0.5 + (aux >> 28)) * 0.5;
        for (int l = 0; l < 4; l++, y += 8) {
            uint32_t signs = aux >> 7 * l & 127;
            signs |= (uint32_t)__builtin_popcount(signs) % 2 << 7;
            for (int j = 0; j < 4; j++) {
                y[j] = d * iq3_xxs_value(qs[2 * l], j) * (signs >> j & 1 ? -1 : 1);
                y[j + 4] = d * iq3_xxs_value(qs[2 * l + 1], j) * (signs >> (j + 4) & 1 ? -1 : 1);
            }
        }
    }
}

/* A byte is a fraction of 256; its n-th digit after the point in base 3, less 1. */
static int trit(uint8_t byte, int n)
{
    int power = 3;
    while (n--)
        power *= 3;
    return byte * power / 256 % 3 - 1;
}

static void values_tq1_0(double *y, const uint8_t *x)
{
    double d = half(x + 52);

    for (int n = 0; n < 5; n++)
        for (int m = 0; m < 32; m++)
            *y++ = d * trit(x[m], n);
    for (int n = 0; n < 5; n++)
        for (int m = 0; m < 16; m++)
            *y++ = d * trit(x[32 + m], n);
    for (int n = 0; n < 4; n++)
        for (int m = 0; m < 4; m++)
            *y++ = d * trit(x[48 + m], n);
}

static void values_tq2_0(double *y, const uint8_t *x)
{
    for (int j = 0; j < 64; j += 32)
        for (int l = 0; l < 4; l++)
            for (int m = 0; m < 32; m++)
                *y++ = half(x + 64) * ((x[j + m] >> (l * 2) & 3) - 1);
}

/* largest: of a type with minima, what the first f16 of a block is multiplied with at most. */
static const struct {
    enum tensor_type type;
    void (*values)(double *y, const uint8_t *x);
    double largest;
} formats[] = {
    /* clang-format off */
    {TENSOR_TYPE_F32, values_f32, 0},
    {TENSOR_TYPE_F16, values_f16, 0},
    {TENSOR_TYPE_BF16, values_bf16, 0},
    {TENSOR_TYPE_Q8_0, values_q8_0, 0},
    {TENSOR_TYPE_Q4_0, values_q4_0, 0},
    {TENSOR_TYPE_Q4_1, values_q4_1, 15},
    {TENSOR_TYPE_Q5_0, values_q5_0, 0},
    {TENSOR_TYPE_Q5_1, values_q5_1, 31},
    {TENSOR_TYPE_Q2_K, values_q2_k, 15 * 3},
    {TENSOR_TYPE_Q3_K, values_q3_k, 0},
    {TENSOR_TYPE_Q4_K, values_q4_k, 63 * 15},
    {TENSOR_TYPE_Q5_K, values_q5_k, 63 * 31},
    {TENSOR_TYPE_Q6_K, values_q6_k, 0},
    {TENSOR_TYPE_IQ4_NL, values_iq4_nl, 0},
    {TENSOR_TYPE_IQ4_XS, values_iq4_xs, 0},
    {TENSOR_TYPE_MXFP4, values_mxfp4, 0},
    {TENSOR_TYPE_IQ3_S, values_iq3_s, 0},
    {TENSOR_TYPE_IQ3_XXS, values_iq3_xxs, 0},
    {TENSOR_TYPE_TQ1_0, values_tq1_0, 0},
    {TENSOR_TYPE_TQ2_0, values_tq2_0, 0},
    /* clang-format on */
};
#define N_FORMATS (sizeof formats / sizeof *formats)

static void row_values(double *y, size_t format, const uint8_t *row, uint32_t n_cols)
{
    const struct tensor_type_info *info = tensor_type_info(formats[format].type);
    for (uint32_t b = 0; b < n_cols / info->block_elements; b++)
        formats[format].values(y + (size_t)b * info->block_elements, row + (size_t)b * info->block_bytes);
}

/* SHA-256 of ggml-common.h's iq3s_grid and iq3xxs_grid: four bytes an entry, the first value the first byte. */
static void test_grids(void **state)
{
    static const char *const want[] = {"bd1af4945a1717c65610b0284e4628b9a1ba3b306fae3a06f6e5f597356e349f",
                                       "46e35f5a997efdee6c99ce57854c8a0d4f0ff8ca57e5e8a60c0793ea580acf5d"};
    uint8_t s[512 * 4], xxs[256 * 4];
    char got[2 * SHA256_BYTES + 1];

    (void)state;
    for (uint32_t i = 0; i < sizeof s; i++)
        s[i] = (uint8_t)iq3_s_value(i / 4, (int)i % 4);
    for (uint32_t i = 0; i < sizeof xxs; i++)
        xxs[i] = (uint8_t)iq3_xxs_value(i / 4, (int)i % 4);
    struct sha256 hash = sha256_of(s, sizeof s);
    sha256_hex(got, &hash);
    assert_string_equal(got, want[0]);
    hash = sha256_of(xxs, sizeof xxs);
    sha256_hex(got, &hash);
    assert_string_equal(got, want[1]);
}

/* --- rows and products ---------------------------------------------------------------------------------- */

enum { N_ROWS = 9, N_COLS = 512, N_TOKENS = 3 };

static void test_rows(void **state)
{
    (void)state;
    for (size_t f = 0; f < N_FORMATS; f++) {
        const struct type_kernels *t = &ref->types[formats[f].type];
        uint64_t row_bytes = 0;
        double want[N_COLS];
        float got[N_COLS];
        assert_true(tensor_type_row_bytes(&row_bytes, formats[f].type, N_COLS));
        uint8_t *rows = mem_array(N_ROWS, row_bytes), *packed = mem_new(t->packed_bytes(N_ROWS, N_COLS));

        for (enum fill fill = 0; fill < FILL_COUNT; fill++) {
            inputs_rows(rows, formats[f].type, (size_t)N_ROWS * N_COLS, fill, &rng);
            t->pack(packed, N_ROWS, N_COLS, 0, N_ROWS, rows);
            for (uint32_t r = 0; r < N_ROWS; r++) {
                t->row(got, packed, N_ROWS, N_COLS, r);
                row_values(want, f, rows + r * row_bytes, N_COLS);
                for (int i = 0; i < N_COLS; i++)
                    assert_true(got[i] == (float)want[i]);
            }
        }
        mem_free(rows);
        mem_free(packed);
    }
}

static void multiply(float *out, enum tensor_type type, const uint8_t *rows, const float *x)
{
    const struct type_kernels *t = &ref->types[type];
    void *packed = mem_new(t->packed_bytes(N_ROWS, N_COLS));
    void *prepared = mem_new(t->activation->bytes(N_COLS, N_TOKENS));
    struct matmul m = {packed, N_ROWS, N_COLS, prepared, N_TOKENS, out, N_ROWS};

    t->pack(packed, N_ROWS, N_COLS, 0, N_ROWS, rows);
    struct activation_part all = activation_tokens(N_COLS, N_TOKENS, 0, N_TOKENS);
    t->activation->prepare(prepared, x, N_COLS, &all);
    t->matmul(&m, 0, N_ROWS);
    mem_free(packed);
    mem_free(prepared);
}

static double block_largest(const float *x, int k, int width)
{
    double largest = 0;
    for (int i = k / width * width; i < k / width * width + width; i++)
        largest = fmax(largest, fabs((double)x[i]));
    return largest;
}

/* How large the sum without minima may become. */
static double sum_apart(size_t f, const uint8_t *row)
{
    const struct tensor_type_info *info = tensor_type_info(formats[f].type);
    size_t scale_at = inputs_type_of(formats[f].type)->scales_at[0];
    double size = 0;

    for (uint32_t b = 0; b < N_COLS / info->block_elements; b++)
        size += fabs(half(row + (size_t)b * info->block_bytes + scale_at)) * info->block_elements;
    return size * formats[f].largest * 127;
}

/* Against the product with unrounded activations: each may be off by half a step of its block. With `exact` the
 * activations are whole numbers and 127 is in each block, so that rounding them changes nothing. */
static void check_products(size_t f, const uint8_t *rows, uint64_t row_bytes, const float *x, bool exact)
{
    float out[N_TOKENS * N_ROWS];
    double w[N_COLS];
    int width = (int)tensor_type_info(formats[f].type)->block_elements;
    bool quantised = width > 1;

    multiply(out, formats[f].type, rows, x);
    for (uint32_t r = 0; r < N_ROWS; r++) {
        row_values(w, f, rows + r * row_bytes, N_COLS);
        for (int t = 0; t < N_TOKENS; t++) {
            double want = 0, slack = 0, size = 0;
            for (int k = 0; k < N_COLS; k++) {
                double xk = (double)x[t * N_COLS + k];
                want += w[k] * xk;
                size += fabs(w[k] * xk);
                slack += fabs(w[k]) * block_largest(x + (size_t)t * N_COLS, k, width) / 127 * 0.5001;
            }
            if (formats[f].largest > 0) /* values and minima are summed apart: they may cancel */
                size += sum_apart(f, rows + r * row_bytes);
            double tolerance = size * 1e-5 + (quantised && !exact ? slack : 0);
            if (!(fabs((double)out[t * N_ROWS + (int)r] - want) <= tolerance))
                fail_msg("%s: row %u token %d is %g, want %g within %g",
                         tensor_type_info(formats[f].type)->name, r, t, (double)out[t * N_ROWS + (int)r], want,
                         tolerance);
        }
    }
}

static void test_products(void **state)
{
    (void)state;
    for (size_t f = 0; f < N_FORMATS; f++) {
        uint64_t row_bytes = 0;
        float x[N_TOKENS * N_COLS];
        assert_true(tensor_type_row_bytes(&row_bytes, formats[f].type, N_COLS));
        uint8_t *rows = mem_array(N_ROWS, row_bytes);

        for (int i = 0; i < 20; i++) {
            inputs_rows(rows, formats[f].type, (size_t)N_ROWS * N_COLS, FILL_RANDOM, &rng);
            inputs_activations(x, N_TOKENS * N_COLS, FILL_RANDOM, &rng);
            check_products(f, rows, row_bytes, x, false);
            for (int k = 0; k < N_TOKENS * N_COLS; k++)
                x[k] = k % 32 == 5 ? 127 : (float)rng_below(&rng, 255) - 127;
            check_products(f, rows, row_bytes, x, true);
        }
        mem_free(rows);
    }
}

/* Worked by hand: one block, whole numbers. Weights 1..32 at scale 0.5, activations 127 and then ones: the sum
 * is 0.5 * (127 + 2 + 3 ... + 32) = 0.5 * 654. */
static void test_one_block_by_hand(void **state)
{
    const struct type_kernels *t = &ref->types[TENSOR_TYPE_Q8_0];
    uint8_t row[34] = {0x00, 0x38}, packed[64], prepared[256]; /* f16 0.5 */
    float x[32], out = 0;
    struct matmul m = {packed, 1, 32, prepared, 1, &out, 1};

    (void)state;
    for (int i = 0; i < 32; i++) {
        row[2 + i] = (uint8_t)(i + 1);
        x[i] = i ? 1.0F : 127.0F;
    }
    assert_true(t->packed_bytes(1, 32) <= sizeof packed && t->activation->bytes(32, 1) <= sizeof prepared);
    t->pack(packed, 1, 32, 0, 1, row);
    struct activation_part all = activation_tokens(32, 1, 0, 1);
    t->activation->prepare(prepared, x, 32, &all);
    t->matmul(&m, 0, 1);
    assert_true(out == 327.0F);
}

/* --- vectors -------------------------------------------------------------------------------------------- */

static void check_near(float got, double want, double tolerance)
{
    if (!(fabs((double)got - want) <= tolerance))
        fail_msg("%.9g, want %.9g within %g", (double)got, want, tolerance);
}

static void test_vectors(void **state)
{
    enum { N = 333 };
    float x[N], w[N], out[N];
    double squares = 0, sum = 0;

    (void)state;
    inputs_activations(x, N, FILL_RANDOM, &rng);
    inputs_activations(w, N, FILL_RANDOM, &rng);
    for (int i = 0; i < N; i++)
        squares += (double)x[i] * (double)x[i];
    ref->rms_norm(out, x, w, N, 1e-5F);
    for (int i = 0; i < N; i++)
        check_near(out[i], (double)x[i] / sqrt(squares / N + 1e-5) * (double)w[i],
                   1e-6 * (1 + fabs((double)out[i])));
    ref->swiglu(out, x, w, N);
    for (int i = 0; i < N; i++)
        check_near(out[i], (double)x[i] / (1 + exp(-(double)x[i])) * (double)w[i],
                   1e-6 * (1 + fabs((double)out[i])));
    for (int i = 0; i < N; i++)
        sum += exp((double)x[i]);
    memcpy(out, x, sizeof x);
    ref->softmax(out, N);
    for (int i = 0; i < N; i++)
        check_near(out[i], exp((double)x[i]) / sum, 1e-6);
    memcpy(out, w, sizeof w);
    ref->add_scaled(out, x, 3.0F, N);
    for (int i = 0; i < N; i++)
        check_near(out[i], (double)w[i] + 3.0 * (double)x[i], 1e-4);
}

/* Turning pair i by an angle is multiplying x0 + i x1 by e^(i angle). */
static void test_rope(void **state)
{
    float cos_[4], sin_[4], pairs[10], halves[10];

    (void)state;
    for (int i = 0; i < 4; i++) {
        cos_[i] = (float)cos(0.3 * (i + 1));
        sin_[i] = (float)sin(0.3 * (i + 1));
    }
    for (int i = 0; i < 10; i++)
        pairs[i] = halves[i] = (float)(i + 1);
    ref->rope[ROPE_PAIRS](pairs, 1, 10, 8, cos_, sin_);
    ref->rope[ROPE_HALVES](halves, 1, 10, 8, cos_, sin_);
    for (int i = 0; i < 4; i++) {
        double a = 0.3 * (i + 1), p0 = 2 * i + 1, p1 = 2 * i + 2, h0 = i + 1, h1 = i + 5;
        check_near(pairs[2 * i], p0 * cos(a) - p1 * sin(a), 1e-5);
        check_near(pairs[2 * i + 1], p0 * sin(a) + p1 * cos(a), 1e-5);
        check_near(halves[i], h0 * cos(a) - h1 * sin(a), 1e-5);
        check_near(halves[i + 4], h0 * sin(a) + h1 * cos(a), 1e-5);
    }
    assert_true(pairs[8] == 9 && pairs[9] == 10 && halves[8] == 9 && halves[9] == 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grids),    cmocka_unit_test(test_rows),
        cmocka_unit_test(test_products), cmocka_unit_test(test_one_block_by_hand),
        cmocka_unit_test(test_vectors),  cmocka_unit_test(test_rope),
    };
    struct error err = {0};

    kernels_thread_start();
    rng = inputs_rng();
    if (kernels_select_level(&ref, "ref", &err))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
