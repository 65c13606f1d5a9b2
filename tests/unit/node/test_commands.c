/* Commands between two nodes over links without sockets: each is answered, or ends with a cause. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "node/commands.h"
#include "sim/fake_links.h"

#include <stdio.h>
#include <string.h>

struct side {
    struct fake_links links;
    struct commands *commands;
    struct command_in *kept; /* a command that LATER has not answered yet */
    uint32_t n_handled;
    enum status frame_status; /* of the last frame */
    struct error err;
};

struct world {
    struct fake_clock clock;
    struct fake_net net;
    struct side a, b;
    struct { /* what a's call was told */
        uint32_t n;
        enum status status;
        char error[512];
        int64_t value;
        struct buffer blob;
    } told;
    uint8_t blob[3 * COMMAND_BLOB_PIECE / 2];
};

static void on_down(void *ctx, const struct link_info *last, enum link_fault fault, const char *text)
{
    struct side *side = ctx;
    (void)fault;
    (void)text;
    commands_on_down(side->commands, &last->hello.id);
}

static void on_up(void *ctx, const struct link_info *info)
{
    (void)ctx;
    (void)info;
}

static void on_frame(void *ctx, const struct node_id *peer, enum frame_kind kind, struct bytes payload)
{
    struct side *side = ctx;
    side->frame_status = commands_on_frame(side->commands, peer, kind, payload, &side->err);
}

/* Gives back its number, doubled. */
static void handle_double(void *ctx, struct command_in *in)
{
    struct side *side = ctx;
    struct jv *result = jv_object_new();
    side->n_handled++;
    jv_set_int(result, "value", 2 * jv_get_int(in->params, "value", 0));
    commands_answer(side->commands, in, STATUS_OK, result, NULL);
}

static void handle_refuse(void *ctx, struct command_in *in)
{
    struct side *side = ctx;
    side->n_handled++;
    commands_answer(side->commands, in, STATUS_NO_MEMORY, NULL, "needs 2 GB, has 1 GB");
}

static void handle_large(void *ctx, struct command_in *in)
{
    struct side *side = ctx;
    struct jv *result = jv_object_new();
    char *text = mem_new((2 << 20) + 1);
    side->n_handled++;
    memset(text, 'x', 2 << 20);
    jv_set_text(result, "text", text);
    mem_free(text);
    commands_answer(side->commands, in, STATUS_OK, result, NULL);
}

static void handle_later(void *ctx, struct command_in *in)
{
    struct side *side = ctx;
    side->n_handled++;
    side->kept = in;
}

static void handle_blob(void *ctx, struct command_in *in)
{
    struct side *side = ctx;
    struct world *w = (struct world *)((char *)side - offsetof(struct world, b));
    side->n_handled++;
    size_t n = (size_t)jv_get_int(in->params, "bytes", 0);
    commands_answer_blob(side->commands, in, NULL, bytes_of(w->blob, n));
}

static void side_new(struct world *w, struct side *side, uint8_t id)
{
    static const struct links_events events = {.on_up = on_up, .on_down = on_down, .on_frame = on_frame};
    struct node_id node = {{id, 1}};
    fake_links_init(&side->links, &w->net, &node, &events, side);
    side->commands = commands_new(&w->clock.clock, &side->links.links, &node);
    commands_handle(side->commands, "DOUBLE", handle_double, side);
    commands_handle(side->commands, "REFUSE", handle_refuse, side);
    commands_handle(side->commands, "LARGE", handle_large, side);
    commands_handle(side->commands, "LATER", handle_later, side);
}

static int begin(void **state)
{
    struct world *w = mem_new(sizeof *w);
    assert_int_equal(crypto_start(NULL), STATUS_OK);
    fake_clock_init(&w->clock);
    fake_net_init(&w->net, &w->clock);
    side_new(w, &w->a, 1);
    side_new(w, &w->b, 2);
    commands_handle(w->b.commands, "BLOB", handle_blob, &w->b);
    for (size_t i = 0; i < sizeof w->blob; i++)
        w->blob[i] = (uint8_t)(i * 7 + (i >> 8));
    fake_net_connect(&w->a.links, &w->b.links);
    fake_clock_run(&w->clock, 10);
    buffer_init(&w->told.blob, 0);
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    w->a.links.events = w->b.links.events = NULL;
    fake_clock_run(&w->clock, 100);
    commands_free(w->a.commands);
    commands_free(w->b.commands);
    buffer_free(&w->told.blob);
    fake_clock_free(&w->clock);
    mem_free(w);
    return 0;
}

