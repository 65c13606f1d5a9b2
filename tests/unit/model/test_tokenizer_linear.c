/* Work grows as the text does: looks at code points while splitting and questions for pairs while merging are
 * counted, on hostile texts of 64 KiB and of 1 MiB. */
#include "model/tokenizer_merge.h"
#include "model/unicode.h"
#include "tokenizer_support.h"

static uint64_t n_looks;

/* The linker takes this function instead of the library's, whose file has nothing else. */
struct unicode_point unicode_at(struct bytes text, size_t at)
{
    struct unicode_point p = {0};
    n_looks++;
    if (at >= text.size)
        return p;
    size_t n = utf8_valid_length(text.data + at, text.size - at);
    p.n_bytes = (uint8_t)(n ? n : 1);
    p.value = n ? text.data[at] & (0xffU >> (n > 1 ? n + 1 : 0)) : 0xfffd;
    for (size_t i = 1; i < n; i++)
        p.value = p.value << 6 | (text.data[at + i] & 0x3fU);
    p.class_bits = p.value < 0x80 ? unicode_ascii[p.value] : unicode_class(p.value);
    return p;
}

#define SMALL ((size_t)64 << 10)
#define LARGE ((size_t)1 << 20)
/* What is linear is 16 times as much, or a run's odd beginning more; a square would be 256 times. */
#define GROWTH_MAX 24

static const char *const units[] = {
    "1",
    " ",
    "A",
    "\xf0\x9f\x9a\x80", /* a rocket */
    "1\xc2\xbd",        /* one, and one half: numbers, the second no decimal */
    "IMG<sentinel:1 \xcc\x81'\n",
};

static size_t split(const struct tokenizer_rule *rule, struct bytes text)
{
    struct tokenizer_splitter s = tokenizer_split_over(rule, text);
    struct bytes piece;
    size_t n_pieces = 0;
    n_looks = 0;
    while (tokenizer_split_next(&s, &piece))
        n_pieces++;
    return n_pieces;
}

/* The text is `unit` throughout, but for its last bytes: what comes last may decide on all before. */
static void check_growth(const struct tokenizer_rule *rule, struct buffer *text, const char *unit,
                         const char *last)
{
    uint64_t looks[2];
    for (int large = 0; large < 2; large++) {
        buffer_clear(text);
        while (text->size < (large ? LARGE : SMALL))
            buffer_text(text, unit);
        buffer_text(text, last);
        split(rule, buffer_view(text));
        looks[large] = n_looks;
    }
    if (looks[1] > GROWTH_MAX * looks[0] || looks[1] > 40 * LARGE)
        fail_msg("%s on '%s'...'%s': %llu looks for 64 KiB, %llu for 1 MiB", rule->name, unit, last,
                 (unsigned long long)looks[0], (unsigned long long)looks[1]);
}

static bool is_first_of_its_stages(size_t i)
{
    const struct tokenizer_rule *rule = tokenizer_split_rule_at(i);
    for (size_t k = 0; k < i; k++)
        if (memcmp(tokenizer_split_rule_at(k)->stages, rule->stages, sizeof rule->stages) == 0)
            return false;
    return true;
}

static void test_splitting_looks_at_each_point_a_few_times(void **state)
{
    (void)state;
    struct buffer text;
    size_t n_rules = 0;
    buffer_init(&text, 0);
    for (size_t i = 0; tokenizer_split_rule_at(i); i++) {
        if (!is_first_of_its_stages(i))
            continue;
        const struct tokenizer_rule *rule = tokenizer_split_rule_at(i);
        n_rules++;
        for (size_t k = 0; k < sizeof units / sizeof *units; k++)
            check_growth(rule, &text, units[k], k % 2 ? "x" : "\n.");
    }
    buffer_free(&text);
    print_message("%zu expressions, %zu texts each\n", n_rules, sizeof units / sizeof *units);
    assert_in_range(n_rules, 28, 100);
}

/* The test can fail: a stage that counts to the end of its run for each group is told. */
static size_t quadratic_stage(struct bytes text, size_t at)
{
    size_t end = unicode_run(text, at, UNICODE_NUMBER);
    return end > at && end - at > 3 ? at + 3 : end > at ? end : at + unicode_at(text, at).n_bytes;
}

static void test_a_quadratic_stage_is_told(void **state)
{
    (void)state;
    const struct tokenizer_rule rule = {.name = "quadratic", .stages = {quadratic_stage}};
    struct buffer text;
    uint64_t looks[2];
    buffer_init(&text, 0);
    for (int large = 0; large < 2; large++) {
        while (text.size < (large ? 16384 : 1024))
            buffer_text(&text, "1");
        split(&rule, buffer_view(&text));
        looks[large] = n_looks;
    }
    assert_true(looks[1] > GROWTH_MAX * looks[0]);
    buffer_free(&text);
}

/* --- merging ---------------------------------------------------------------------------------------------- */

static uint64_t n_ranked;

/* Neighbours of one size join, up to `limit` bytes: a vocabulary of a, aa, aaaa, ... */
static bool rank_doubles(const void *limit, const uint8_t *word, const struct merge_symbol *left,
                         const struct merge_symbol *right, uint32_t *key, uint32_t *id)
{
    (void)word;
    n_ranked++;
    *key = *id = left->n_bytes;
    return left->n_bytes == right->n_bytes && left->n_bytes < *(const uint32_t *)limit;
}

/* Whatever stands first takes one more, again and again: a, aa, aaa, ... */
static bool rank_first(const void *limit, const uint8_t *word, const struct merge_symbol *left,
                       const struct merge_symbol *right, uint32_t *key, uint32_t *id)
{
    (void)word;
    n_ranked++;
    *id = left->n_bytes;
    *key = UINT32_MAX - left->n_bytes;
    return right->n_bytes == 1 && left->n_bytes < *(const uint32_t *)limit;
}

static uint64_t ranked(merge_rank rank, size_t n)
{
    struct tokenizer_merge merge = {0};
    uint32_t limit = 1 << 16, n_left = 0;
    assert_true(tokenizer_merge_reserve(&merge, n));
    for (size_t i = 0; i < n; i++)
        tokenizer_merge_add(&merge, 1, 0);
    n_ranked = 0;
    tokenizer_merge_run(&merge, NULL, rank, &limit);
    for (uint32_t i = 0; i != TOKENIZER_NO_ID; i = merge.symbols[i].after)
        n_left++;
    assert_in_range(n_left, 1, n / limit + 1);
    tokenizer_merge_free(&merge);
    return n_ranked;
}

/* Each merge asks for the pairs on both its sides, and there are fewer merges than symbols. */
static void test_merging_asks_three_times_a_symbol(void **state)
{
    (void)state;
    assert_in_range(ranked(rank_doubles, SMALL), SMALL, 3 * SMALL);
    assert_in_range(ranked(rank_doubles, LARGE), LARGE, 3 * LARGE);
    assert_in_range(ranked(rank_first, SMALL), SMALL, 3 * SMALL);
    assert_in_range(ranked(rank_first, LARGE), LARGE, 3 * LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splitting_looks_at_each_point_a_few_times),
        cmocka_unit_test(test_a_quadratic_stage_is_told),
        cmocka_unit_test(test_merging_asks_three_times_a_symbol),
    };
    return crypto_start(NULL) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
