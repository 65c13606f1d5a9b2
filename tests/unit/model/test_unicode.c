#include "model/unicode.h"
#include "tokenizer_support.h"

/* From UnicodeData.txt and PropList.txt, written down by hand. */
static void test_classes(void **state)
{
    (void)state;
    static const struct {
        uint32_t c;
        uint8_t bits;
    } cases[] = {
        {'A', UNICODE_UPPER},
        {'z', UNICODE_LOWER},
        {'7', UNICODE_NUMBER},
        {' ', UNICODE_SPACE},
        {'\n', UNICODE_SPACE},
        {0x0b, UNICODE_SPACE},
        {0x1c, 0},
        {0x1f, 0},
        {0, 0},
        {'!', UNICODE_PUNCTUATION},
        {'$', UNICODE_SYMBOL},
        {'_', UNICODE_PUNCTUATION},
        {'`', UNICODE_SYMBOL},
        {0x85, UNICODE_SPACE},
        {0xa0, UNICODE_SPACE},
        {0xaa, UNICODE_OTHER_LETTER},
        {0xb2, UNICODE_NUMBER},
        {0xdf, UNICODE_LOWER},
        {0x1c5, UNICODE_UPPER},
        {0x2b0, UNICODE_OTHER_LETTER},
        {0x301, UNICODE_MARK},
        {0x5d0, UNICODE_OTHER_LETTER},
        {0x661, UNICODE_NUMBER},
        {0x200b, 0},
        {0x2003, UNICODE_SPACE},
        {0x2028, UNICODE_SPACE},
        {0x2163, UNICODE_NUMBER},
        {0x3000, UNICODE_SPACE},
        {0x4e2d, UNICODE_OTHER_LETTER},
        {0xfeff, 0},
        {0xfffd, UNICODE_SYMBOL},
        {0x1f680, UNICODE_SYMBOL},
        {0x1d518, UNICODE_UPPER},
        {0xe000, 0},
        {0x10ffff, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (unicode_class(cases[i].c) != cases[i].bits)
            fail_msg("U+%04X has class %u, want %u", cases[i].c, unicode_class(cases[i].c), cases[i].bits);
}

static void test_tables_are_sorted_and_start_at_zero(void **state)
{
    (void)state;
    assert_int_equal(unicode_runs[0] >> 8, 0);
    for (uint32_t i = 1; i < unicode_n_runs; i++)
        assert_true(unicode_runs[i - 1] >> 8 < unicode_runs[i] >> 8 && unicode_runs[i] >> 8 < 0x110000);
}

/* Every valid code point comes back; every other byte stands alone as U+FFFD. */
static void test_every_code_point_comes_back(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x110000; c++) {
        uint8_t bytes[4];
        size_t n = unicode_encode(bytes, c);
        struct unicode_point p = unicode_at(bytes_of(bytes, n), 0);
        bool surrogate = c >= 0xd800 && c < 0xe000;
        assert_int_equal(p.value, surrogate ? 0xfffd : c);
        assert_int_equal(p.n_bytes, surrogate ? 1 : n);
    }
    assert_int_equal(unicode_at(bytes_of_text("\xc3"), 0).value, 0xfffd);
    assert_int_equal(unicode_at(bytes_of_text("\xc3"), 0).n_bytes, 1);
    assert_int_equal(unicode_at(bytes_of_text("a"), 1).n_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_tables_are_sorted_and_start_at_zero),
        cmocka_unit_test(test_every_code_point_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
