/* Each splitting rule on examples worked out by hand from its expression, and two laws for all of them on
 * random text: pieces cover it, and none is empty. '|' stands between pieces. */
#include "model/tokenizer_split.h"
#include "model/unicode.h"
#include "tokenizer_support.h"

struct example {
    const char *rule, *text, *pieces;
};

static const struct example examples[] = {
    /* gpt-2: contractions in lower case only, one space goes with what follows, runs of digits stay together */
    {"gpt-2", "Hello world", "Hello| world"},
    {"gpt-2", "it's IT'S we'll", "it|'s| IT|'|S| we|'ll"},
    {"gpt-2", "a  b", "a| | b"},
    {"gpt-2", "a \n b", "a| \n| b"},
    {"gpt-2", "a   ", "a|   "},
    {"gpt-2", "x\ny", "x|\n|y"},
    {"gpt-2", "12345 67!? ?", "12345| 67|!?| ?"},
    {"gpt-2", "\tx", "\t|x"},
    {"gpt-2", " \xc3\xa9t\xc3\xa9", " \xc3\xa9t\xc3\xa9"},
    {"gpt-2", "e\xcc\x81", "e|\xcc\x81"}, /* a mark is no letter */
    {"gpt-2", "'", "'"},
    /* llama-bpe: contractions in any case, one sign before letters, digits in threes, line ends with signs */
    {"llama-bpe", "I'M we'VE 'The", "I|'M| we|'VE| '|The"},
    {"llama-bpe", "'Then", "'T|hen"},
    {"llama-bpe", "12345678", "123|456|78"},
    {"llama-bpe", "a 1", "a| |1"},
    {"llama-bpe", "(foo) \tbar", "(foo|)| |\tbar"},
    {"llama-bpe", "x;\n\ny", "x|;\n\n|y"},
    {"llama-bpe", "a \n\n  b", "a| \n\n| | b"},
    {"llama-bpe", "\n  ", "\n|  "},
    {"llama-bpe", "\r\nx", "\r\n|x"},
    /* qwen2: the same, digits one by one */
    {"qwen2", "12345", "1|2|3|4|5"},
    {"qwen2", "a1b", "a|1|b"},
    {"qwen35", "e\xcc\x81z", "e\xcc\x81z"}, /* marks count as letters */
    {"qwen2", "e\xcc\x81z", "e|\xcc\x81z"}, /* or stand before them */
    {"seed-coder", "x;\ny", "x|;|\n|y"},
    /* starcoder and its kind: each digit alone, then gpt-2 */
    {"starcoder", "ab12 c", "ab|1|2| c"},
    {"starcoder", "a 12", "a| |1|2"},
    {"smollm", "it's 7", "it|'s| |7"},
    {"refact", "x=10", "x|=|1|0"},
    {"command-r", "x=10", "x|=|1|0"},
    {"mpt", "x=10", "x|=|10"},
    /* falcon: punctuation apart, then gpt-2, then digits in threes from the left */
    {"falcon", "x=10000", "x|=|100|00"},
    {"falcon", "it's ok", "it|'|s| ok"},
    {"falcon", "a $5", "a| |$|5"},
    /* default: as falcon, all digits apart from spaces */
    {"default", "a 12345", "a| |123|45"},
    /* deepseek-llm: line ends alone, a space with letters or with punctuation, CJK, then runs of digits */
    {"deepseek-llm", "a\n\nb", "a|\n|\n|b"},
    {"deepseek-llm", "ab12 c!", "ab|12| c|!"},
    {"deepseek-llm", "x   y", "x|  | y"},
    {"deepseek-llm", "a  ", "a|  "},
    {"deepseek-llm",
     "\xe4\xbd\xa0\xe5\xa5\xbd"
     "a",
     "\xe4\xbd\xa0\xe5\xa5\xbd|a"},
    /* deepseek-coder: digits one by one */
    {"deepseek-coder", "ab12 (c)", "ab|1|2| (|c|)"},
    {"deepseek-coder", "x = 1", "x| = |1"}, /* '=' is a symbol, no punctuation */
    /* deepseek-v3: digits in threes, CJK and kana together, a sign of ASCII with letters behind it */
    {"deepseek-v3", "12345", "123|45"},
    {"deepseek-v3", "a.b .c", "a|.b| .|c"},
    {"deepseek-v3", "\xe4\xbd\xa0\xe3\x81\x82z", "\xe4\xbd\xa0\xe3\x81\x82|z"},
    {"deepseek-v3", "x;\n\ny", "x|;\n\n|y"},
    {"deepseek-v3", "\x01\x02", "\x01\x02"},
    /* tekken: words end where lower case does, no contractions, a slash goes with signs */
    {"tekken", "helloWorld", "hello|World"},
    {"tekken", "HTTPServer", "HTTPServer"},
    {"tekken", "ABC def", "ABC| def"},
    {"tekken", "it's", "it|'s"},
    {"tekken", "12", "1|2"},
    {"tekken", "a://b", "a|://|b"},
    {"tekken",
     "\xe4\xb8\xad"
     "ABC",
     "\xe4\xb8\xad|ABC"},
    /* gpt-4o: contractions end words, digits in threes */
    {"gpt-4o", "don't We'LL", "don't| We'LL"},
    {"gpt-4o", "camelCase 1234", "camel|Case| |123|4"},
    /* bloom: everything but spaces and some stops, with one space in front */
    {"bloom", "Hello, world (a|b)", "Hello|,| world| (|a|||b|)"},
    {"bloom", "a  b1+c", "a| | b1+c"},
    {"viking", "a12", "a|1|2"},
};