static void done(void *ctx, const struct command_answer *answer)
{
    struct world *w = ctx;
    w->told.n++;
    w->told.status = answer->status;
    snprintf(w->told.error, sizeof w->told.error, "%s", answer->error);
    w->told.value = jv_get_int(answer->result, "value", -1);
    buffer_clear(&w->told.blob);
    buffer_bytes(&w->told.blob, answer->blob.data, answer->blob.size);
}

static void call(struct world *w, const struct side *to, const char *name, const char *key, int64_t value)
{
    struct jv *params = jv_object_new();
    jv_set_int(params, key, value);
    commands_call(w->a.commands, &to->links.hello.id, name, params, 1000, done, w);
    assert_int_equal(w->told.n, 0); /* never from within the call */
}

static void check_told(const struct world *w, enum status status, const char *error)
{
    assert_int_equal(w->told.n, 1);
    assert_string_equal(status_name(w->told.status), status_name(status));
    if (!strstr(w->told.error, error))
        fail_msg("'%s' does not say '%s'", w->told.error, error);
}

/* --- answered ----------------------------------------------------------------------------------------------
 */

static void a_command_is_answered(void **state)
{
    struct world *w = *state;
    call(w, &w->b, "DOUBLE", "value", 21);
    fake_clock_run(&w->clock, 10);
    check_told(w, STATUS_OK, "");
    assert_int_equal(w->told.value, 42);
    fake_clock_run(&w->clock, 5000); /* and not again when its time would be up */
    assert_int_equal(w->told.n, 1);
}

static void a_command_to_ourselves_takes_the_same_way(void **state)
{
    struct world *w = *state;
    call(w, &w->a, "DOUBLE", "value", 4);
    fake_clock_run(&w->clock, 10);
    check_told(w, STATUS_OK, "");
    assert_int_equal(w->told.value, 8);
    assert_int_equal(w->a.links.n_sent[FRAME_COMMAND], 0);
}

static void a_refusal_brings_its_reason(void **state)
{
    struct world *w = *state;
    call(w, &w->b, "REFUSE", "value", 0);
    fake_clock_run(&w->clock, 10);
    check_told(w, STATUS_NO_MEMORY, "needs 2 GB, has 1 GB");
}

static void an_unknown_command_is_answered_too(void **state)
{
    struct world *w = *state;
    call(w, &w->b, "MAKE_COFFEE", "value", 0);
    fake_clock_run(&w->clock, 10);
    check_told(w, STATUS_UNSUPPORTED, "no command 'MAKE_COFFEE'");
    assert_int_equal(w->b.n_handled, 0);
}

static void an_answer_may_come_later(void **state)
{
    struct world *w = *state;
    call(w, &w->b, "LATER", "value", 0);
    fake_clock_run(&w->clock, 900);
    assert_int_equal(w->told.n, 0);
    commands_answer(w->b.commands, w->b.kept, STATUS_OK, NULL, NULL);
    fake_clock_run(&w->clock, 10);
    check_told(w, STATUS_OK, "");
}

static void an_answer_too_large_is_told(void **state)
{
    struct world *w = *state;
    call(w, &w->b, "LARGE", "value", 0);
    fake_clock_run(&w->clock, 10);
    check_told(w, STATUS_LIMIT, "larger than an answer may be");
}

static void nobody_need_wait(void **state)
{
    struct world *w = *state;
    struct jv *params = jv_object_new();
    jv_set_int(params, "value", 1);
    commands_call(w->a.commands, &w->b.links.hello.id, "DOUBLE", params, 1000, NULL, NULL);
    fake_clock_run(&w->clock, 2000);
    assert_int_equal(w->b.n_handled, 1);
}

/* --- not answered ------------------------------------------------------------------------------------------
 */

static void silence_ends_with_a_timeout(void **state)
{
    struct world *w = *state;
    call(w, &w->b, "LATER", "value", 0);
    fake_clock_run(&w->clock, 990);
    assert_int_equal(w->told.n, 0);
    fake_clock_run(&w->clock, 20);
    check_told(w, STATUS_TIMEOUT, "LATER: node 02010000 did not answer within 1.0 s");
    commands_answer(w->b.commands, w->b.kept, STATUS_OK, NULL, NULL); /* too late */
    fake_clock_run(&w->clock, 10);
    assert_int_equal(w->told.n, 1);
    assert_int_equal(w->a.frame_status, STATUS_OK);
}

