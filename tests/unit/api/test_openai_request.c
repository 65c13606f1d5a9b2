/* Bodies of requests: every field below, at and above its bounds, of another kind, and null. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/openai_request.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define N_VOCAB 1000

static struct openai_request request;
static const char *param;
static struct error err;

static int forget(void **state)
{
    (void)state;
    openai_request_free(&request);
    return 0;
}

static enum status read_text(bool is_chat, const char *text)
{
    openai_request_free(&request);
    err = (struct error){0};
    return openai_request_read(&request, bytes_of_text(text), is_chat, N_VOCAB, &param, &err);
}

/* A chat or completion with one more field. */
static enum status read_with(bool is_chat, const char *more)
{
    char *text = mem_format(
        "{%s%s%s}", is_chat ? "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]" : "\"prompt\":\"x\"",
        *more ? "," : "", more);
    enum status status = read_text(is_chat, text);
    mem_free(text);
    return status;
}

static void check_refused(bool is_chat, const char *more, const char *name)
{
    enum status status = read_with(is_chat, more);
    if (status != STATUS_BAD_USAGE)
        fail_msg("{%s}: %s", more, status_name(status));
    if (!param || strcmp(param, name) != 0 || !strstr(err.text, name))
        fail_msg("{%s}: '%s' about '%s'", more, err.text, param ? param : "(none)");
}

static void check_taken(bool is_chat, const char *more)
{
    if (read_with(is_chat, more))
        fail_msg("{%s}: %s", more, err.text);
}

/* --- numbers: a table of fields and bounds -------------------------------------------------------------------
 */

static const struct {
    const char *name, *least, *most, *below, *above;
    bool is_int;
} numbers[] = {
    {"temperature", "0", "2", "-0.001", "2.001", false},
    {"top_p", "0.0001", "1", "0", "1.0001", false},
    {"min_p", "0", "1", "-0.1", "1.1", false},
    {"frequency_penalty", "-2", "2", "-2.1", "2.1", false},
    {"presence_penalty", "-2", "2.0", "-2.1", "2.1", false},
    {"repeat_penalty", "0.01", "10", "0", "10.5", false},
    {"top_k", "0", "2147483647", "-1", "2147483648", true},
    {"repeat_last_n", "0", "4096", "-1", "4097", true},
    {"max_tokens", "1", "2147483647", "0", "2147483648", true},
    {"max_completion_tokens", "1", "2147483647", "-1", "9223372036854775807", true},
    {"n", "1", "1", "0", "129", true},
};

static void bounds_are_kept(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char text[128];
        const char *const good[] = {numbers[i].least, numbers[i].most, "null"};
        for (size_t k = 0; k < 3; k++) {
            snprintf(text, sizeof text, "\"%s\":%s", numbers[i].name, good[k]);
            check_taken(k % 2, text);
        }
        const char *const bad[] = {numbers[i].below,
                                   numbers[i].above,
                                   "\"1\"",
                                   "{}",
                                   "[]",
                                   "[1]",
                                   "true",
                                   "\"\"",
                                   numbers[i].is_int ? "1.5" : "999999"};
        for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
            snprintf(text, sizeof text, "\"%s\":%s", numbers[i].name, bad[k]);
            check_refused(k % 2, text, numbers[i].name);
        }
    }
}

static void numbers_that_are_none_are_not_json(void **state)
{
    static const char *const values[] = {"NaN", "Infinity", "-Infinity", "1e400", "-1e400",
                                         "0x1", "1.",       ".5",        "+1",    "18446744073709551616"};
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[64];
        snprintf(text, sizeof text, "\"temperature\":%s", values[i]);
        enum status status = read_with(true, text);
        if (!status || param)
            fail_msg("%s: %s", values[i], status_name(status));
        assert_non_null(strstr(err.text, "request body"));
    }
}

