/* exact: our exp, log, sin, cos, pow against the C library in double precision, in units of the last place;
 * half precision against the compiler's; the angles of rope; the table of types. */
#include "inputs.h"
#include "kernels/exact.h"
#include "kernels/rope.h"
#include "kernels/types.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define ULPS_MAX 2.0

static struct rng rng;

/* How far `got` is from `want`, in units of want's last place as f32. */
static double ulps(float got, double want)
{
    int exponent;
    if ((double)got == want)
        return 0;
    frexp(want, &exponent);
    return fabs((double)got - want) / ldexp(1, exponent - 24 < -149 ? -149 : exponent - 24);
}

static void check_ulps(const char *name, float x, float got, double want)
{
    if (!(ulps(got, want) <= ULPS_MAX))
        fail_msg("%s(%a) is %a, want %a (%g ulp)", name, (double)x, (double)got, want, ulps(got, want));
}

static void test_exp(void **state)
{
    (void)state;
    for (int i = 0; i < 400000; i++) {
        float x = (float)(rng_unit(&rng) * 192 - 103.9);
        if (x < 88.72F)
            check_ulps("exp", x, exact_exp(x), exp((double)x));
        x = (float)(rng_unit(&rng) - 0.5) * 0.01F;
        check_ulps("exp", x, exact_exp(x), exp((double)x));
    }
    assert_true(exact_exp(0) == 1 && exact_exp(-0.0F) == 1);
    assert_true(exact_exp(-104.0F) == 0 && exact_exp(-1e30F) == 0 && exact_exp(-INFINITY) == 0);
    assert_true(exact_exp(88.7228F) > 3.4e38F && isfinite(exact_exp(88.7228F)));
    assert_true(isinf(exact_exp(88.73F)) && isinf(exact_exp(INFINITY)) && isnan(exact_exp(NAN)));
}

static void test_log(void **state)
{
    (void)state;
    for (int i = 0; i < 400000; i++) {
        float x = f32_of_bits((uint32_t)rng_below(&rng, 0x7F800000U));
        if (x > 0)
            check_ulps("log", x, exact_log(x), log((double)x));
        x = (float)(0.99 + 0.02 * rng_unit(&rng));
        check_ulps("log", x, exact_log(x), log((double)x));
    }
    assert_true(exact_log(1) == 0 && exact_log(0) == -INFINITY && isnan(exact_log(-1)));
    assert_true(exact_log(INFINITY) == INFINITY && isnan(exact_log(NAN)));
}

static void test_sin_cos(void **state)
{
    (void)state;
    for (int i = 0; i < 400000; i++) {
        float x = (float)ldexp(rng_unit(&rng) * 2 - 1, (int)rng_below(&rng, 40) - 9);
        check_ulps("sin", x, exact_sin(x), sin((double)x));
        check_ulps("cos", x, exact_cos(x), cos((double)x));
    }
    assert_true(exact_sin(0) == 0 && exact_cos(0) == 1 && f32_bits(exact_sin(-0.0F)) == 0x80000000U);
    assert_true(isnan(exact_sin(INFINITY)) && isnan(exact_cos(NAN)) && isnan(exact_sin(2e9F)));
}

static void test_pow(void **state)
{
    (void)state;
    for (int i = 0; i < 200000; i++) {
        float x = (float)ldexp(rng_unit(&rng) + 0.5, (int)rng_below(&rng, 60) - 30);
        float y = (float)(rng_unit(&rng) * 8 - 4);
        double want = pow((double)x, (double)y);
        if (want > 1e-37 && want < 3e38)
            check_ulps("pow", x, exact_pow(x, y), want);
    }
    assert_true(exact_pow(0, 0) == 1 && exact_pow(0, 2) == 0 && isinf(exact_pow(0, -1)) &&
                isnan(exact_pow(-1, 2)));
    assert_true(exact_pow(2, 10) == 1024);
}

static void test_double(void **state)
{
    (void)state;
    for (int i = 0; i < 200000; i++) {
        double x = ldexp(rng_unit(&rng) * 2 - 1, (int)rng_below(&rng, 31));
        assert_true(fabs(exact_sin_double(x) - sin(x)) < 1e-15);
        assert_true(fabs(exact_cos_double(x) - cos(x)) < 1e-15);
        x = rng_unit(&rng) * 1400 - 700;
        assert_true(fabs(exact_exp_double(x) / exp(x) - 1) < 1e-14);
        x = ldexp(rng_unit(&rng), (int)rng_below(&rng, 2000) - 1000);
        assert_true(fabs(exact_log_double(x) - log(x)) <= 1e-14 * fabs(log(x)));
    }
}

/* The bits themselves, so that another compiler or processor that gave others would be noticed: a difference of
 * one in any result changes the sum. Made with an independent program in exact decimal arithmetic, rounded to
 * f32. */