static void check_example(const struct example *e)
{
    const struct tokenizer_rule *rule = tokenizer_split_rule(bytes_of_text(e->rule));
    assert_non_null(rule);
    struct tokenizer_splitter s = tokenizer_split_over(rule, bytes_of_text(e->text));
    struct bytes piece;
    struct buffer got;
    buffer_init(&got, 0);
    for (bool first = true; tokenizer_split_next(&s, &piece); first = false) {
        if (!first)
            buffer_text(&got, "|");
        buffer_bytes(&got, piece.data, piece.size);
    }
    if (strcmp(buffer_string(&got), e->pieces) != 0)
        fail_msg("%s: '%s' gives '%s', want '%s'", e->rule, e->text, buffer_string(&got), e->pieces);
    buffer_free(&got);
}

static void test_examples(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
        check_example(&examples[i]);
}

/* tools/make_splitting_cases.py wrote them with the expressions themselves and another engine. */
static void test_random_texts_are_cut_as_the_expressions_do(void **state)
{
    (void)state;
    FILE *file = fopen("tests/unit/model/splitting_cases.txt", "r");
    if (!file) {
        print_message("skipped: tests/unit/model/splitting_cases.txt is not below the current folder\n");
        skip();
    }
    char line[8192];
    size_t n = 0;
    for (; fgets(line, sizeof line, file); n++) {
        char *hex = strchr(line, '\t'), *sizes = hex ? strchr(hex + 1, '\t') : NULL;
        assert_non_null(sizes);
        *hex++ = *sizes++ = 0;
        uint8_t text[2048];
        size_t n_bytes = strlen(hex) / 2;
        assert_true(n_bytes <= sizeof text && hex_decode(text, n_bytes, hex));
        const struct tokenizer_rule *rule = tokenizer_split_rule(bytes_of_text(line));
        assert_non_null(rule);
        struct tokenizer_splitter s = tokenizer_split_over(rule, bytes_of(text, n_bytes));
        struct bytes piece;
        while (tokenizer_split_next(&s, &piece))
            if (piece.size != strtoul(sizes, &sizes, 10))
                fail_msg("%s, %s: the piece that ends at byte %zu", line, hex, s.at);
        assert_string_equal(sizes, "\n");
    }
    fclose(file);
    print_message("%zu texts\n", n);
    assert_in_range(n, 29 * 125, 100000);
}

static void test_pieces_cover_any_text(void **state)
{
    (void)state;
    uint64_t seed = crypto_random_u64();
    print_message("seed 0x%llx\n", (unsigned long long)seed);
    struct rng rng = rng_seeded(seed);
    static const char *const parts[] = {"a",
                                        "Z",
                                        "7",
                                        " ",
                                        "\n",
                                        "\r",
                                        "\t",
                                        "'",
                                        "'ll",
                                        "$",
                                        "(",
                                        "/",
                                        "\xc3\xa9",
                                        "\xff",
                                        "\x01",
                                        ".",
                                        "\xcc\x81",
                                        "\xe4\xbd\xa0",
                                        "\xe2\x80\xa6",
                                        "\xef\xbc\x8c",
                                        "\xf0\x9f\x9a\x80",
                                        "\xe2\x80\x83"};
    for (int round = 0; round < 20000; round++) {
        const char *name = examples[rng_below(&rng, sizeof examples / sizeof *examples)].rule;
        struct buffer text;
        buffer_init(&text, 0);
        for (uint64_t n = rng_below(&rng, 30); n > 0; n--)
            buffer_text(&text, parts[rng_below(&rng, sizeof parts / sizeof *parts)]);
        struct tokenizer_splitter s =
            tokenizer_split_over(tokenizer_split_rule(bytes_of_text(name)), buffer_view(&text));
        struct bytes piece;
        size_t at = 0;
        while (tokenizer_split_next(&s, &piece)) {
            assert_ptr_equal(piece.data, text.data + at);
            assert_true(piece.size > 0 && piece.size <= text.size - at);
            at += piece.size;
        }
        assert_int_equal(at, text.size);
        buffer_free(&text);
    }
}

static void test_unknown_rules_are_refused_by_name(void **state)
{
    (void)state;
    assert_null(tokenizer_split_rule(bytes_of_text("qwen")));
    assert_null(tokenizer_split_rule(bytes_of_text("")));
    struct made_vocab *m = made_bpe("kimi-k9");
    struct tokenizer *t = NULL;
    struct error err;
    assert_int_equal(vocab_tokenizer(&t, made_source(m), &err), STATUS_UNSUPPORTED);
    assert_non_null(strstr(err.text, "'kimi-k9'"));
    assert_non_null(strstr(err.text, "llama-bpe"));
    assert_non_null(strstr(err.text, "viking")); /* the list is whole */
    assert_null(t);
    m->source.pre = bytes_of(NULL, 0); /* a file from before the key */
    t = made_tokenizer(m);
    assert_string_equal(tokenizer_rule(t), "default");
    tokenizer_free(t);
    made_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_random_texts_are_cut_as_the_expressions_do),
        cmocka_unit_test(test_pieces_cover_any_text),
        cmocka_unit_test(test_unknown_rules_are_refused_by_name),
    };
    return crypto_start(NULL) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