static void a_lost_command_times_out(void **state)
{
    struct world *w = *state;
    w->a.links.n_lose = 1;
    call(w, &w->b, "DOUBLE", "value", 1);
    fake_clock_run(&w->clock, 1010);
    check_told(w, STATUS_TIMEOUT, "did not answer");
    assert_int_equal(w->b.n_handled, 0);
}

static void without_a_link_it_ends_at_once(void **state)
{
    struct world *w = *state;
    fake_net_cut(&w->a.links, &w->b.links, LINK_FAULT_CLOSED);
    fake_clock_run(&w->clock, 10);
    call(w, &w->b, "DOUBLE", "value", 1);
    fake_clock_run(&w->clock, 2);
    check_told(w, STATUS_NETWORK, "no link to node 02010000");
}

static void a_link_that_goes_down_ends_it(void **state)
{
    struct world *w = *state;
    call(w, &w->b, "LATER", "value", 0);
    fake_clock_run(&w->clock, 10);
    fake_net_cut(&w->a.links, &w->b.links, LINK_FAULT_SILENT);
    fake_clock_run(&w->clock, 5); /* long before its second is over */
    check_told(w, STATUS_NETWORK, "no link");
    commands_answer(w->b.commands, w->b.kept, STATUS_OK, NULL, NULL); /* to nobody: no harm */
}

static void freeing_ends_open_calls(void **state)
{
    struct world *w = *state;
    call(w, &w->b, "LATER", "value", 0);
    fake_clock_run(&w->clock, 10);
    commands_free(w->a.commands);
    w->a.commands = NULL;
    check_told(w, STATUS_CANCELLED, "stopping");
    commands_answer(w->b.commands, w->b.kept, STATUS_OK, NULL, NULL);
    w->a.links.events = NULL;
}

static void open_calls_are_limited(void **state)
{
    struct world *w = *state;
    struct jv *params = NULL;
    w->a.links.n_lose = UINT32_MAX;
    for (int i = 0; i < COMMAND_OPEN_MAX; i++)
        commands_call(w->a.commands, &w->b.links.hello.id, "DOUBLE", params, 60000, NULL, NULL);
    call(w, &w->b, "DOUBLE", "value", 1);
    fake_clock_run(&w->clock, 5);
    check_told(w, STATUS_LIMIT, "too many commands");
}

static void a_command_too_large_is_not_sent(void **state)
{
    struct world *w = *state;
    struct jv *params = jv_object_new();
    char *text = mem_new((64 << 10) + 1);
    memset(text, 'x', 64 << 10);
    jv_set_text(params, "text", text);
    commands_call(w->a.commands, &w->b.links.hello.id, "DOUBLE", params, 1000, done, w);
    fake_clock_run(&w->clock, 5);
    check_told(w, STATUS_LIMIT, "too large");
    assert_int_equal(w->a.links.n_sent[FRAME_COMMAND], 0);
    mem_free(text);
}

/* --- repeated ----------------------------------------------------------------------------------------------
 */

static const char request[] = "{\"command\":\"%s\",\"request_id\":\"%032x\",\"params\":{\"value\":5}}";

static enum status send_text(struct side *to, const struct side *from, enum frame_kind kind, const char *text)
{
    return commands_on_frame(to->commands, &from->links.hello.id, kind, bytes_of_text(text), &to->err);
}

static void a_repeated_request_is_answered_from_memory(void **state)
{
    struct world *w = *state;
    char text[200];
    snprintf(text, sizeof text, request, "DOUBLE", 7);
    for (int i = 0; i < 3; i++)
        assert_int_equal(send_text(&w->b, &w->a, FRAME_COMMAND, text), STATUS_OK);
    assert_int_equal(w->b.n_handled, 1);
    assert_int_equal(w->b.links.n_sent[FRAME_RESPONSE], 3);
    snprintf(text, sizeof text, request, "DOUBLE", 8); /* another request */
    assert_int_equal(send_text(&w->b, &w->a, FRAME_COMMAND, text), STATUS_OK);
    assert_int_equal(w->b.n_handled, 2);
}

static void a_repeated_request_does_not_begin_twice(void **state)
{
    struct world *w = *state;
    char text[200];
    snprintf(text, sizeof text, request, "LATER", 7);
    for (int i = 0; i < 3; i++)
        assert_int_equal(send_text(&w->b, &w->a, FRAME_COMMAND, text), STATUS_OK);
    assert_int_equal(w->b.n_handled, 1);
    assert_int_equal(w->b.links.n_sent[FRAME_RESPONSE], 0);
    commands_answer(w->b.commands, w->b.kept, STATUS_OK, NULL, NULL);
    assert_int_equal(w->b.links.n_sent[FRAME_RESPONSE], 1);
}