static void test_known_results(void **state)
{
    (void)state;
    assert_int_equal(f32_bits(exact_sin(1.0F)), 0x3F576AA4U);
    assert_int_equal(f32_bits(exact_cos(1.0F)), 0x3F0A5140U);
    assert_int_equal(f32_bits(exact_log(2.0F)), 0x3F317218U);
    assert_int_equal(f32_bits(exact_log(10.0F)), 0x40135D8EU);
    assert_int_equal(f32_bits(exact_pow(2.0F, 0.5F)), 0x3FB504F3U);
    assert_int_equal(f32_bits(exact_exp(1.0F)), 0x402DF854U);
}

/* --- half precision ------------------------------------------------------------------------------------- */

/* From the definition of binary16: sign, exponent of base 2 + 15, ten bits of fraction. */
static double half_value(uint32_t h)
{
    int exponent = (int)(h >> 10 & 31);
    double fraction = (double)(h & 1023);
    double v = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return h >> 15 ? -v : v;
}

static uint32_t half_nearest(double v)
{
    uint32_t sign = signbit(v) ? 0x8000U : 0;
    if (fabs(v) >= 65520)
        return sign | 0x7C00U;
    int exponent = v == 0 || ilogb(v) < -14 ? -14 : ilogb(v);
    uint32_t units = (uint32_t)nearbyint(ldexp(fabs(v), 10 - exponent));
    return sign | (((uint32_t)(exponent + 14) << 10) + units);
}

static void test_half(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float got = f16_to_f32((uint16_t)h);
        bool is_nan = (h & 0x7C00U) == 0x7C00U && (h & 1023U), is_infinite = (h & 0x7FFFU) == 0x7C00U;
        assert_true(is_nan ? isnan(got) : !signbit(got) == !(h >> 15));
        assert_true(is_nan ? isnan(f16_to_f32(f16_of_f32(got))) : f16_of_f32(got) == h);
        assert_true(is_nan || (is_infinite ? isinf(got) : (double)got == half_value(h)));
    }
    for (int i = 0; i < 1000000; i++) {
        float f = f32_of_bits((uint32_t)rng_u64(&rng));
        if (i % 2) /* in the range of half precision */
            f = (float)ldexp(rng_unit(&rng) - 0.5, (int)rng_below(&rng, 45) - 28);
        if (f == f)
            assert_int_equal(f16_of_f32(f), half_nearest((double)f));
    }
}

/* --- rope ----------------------------------------------------------------------------------------------- */

static void test_rope_angles(void **state)
{
    static const float factors[4] = {1, 2, 4, 8};
    double frequencies[64];
    float cos_[64], sin_[64];

    (void)state;
    rope_frequencies(frequencies, 128, 500000.0F, NULL);
    for (int i = 0; i < 64; i++)
        assert_true(fabs(frequencies[i] / pow(500000, -2.0 * i / 128) - 1) < 1e-13);
    rope_angles(cos_, sin_, frequencies, 64, 131071, 1.0F);
    for (int i = 0; i < 64; i++) {
        assert_true(fabs((double)cos_[i] - cos(131071 * pow(500000, -2.0 * i / 128))) < 1e-7);
        assert_true(fabs((double)sin_[i] - sin(131071 * pow(500000, -2.0 * i / 128))) < 1e-7);
    }
    rope_frequencies(frequencies, 8, 10000.0F, factors);
    assert_true(fabs(frequencies[2] - 0.01 / 4) < 1e-15);
    rope_angles(cos_, sin_, frequencies, 4, 0, 0.5F);
    assert_true(cos_[3] == 0.5F && sin_[3] == 0);
}

/* --- types ---------------------------------------------------------------------------------------------- */

static void test_types(void **state)
{
    static const uint32_t gone[] = {4, 5, 31, 32, 33, 36, 37, 38, 40, 1000, UINT32_MAX};
    enum tensor_type type = TENSOR_TYPE_F32;
    uint64_t bytes = 0;

    (void)state;
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        assert_null(tensor_type_info(gone[i]));
    assert_string_equal(tensor_type_info(12)->name, "Q4_K");
    assert_true(tensor_type_parse(&type, "q6_k") && type == TENSOR_TYPE_Q6_K);
    assert_false(tensor_type_parse(&type, "q9_z"));
    assert_true(tensor_type_row_bytes(&bytes, TENSOR_TYPE_Q4_K, 512) && bytes == 288);
    assert_false(tensor_type_row_bytes(&bytes, TENSOR_TYPE_Q4_K, 100));
    assert_false(tensor_type_row_bytes(&bytes, 4, 32));
    assert_false(tensor_type_row_bytes(&bytes, TENSOR_TYPE_F64, UINT64_MAX / 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp),  cmocka_unit_test(test_log),         cmocka_unit_test(test_sin_cos),
        cmocka_unit_test(test_pow),  cmocka_unit_test(test_double),      cmocka_unit_test(test_known_results),
        cmocka_unit_test(test_half), cmocka_unit_test(test_rope_angles), cmocka_unit_test(test_types),
    };

    kernels_thread_start();
    rng = inputs_rng();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
