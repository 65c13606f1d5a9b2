#include "base/mem.h"
#include "wire/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_the_envelope_is_as_documented(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 0);
    frame_encode(&out, FRAME_HELLO, bytes_of_text("{}"));
    static const uint8_t want[] = {2, 0, 0, 0, 1, 0, 0, 0, '{', '}'};
    assert_int_equal(out.size, sizeof want);
    assert_memory_equal(out.data, want, sizeof want);
    buffer_free(&out);
}

static void test_every_kind_makes_the_round_trip_up_to_its_limit(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 256; kind++) {
        const struct frame_rule *rule = frame_rule(kind);
        if (!rule) {
            assert_true(kind == 0 || kind >= FRAME_KIND_END);
            continue;
        }
        assert_non_null(rule->name);
        size_t n = rule->payload_bytes_max < 100000 ? rule->payload_bytes_max : 100000;
        uint8_t *payload = mem_array(n, 1);
        for (size_t i = 0; i < n; i++)
            payload[i] = (uint8_t)(i * 13 + kind);
        struct buffer out;
        buffer_init(&out, 0);
        frame_encode(&out, (enum frame_kind)kind, bytes_of(payload, n));
        frame_encode(&out, FRAME_PING, bytes_of("12345678", 8)); /* what follows stays */
        struct frame frame;
        size_t used;
        assert_int_equal(frame_decode(&frame, &used, buffer_view(&out), NULL), STATUS_OK);
        assert_int_equal(used, FRAME_HEAD_BYTES + n);
        assert_int_equal(frame.kind, kind);
        assert_int_equal(frame.payload.size, n);
        assert_memory_equal(frame.payload.data, payload, n);
        buffer_free(&out);
        mem_free(payload);
    }
}

static void test_a_cut_frame_waits(void **state)
{
    (void)state;
    static const uint8_t whole[] = {3, 0, 0, 0, FRAME_COMMAND, 0, 0, 0, 'a', 'b', 'c'};
    for (size_t n = 0; n < sizeof whole; n++) {
        struct frame frame;
        size_t used = 99;
        uint8_t *copy = mem_copy(whole, n);
        assert_int_equal(frame_decode(&frame, &used, bytes_of(copy, n), NULL), STATUS_OK);
        assert_int_equal(used, 0);
        mem_free(copy);
    }
}

/* SECURITY R8: sizes at and around the limits, told by the head alone. */
static void test_bad_heads_are_named(void **state)
{
    (void)state;
    static const struct {
        uint8_t head[8];
        const char *says;
    } rows[] = {
        {{0, 0, 0, 0, 0, 0, 0, 0}, "unknown kind 0"},
        {{0, 0, 0, 0, FRAME_KIND_END, 0, 0, 0}, "unknown kind"},
        {{7, 0, 0, 0, 255, 0, 0, 0}, "unknown kind 255 (7 bytes)"},
        {{0, 0, 0, 0, FRAME_PING, 1, 0, 0}, "reserved bits 0x1"},
        {{0, 0, 0, 0, FRAME_PING, 0, 0, 1}, "reserved bits 0x100"},
        {{65, 0, 0, 0, FRAME_PING, 0, 0, 0}, "'ping' of 65 bytes passes its limit of 64"},
        {{1, 0, 0, 0, FRAME_ACCEPT, 0, 0, 0}, "'accept' of 1 bytes passes its limit of 0"},
        {{1, 0, 1, 0, FRAME_COMMAND, 0, 0, 0}, "'command' of 65537 bytes passes its limit of 65536"},
        {{1, 0, 0, 4, FRAME_STEP, 0, 0, 0}, "'step' of 67108865 bytes passes its limit of 67108864"},
        {{0, 0, 0, 0x80, FRAME_STEP, 0, 0, 0}, "2147483648 bytes"},
        {{0xff, 0xff, 0xff, 0xff, FRAME_BLOB, 0, 0, 0}, "4294967295 bytes"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct frame frame;
        struct error err;
        size_t used = 99;
        assert_int_equal(frame_decode(&frame, &used, bytes_of(rows[i].head, 8), &err), STATUS_BAD_DATA);
        if (!strstr(err.text, rows[i].says))
            fail_msg("row %zu: '%s'", i, err.text);
        assert_int_equal(used, 0);
    }
    /* at the limit: waits for the payload */
    static const uint8_t fits[8] = {0, 0, 1, 0, FRAME_COMMAND};
    struct frame frame;
    size_t used;
    assert_int_equal(frame_decode(&frame, &used, bytes_of(fits, 8), NULL), STATUS_OK);
    assert_int_equal(used, 0);
}

static void test_a_prompt_never_travels_with_heartbeats(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < FRAME_KIND_END; kind++) {
        const struct frame_rule *rule = frame_rule(kind);
        if (rule && rule->payload_bytes_max > 65536)
            assert_int_equal(rule->channel, FRAME_ON_DATA);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_envelope_is_as_documented),
        cmocka_unit_test(test_every_kind_makes_the_round_trip_up_to_its_limit),
        cmocka_unit_test(test_a_cut_frame_waits),
        cmocka_unit_test(test_bad_heads_are_named),
        cmocka_unit_test(test_a_prompt_never_travels_with_heartbeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