static void values_arrive(void **state)
{
    (void)state;
    check_taken(true, "\"temperature\":0.5,\"top_p\":0.25,\"min_p\":0.125,\"top_k\":7,\"repeat_penalty\":1.5,"
                      "\"repeat_last_n\":9,\"frequency_penalty\":-0.5,\"presence_penalty\":0.75,\"seed\":-3,"
                      "\"max_tokens\":11,\"stream\":true,\"stream_options\":{\"include_usage\":true},"
                      "\"model\":\"m\",\"logprobs\":true,\"top_logprobs\":4");
    const struct sample_params *s = &request.sample;
    assert_true(s->temperature == 0.5F && s->top_p == 0.25F && s->min_p == 0.125F && s->top_k == 7);
    assert_true(s->repeat_penalty == 1.5F && s->repeat_last_n == 9);
    assert_true(s->frequency_penalty == -0.5F && s->presence_penalty == 0.75F);
    assert_true(request.has_seed && s->seed == (uint64_t)-3);
    assert_true(request.n_max == 11 && request.stream && request.include_usage && request.want_logprobs);
    assert_int_equal(s->n_top, 4);
    assert_string_equal(request.model, "m");
    assert_null(sample_params_check(s, &err) ? err.text : NULL);
}

static void defaults_are_those_of_openai(void **state)
{
    (void)state;
    check_taken(true, "");
    assert_true(request.sample.temperature == 1 && request.sample.top_p == 1 && request.sample.top_k == 0);
    assert_true(request.sample.frequency_penalty == 0 && request.sample.presence_penalty == 0);
    assert_int_equal(request.n_max, 0); /* as much as fits */
    assert_true(!request.stream && !request.has_seed && !request.want_logprobs && request.n_stops == 0);
    check_taken(false, "");
    assert_int_equal(request.n_max, 16);
}

/* --- other fields
 * --------------------------------------------------------------------------------------------- */

static void flags_are_true_or_false(void **state)
{
    (void)state;
    check_refused(true, "\"stream\":1", "stream");
    check_refused(true, "\"stream\":\"true\"", "stream");
    check_refused(false, "\"echo\":[]", "echo");
    check_refused(true, "\"logprobs\":3", "logprobs");
    check_refused(true, "\"stream_options\":true", "stream_options");
    check_refused(true, "\"model\":5", "model");
    check_taken(true, "\"stream\":null,\"stream_options\":null,\"model\":null,\"logprobs\":false");
    check_taken(false, "\"logprobs\":5,\"echo\":true");
    assert_true(request.want_logprobs && request.echo);
    check_refused(false, "\"logprobs\":6", "logprobs");
    check_refused(true, "\"top_logprobs\":21", "top_logprobs");
    check_refused(true, "\"seed\":1.5", "seed");
    check_refused(true, "\"seed\":\"1\"", "seed");
    check_taken(true, "\"seed\":9223372036854775807");
}

static void stops_are_one_text_or_up_to_four(void **state)
{
    char *many = mem_new(30001), *large = mem_new(400);
    (void)state;
    check_taken(true, "\"stop\":\"END\"");
    assert_int_equal(request.n_stops, 1);
    assert_string_equal(request.stops[0], "END");
    check_taken(true, "\"stop\":[\"a\",\"b\",\"c\",\"d\"]");
    assert_int_equal(request.n_stops, 4);
    assert_string_equal(request.stops[3], "d");
    check_taken(true, "\"stop\":[]");
    assert_int_equal(request.n_stops, 0);
    check_refused(true, "\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]", "stop");
    check_refused(true, "\"stop\":\"\"", "stop");
    check_refused(true, "\"stop\":[\"a\",\"\"]", "stop");
    check_refused(true, "\"stop\":[1]", "stop");
    check_refused(true, "\"stop\":{}", "stop");
    check_refused(true, "\"stop\":\"a\\u0000b\"", "stop"); /* would end at a */
    memcpy(many, "\"stop\":[", 8);
    for (size_t i = 0; i < 7000; i++)
        memcpy(many + 8 + 4 * i, i < 6999 ? "\"a\"," : "\"a\"]", 4);
    check_refused(true, many, "stop");
    memset(large, 'x', 8 + 257);
    memcpy(large, "\"stop\":\"", 8);
    memcpy(large + 8 + 256, "\"", 2);
    check_taken(true, large);
    memcpy(large + 8 + 256, "x\"", 3);
    check_refused(true, large, "stop");
    mem_free(many);
    mem_free(large);
}