static void memory_is_of_the_last_256(void **state)
{
    struct world *w = *state;
    char text[200];
    for (unsigned i = 0; i < 257; i++) {
        snprintf(text, sizeof text, request, "DOUBLE", i + 1);
        assert_int_equal(send_text(&w->b, &w->a, FRAME_COMMAND, text), STATUS_OK);
    }
    assert_int_equal(w->b.n_handled, 257);
    assert_int_equal(send_text(&w->b, &w->a, FRAME_COMMAND, text), STATUS_OK); /* the newest */
    assert_int_equal(w->b.n_handled, 257);
    snprintf(text, sizeof text, request, "DOUBLE", 1); /* the oldest is forgotten */
    assert_int_equal(send_text(&w->b, &w->a, FRAME_COMMAND, text), STATUS_OK);
    assert_int_equal(w->b.n_handled, 258);
}

/* --- blobs -------------------------------------------------------------------------------------------------
 */

static void a_blob_comes_in_pieces(void **state)
{
    struct world *w = *state;
    call(w, &w->b, "BLOB", "bytes", sizeof w->blob);
    fake_clock_run(&w->clock, 10);
    check_told(w, STATUS_OK, "");
    assert_int_equal(w->b.links.n_sent[FRAME_BLOB], 2);
    assert_int_equal(w->told.blob.size, sizeof w->blob);
    assert_memory_equal(w->told.blob.data, w->blob, sizeof w->blob);
}

static void an_empty_blob_is_whole(void **state)
{
    struct world *w = *state;
    call(w, &w->b, "BLOB", "bytes", 0);
    fake_clock_run(&w->clock, 10);
    check_told(w, STATUS_OK, "");
    assert_int_equal(w->told.blob.size, 0);
}

static void a_blob_with_a_hole_breaks_the_rules(void **state)
{
    struct world *w = *state;
    w->b.links.n_lose = 1;
    w->b.links.lose_kind = FRAME_BLOB;
    call(w, &w->b, "BLOB", "bytes", sizeof w->blob);
    fake_clock_run(&w->clock, 1);
    w->a.frame_status = STATUS_OK;
    fake_clock_run(&w->clock, 1);
    assert_int_equal(w->told.n, 0); /* never given out as if it were whole */
    assert_non_null(strstr(w->a.err.text, "expected at 0"));
    fake_clock_run(&w->clock, 2000);
    check_told(w, STATUS_TIMEOUT, "did not answer");
}

static void a_slow_blob_moves_its_deadline(void **state)
{
    struct world *w = *state;
    call(w, &w->b, "LATER", "value", 0);
    fake_clock_run(&w->clock, 10);
    for (uint64_t i = 0; i < 5; i++) { /* a piece each 800 ms, the limit is 1,000 */
        struct buffer piece;
        buffer_init(&piece, 0);
        buffer_bytes(&piece, w->b.kept->request_id, COMMAND_ID_BYTES);
        buffer_u64(&piece, 10 * i);
        buffer_bytes(&piece, w->blob, 10);
        assert_int_equal(
            commands_on_frame(w->a.commands, &w->b.links.hello.id, FRAME_BLOB, buffer_view(&piece), &w->a.err),
            STATUS_OK);
        buffer_free(&piece);
        fake_clock_run(&w->clock, 800);
        assert_int_equal(w->told.n, 0);
    }
    fake_clock_run(&w->clock, 300);
    check_told(w, STATUS_TIMEOUT, "did not answer");
    commands_answer(w->b.commands, w->b.kept, STATUS_OK, NULL, NULL);
}

/* --- rules -------------------------------------------------------------------------------------------------
 */

static void bent_frames_break_the_rules(void **state)
{
    static const char *const commands[] = {
        "",
        "{",
        "[]",
        "null",
        "{}",
        "{\"command\":\"DOUBLE\"}",
        "{\"command\":\"DOUBLE\",\"request_id\":\"12\"}",
        "{\"command\":5,\"request_id\":\"00000000000000000000000000000001\"}",
        "{\"command\":\"\",\"request_id\":\"00000000000000000000000000000001\"}",
        "{\"command\":\"0123456789012345678901234567890123456789\","
        "\"request_id\":\"00000000000000000000000000000001\"}",
        "{\"request_id\":\"00000000000000000000000000000001\"}",
    };
    struct world *w = *state;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (send_text(&w->b, &w->a, FRAME_COMMAND, commands[i]) != STATUS_BAD_DATA)
            fail_msg("'%s' was taken", commands[i]);
    assert_int_equal(w->b.n_handled, 0);
    assert_int_equal(send_text(&w->b, &w->a, FRAME_RESPONSE, "{}"), STATUS_BAD_DATA);
    assert_int_equal(send_text(&w->b, &w->a, FRAME_RESPONSE, "x"), STATUS_BAD_DATA);
    assert_int_equal(send_text(&w->b, &w->a, FRAME_BLOB, "too short"), STATUS_BAD_DATA);
    /* An answer that nobody waits for is no fault: its call may have timed out. */
    assert_int_equal(
        send_text(&w->b, &w->a, FRAME_RESPONSE, "{\"request_id\":\"00000000000000000000000000000009\"}"),
        STATUS_OK);
}

