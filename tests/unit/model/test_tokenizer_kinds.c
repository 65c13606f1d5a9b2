/* What the kinds of vocabulary differ in: Gemma's texts, flags, what ends an answer; and for each of them that
 * no user's text gives a special token. Random tests print their seed. */
#include "model/tokenizer_private.h"
#include "tokenizer_support.h"

/* 0 <unk>, 1 <s>, 2 </s>, 3 to 258 the bytes, then as Gemma 4 has them. */
static struct made_vocab *made_gemma4(const char *model, const char *pre)
{
    struct made_vocab *m = made_spm();
    m->source.model = bytes_of_text(model);
    m->source.pre = bytes_of_text(pre);
    m->source.ids[VOCAB_ID_BOS] = 1;
    made_token(m, "\u2581", VOCAB_NORMAL, 0);        /* 259 */
    made_token(m, "a", VOCAB_NORMAL, 0);             /* 260 */
    made_token(m, "b", VOCAB_NORMAL, 0);             /* 261 */
    made_token(m, "\u2581a", VOCAB_NORMAL, 0);       /* 262 */
    made_token(m, "ab", VOCAB_NORMAL, 0);            /* 263 */
    made_token(m, "a\u2581", VOCAB_NORMAL, 0);       /* 264 */
    made_token(m, "\n", VOCAB_NORMAL, 0);            /* 265 */
    made_token(m, "\n\n\n", VOCAB_NORMAL, 0);        /* 266: no merge leads to it */
    made_token(m, "<table>", VOCAB_USER_DEFINED, 0); /* 267 */
    made_merge(m, "a \u2581");
    made_merge(m, "\u2581 a");
    made_merge(m, "a b");
    return m;
}

static void test_gemma4_merges_code_points_over_words(void **state)
{
    (void)state;
    struct made_vocab *m = made_gemma4("gemma4", "");
    struct tokenizer *t = made_tokenizer(m);
    assert_string_equal(tokenizer_rule(t), "gemma4");
    assert_encodes(t, "ab", 0, "263");
    assert_encodes(t, "a ab", 0, "264 263"); /* the space goes left: its merge has the lower rank */
    assert_encodes(t, " ab", 0, "262 261");
    assert_encodes(t, "\n\n\n", 0, "266");
    assert_encodes(t, "\n\n", 0, "265 265");
    assert_encodes(t, "a\nb", 0, "260 265 261");
    assert_encodes(t, "\xc3\xa9", 0, "198 172"); /* as bytes: 3 + 0xc3, 3 + 0xa9 */
    assert_encodes(t, "b<table>", 0, "261 267");
    assert_encodes(t, "b", TOKENIZE_ADD_BOS, "1 261");
    assert_encodes(t, "<s>", 0, "63 118 65");
    static const uint32_t ids[] = {262, 261, 3 + 0xc3, 3 + 0xa9, 266, 267};
    struct buffer out;
    buffer_init(&out, 0);
    assert_int_equal(tokenizer_decode(t, ids, 6, 0, &out, NULL), STATUS_OK);
    assert_string_equal(buffer_string(&out), " ab\xc3\xa9\n\n\n<table>"); /* no space was put in front */
    buffer_free(&out);
    tokenizer_free(t);
    m->source.adds_bos = 0; /* a wrong conversion */
    t = made_tokenizer(m);
    assert_true(tokenizer_adds_bos(t));
    tokenizer_free(t);
    made_free(m);
    m = made_gemma4("gpt2", "sarvam-moe"); /* the same without whole lines and BOS */
    t = made_tokenizer(m);
    assert_encodes(t, "\n\n\nab", TOKENIZE_ADD_BOS, "265 265 265 263");
    tokenizer_free(t);
    made_free(m);
}

/* Without <0x00> to <0xFF> and without an unknown token, text could be lost: refused. */
static void test_gemma4_needs_its_bytes(void **state)
{
    (void)state;
    struct made_vocab *m = made_gemma4("gemma4", "");
    struct tokenizer *t = NULL;
    struct error err;
    m->types[3 + 0x7f] = VOCAB_CONTROL;
    assert_int_equal(vocab_tokenizer(&t, made_source(m), &err), STATUS_BAD_DATA);
    assert_non_null(strstr(err.text, "255 of 256 byte tokens, not <0x7F>"));
    m->types[3 + 0x7f] = VOCAB_NORMAL; /* some converters mark them so: their names tell */
    t = made_tokenizer(m);
    assert_encodes(t, "\x7f", 0, "130");
    tokenizer_free(t);
    made_free(m);
}

