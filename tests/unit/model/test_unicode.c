#include "model/unicode.h"
#include "tokenizer_support.h"

/* From UnicodeData.txt and PropList.txt, written down by hand. */
static void test_classes(void **state)
{
    (void)state;
    static const struct {
        uint32_t c;
        uint16_t bits;
    } cases[] = {
        {'A', UNICODE_UPPER | UNICODE_WORD},
        {'z', UNICODE_LOWER | UNICODE_WORD},
        {'7', UNICODE_NUMBER | UNICODE_DECIMAL | UNICODE_WORD},
        {' ', UNICODE_SPACE},
        {'\n', UNICODE_SPACE},
        {0x0b, UNICODE_SPACE},
        {0x1c, 0},
        {0x1f, 0},
        {0, 0},
        {'!', UNICODE_PUNCTUATION},
        {'$', UNICODE_SYMBOL},
        {'_', UNICODE_PUNCTUATION | UNICODE_WORD},
        {'`', UNICODE_SYMBOL},
        {0x85, UNICODE_SPACE},
        {0xa0, UNICODE_SPACE},
        {0xaa, UNICODE_OTHER_LETTER | UNICODE_WORD},
        {0xb2, UNICODE_NUMBER},
        {0xdf, UNICODE_LOWER | UNICODE_WORD},
        {0x1c5, UNICODE_UPPER | UNICODE_WORD},
        {0x2b0, UNICODE_OTHER_LETTER | UNICODE_WORD},
        {0x301, UNICODE_MARK | UNICODE_WORD},
        {0x5d0, UNICODE_OTHER_LETTER | UNICODE_WORD},
        {0x661, UNICODE_NUMBER | UNICODE_DECIMAL | UNICODE_WORD},
        {0x200b, 0},
        {0x2003, UNICODE_SPACE},
        {0x2028, UNICODE_SPACE},
        {0x2163, UNICODE_NUMBER | UNICODE_WORD},
        {0x3000, UNICODE_SPACE},
        {0x4e2d, UNICODE_OTHER_LETTER | UNICODE_WORD | UNICODE_HAN},
        {0xfeff, 0},
        {0xfffd, UNICODE_SYMBOL},
        {0x1f680, UNICODE_SYMBOL},
        {0x1d518, UNICODE_UPPER | UNICODE_WORD},
        {0x2e80, UNICODE_SYMBOL | UNICODE_HAN},
        {0x3007, UNICODE_NUMBER | UNICODE_WORD | UNICODE_HAN},
        {0x24d0, UNICODE_SYMBOL | UNICODE_WORD},
        {0xb9, UNICODE_NUMBER},
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
    assert_int_equal(unicode_runs[0] >> UNICODE_CLASS_BITS, 0);
    for (uint32_t i = 1; i < unicode_n_runs; i++)
        assert_true(unicode_runs[i - 1] >> UNICODE_CLASS_BITS < unicode_runs[i] >> UNICODE_CLASS_BITS &&
                    unicode_runs[i] >> UNICODE_CLASS_BITS < 0x110000);
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

static void test_the_code_point_before(void **state)
{
    (void)state;
    struct bytes text = bytes_of_text("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\x80\xff\x80");
    static const struct {
        size_t end;
        uint32_t value;
        uint8_t n_bytes;
    } cases[] = {{0, 0, 0},        {1, 'a', 1},     {3, 0xe9, 2},    {6, 0x20ac, 3},
                 {10, 0x1f680, 4}, {11, 0xfffd, 1}, {12, 0xfffd, 1}, {5, 0xfffd, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct unicode_point p = unicode_before(text, cases[i].end);
        assert_int_equal(p.value, cases[i].value);
        assert_int_equal(p.n_bytes, cases[i].n_bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_tables_are_sorted_and_start_at_zero),
        cmocka_unit_test(test_every_code_point_comes_back),
        cmocka_unit_test(test_the_code_point_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
