#include "wire/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_texts_and_back(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok, loopback, dialable;
        uint8_t family;
    } rows[] = {
        {"192.0.2.1:7400", true, false, true, 4},
        {"127.0.0.1:1", true, true, true, 4},
        {"127.255.0.9:65535", true, true, true, 4},
        {"0.0.0.0:7400", true, false, false, 4}, /* FAILURES Q2 */
        {"192.0.2.1:0", true, false, false, 4},
        {"224.0.0.1:7400", true, false, false, 4},
        {"255.255.255.255:7400", true, false, false, 4},
        {"[2001:db8::1]:7400", true, false, true, 6},
        {"[::1]:7400", true, true, true, 6},
        {"[::]:7400", true, false, false, 6},
        {"[ff02::1]:7400", true, false, false, 6},
        {"192.0.2.1", false, false, false, 0},
        {"192.0.2.1:", false, false, false, 0},
        {"192.0.2.1:65536", false, false, false, 0},
        {"192.0.2.1:-1", false, false, false, 0},
        {"192.0.2.1:+1", false, false, false, 0},
        {"192.0.2.1: 1", false, false, false, 0},
        {"192.0.2.1:000001", false, false, false, 0},
        {"192.0.2.256:1", false, false, false, 0},
        {"192.0.2:1", false, false, false, 0},
        {"2001:db8::1:7400", false, false, false, 0},
        {"[2001:db8::1]", false, false, false, 0},
        {"[192.0.2.1:7400", false, false, false, 0},
        {"localhost:7400", false, false, false, 0},
        {":7400", false, false, false, 0},
        {"", false, false, false, 0},
        {"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001]:1", false, false, false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct address address = {.family = 9};
        if (address_parse(&address, rows[i].text) != rows[i].ok)
            fail_msg("'%s'", rows[i].text);
        if (!rows[i].ok) {
            assert_int_equal(address.family, 9); /* untouched */
            continue;
        }
        char text[ADDRESS_TEXT_BYTES];
        address_text(text, &address);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(address.family, rows[i].family);
        assert_int_equal(address_is_loopback(&address), rows[i].loopback);
        assert_int_equal(address_is_dialable(&address), rows[i].dialable);
    }
}

static void test_bytes_and_back(void **state)
{
    (void)state;
    static const char *const texts[] = {"192.0.2.1:7400", "[2001:db8::1]:65535"};
    static const size_t sizes[] = {1 + 4 + 2, 1 + 16 + 2};
    for (int i = 0; i < 2; i++) {
        struct address address, back = {0};
        struct buffer out;
        buffer_init(&out, 0);
        assert_true(address_parse(&address, texts[i]));
        address_write(&out, &address);
        assert_int_equal(out.size, sizes[i]);
        struct reader r = reader_over(buffer_view(&out));
        assert_true(address_read(&back, &r));
        assert_true(reader_done(&r) && address_equal(&address, &back));
        for (size_t n = 0; n < out.size; n++) {
            r = reader_over(bytes_of(out.data, n));
            assert_false(address_read(&back, &r));
        }
        out.data[0] = 5;
        r = reader_over(buffer_view(&out));
        assert_false(address_read(&back, &r));
        buffer_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_and_back),
        cmocka_unit_test(test_bytes_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
