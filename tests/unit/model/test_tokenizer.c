/* Properties: text comes back, control tokens do not come from text, time grows as the text does. Random tests
 * print their seed; SHOAL_SEED repeats one. */
#include "base/clock.h"
#include "model/tokenizer_private.h"
#include "tokenizer_support.h"

static uint64_t seed_of_run(void)
{
    const char *given = getenv("SHOAL_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : crypto_random_u64();
    print_message("seed 0x%llx\n", (unsigned long long)seed);
    return seed;
}

/* Random bytes, random ASCII, spaces and line ends, code points, and pieces of the vocabulary, mixed. */
static size_t random_text(uint8_t *out, size_t n_max, struct rng *rng, const struct tokenizer *t)
{
    size_t n = 0, want = rng_below(rng, n_max);
    while (n < want) {
        struct bytes piece;
        uint8_t own[4];
        switch (rng_below(rng, 5)) {
        case 0:
            own[0] = (uint8_t)rng_below(rng, 256);
            piece = bytes_of(own, 1);
            break;
        case 1:
            own[0] = (uint8_t)(32 + rng_below(rng, 95));
            piece = bytes_of(own, 1);
            break;
        case 2:
            own[0] = (uint8_t) " \n\t\r\v'/"[rng_below(rng, 7)];
            piece = bytes_of(own, 1);
            break;
        case 3: {
            uint32_t c = (uint32_t)rng_below(rng, rng_below(rng, 2) ? 0x3000 : 0x110000);
            own[0] = (uint8_t)(0xf0 | c >> 18), own[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
            own[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f)), own[3] = (uint8_t)(0x80 | (c & 0x3f));
            piece = c < 0x10000 ? bytes_of(own + 1, 3) : bytes_of(own, 4); /* often not valid: welcome */
            if (c < 0x10000)
                own[1] = (uint8_t)(0xe0 | c >> 12);
            break;
        }
        default:
            tokenizer_token_bytes(t, (uint32_t)rng_below(rng, tokenizer_n_vocab(t)), &piece);
        }
        if (piece.size > n_max - n)
            break;
        if (piece.size)
            memcpy(out + n, piece.data, piece.size);
        n += piece.size;
    }
    return n;
}

/* SPM reads U+2581 as a space: such a text comes back with spaces. */
static size_t with_spaces(uint8_t *text, size_t n)
{
    size_t out = 0;
    for (size_t i = 0; i < n;) {
        bool space = n - i >= 3 && memcmp(text + i, "\xe2\x96\x81", 3) == 0;
        text[out++] = space ? ' ' : text[i];
        i += space ? 3 : 1;
    }
    return out;
}

static void check_one_round_trip(const struct tokenizer *t, uint8_t *text, size_t n, struct buffer *back)
{
    struct tokenizer_ids ids = encoded(t, text, n, 0);
    struct error err;
    buffer_clear(back);
    for (size_t i = 0; i < ids.n; i++)
        assert_false(tokenizer_is_control(t, ids.ids[i]));
    if (tokenizer_decode(t, ids.ids, ids.n, 0, back, &err))
        fail_msg("%s", err.text);
    if (tokenizer_kind(t) == TOKENIZER_SPM)
        n = with_spaces(text, n);
    assert_int_equal(back->size, n);
    if (n)
        assert_memory_equal(back->data, text, n);
    tokenizer_ids_free(&ids);
}

static void check_round_trips(const char *model, size_t n_texts)
{
    struct tokenizer *t = shared_tokenizer(model);
    if (!t)
        skip();
    struct rng rng = rng_seeded(seed_of_run());
    struct buffer back;
    buffer_init(&back, 0);
    static uint8_t text[256];
    for (size_t i = 0; i < n_texts; i++)
        check_one_round_trip(t, text, random_text(text, sizeof text, &rng, t), &back);
    buffer_free(&back);
    tokenizer_free(t);
}

static void test_llama3_gives_back_any_bytes(void **state)
{
    (void)state;
    check_round_trips("reference/tokenizer/llama3.gguf", 100000);
}

static void test_qwen3_gives_back_any_bytes(void **state)
{
    (void)state;
    check_round_trips("reference/tokenizer/qwen3.gguf", 100000);
}

static void test_spm_gives_back_any_bytes(void **state)
{
    (void)state;
    check_round_trips("models/stories260K.gguf", 100000);
}

/* Every control token of the vocabulary, inside text: never its id; in a special run: always. */
static void check_control_tokens(const char *model, size_t n_min)
{
    struct tokenizer *t = shared_tokenizer(model);
    if (!t)
        skip();
    size_t n_control = 0;
    for (uint32_t id = 0; id < tokenizer_n_vocab(t); id++) {
        if (!tokenizer_is_control(t, id))
            continue;
        struct bytes name = vocab_text(&t->vocab, id);
        char text[256];
        int n = snprintf(text, sizeof text, "x%.*s%.*s y", (int)name.size, (const char *)name.data,
                         (int)name.size, (const char *)name.data);
        struct tokenizer_ids ids = encoded(t, text, (size_t)n, 0),
                             special = encoded(t, text, (size_t)n, TOKENIZE_SPECIAL);
        size_t n_found = 0;
        for (size_t i = 0; i < ids.n; i++)
            assert_false(tokenizer_is_control(t, ids.ids[i]));
        for (size_t i = 0; i < special.n; i++)
            n_found += special.ids[i] == id;
        assert_int_equal(n_found, 2);
        tokenizer_ids_free(&ids);
        tokenizer_ids_free(&special);
        n_control++;
    }
    print_message("%zu control tokens\n", n_control);
    assert_in_range(n_control, n_min, 1000);
    tokenizer_free(t);
}

static void test_no_control_token_from_text(void **state)
{
    (void)state;
    check_control_tokens("reference/tokenizer/llama3.gguf", 256);
    check_control_tokens("reference/tokenizer/qwen3.gguf", 8);
    check_control_tokens("models/stories260K.gguf", 2);
}

/* A control token whose first half lies in a special run and whose second does not is text. */
static void test_a_token_across_runs_is_text(void **state)
{
    (void)state;
    struct made_vocab *m = made_bpe("gpt-2");
    made_token(m, "<|x|>", VOCAB_CONTROL, 0);
    struct tokenizer *t = made_tokenizer(m);
    static const struct {
        size_t first;
        bool a, b;
        const char *want;
    } cases[] = {{0, true, true, "256"},
                 {2, true, true, "256"},
                 {2, true, false, "60 124 120 124 62"},
                 {2, false, true, "60 124 120 124 62"},
                 {5, true, false, "256"},
                 {5, false, true, "60 124 120 124 62"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tokenizer_run runs[2] = {{cases[i].first, cases[i].a}, {5 - cases[i].first, cases[i].b}};
        struct tokenizer_ids ids = {0};
        assert_int_equal(tokenizer_encode_runs(t, bytes_of_text("<|x|>"), runs, 2, 0, &ids, NULL), STATUS_OK);
        assert_string_equal(ids_text(&ids), cases[i].want);
        tokenizer_ids_free(&ids);
    }
    tokenizer_free(t);
    made_free(m);
}

/* Byte by byte and token by token: all pieces joined are valid UTF-8, and the text itself where that was valid.
 */
static void test_streamed_pieces_are_valid_utf8(void **state)
{
    (void)state;
    struct rng rng = rng_seeded(seed_of_run());
    struct buffer out, text;
    buffer_init(&out, 0);
    buffer_init(&text, 0);
    for (int round = 0; round < 20000; round++) {
        struct tokenizer_stream stream = {0};
        buffer_clear(&out);
        buffer_clear(&text);
        for (uint64_t n = rng_below(&rng, 24); n > 0; n--) {
            static const char *const parts[] = {
                "a",        "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x9a\x80", "\xff",
                "\xe2\x82", "\xf0\x9f", "\xed\xa0\x80", "\xc0\xaf",         "\xf4\x90\x80\x80"};
            bool valid_only = round % 2;
            buffer_text(&text, parts[rng_below(&rng, valid_only ? 4 : 10)]);
        }
        for (size_t at = 0; at < text.size;) {
            size_t n = 1 + rng_below(&rng, 5);
            n = n > text.size - at ? text.size - at : n;
            tokenizer_stream_push(&stream, bytes_of(text.data + at, n), &out);
            assert_int_equal(utf8_valid_prefix(out.data, out.size), out.size);
            at += n;
        }
        tokenizer_stream_finish(&stream, &out);
        assert_int_equal(utf8_valid_prefix(out.data, out.size), out.size);
        if (round % 2) {
            assert_int_equal(out.size, text.size);
            if (out.size)
                assert_memory_equal(out.data, text.data, out.size);
        }
    }
    buffer_free(&out);
    buffer_free(&text);
}

static void test_an_incomplete_code_point_is_held_back(void **state)
{
    (void)state;
    struct tokenizer_stream stream = {0};
    struct buffer out;
    buffer_init(&out, 0);
    tokenizer_stream_push(&stream, bytes_of_text("x\xf0\x9f"), &out);
    assert_string_equal(buffer_string(&out), "x");
    tokenizer_stream_push(&stream, bytes_of_text("\x9a"), &out);
    assert_string_equal(buffer_string(&out), "x");
    tokenizer_stream_push(&stream, bytes_of_text("\x80y\xe2"), &out);
    assert_string_equal(buffer_string(&out), "x\xf0\x9f\x9a\x80y");
    tokenizer_stream_finish(&stream, &out);
    assert_string_equal(buffer_string(&out), "x\xf0\x9f\x9a\x80y\xef\xbf\xbd");
    buffer_free(&out);
}

static uint64_t time_us(const struct tokenizer *t, const struct buffer *text, size_t n)
{
    uint64_t start = clock_process_us();
    struct tokenizer_ids ids = encoded(t, text->data, n, 0);
    uint64_t took = clock_process_us() - start;
    tokenizer_ids_free(&ids);
    return took;
}

/* 1 MiB of one thing, and half of it for the ratio, which is for people: a loaded machine may spoil it. A
 * quadratic engine would need 10^12 steps, so that a generous limit tells it as well. */
static void check_linear(const char *model)
{
    static const char *const units[] = {"a", " ", "\xf0\x9f\x9a\x80", "\n", "1", "<", "\xcc\x81", " a"};
    struct tokenizer *t = shared_tokenizer(model);
    if (!t)
        skip();
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        struct buffer text;
        buffer_init(&text, 0);
        while (text.size < (size_t)1 << 20)
            buffer_text(&text, units[i]);
        uint64_t half = time_us(t, &text, text.size / 2), whole = time_us(t, &text, text.size);
        print_message("%s, 1 MiB of unit %zu: %llu ms, %.2f times half of it\n", model, i,
                      (unsigned long long)(whole / 1000), (double)whole / (double)half);
        assert_true(whole < 30 * 1000 * 1000);
        buffer_free(&text);
    }
    tokenizer_free(t);
}

static void test_time_is_linear(void **state)
{
    (void)state;
    check_linear("reference/tokenizer/llama3.gguf");
    check_linear("reference/tokenizer/qwen3.gguf");
    check_linear("models/stories260K.gguf");
}

static void test_bpe_merges_by_rank_leftmost_first(void **state)
{
    (void)state;
    struct made_vocab *m = made_bpe("gpt-2");
    made_token(m, "ab", VOCAB_NORMAL, 0);  /* 256 */
    made_token(m, "bc", VOCAB_NORMAL, 0);  /* 257 */
    made_token(m, "abc", VOCAB_NORMAL, 0); /* 258 */
    made_token(m, "aa", VOCAB_NORMAL, 0);  /* 259 */
    made_merge(m, "b c");
    made_merge(m, "a b");
    made_merge(m, "a bc");
    made_merge(m, "a a");
    struct tokenizer *t = made_tokenizer(m);
    assert_encodes(t, "abc", 0, "258"); /* b c goes first, then a bc */
    assert_encodes(t, "ab", 0, "256");
    assert_encodes(t, "aab", 0, "97 256"); /* a b before a a */
    assert_encodes(t, "aaa", 0, "259 97"); /* the left one of equals */
    assert_encodes(t, "ab c", 0, "256 32 99");
    assert_encodes(t, "", 0, "");
    tokenizer_free(t);
    made_free(m);
}

static void test_ignore_merges_takes_whole_words(void **state)
{
    (void)state;
    static const char *const rules[] = {"llama-bpe", "qwen2"};
    for (int i = 0; i < 2; i++) {
        struct made_vocab *m = made_bpe(rules[i]);
        made_token(m, "xyz", VOCAB_NORMAL, 0); /* no merge leads to it */
        made_token(m, "\xc4\xa0xy", VOCAB_NORMAL, 0);
        struct tokenizer *t = made_tokenizer(m);
        assert_encodes(t, "xyz xy", 0, i == 0 ? "256 257" : "120 121 122 32 120 121");
        tokenizer_free(t);
        made_free(m);
    }
}

/* SPM: the best score first, bytes for what has no token, one space in front. */
static void test_spm_merges_by_score_with_bytes_for_the_rest(void **state)
{
    (void)state;
    struct made_vocab *m = made_spm();
    made_token(m, "\xe2\x96\x81", VOCAB_NORMAL, -1); /* 259 */
    made_token(m, "a", VOCAB_NORMAL, -2);            /* 260 */
    made_token(m, "b", VOCAB_NORMAL, -3);            /* 261 */
    made_token(m, "ab", VOCAB_NORMAL, -10);          /* 262 */
    made_token(m, "\u2581a", VOCAB_NORMAL, -4);      /* 263 */
    made_token(m, "<tool>", VOCAB_USER_DEFINED, 0);  /* 264 */
    struct tokenizer *t = made_tokenizer(m);
    assert_encodes(t, "ab", 0, "263 261"); /* " a" scores higher than "ab" */
    assert_encodes(t, "bab", 0, "259 261 262");
    assert_encodes(t, "\xc3\xa9", 0, "259 198 172"); /* 3 + 0xc3, 3 + 0xa9 */
    assert_encodes(t, "ab", TOKENIZE_ADD_BOS, "1 263 261");
    assert_encodes(t, "<s>", 0, "259 63 118 65"); /* bytes: never the control token */
    assert_encodes(t, "<s>", TOKENIZE_SPECIAL, "1");
    assert_encodes(t, "b<tool>b", 0, "259 261 264 259 261"); /* user-defined ones are found everywhere */
    assert_encodes(t, "<0x41>", 0, "259 63 51 123 55 52 65");
    tokenizer_free(t);
    m->source.adds_space_prefix = 0;
    t = made_tokenizer(m);
    assert_encodes(t, "ab", 0, "262");
    assert_encodes(t, "b<tool>b", 0, "261 264 261");
    tokenizer_free(t);
    made_free(m);
}

static void test_ends_of_generation(void **state)
{
    (void)state;
    struct made_vocab *m = made_bpe("gpt-2");
    made_token(m, "<|im_end|>", VOCAB_NORMAL, 0);    /* 256: by name, whatever its type */
    made_token(m, "<|end|>", VOCAB_CONTROL, 0);      /* 257 */
    made_token(m, "<|im_start|>", VOCAB_CONTROL, 0); /* 258: control, but ends nothing */
    made_token(m, "<mine>", VOCAB_CONTROL, 0);       /* 259: by the file's eos */
    m->source.ids[VOCAB_ID_EOS] = 259;
    struct tokenizer *t = made_tokenizer(m);
    assert_true(tokenizer_is_end_of_generation(t, 256) && tokenizer_is_control(t, 256));
    assert_true(tokenizer_is_end_of_generation(t, 257));
    assert_true(tokenizer_is_control(t, 258) && !tokenizer_is_end_of_generation(t, 258));
    assert_true(tokenizer_is_end_of_generation(t, 259));
    assert_false(tokenizer_is_end_of_generation(t, 97) || tokenizer_is_control(t, 97));
    assert_false(tokenizer_is_end_of_generation(t, 260) || tokenizer_is_control(t, UINT32_MAX));
    tokenizer_free(t);
    made_token(m, "<|return|>", VOCAB_CONTROL, 0);
    made_token(m, "<|call|>", VOCAB_CONTROL, 0);
    t = made_tokenizer(m);
    assert_false(tokenizer_is_end_of_generation(t, 257)); /* harmony: <|end|> only ends a message */
    tokenizer_free(t);
    made_free(m);
}

static void test_decoding(void **state)
{
    (void)state;
    struct made_vocab *m = made_spm();
    made_token(m, "\xe2\x96\x81hi", VOCAB_NORMAL, 0); /* 259 */
    struct tokenizer *t = made_tokenizer(m);
    static const uint32_t ids[] = {1, 259, 259, 3 + 0xc3, 3 + 0xa9, 2};
    struct buffer out;
    struct error err;
    struct bytes piece;
    buffer_init(&out, 0);
    assert_int_equal(tokenizer_decode(t, ids, 6, 0, &out, &err), STATUS_OK);
    assert_string_equal(buffer_string(&out), "hi hi\xc3\xa9");
    buffer_clear(&out);
    assert_int_equal(tokenizer_decode(t, ids, 6, DETOKENIZE_SPECIAL | DETOKENIZE_KEEP_SPACE, &out, &err),
                     STATUS_OK);
    assert_string_equal(buffer_string(&out), "<s> hi hi\xc3\xa9</s>");
    assert_int_equal(tokenizer_decode(t, (const uint32_t[]){259, 260}, 2, 0, &out, &err), STATUS_BAD_USAGE);
    assert_non_null(strstr(err.text, "token 260 at place 1"));
    assert_true(tokenizer_token_bytes(t, 259, &piece));
    assert_true(bytes_equal(piece, bytes_of_text(" hi")));
    assert_false(tokenizer_token_bytes(t, 260, &piece));
    char name[64];
    tokenizer_token_name(t, 259, name, sizeof name);
    assert_string_equal(name, "\\xe2\\x96\\x81hi");
    tokenizer_token_name(t, 259, name, 6);
    assert_string_equal(name, "\\xe2");
    buffer_free(&out);
    tokenizer_free(t);
    made_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llama3_gives_back_any_bytes),
        cmocka_unit_test(test_qwen3_gives_back_any_bytes),
        cmocka_unit_test(test_spm_gives_back_any_bytes),
        cmocka_unit_test(test_no_control_token_from_text),
        cmocka_unit_test(test_a_token_across_runs_is_text),
        cmocka_unit_test(test_streamed_pieces_are_valid_utf8),
        cmocka_unit_test(test_an_incomplete_code_point_is_held_back),
        cmocka_unit_test(test_time_is_linear),
        cmocka_unit_test(test_bpe_merges_by_rank_leftmost_first),
        cmocka_unit_test(test_ignore_merges_takes_whole_words),
        cmocka_unit_test(test_spm_merges_by_score_with_bytes_for_the_rest),
        cmocka_unit_test(test_ends_of_generation),
        cmocka_unit_test(test_decoding),
    };
    return crypto_start(NULL) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