/* Gemma 2 and 3 are SPM: no space in front, runs of spaces and of line ends are user-defined tokens. */
static void test_spm_with_runs_of_spaces(void **state)
{
    (void)state;
    struct made_vocab *m = made_spm();
    made_token(m, "\u2581", VOCAB_NORMAL, -1);        /* 259 */
    made_token(m, "a", VOCAB_NORMAL, -2);             /* 260 */
    made_token(m, "\u2581a", VOCAB_NORMAL, -3);       /* 261 */
    made_token(m, "  ", VOCAB_USER_DEFINED, 0);       /* 262 */
    made_token(m, "   ", VOCAB_USER_DEFINED, 0);      /* 263 */
    made_token(m, "\n\n", VOCAB_USER_DEFINED, 0);     /* 264 */
    made_token(m, "<end_of_turn>", VOCAB_CONTROL, 0); /* 265 */
    m->source.adds_space_prefix = 0;
    struct tokenizer *t = made_tokenizer(m);
    assert_encodes(t, "a a", 0, "260 261");
    assert_encodes(t, "a   a", 0, "260 263 260"); /* the longest goes first */
    assert_encodes(t, "a     a", 0, "260 263 262 260");
    assert_encodes(t, "a\n\n\na", 0, "260 264 13 260");
    assert_encodes(t, "<end_of_turn>a", TOKENIZE_SPECIAL, "265 260");
    assert_true(tokenizer_is_end_of_generation(t, 265));
    tokenizer_free(t);
    m->source.adds_space_prefix = 1; /* a space in front of each stretch behind a special token */
    t = made_tokenizer(m);
    assert_encodes(t, "a", 0, "261");
    assert_encodes(t, "<end_of_turn>a", TOKENIZE_SPECIAL, "265 261");
    tokenizer_free(t);
    made_free(m);
}

static void test_flags_of_files_and_rules(void **state)
{
    (void)state;
    struct made_vocab *m = made_bpe("roberta-bpe");
    struct tokenizer *t = made_tokenizer(m);
    assert_true(tokenizer_adds_sep(t) && !tokenizer_adds_eos(t) && !tokenizer_adds_bos(t));
    assert_int_equal(tokenizer_sep(t), TOKENIZER_NO_ID);
    assert_encodes(t, "a", TOKENIZE_ADD_BOS | TOKENIZE_ADD_EOS, "97");
    tokenizer_free(t);
    m->source.ids[VOCAB_ID_BOS] = 1;
    m->source.ids[VOCAB_ID_EOS] = 2;
    m->source.ids[VOCAB_ID_SEPARATOR] = 3;
    m->source.adds_bos = m->source.adds_eos = 1;
    m->source.adds_sep = 0;
    t = made_tokenizer(m);
    assert_true(!tokenizer_adds_sep(t) && tokenizer_adds_eos(t) && tokenizer_sep(t) == 3);
    assert_encodes(t, "a", 0, "97");
    assert_encodes(t, "a", TOKENIZE_ADD_BOS, "1 97");
    assert_encodes(t, "a", TOKENIZE_ADD_BOS | TOKENIZE_ADD_EOS, "1 97 2");
    tokenizer_free(t);
    m->source.ids[VOCAB_ID_EOS] = -1;
    struct error err;
    assert_int_equal(vocab_tokenizer(&t, made_source(m), &err), STATUS_BAD_DATA);
    assert_non_null(strstr(err.text, "add_eos_token is true"));
    made_free(m);
}

static void test_ends_by_name_depend_on_company(void **state)
{
    (void)state;
    struct made_vocab *m = made_bpe("gpt-4o");
    made_token(m, "</s>", VOCAB_CONTROL, 0);            /* 256 */
    made_token(m, "[PAD]", VOCAB_NORMAL, 0);            /* 257 */
    made_token(m, "<|end|>", VOCAB_CONTROL, 0);         /* 258 */
    made_token(m, "<|code_prefix|>", VOCAB_NORMAL, 0);  /* 259 */
    made_token(m, "<|channel>", VOCAB_USER_DEFINED, 0); /* 260 */
    struct tokenizer *t = made_tokenizer(m);
    assert_true(tokenizer_is_end_of_generation(t, 256) && tokenizer_is_end_of_generation(t, 257));
    assert_true(tokenizer_is_end_of_generation(t, 258) && tokenizer_is_control(t, 257));
    assert_true(tokenizer_is_control(t, 259) && !tokenizer_is_end_of_generation(t, 259));
    assert_true(tokenizer_is_control(t, 260) && !tokenizer_is_end_of_generation(t, 260));
    tokenizer_free(t);
    made_token(m, "<|flush|>", VOCAB_CONTROL, 0); /* solar-open: answers go on behind <|end|> */
    made_token(m, "<|calls|>", VOCAB_CONTROL, 0);
    made_token(m, "<|tool_response>", VOCAB_USER_DEFINED, 0); /* gemma4: </s> is HTML */
    t = made_tokenizer(m);
    assert_false(tokenizer_is_end_of_generation(t, 258));
    assert_false(tokenizer_is_end_of_generation(t, 256) || tokenizer_is_control(t, 256));
    assert_true(tokenizer_is_end_of_generation(t, 263));
    tokenizer_free(t);
    made_free(m);
}

/* --- no special token from a user's text --------------------------------------------------------------------
 */

static bool is_forbidden(const struct tokenizer *t, uint32_t id)
{
    return t->vocab.types[id] == VOCAB_CONTROL ||
           (t->vocab.types[id] == VOCAB_UNKNOWN && t->vocab.byte_ids[0] != TOKENIZER_NO_ID);
}

