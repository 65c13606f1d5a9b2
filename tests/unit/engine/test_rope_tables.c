/* Tables of rotary frequencies against the definitions of their papers, in double precision by the C library.
 */
#include "engine/rope_tables.h"

#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define N_ROT   64
#define N_PAIRS (N_ROT / 2)

static struct hparams plain(void)
{
    return (struct hparams){.n_rot = N_ROT,
                            .rope_freq_base = 10000.0F,
                            .rope_scale = 1.0F,
                            .rope_magnitude = 1.0F,
                            .rope_ctx_orig = 4096,
                            .yarn_beta_fast = 32.0F,
                            .yarn_beta_slow = 1.0F};
}

static struct rope_tables tables_of(const struct hparams *hp, const struct rope_factors *factors)
{
    static const struct rope_factors none;
    struct rope_tables tables = {.within = NULL};
    struct error err;
    if (rope_tables_make(&tables, hp, factors ? factors : &none, &err))
        fail_msg("%s", err.text);
    return tables;
}

static void check_near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-12 * fabs(want)))
        fail_msg("%.17g, want %.17g", got, want);
}

static double frequency(double base, int pair)
{
    return pow(base, -2.0 * pair / N_ROT);
}

static void linear_scaling_divides_all(void **state)
{
    struct hparams hp = plain();
    (void)state;
    hp.rope_scaling = ROPE_SCALING_LINEAR;
    hp.rope_scale = 2.5F;
    struct rope_tables tables = tables_of(&hp, NULL);
    for (int i = 0; i < N_PAIRS; i++)
        check_near(tables.within[i], frequency(10000, i) / 2.5);
    assert_true(tables.magnitude == 1.0F && tables.beyond == tables.within && tables.local == tables.within);
    rope_tables_free(&tables);
}

/* YaRN: a pair that makes more than 32 turns in the original context stays, one below a turn is slowed down
 * fully, those between by a ramp over the pairs' numbers; magnitude 1 + ln(scale) / 10. */
static void yarn_slows_the_slow_pairs(void **state)
{
    struct hparams hp = plain();
    uint32_t n_kept = 0, n_slowed = 0;
    double before = 1;
    (void)state;
    hp.rope_scaling = ROPE_SCALING_YARN;
    hp.rope_scale = 8.0F;
    struct rope_tables tables = tables_of(&hp, NULL);
    for (int i = 0; i < N_PAIRS; i++) {
        double turns = 4096 * frequency(10000, i) / (2 * acos(-1.0)),
               share = tables.within[i] / frequency(10000, i);
        if (turns > 32 * pow(10000, 2.0 / N_ROT)) { /* more than one pair off the border, which is rounded */
            check_near(share, 1);
            n_kept++;
        } else if (turns < 1 / pow(10000, 2.0 / N_ROT)) {
            check_near(share, 1.0 / 8);
            n_slowed++;
        }
        assert_true(share <= before + 1e-12 && share >= 1.0 / 8 - 1e-12);
        before = share;
    }
    assert_true(n_kept > 5 && n_slowed > 5);
    assert_true(fabs((double)tables.magnitude - (1 + 0.1 * log(8))) < 1e-6);
    rope_tables_free(&tables);
}

static void factors_by_context_and_a_base_for_windows(void **state)
{
    struct hparams hp = plain();
    float within[N_PAIRS], beyond[N_PAIRS];
    (void)state;
    for (int i = 0; i < N_PAIRS; i++) {
        within[i] = 1.0F + (float)i / 64;
        beyond[i] = 1.0F + (float)i;
    }
    hp.rope_freq_base = 1e6F;
    hp.rope_freq_base_local = 10000.0F;
    hp.rope_scaling = ROPE_SCALING_LINEAR;
    hp.rope_scale = 8.0F;
    struct rope_tables tables = tables_of(&hp, &(struct rope_factors){.within = within, .beyond = beyond});
    for (int i = 0; i < N_PAIRS; i++) {
        check_near(tables.within[i], frequency(1e6, i) / (double)within[i] / 8);
        check_near(tables.beyond[i], frequency(1e6, i) / (double)beyond[i] / 8);
        check_near(tables.local[i], frequency(10000, i)); /* of windows: unscaled */
    }
    rope_tables_free(&tables);
}

static void bad_factors_are_refused(void **state)
{
    struct hparams hp = plain();
    float factors[N_PAIRS];
    static const float bad[] = {0.0F, -1.0F, NAN, INFINITY};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct rope_tables tables = {.within = NULL};
        struct error err = {0};
        for (int k = 0; k < N_PAIRS; k++)
            factors[k] = k == 3 ? bad[i] : 1.0F;
        assert_int_equal(rope_tables_make(&tables, &hp, &(struct rope_factors){.beyond = factors}, &err),
                         STATUS_BAD_DATA);
        assert_non_null(strstr(err.text, "rope_factors_long.weight: factor 3"));
        rope_tables_free(&tables);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_scaling_divides_all),
        cmocka_unit_test(yarn_slows_the_slow_pairs),
        cmocka_unit_test(factors_by_context_and_a_base_for_windows),
        cmocka_unit_test(bad_factors_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