static void biases_name_ids_of_the_vocabulary(void **state)
{
    static const char *const bad[] = {"[]",
                                      "1",
                                      "{\"1000\":1}",
                                      "{\"-1\":1}",
                                      "{\"+1\":1}",
                                      "{\" 1\":1}",
                                      "{\"x\":1}",
                                      "{\"1x\":1}",
                                      "{\"\":1}",
                                      "{\"1\":\"1\"}",
                                      "{\"1\":101}",
                                      "{\"1\":-100.5}",
                                      "{\"1\":null}",
                                      "{\"1.5\":1}",
                                      "{\"99999999999999999999\":1}"};
    char text[64];
    (void)state;
    check_taken(true, "\"logit_bias\":{\"0\":-100,\"999\":100,\"5\":0.5}");
    assert_int_equal(request.sample.n_biases, 3);
    float sum = 0;
    for (uint32_t i = 0; i < 3; i++)
        sum += (float)request.sample.biases[i].token * request.sample.biases[i].bias;
    assert_true(sum == 99902.5F); /* 0 * -100 + 999 * 100 + 5 * 0.5 */
    check_taken(true, "\"logit_bias\":{}");
    check_taken(true, "\"logit_bias\":null");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "\"logit_bias\":%s", bad[i]);
        check_refused(true, text, "logit_bias");
    }
    struct buffer b;
    buffer_init(&b, 0);
    buffer_text(&b, "\"logit_bias\":{\"0\":1");
    for (int i = 1; i <= SAMPLE_BIASES_MAX; i++) /* one too many */
        buffer_format(&b, ",\"%d\":1", i);
    buffer_text(&b, "}");
    check_refused(true, buffer_string(&b), "logit_bias");
    buffer_free(&b);
}

static void what_is_not_done_is_refused_by_name(void **state)
{
    (void)state;
    check_refused(true, "\"tools\":[{\"type\":\"function\"}]", "tools");
    check_refused(true, "\"functions\":[{}]", "functions");
    check_refused(true, "\"response_format\":{\"type\":\"json_object\"}", "response_format");
    check_refused(true, "\"audio\":{}", "audio");
    check_refused(false, "\"suffix\":\"end\"", "suffix");
    check_refused(true, "\"n\":2", "n");
    check_refused(false, "\"best_of\":3", "best_of");
    check_taken(true, "\"tools\":[],\"functions\":null,\"response_format\":{\"type\":\"text\"},\"n\":1");
    check_taken(false, "\"best_of\":1,\"suffix\":null");
}

static void unknown_fields_are_ignored(void **state)
{
    (void)state;
    check_taken(true, "\"user\":\"u\",\"metadata\":{\"a\":[1,2]},\"chat_template\":\"{{evil}}\"");
}

/* --- messages and prompts
 * --------------------------------------------------------------------------------------- */

static void check_content(size_t i, const char *role, const void *content, size_t n)
{
    assert_true(i < request.n_messages);
    assert_string_equal(request.messages[i].role, role);
    assert_int_equal(request.messages[i].content.size, n);
    if (n)
        assert_memory_equal(request.messages[i].content.data, content, n);
}

static void contents_are_texts_or_parts(void **state)
{
    (void)state;
    assert_int_equal(
        read_text(true, "{\"messages\":[{\"role\":\"system\",\"content\":\"be\"},"
                        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
                        "{\"type\":\"text\",\"text\":\"b\\u0000c\"}]},"
                        "{\"role\":\"assistant\",\"content\":null},"
                        "{\"role\":\"user\",\"content\":\"x\\u0000y\"},{\"role\":\"user\",\"content\":[]}]}"),
        STATUS_OK);
    assert_int_equal(request.n_messages, 5);
    check_content(0, "system", "be", 2);
    check_content(1, "user", "ab\0c", 4);
    check_content(2, "assistant", "", 0);
    check_content(3, "user", "x\0y", 3); /* not cut at the NUL */
    check_content(4, "user", "", 0);
}

