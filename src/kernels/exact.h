/* exact - exp, log, sin, cos and pow with the same bits on every machine, unlike the C library's.
 *
 * At most 2 units in the last place from the true value (measured against double precision by the tests); NaN
 * gives NaN. Thread: any that keeps rounding to nearest. */
#ifndef KERNELS_EXACT_H
#define KERNELS_EXACT_H

float exact_exp(float x); /* 0 below -104, infinity above 88.73, denormal results are right */
float exact_log(float x); /* natural; -infinity for zeros, NaN below */
float exact_sin(float x); /* radians, |x| up to 2^30; NaN above */
float exact_cos(float x);
float exact_pow(float x, float y); /* x > 0, else NaN; pow(0, y > 0) is 0 */

/* The same in double precision, with a relative error below 1e-14: for tables. |x| up to 2^30. */
double exact_sin_double(double x);
double exact_cos_double(double x);
double exact_exp_double(double x);
double exact_log_double(double x);

#endif
