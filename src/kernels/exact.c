/* Plain IEEE additions, multiplications and fma in a fixed order: nothing here depends on a library's version.
 * simd/exp_body.h repeats exact_exp step by step for vectors. */
#include "kernels/exact.h"

#include "kernels/exact_private.h"
#include "kernels/f16.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* --- f32 exp ------------------------------------------------------------------------------------------------
 *
 * x = n ln 2 + r with |r| < 0.35, e^r by the polynomial of Cephes' expf (Moshier), times 2^n in two factors so
 * that a denormal result is rounded once. */

static inline __attribute__((always_inline)) float exp_steps(float x)
{
    float clamped = x < EXP_LEAST ? EXP_LEAST : x;
    clamped = clamped > EXP_MOST ? EXP_MOST : clamped;

    float n = __builtin_fmaf(clamped, EXP_LOG2E, EXP_ROUND) - EXP_ROUND;
    float r = __builtin_fmaf(n, -EXP_LN2_HIGH, clamped);
    r = __builtin_fmaf(n, -EXP_LN2_LOW, r);

    float p = __builtin_fmaf(EXP_C6, r, EXP_C5);
    p = __builtin_fmaf(p, r, EXP_C4);
    p = __builtin_fmaf(p, r, EXP_C3);
    p = __builtin_fmaf(p, r, EXP_C2);
    p = __builtin_fmaf(p, r, EXP_C1);
    float y = __builtin_fmaf(p, r * r, r) + 1.0F;

    int32_t whole = (int32_t)n, half = whole >> 1;
    return y * f32_of_bits((uint32_t)(half + 127) << 23) * f32_of_bits((uint32_t)(whole - half + 127) << 23);
}

#if defined __x86_64__
/* The same steps; without this fmaf would be a call for each. */
__attribute__((target("fma"))) static float exp_steps_fma(float x)
{
    return exp_steps(x);
}
#endif

float exact_exp(float x)
{
    if (x != x)
        return x;
#if defined __x86_64__
    if (__builtin_cpu_supports("fma"))
        return exp_steps_fma(x);
#endif
    return exp_steps(x);
}

/* --- double precision, by Taylor series that end below 2^-56 -------------------------------------------- */

static double polynomial(const double *coefficients, int n, double x) /* the highest power first */
{
    double y = coefficients[0];
    for (int i = 1; i < n; i++)
        y = y * x + coefficients[i];
    return y;
}

static double double_of_bits(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

static double nearest_int(double x) /* |x| below 2^51 */
{
    return x + 0x1.8p52 - 0x1.8p52;
}

#define LN2_HIGH 0x1.62e42feep-1 /* 32 bits: n * LN2_HIGH is exact */
#define LN2_LOW  0x1.a39ef35793c76p-33

double exact_exp_double(double x)
{
    static const double taylor[] = {
        1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
        1.0 / 720,        1.0 / 120,       1.0 / 24,       1.0 / 6,       0.5,          1.0,         1.0};
    if (x != x)
        return x;
    if (x < -746)
        return 0;
    if (x > 710)
        return (double)INFINITY;
    double n = nearest_int(x * 0x1.71547652b82fep0);
    double r = x - n * LN2_HIGH - n * LN2_LOW;
    double y = polynomial(taylor, sizeof taylor / sizeof *taylor, r);
    int64_t whole = (int64_t)n, half = whole >> 1;
    return y * double_of_bits((uint64_t)(half + 1023) << 52) *
           double_of_bits((uint64_t)(whole - half + 1023) << 52);
}

/* log m = 2 (s + s^3 / 3 + s^5 / 5 ...) with s = (m - 1) / (m + 1), m in [sqrt 1/2, sqrt 2). */
double exact_log_double(double x)
{
    static const double series[] = {2.0 / 23, 2.0 / 21, 2.0 / 19, 2.0 / 17, 2.0 / 15, 2.0 / 13,
                                    2.0 / 11, 2.0 / 9,  2.0 / 7,  2.0 / 5,  2.0 / 3};
    uint64_t bits;
    int64_t exponent = 0;

    if (x != x || x < 0)
        return (double)NAN;
    if (x == 0)
        return -(double)INFINITY;
    if (x > 0x1.fffffffffffffp1023)
        return x;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        exponent = -54;
    }
    memcpy(&bits, &x, sizeof bits);
    exponent += (int64_t)(bits >> 52) - 1023;
    double m = double_of_bits((bits & 0xFFFFFFFFFFFFFU) | 0x3FF0000000000000U);
    if (m >= 0x1.6a09e667f3bcdp0) {
        m *= 0.5;
        exponent++;
    }
    double s = (m - 1) / (m + 1), z = s * s, n = (double)exponent;
    double tail = s * z * polynomial(series, sizeof series / sizeof *series, z);
    return n * LN2_HIGH + (2 * s + (tail + n * LN2_LOW));
}

/* Quadrant (0 to 3) and rest in [-pi/4, pi/4]: with fma the first product is taken off exactly. */
static int reduce_angle(double *rest, double x)
{
    double n = nearest_int(x * 0x1.45f306dc9c883p-1);
    double r = fma(-n, 0x1.921fb54442d18p0, x);
    *rest = fma(-n, 0x1.1a62633145c07p-54, r);
    return (int)((int64_t)n & 3);
}

static double sin_near_0(double r)
{
    static const double taylor[] = {
        1.0 / 355687428096000, -1.0 / 1307674368000, 1.0 / 6227020800, -1.0 / 39916800,
        1.0 / 362880,          -1.0 / 5040,          1.0 / 120,        -1.0 / 6};
    double z = r * r;
    return r + r * z * polynomial(taylor, sizeof taylor / sizeof *taylor, z);
}

static double cos_near_0(double r)
{
    static const double taylor[] = {-1.0 / 6402373705728000,
                                    1.0 / 20922789888000,
                                    -1.0 / 87178291200,
                                    1.0 / 479001600,
                                    -1.0 / 3628800,
                                    1.0 / 40320,
                                    -1.0 / 720,
                                    1.0 / 24,
                                    -0.5};
    double z = r * r;
    return 1 + z * polynomial(taylor, sizeof taylor / sizeof *taylor, z);
}

static double sin_or_cos(double x, int quadrants_ahead)
{
    double r;
    if (!(x >= -0x1p30 && x <= 0x1p30))
        return (double)NAN;
    int quadrant = (reduce_angle(&r, x) + quadrants_ahead) & 3;
    double y = quadrant & 1 ? cos_near_0(r) : sin_near_0(r);
    return quadrant & 2 ? -y : y;
}

double exact_sin_double(double x)
{
    return x == 0 ? x : sin_or_cos(x, 0);
}

double exact_cos_double(double x)
{
    return sin_or_cos(x, 1);
}

/* --- f32 by way of double ------------------------------------------------------------------------------- */

float exact_log(float x)
{
    return (float)exact_log_double((double)x);
}

float exact_sin(float x)
{
    return (float)exact_sin_double((double)x);
}

float exact_cos(float x)
{
    return (float)exact_cos_double((double)x);
}

float exact_pow(float x, float y)
{
    if (y == 0)
        return 1.0F;
    if (x == 0)
        return y > 0 ? 0.0F : INFINITY;
    return (float)exact_exp_double((double)y * exact_log_double((double)x));
}
