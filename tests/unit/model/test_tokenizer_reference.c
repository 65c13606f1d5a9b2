/* Equality with llama.cpp on 60 texts for each of three vocabularies. */
#include "tokenizer_support.h"

/* One JSON string, from behind its quotation mark; returns the place behind the closing one. Written here
 * because the texts have U+0000 in them, which JSON values of C strings cannot keep. */
static const char *json_string(struct buffer *out, const char *at)
{
    while (*at != '"') {
        if (*at != '\\') {
            buffer_u8(out, (uint8_t)*at++);
            continue;
        }
        static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
        const char *name = strchr(names, at[1]);
        if (at[1] != 'u') {
            assert_non_null(name);
            buffer_u8(out, (uint8_t)values[name - names]);
            at += 2;
            continue;
        }
        char digits[5] = {at[2], at[3], at[4], at[5], 0};
        unsigned long c = strtoul(digits, NULL, 16);
        assert_true(c < 0x80); /* the file escapes control characters only */
        buffer_u8(out, (uint8_t)c);
        at += 6;
    }
    return at + 1;
}

static size_t check_line(const struct tokenizer *t, const char *line)
{
    struct buffer text;
    struct tokenizer_ids want = {0};
    buffer_init(&text, 0);
    assert_memory_equal(line, "{\"text\":\"", 9);
    const char *at = json_string(&text, line + 9);
    assert_memory_equal(at, ",\"ids\":[", 8);
    for (at += 8; *at != ']';) {
        char *end;
        tokenizer_ids_append(&want, (uint32_t)strtoul(at, &end, 10));
        at = *end == ',' ? end + 1 : end;
    }
    struct tokenizer_ids got = encoded(t, text.data, text.size, 0);
    bool equal = got.n == want.n && (want.n == 0 || memcmp(got.ids, want.ids, want.n * sizeof *want.ids) == 0);
    if (!equal)
        print_error("%s  got %s\n", line, ids_text(&got));
    tokenizer_ids_free(&got);
    tokenizer_ids_free(&want);
    buffer_free(&text);
    return equal;
}

static void check_file(const char *model, const char *lines)
{
    struct tokenizer *t = shared_tokenizer(model);
    char *path = shared_path(lines);
    if (!t || !path)
        skip();
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *line = NULL;
    size_t capacity = 0, n = 0, n_equal = 0;
    while (getline(&line, &capacity, file) > 0) {
        n++;
        n_equal += check_line(t, line);
    }
    print_message("%s: %zu of %zu lines equal\n", lines, n_equal, n);
    assert_int_equal(n, 60);
    assert_int_equal(n_equal, n);
    fclose(file);
    free(line);
    mem_free(path);
    tokenizer_free(t);
}

static void test_llama3_equals_the_reference(void **state)
{
    (void)state;
    check_file("reference/tokenizer/llama3.gguf", "reference/tokenizer/llama3.jsonl");
}

static void test_qwen3_equals_the_reference(void **state)
{
    (void)state;
    check_file("reference/tokenizer/qwen3.gguf", "reference/tokenizer/qwen3.jsonl");
}

static void test_stories_equals_the_reference(void **state)
{
    (void)state;
    check_file("models/stories260K.gguf", "reference/tokenizer/stories260K.jsonl");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llama3_equals_the_reference),
        cmocka_unit_test(test_qwen3_equals_the_reference),
        cmocka_unit_test(test_stories_equals_the_reference),
    };
    return crypto_start(NULL) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
