/* sampler: order of candidates, the cuts of top-k, top-p and min-p, penalties, and a draw that only depends on
 * seed and position. */
#include "engine/sampler.h"

#include "base/mem.h"
#include "base/rand.h"
#include "kernels/kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define N_VOCAB_MAX 1000

static const struct kernels *kernels;

static uint32_t draw(const struct sample_params *params, const float *logits, uint32_t n_vocab,
                     uint32_t position, const uint32_t *history, uint32_t n_history)
{
    void *scratch = mem_new(sampler_scratch_bytes(n_vocab));
    struct sampled out;
    sampler_draw(&out, kernels, params, logits, n_vocab, position, history, n_history, scratch);
    mem_free(scratch);
    return out.token;
}

static struct sample_params plain(float temperature)
{
    return (struct sample_params){.temperature = temperature, .top_p = 1.0F, .repeat_penalty = 1.0F};
}

/* --- greedy, penalties, biases -----------------------------------------------------------------------------
 */

static void greedy_takes_the_likeliest(void **state)
{
    static const struct {
        float logits[4];
        uint32_t want;
    } table[] = {
        {{0, 1, 2, 3}, 3},           {{3, 1, 3, 3}, 0}, /* a tie goes to the lower id */
        {{-5, -5, -4.5F, -4.5F}, 2}, {{NAN, 1, NAN, 0}, 1},     {{-INFINITY, -INFINITY, -3, -4}, 2},
        {{0, INFINITY, 1, 2}, 1},    {{NAN, NAN, NAN, NAN}, 0},
    };
    struct sample_params greedy = plain(0);
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(draw(&greedy, table[i].logits, 4, 0, NULL, 0), table[i].want);
}