static void parameters_of_another_kind_are_none(void **state)
{
    struct world *w = *state;
    assert_int_equal(send_text(&w->b, &w->a, FRAME_COMMAND,
                               "{\"command\":\"DOUBLE\",\"request_id\":\"00000000000000000000000000000001\","
                               "\"params\":[1,2]}"),
                     STATUS_OK);
    assert_int_equal(w->b.n_handled, 1);
}

/* Waits for a's command at b, and answers it as `text` with its id from `from`. */
static enum status answer_as(struct world *w, const struct node_id *from, const char *rest)
{
    char text[400], id[2 * COMMAND_ID_BYTES + 1];
    fake_clock_run(&w->clock, 10);
    assert_non_null(w->b.kept);
    hex_encode(id, w->b.kept->request_id, COMMAND_ID_BYTES);
    snprintf(text, sizeof text, "{\"request_id\":\"%s\"%s}", id, rest);
    return commands_on_frame(w->a.commands, from, FRAME_RESPONSE, bytes_of_text(text), &w->a.err);
}

static void only_the_one_asked_may_answer(void **state)
{
    struct world *w = *state;
    struct node_id stranger = {{9}};
    call(w, &w->b, "LATER", "value", 0);
    assert_int_equal(answer_as(w, &stranger, ",\"status\":\"ok\""), STATUS_OK);
    assert_int_equal(w->told.n, 0);
    assert_int_equal(answer_as(w, &w->b.links.hello.id, ",\"status\":\"ok\""), STATUS_OK);
    check_told(w, STATUS_OK, "");
    commands_answer(w->b.commands, w->b.kept, STATUS_OK, NULL, NULL);
}

static void an_answer_of_unknown_status_is_no_success(void **state)
{
    struct world *w = *state;
    call(w, &w->b, "LATER", "value", 0);
    assert_int_equal(answer_as(w, &w->b.links.hello.id, ",\"status\":\"splendid\""), STATUS_OK);
    check_told(w, STATUS_BAD_DATA, "");
    commands_answer(w->b.commands, w->b.kept, STATUS_OK, NULL, NULL);
}

static void a_blob_beyond_the_limit_breaks_the_rules(void **state)
{
    struct world *w = *state;
    call(w, &w->b, "LATER", "value", 0);
    assert_int_equal(answer_as(w, &w->b.links.hello.id, ",\"status\":\"ok\",\"blob_bytes\":67108865"),
                     STATUS_BAD_DATA);
    assert_int_equal(w->told.n, 0);
    commands_answer(w->b.commands, w->b.kept, STATUS_OK, NULL, NULL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        T(a_command_is_answered),
        T(a_command_to_ourselves_takes_the_same_way),
        T(a_refusal_brings_its_reason),
        T(an_unknown_command_is_answered_too),
        T(an_answer_may_come_later),
        T(an_answer_too_large_is_told),
        T(nobody_need_wait),
        T(silence_ends_with_a_timeout),
        T(a_lost_command_times_out),
        T(without_a_link_it_ends_at_once),
        T(a_link_that_goes_down_ends_it),
        T(freeing_ends_open_calls),
        T(open_calls_are_limited),
        T(a_command_too_large_is_not_sent),
        T(a_repeated_request_is_answered_from_memory),
        T(a_repeated_request_does_not_begin_twice),
        T(memory_is_of_the_last_256),
        T(a_blob_comes_in_pieces),
        T(an_empty_blob_is_whole),
        T(a_blob_with_a_hole_breaks_the_rules),
        T(a_slow_blob_moves_its_deadline),
        T(bent_frames_break_the_rules),
        T(parameters_of_another_kind_are_none),
        T(only_the_one_asked_may_answer),
        T(an_answer_of_unknown_status_is_no_success),
        T(a_blob_beyond_the_limit_breaks_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
