/* The screen of `shoal top`: what stands where, at any size, with whatever texts come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/top_view.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define ROWS_MAX 64

static char screen[ROWS_MAX][4 * TOP_COLUMNS_MAX];
static int widths[ROWS_MAX], width_max, row_max;

static int width_of(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void put(void *ctx, int row, int column, enum top_style style, const char *text)
{
    (void)ctx;
    (void)style;
    assert_in_range(row, 0, ROWS_MAX - 1);
    assert_true(column >= widths[row]); /* nothing is drawn over */
    for (; widths[row] < column; widths[row]++) {
        size_t end = strlen(screen[row]);
        memcpy(screen[row] + end, " ", 2);
    }
    size_t used = strlen(screen[row]);
    snprintf(screen[row] + used, sizeof screen[row] - used, "%s", text);
    widths[row] += width_of(text);
    width_max = widths[row] > width_max ? widths[row] : width_max;
    row_max = row > row_max ? row : row_max;
}

static struct jv *parsed(const char *text)
{
    struct jv *json;
    assert_int_equal(jv_parse(&json, bytes_of_text(text), NULL, NULL), STATUS_OK);
    return json;
}

static int draw(const struct top_view *view)
{
    memset(screen, 0, sizeof screen);
    memset(widths, 0, sizeof widths);
    width_max = row_max = 0;
    return top_view_draw(view, put, NULL);
}

static struct jv *status_of(int n_nodes)
{
    struct jv *status =
        parsed("{\"cluster\": \"home\", \"model\": \"tiny\", \"expected_shards\": 4, \"loaded_shards\": 3,"
               "\"shards\": [{\"id\": 0, \"state\": \"LOADED\"}, {\"id\": 1, \"state\": \"LOADED\"},"
               "{\"id\": 2, \"state\": \"FETCHING\"}, {\"id\": 3, \"state\": \"LOADED\"}]}");
    struct jv *nodes = jv_array_new();
    for (int i = 0; i < n_nodes; i++) {
        char text[700];
        snprintf(
            text, sizeof text,
            "{\"id\": \"%08x00000000\", \"self\": %s, \"role\": \"node\", \"address\": \"192.0.2.%d:7400\", "
            "\"rtt_us\": 1500, \"tokens_done\": %d, \"sequences\": 2, \"queued\": 1, \"capabilities\": "
            "{\"memory_used\": 117200000, \"memory_budget\": 7400000000, \"cpu\": \"avx2\", \"threads\": 8}, "
            "\"shards\": [{\"id\": 0, \"state\": \"LOADED\", \"assigned\": true}, {\"id\": 2, \"state\": "
            "\"FETCHING\", \"assigned\": true, \"bytes_done\": 52, \"bytes_total\": 100, \"rate\": 41200000}]}",
            0xabcd0000U + (unsigned)i, i == 0 ? "true" : "false", i + 1, 100 * i);
        jv_append(nodes, parsed(text));
    }
    jv_set(status, "nodes", nodes);
    return status;
}

static const char blocked[] =
    "{\"ready\": false, \"findings\": [{\"code\": \"DOWNLOADING\", \"severity\": \"blocker\", \"shard\": 2, "
    "\"node\": "
    "\"abcd0001ffff\", \"cause\": \"52 of 100 bytes\", \"action\": \"shoal status\"}, {\"code\": "
    "\"NO_SOURCE\", "
    "\"severity\": \"blocker\"}, {\"code\": \"LINK_SLOW\", \"severity\": \"warning\"}]}";