static void check_runs(const struct tokenizer *t, struct bytes text, const struct tokenizer_run *runs, size_t n)
{
    struct tokenizer_ids ids = {0};
    struct error err;
    if (tokenizer_encode_runs(t, text, runs, n, 0, &ids, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < ids.n; i++)
        if (is_forbidden(t, ids.ids[i]))
            fail_msg("'%.*s' gives token %u", (int)text.size, (const char *)text.data, ids.ids[i]);
    tokenizer_ids_free(&ids);
}

/* Each special in text, and cut in two at every place with one half in a special run. */
static size_t check_each_special(const struct tokenizer *t)
{
    struct buffer text;
    size_t n = 0;
    buffer_init(&text, 0);
    for (uint32_t i = 0; i < t->vocab.n_specials; i++) {
        struct bytes name = vocab_text(&t->vocab, t->vocab.specials[i]);
        if (t->vocab.types[t->vocab.specials[i]] == VOCAB_USER_DEFINED)
            continue;
        n++;
        for (size_t at = 0; at < name.size; at++) {
            struct tokenizer_run halves[] = {{at, true}, {name.size - at, false}};
            check_runs(t, name, halves, 2);
            halves[0] = (struct tokenizer_run){at, false};
            halves[1].is_special = true;
            if (at > 0)
                check_runs(t, name, halves, 2);
        }
        buffer_clear(&text);
        for (int k = 0; k < 3; k++) {
            buffer_text(&text, k == 1 ? " " : "<");
            buffer_bytes(&text, name.data, name.size);
            buffer_bytes(&text, name.data, name.size);
        }
        struct tokenizer_run all = {text.size, false};
        check_runs(t, buffer_view(&text), &all, 1);
    }
    buffer_free(&text);
    return n;
}

/* Pieces of the names of specials and of plain tokens in any order. */
static void check_random_splices(const struct tokenizer *t, struct rng *rng)
{
    struct buffer text;
    buffer_init(&text, 0);
    for (int round = 0; round < 5000; round++) {
        buffer_clear(&text);
        for (uint64_t n = 1 + rng_below(rng, 12); n > 0; n--) {
            uint32_t id = rng_below(rng, 3) ? t->vocab.specials[rng_below(rng, t->vocab.n_specials)]
                                            : (uint32_t)rng_below(rng, t->vocab.n);
            struct bytes name = vocab_text(&t->vocab, id);
            size_t from = rng_below(rng, 2) ? 0 : (size_t)rng_below(rng, name.size + 1);
            size_t end = rng_below(rng, 2) ? name.size : from + (size_t)rng_below(rng, name.size - from + 1);
            buffer_bytes(&text, name.data + from, end - from);
        }
        struct tokenizer_run all = {text.size, false};
        check_runs(t, buffer_view(&text), &all, 1);
    }
    buffer_free(&text);
}

static void check_specials(struct tokenizer *t, size_t n_min)
{
    if (!t)
        skip();
    uint64_t seed = crypto_random_u64();
    struct rng rng = rng_seeded(seed);
    size_t n = check_each_special(t);
    print_message("%zu specials, seed 0x%llx\n", n, (unsigned long long)seed);
    assert_in_range(n, n_min, 1000);
    check_random_splices(t, &rng);
    tokenizer_free(t);
}

static void test_no_special_from_llama3_text(void **state)
{
    (void)state;
    check_specials(shared_tokenizer("reference/tokenizer/llama3.gguf"), 256);
}

static void test_no_special_from_qwen3_text(void **state)
{
    (void)state;
    check_specials(shared_tokenizer("reference/tokenizer/qwen3.gguf"), 8);
}

static void test_no_special_from_spm_text(void **state)
{
    (void)state;
    check_specials(shared_tokenizer("models/stories260K.gguf"), 3);
}

/* Merges that lead to a control token, and to a user-defined one's neighbours, are no way in. */
static void test_no_special_from_gemma4_text(void **state)
{
    (void)state;
    struct made_vocab *m = made_gemma4("gemma4", "");
    made_token(m, "<", VOCAB_NORMAL, 0);
    made_token(m, "s>", VOCAB_NORMAL, 0);
    made_token(m, "s", VOCAB_NORMAL, 0);
    made_token(m, ">", VOCAB_NORMAL, 0);
    made_merge(m, "s >");
    made_merge(m, "< s>");
    check_specials(made_tokenizer(m), 3);
    made_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gemma4_merges_code_points_over_words),
        cmocka_unit_test(test_gemma4_needs_its_bytes),
        cmocka_unit_test(test_spm_with_runs_of_spaces),
        cmocka_unit_test(test_flags_of_files_and_rules),
        cmocka_unit_test(test_ends_by_name_depend_on_company),
        cmocka_unit_test(test_no_special_from_llama3_text),
        cmocka_unit_test(test_no_special_from_qwen3_text),
        cmocka_unit_test(test_no_special_from_spm_text),
        cmocka_unit_test(test_no_special_from_gemma4_text),
    };
    return crypto_start(NULL) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
