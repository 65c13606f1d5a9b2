#include "wire/node_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DIGITS "00ff102030405060708090a0b0c0d0e0f0112233445566778899aabbccddeeff"

static void test_texts_and_back(void **state)
{
    (void)state;
    struct node_id id;
    char text[NODE_ID_TEXT_BYTES], brief[NODE_ID_SHORT_BYTES];
    assert_true(node_id_parse(&id, DIGITS));
    assert_int_equal(id.bytes[0], 0x00);
    assert_int_equal(id.bytes[1], 0xff);
    assert_int_equal(id.bytes[31], 0xff);
    node_id_text(text, &id);
    assert_string_equal(text, DIGITS);
    node_id_short(brief, &id);
    assert_string_equal(brief, "00ff1020");
    assert_false(node_id_parse(&id, ""));
    assert_false(node_id_parse(&id, "00ff1020"));
    assert_false(node_id_parse(&id, DIGITS "0"));
    assert_false(node_id_parse(&id, "0xff102030405060708090a0b0c0d0e0f0112233445566778899aabbccddeeff"));
}

static void test_prefixes_of_at_least_four_digits(void **state)
{
    (void)state;
    struct node_id id;
    assert_true(node_id_parse(&id, DIGITS));
    assert_true(node_id_has_prefix(&id, "00ff"));
    assert_true(node_id_has_prefix(&id, "00ff1"));
    assert_true(node_id_has_prefix(&id, DIGITS));
    assert_false(node_id_has_prefix(&id, "00f"));
    assert_false(node_id_has_prefix(&id, ""));
    assert_false(node_id_has_prefix(&id, "00fe"));
    assert_false(node_id_has_prefix(&id, DIGITS "0"));
    assert_false(node_id_has_prefix(&id, "00fg"));
}

static void test_order_is_that_of_bytes(void **state)
{
    (void)state;
    struct node_id low = {{0x00, 0xff}}, high = {{0x80}}, zero = {{0}};
    assert_true(node_id_compare(&low, &high) < 0);
    assert_true(node_id_compare(&high, &low) > 0);
    assert_true(node_id_equal(&low, &low) && !node_id_equal(&low, &high));
    assert_true(node_id_is_zero(&zero) && !node_id_is_zero(&low));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_and_back),
        cmocka_unit_test(test_prefixes_of_at_least_four_digits),
        cmocka_unit_test(test_order_is_that_of_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