static void says_what_matters(void **state)
{
    struct jv *status = status_of(2), *verdict = parsed(blocked);
    struct top_view view = {.status = status, .verdict = verdict, .columns = 130, .ascii = true};
    (void)state;
    draw(&view);
    assert_non_null(strstr(screen[0], "home  model tiny  2 processes  3 of 4 shards loaded"));
    assert_string_equal(screen[1],
                        "NOT READY: DOWNLOADING  shard 2  node abcd0001   (and 1 more: shoal doctor)");
    assert_string_equal(screen[2], "52 of 100 bytes");
    assert_string_equal(screen[3], "do this: shoal status");
    assert_string_equal(screen[4], "shards ##+#");
    assert_non_null(strstr(screen[6], "ADDRESS"));
    assert_ptr_equal(strstr(screen[7], "abcd0000 node "), screen[7]);
    assert_non_null(strstr(screen[7], "#.+."));
    assert_non_null(strstr(screen[7], "2 FETCHING 52% 41.2 MB/s"));
    assert_non_null(strstr(screen[7], "asked"));
    assert_non_null(strstr(screen[8], "192.0.2.2:7400"));
    assert_non_null(strstr(screen[8], "1.50 ms"));
    assert_non_null(strstr(screen[8], "117.2M/7.4G"));
    jv_free(status);
    jv_free(verdict);
}

static void fits_any_size(void **state)
{
    struct jv *status = status_of(30), *verdict = parsed(blocked);
    (void)state;
    for (int columns = 40; columns <= 260; columns += 7)
        for (int rows = 10; rows <= 60; rows += 5)
            for (int first = 0; first < 30; first += 11) {
                struct top_view view = {.status = status, .verdict = verdict, .columns = columns, .rows = rows};
                int max = top_view_scroll_max(&view);
                view.first_node = first < max ? first : max;
                draw(&view);
                assert_true(width_max <= columns);
                assert_int_equal(row_max, rows - 1);
            }
    struct top_view whole = {.status = status, .verdict = verdict, .columns = 80};
    assert_int_equal(top_view_scroll_max(&whole), 0);
    draw(&whole);
    assert_ptr_equal(strstr(screen[7 + 29], "abcd001d"), screen[7 + 29]);
    jv_free(status);
    jv_free(verdict);
}

static void foreign_texts_are_harmless(void **state)
{
    struct jv *status = status_of(1);
    struct jv *verdict =
        parsed("{\"ready\": false, \"findings\": [{\"code\": \"A\", \"severity\": \"blocker\", "
               "\"cause\": \"x\\u001b[2Jy\\u009bz\\u007f \\u00e4\"}]}");
    struct top_view view = {.status = status, .verdict = verdict, .columns = 80, .rows = 24};
    (void)state;
    draw(&view);
    assert_string_equal(screen[2], "x?[2Jy?z? \xc3\xa4");
    view.ascii = true;
    draw(&view);
    assert_string_equal(screen[2], "x?[2Jy?z? ?");
    for (int row = 0; row < ROWS_MAX; row++)
        for (const char *c = screen[row]; *c; c++)
            assert_in_range((unsigned char)*c, 0x20, 0x7e);
    jv_free(status);
    jv_free(verdict);
}

static void nothing_came_yet(void **state)
{
    struct top_view view = {.columns = 80, .rows = 24};
    (void)state;
    draw(&view);
    assert_non_null(strstr(screen[1], "asking"));
    view.trouble = "connection refused";
    draw(&view);
    assert_non_null(strstr(screen[1], "NO ANSWER"));
    assert_string_equal(screen[2], "connection refused");
}

static void rates(void **state)
{
    struct top_rates *seen = mem_new(sizeof *seen);
    struct jv *status = status_of(3);
    struct jv *third = jv_at(jv_get(status, "nodes"), 2);
    (void)state;
    top_rates_see(seen, status, 1000000);
    assert_true(seen->nodes[2].rate == 0); /* what was done before we looked is no rate */
    jv_set_int(third, "tokens_done", 350);
    top_rates_see(seen, status, 1500000);
    assert_true(seen->nodes[2].rate > 299.9 && seen->nodes[2].rate < 300.1);
    top_rates_see(seen, status, 3000000); /* between two records: still what it was */
    assert_true(seen->nodes[2].rate > 299.9);
    top_rates_see(seen, status, 7000000);
    assert_true(seen->nodes[2].rate == 0);
    jv_set_int(third, "tokens_done", 5); /* started again */
    top_rates_see(seen, status, 8000000);
    assert_true(seen->nodes[2].rate == 0);
    jv_free(status);
    mem_free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_matters),
        cmocka_unit_test(fits_any_size),
        cmocka_unit_test(foreign_texts_are_harmless),
        cmocka_unit_test(nothing_came_yet),
        cmocka_unit_test(rates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