static void bent_messages_are_refused(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{\"messages\":null}",
        "{\"messages\":[]}",
        "{\"messages\":{}}",
        "{\"messages\":\"hi\"}",
        "{\"messages\":[1]}",
        "{\"messages\":[{\"content\":\"x\"}]}",
        "{\"messages\":[{\"role\":5,\"content\":\"x\"}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":5}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":{}}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":[\"x\"]}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":1}]}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{}}]}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"user\",\"content\":[1]}]}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (read_text(true, bad[i]) != STATUS_BAD_USAGE || !param || strcmp(param, "messages") != 0)
            fail_msg("'%s': %s (%s)", bad[i], err.text, param ? param : "no field");
        assert_null(request.body); /* nothing half-read is left */
    }
}

static void too_many_messages_are_refused(void **state)
{
    struct buffer b;
    (void)state;
    buffer_init(&b, 0);
    buffer_text(&b, "{\"messages\":[{\"role\":\"u\"}");
    for (int i = 0; i < CHAT_MESSAGES_MAX; i++)
        buffer_text(&b, ",{\"role\":\"u\"}");
    buffer_text(&b, "]}");
    assert_int_equal(read_text(true, buffer_string(&b)), STATUS_BAD_USAGE);
    assert_string_equal(param, "messages");
    buffer_free(&b);
}

static void a_prompt_is_a_text_or_ids(void **state)
{
    static const char *const bad[] = {"null",  "5",       "{}",           "[]",      "[\"a\",\"b\"]",
                                      "[-1]",  "[1000]",  "[2147483648]", "[1,1.5]", "[1,\"1\"]",
                                      "[[1]]", "[1,[2]]", "[true]",       "[1,null]"};
    (void)state;
    assert_int_equal(read_text(false, "{\"prompt\":\"a\\u0000b\"}"), STATUS_OK);
    assert_int_equal(request.prompt.size, 3);
    assert_memory_equal(request.prompt.data, "a\0b", 3);
    assert_int_equal(read_text(false, "{\"prompt\":[\"one\"]}"), STATUS_OK);
    assert_int_equal(request.prompt.size, 3);
    assert_int_equal(read_text(false, "{\"prompt\":[0,999,5]}"), STATUS_OK);
    assert_int_equal(request.n_prompt_ids, 3);
    assert_int_equal(request.prompt_ids[1], 999);
    assert_int_equal(read_text(false, "{\"prompt\":\"\"}"), STATUS_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[64];
        snprintf(text, sizeof text, "{\"prompt\":%s}", bad[i]);
        if (read_text(false, text) != STATUS_BAD_USAGE || !param || strcmp(param, "prompt") != 0)
            fail_msg("'%s': %s (%s)", text, err.text, param ? param : "no field");
    }
}

static void what_is_no_object_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "null",
                                      "[]",
                                      "5",
                                      "\"x\"",
                                      "{",
                                      "{}x",
                                      "nul",
                                      "{\"a\"}",
                                      "{\"a\":1,\"a\":2}",
                                      "\xef\xbb\xbf{}",
                                      "{\"a\":\"\xff\"}",
                                      "{\"a\":\"\\ud800\"}"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (!read_text(true, bad[i]))
            fail_msg("'%s' was taken", bad[i]);
        assert_true(err.text[0] != '\0');
    }
    char *deep = mem_new(200001);
    memset(deep, '[', 200000);
    assert_int_not_equal(read_text(true, deep), STATUS_OK);
    assert_non_null(strstr(err.text, "deeper"));
    mem_free(deep);
}

int main(void)
{
#define T(f) cmocka_unit_test_teardown(f, forget)
    const struct CMUnitTest tests[] = {
        T(bounds_are_kept),
        T(numbers_that_are_none_are_not_json),
        T(values_arrive),
        T(defaults_are_those_of_openai),
        T(flags_are_true_or_false),
        T(stops_are_one_text_or_up_to_four),
        T(biases_name_ids_of_the_vocabulary),
        T(what_is_not_done_is_refused_by_name),
        T(unknown_fields_are_ignored),
        T(contents_are_texts_or_parts),
        T(bent_messages_are_refused),
        T(too_many_messages_are_refused),
        T(a_prompt_is_a_text_or_ids),
        T(what_is_no_object_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