static void penalties_and_biases_change_the_choice(void **state)
{
    static const float logits[] = {2.0F, 1.9F, -1.0F, -1.1F};
    static const uint32_t history[] = {0, 0, 2, 0};
    static const struct token_bias up[] = {{3, 4.0F}, {99, 1000.0F}}, down[] = {{0, -0.2F}};
    const struct {
        struct sample_params params;
        uint32_t n_history, want;
    } table[] = {
        {{.repeat_penalty = 1.2F, .repeat_last_n = 64}, 0, 0},
        {{.repeat_penalty = 1.2F, .repeat_last_n = 64}, 4, 1}, /* 2.0 / 1.2 */
        {{.repeat_penalty = 1.0F, .repeat_last_n = 64}, 4, 0},
        {{.repeat_penalty = 1.2F, .repeat_last_n = 0}, 4, 0},
        {{.repeat_penalty = 1.2F, .repeat_last_n = 1}, 3, 0}, /* only token 2 is recent */
        {{.repeat_penalty = 1.0F, .presence_penalty = 0.2F, .repeat_last_n = 64}, 4, 1},
        {{.repeat_penalty = 1.0F, .frequency_penalty = 0.04F, .repeat_last_n = 64},
         4,
         1}, /* three times 0.04 */
        {{.repeat_penalty = 1.0F, .frequency_penalty = 0.03F, .repeat_last_n = 64}, 4, 0},
        {{.repeat_penalty = 1.0F, .biases = up, .n_biases = 2}, 0, 3},
        {{.repeat_penalty = 1.0F, .biases = down, .n_biases = 1}, 0, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(draw(&table[i].params, logits, 4, 9, history, table[i].n_history), table[i].want);
}

static void a_negative_logit_is_multiplied(void **state)
{
    static const float logits[] = {-2.0F, -2.1F};
    static const uint32_t history[] = {0};
    struct sample_params params = {.repeat_penalty = 1.2F, .repeat_last_n = 8};
    (void)state;
    assert_int_equal(draw(&params, logits, 2, 1, history, 1), 1);
}

/* --- which tokens can come ---------------------------------------------------------------------------------
 */

/* Bit i: token i came in 4000 draws. */
static uint32_t support(const struct sample_params *params, const float *logits, uint32_t n_vocab)
{
    uint32_t seen = 0;
    for (uint32_t position = 0; position < 4000; position++)
        seen |= 1U << draw(params, logits, n_vocab, position, NULL, 0);
    return seen;
}

static void cuts_leave_the_right_tokens(void **state)
{
    /* probabilities 0.5, 0.2, 0.1, 0.1, 0.1 of tokens 1, 0, 2, 3, 4 */
    const float logits[] = {logf(0.2F), logf(0.5F), logf(0.1F), logf(0.1F), logf(0.1F)};
    const struct {
        uint32_t top_k;
        float top_p, min_p;
        uint32_t want; /* bits */
    } table[] = {
        {0, 1.0F, 0.0F, 0x1f},  {5, 1.0F, 0.0F, 0x1f},  {99, 1.0F, 0.0F, 0x1f}, {1, 1.0F, 0.0F, 0x02},
        {2, 1.0F, 0.0F, 0x03},  {3, 1.0F, 0.0F, 0x07}, /* of equal ones the lower id */
        {0, 0.45F, 0.0F, 0x02}, {0, 0.6F, 0.0F, 0x03},  {0, 0.75F, 0.0F, 0x07}, {0, 0.0F, 0.0F, 0x02},
        {0, 1.0F, 0.3F, 0x03},  {0, 1.0F, 0.5F, 0x02},  {0, 1.0F, 1.0F, 0x02},  {0, 1.0F, 0.15F, 0x1f},
        {2, 0.75F, 0.0F, 0x03}, {2, 0.71F, 0.0F, 0x02}, /* of what top-k leaves 0.5 is 0.714 */
        {4, 1.0F, 0.25F, 0x03},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct sample_params params = plain(1.0F);
        params.top_k = table[i].top_k;
        params.top_p = table[i].top_p;
        params.min_p = table[i].min_p;
        uint32_t got = support(&params, logits, 5);
        if (got != table[i].want)
            fail_msg("row %zu: tokens 0x%x, expected 0x%x", i, got, table[i].want);
    }
}

static void draws_follow_the_probabilities(void **state)
{
    const float logits[] = {logf(0.6F), logf(0.3F), logf(0.1F)};
    const struct {
        float temperature, want[3];
    } table[] = {{1.0F, {0.6F, 0.3F, 0.1F}}, {0.5F, {0.7826F, 0.1957F, 0.0217F}}};
    (void)state;
    for (size_t row = 0; row < 2; row++) {
        struct sample_params params = plain(table[row].temperature);
        uint32_t counts[3] = {0};
        params.seed = 77;
        for (uint32_t i = 0; i < 20000; i++)
            counts[draw(&params, logits, 3, i, NULL, 0)]++;
        for (int i = 0; i < 3; i++) /* five standard deviations at most 0.018 */
            assert_true(fabsf((float)counts[i] / 20000 - table[row].want[i]) < 0.018F);
    }
}

static void draws_depend_on_seed_and_position_only(void **state)
{
    float logits[200];
    struct rng rng = rng_seeded(5);
    struct sample_params params = sample_params_default();
    uint32_t n_other = 0;
    (void)state;

    for (int i = 0; i < 200; i++)
        logits[i] = (float)rng_unit(&rng) * 3;
    for (uint32_t position = 0; position < 100; position++) {
        params.seed = 1;
        uint32_t first = draw(&params, logits, 200, position, NULL, 0);
        assert_int_equal(draw(&params, logits, 200, position, NULL, 0), first);
        params.seed = 2;
        n_other += draw(&params, logits, 200, position, NULL, 0) != first;
    }
    assert_true(n_other > 50);
}

/* Whatever is drawn is inside all three cuts, by plain double precision. */
static void check_inside(const struct sample_params *params, const float *logits, uint32_t n_vocab,
                         uint32_t token)
{
    uint32_t n_before = 0, k = params->top_k && params->top_k < n_vocab ? params->top_k : n_vocab;
    double before = 0, of_top_k = 0, largest = 0;

    for (uint32_t i = 0; i < n_vocab; i++) {
        double weight = exp((double)logits[i]);
        bool comes_first = logits[i] > logits[token] || (logits[i] == logits[token] && i < token);
        uint32_t rank = 0;
        for (uint32_t j = 0; j < n_vocab; j++)
            rank += logits[j] > logits[i] || (logits[j] == logits[i] && j < i);
        of_top_k += rank < k ? weight : 0;
        largest = weight > largest ? weight : largest;
        n_before += comes_first;
        before += comes_first ? weight : 0;
    }
    assert_true(n_before < k);
    assert_true(before <= ((double)params->top_p + 1e-5) * of_top_k);
    assert_true(exp((double)logits[token]) >= ((double)params->min_p - 1e-5) * largest);
}

static void draws_are_inside_the_cuts(void **state)
{
    struct rng rng = rng_seeded(31);
    float logits[300];
    (void)state;

    for (uint32_t round = 0; round < 300; round++) {
        static const float spreads[] = {0.001F, 1.0F, 8.0F, 30.0F};
        uint32_t n_vocab = 1 + (uint32_t)rng_below(&rng, 300);
        struct sample_params params = plain(1.0F);
        for (uint32_t i = 0; i < n_vocab; i++)
            logits[i] = (float)rng_unit(&rng) * spreads[round % 4];
        params.seed = round;
        params.temperature = 0.2F + (float)rng_unit(&rng) * 3;
        params.top_k = rng_below(&rng, 2) ? (uint32_t)rng_below(&rng, 40) : 0;
        params.top_p = rng_below(&rng, 3) ? (float)rng_unit(&rng) : 0.9999F;
        params.min_p = rng_below(&rng, 2) ? (float)rng_unit(&rng) : 0;
        for (uint32_t position = 0; position < 5; position++)
            check_inside(&params, logits, n_vocab, draw(&params, logits, n_vocab, position, NULL, 0));
    }
}

/* --- against a plain sort ----------------------------------------------------------------------------------
 */

static void check_top(const float *logits, uint32_t n_vocab, uint32_t n)
{
    uint32_t tokens[N_VOCAB_MAX];
    float lps[N_VOCAB_MAX];
    double whole = 0;

    for (uint32_t i = 0; i < n_vocab; i++)
        whole += exp((double)logits[i]);
    sampler_top(kernels, logits, n_vocab, n, tokens, lps);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t n_before = 0; /* tokens that must come earlier */
        for (uint32_t k = 0; k < n_vocab; k++)
            n_before += logits[k] > logits[tokens[i]] || (logits[k] == logits[tokens[i]] && k < tokens[i]);
        assert_int_equal(n_before, i);
        assert_true(fabs((double)lps[i] - ((double)logits[tokens[i]] - log(whole))) < 1e-5);
    }
}

static void top_is_a_sorted_prefix(void **state)
{
    float logits[N_VOCAB_MAX];
    struct rng rng = rng_seeded(20);
    (void)state;
    for (uint32_t round = 0; round < 60; round++) {
        uint32_t n_vocab = 1 + (uint32_t)rng_below(&rng, N_VOCAB_MAX);
        for (uint32_t i = 0; i < n_vocab; i++) /* few values: many ties */
            logits[i] = (float)rng_below(&rng, round % 2 ? 20 : 100000) / 7 - 5;
        for (uint32_t i = 0; round % 2 == 0 && i < n_vocab; i++)
            logits[i] /= 1000;
        check_top(logits, n_vocab, 1 + (uint32_t)rng_below(&rng, n_vocab));
        check_top(logits, n_vocab, n_vocab < 20 ? n_vocab : 20);
    }
}

static void reports_log_probabilities_of_raw_logits(void **state)
{
    const float logits[] = {logf(0.5F) + 3, logf(0.25F) + 3, logf(0.25F) + 3};
    const struct token_bias bias = {2, 50.0F};
    struct sample_params params = plain(0.7F);
    struct sampled out;
    void *scratch = mem_new(sampler_scratch_bytes(3));
    (void)state;

    params.n_top = 20;
    params.biases = &bias;
    params.n_biases = 1;
    sampler_draw(&out, kernels, &params, logits, 3, 0, NULL, 0, scratch);
    assert_int_equal(out.token, 2);
    assert_true(fabsf(out.log_probability - logf(0.25F)) < 1e-5F);
    assert_int_equal(out.n_top, 3);
    assert_int_equal(out.top_tokens[0], 0);
    assert_int_equal(out.top_tokens[1], 1);
    assert_true(fabsf(out.top_log_probabilities[0] - logf(0.5F)) < 1e-5F);
    mem_free(scratch);
}

/* --- checks ------------------------------------------------------------------------------------------------
 */

static void params_out_of_range_are_named(void **state)
{
    const struct {
        struct sample_params params;
        const char *name;
    } table[] = {
        {{.temperature = NAN, .repeat_penalty = 1}, "temperature"},
        {{.temperature = INFINITY, .repeat_penalty = 1}, "temperature"},
        {{.temperature = -0.1F, .repeat_penalty = 1}, "temperature"},
        {{.temperature = 999999, .repeat_penalty = 1}, "temperature"},
        {{.top_p = -1, .repeat_penalty = 1}, "top_p"},
        {{.top_p = 1.01F, .repeat_penalty = 1}, "top_p"},
        {{.min_p = 2, .repeat_penalty = 1}, "min_p"},
        {{.repeat_penalty = 0}, "repeat_penalty"},
        {{.repeat_penalty = -INFINITY}, "repeat_penalty"},
        {{.repeat_penalty = 1, .frequency_penalty = NAN}, "frequency_penalty"},
        {{.repeat_penalty = 1, .presence_penalty = 1e9F}, "presence_penalty"},
        {{.repeat_penalty = 1, .repeat_last_n = SAMPLE_HISTORY_MAX + 1}, "repeat_last_n"},
        {{.repeat_penalty = 1, .n_top = SAMPLE_TOP_MAX + 1}, "log-probabilities"},
        {{.repeat_penalty = 1, .n_biases = SAMPLE_BIASES_MAX + 1}, "biases"},
    };
    struct sample_params good = sample_params_default();
    struct error err;
    (void)state;

    assert_int_equal(sample_params_check(&good, &err), STATUS_OK);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        assert_int_not_equal(sample_params_check(&table[i].params, &err), STATUS_OK);
        if (!strstr(err.text, table[i].name))
            fail_msg("row %zu: '%s' does not name %s", i, err.text, table[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_likeliest),
        cmocka_unit_test(penalties_and_biases_change_the_choice),
        cmocka_unit_test(a_negative_logit_is_multiplied),
        cmocka_unit_test(cuts_leave_the_right_tokens),
        cmocka_unit_test(draws_are_inside_the_cuts),
        cmocka_unit_test(draws_follow_the_probabilities),
        cmocka_unit_test(draws_depend_on_seed_and_position_only),
        cmocka_unit_test(top_is_a_sorted_prefix),
        cmocka_unit_test(reports_log_probabilities_of_raw_logits),
        cmocka_unit_test(params_out_of_range_are_named),
    };
    if (kernels_select(&kernels, NULL))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
