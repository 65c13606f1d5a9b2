/* Stop texts: a growing text ends before the first of them, wherever it was cut, and no part of one gets out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/stop_filter.h"
#include "base/rand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Pushes `text` in pieces of `step` bytes; what was shown before the text ended, then the rest. */
static bool run(const char *const *stops, size_t n_stops, const char *text, size_t step, struct buffer *shown,
                struct buffer *rest)
{
    struct stop_filter filter;
    size_t n = strlen(text);
    bool stopped = false;
    buffer_init(shown, 0);
    buffer_init(rest, 0);
    stop_filter_init(&filter, stops, n_stops);
    for (size_t at = 0; at < n && !stopped; at += step)
        stopped = stop_filter_push(&filter, bytes_of(text + at, n - at < step ? n - at : step), shown);
    stop_filter_finish(&filter, rest);
    stop_filter_free(&filter);
    return stopped;
}

static void the_text_ends_before_the_first_stop(void **state)
{
    static const struct {
        const char *stops[3], *text, *shown, *rest; /* shown: in one piece */
        bool stopped;
    } rows[] = {
        {{"END"}, "one END two", "one ", "", true},
        {{"END"}, "one EN", "one ", "EN", false},
        {{"END"}, "no stop here", "no stop here", "", false},
        {{"b", "a"}, "xxab", "xx", "", true},
        {{"\n\n"}, "a\nb\n", "a\nb", "\n", false},
        {{"aab"}, "aaab", "a", "", true},
        {{"abc", "bcd"}, "abd bcd", "abd ", "", true},
        {{"x"}, "x", "", "", true},
        {{NULL}, "anything", "anything", "", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer shown, rest;
        size_t n_stops = 0;
        while (n_stops < 3 && rows[i].stops[n_stops])
            n_stops++;
        bool stopped = run(rows[i].stops, n_stops, rows[i].text, strlen(rows[i].text), &shown, &rest);
        assert_int_equal(stopped, rows[i].stopped);
        assert_string_equal(buffer_string(&shown), rows[i].shown);
        assert_string_equal(buffer_string(&rest), rows[i].rest);
        buffer_free(&shown);
        buffer_free(&rest);
    }
}

static void of_two_the_earlier_counts(void **state)
{
    static const char *const stops[] = {"long stop", "p"};
    struct buffer shown, rest;
    (void)state;
    assert_true(run(stops, 2, "a long stop", 11, &shown, &rest));
    assert_string_equal(buffer_string(&shown), "a "); /* where "long stop" begins, before its p */
    buffer_free(&shown);
    buffer_free(&rest);
}

/* The definition: everything before the earliest whole stop. Bytes may come one at a time; then a shorter stop
 * that ends earlier may be met first, so only texts without such pairs are compared. */
static void the_cut_does_not_matter(void **state)
{
    static const char *const stops[] = {"aba", "bb", "cab"};
    const char *given = getenv("SHOAL_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 20261123;
    struct rng rng = rng_seeded(seed);
    (void)state;
    for (int round = 0; round < 3000; round++) {
        char text[33];
        size_t n = (size_t)rng_below(&rng, 32);
        for (size_t i = 0; i < n; i++)
            text[i] = (char)('a' + rng_below(&rng, 3));
        text[n] = '\0';
        size_t first = n, end = n;
        for (size_t at = 0; at < n && first == n; at++)
            for (size_t s = 0; s < 3; s++)
                if (strncmp(text + at, stops[s], strlen(stops[s])) == 0) {
                    first = at;
                    end = at + strlen(stops[s]);
                }
        bool inner = false; /* another stop lies wholly inside the first one */
        for (size_t s = 0; s < 3; s++) {
            const char *at = strstr(text, stops[s]);
            inner |= at && (size_t)(at - text) + strlen(stops[s]) < end;
        }
        for (size_t step = 1; step <= 5 && !inner; step++) {
            struct buffer shown, rest;
            bool stopped = run(stops, 3, text, step, &shown, &rest);
            buffer_bytes(&shown, rest.data, rest.size);
            if (stopped != (first < n) || !bytes_equal(buffer_view(&shown), bytes_of(text, first)))
                fail_msg("seed %llu, round %d: '%s' by %zu gives '%s'", (unsigned long long)seed, round, text,
                         step, buffer_string(&shown));
            buffer_free(&shown);
            buffer_free(&rest);
        }
    }
}

static void no_part_of_a_stop_gets_out(void **state)
{
    static const char *const stops[] = {"<|end|>"};
    static const char text[] = "hello<|end|>";
    struct stop_filter filter;
    struct buffer out;
    (void)state;
    buffer_init(&out, 0);
    stop_filter_init(&filter, stops, 1);
    assert_false(stop_filter_push(&filter, (struct bytes){0}, &out)); /* half a character gives no text yet */
    for (size_t i = 0; text[i]; i++) {
        bool stopped = stop_filter_push(&filter, bytes_of(text + i, 1), &out);
        assert_int_equal(stopped, text[i + 1] == '\0');
        assert_int_equal(out.size, i < 5 ? i + 1 : 5);
    }
    assert_true(stop_filter_push(&filter, bytes_of_text("more"), &out)); /* nothing comes after it */
    stop_filter_finish(&filter, &out);
    assert_string_equal(buffer_string(&out), "hello");
    stop_filter_free(&filter);
    buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_ends_before_the_first_stop),
        cmocka_unit_test(of_two_the_earlier_counts),
        cmocka_unit_test(the_cut_does_not_matter),
        cmocka_unit_test(no_part_of_a_stop_gets_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
