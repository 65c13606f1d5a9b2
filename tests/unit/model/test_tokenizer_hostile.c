/* Vocabularies that lie: each is refused with a sentence that names the field, or harmless. */
#include "tokenizer_support.h"

static void assert_refused(struct made_vocab *m, enum status want, const char *sentence)
{
    struct tokenizer *t = NULL;
    struct error err = {0};
    enum status status = vocab_tokenizer(&t, &m->source, &err);
    if (status != want || !strstr(err.text, sentence))
        fail_msg("status %s, '%s'; want %s, '%s'", status_name(status), err.text, status_name(want), sentence);
    assert_null(t);
    made_free(m);
}

static struct made_vocab *spm(void)
{
    struct made_vocab *m = made_spm();
    made_source(m);
    return m;
}

static struct made_vocab *bpe(void)
{
    struct made_vocab *m = made_bpe("gpt-2");
    made_source(m);
    return m;
}

static void test_counts_that_differ(void **state)
{
    (void)state;
    struct made_vocab *m = spm();
    m->source.n_scores = m->n - 1;
    assert_refused(m, STATUS_BAD_DATA, "tokenizer.ggml.scores has 258 entries for 259 tokens");
    m = spm();
    m->source.n_types = m->n + 1;
    assert_refused(m, STATUS_BAD_DATA, "tokenizer.ggml.token_type has 260 entries for 259 tokens");
    m = spm();
    m->source.scores = NULL;
    assert_refused(m, STATUS_BAD_DATA, "tokenizer.ggml.scores is missing");
    m = spm();
    m->source.tokens = NULL;
    m->source.n_tokens = 0;
    assert_refused(m, STATUS_BAD_DATA, "tokenizer.ggml.tokens has 0 entries");
    m = spm();
    m->source.n_tokens = UINT64_MAX;
    assert_refused(m, STATUS_BAD_DATA, "tokenizer.ggml.tokens has 18446744073709551615 entries");
}

static void test_special_ids_outside_the_vocabulary(void **state)
{
    (void)state;
    for (int i = 0; i < VOCAB_ID_COUNT; i++) {
        static const int64_t values[] = {259, 1LL << 31, (1LL << 32) - 2, INT64_MAX};
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
            struct made_vocab *m = spm();
            m->source.ids[i] = values[k];
            assert_refused(m, STATUS_BAD_DATA, vocab_id_keys[i]);
        }
    }
    struct made_vocab *m = spm(); /* -1 as converters write it: none */
    m->source.ids[VOCAB_ID_EOT] = UINT32_MAX;
    struct tokenizer *t = made_tokenizer(m);
    tokenizer_free(t);
    made_free(m);
    m = bpe();
    m->source.adds_bos = 1;
    assert_refused(m, STATUS_BAD_DATA, "add_bos_token is true, but there is no bos_token_id");
}

static void test_byte_tokens_that_are_none(void **state)
{
    (void)state;
    static const char *const bad[] = {"<0x-1>",  "<0xZZ>", "<0x+1>", "<0x 1>", "<0x1>",
                                      "<0x100>", "<0X41>", "0x41",   ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct made_vocab *m = spm();
        m->tokens[100].size = 0; /* as many as before, one of them wrong */
        mem_free((void *)(uintptr_t)m->tokens[100].data);
        m->tokens[100] = bytes_of(mem_string(bad[i]), strlen(bad[i]));
        assert_refused(m, STATUS_BAD_DATA, "byte token 100 is");
    }
    struct made_vocab *m = spm();
    made_token(m, "<0x4a>", VOCAB_BYTE, 0); /* <0x4A> once more */
    made_source(m);
    assert_refused(m, STATUS_BAD_DATA, "are both byte 0x4A");
    m = spm();
    m->types[100] = VOCAB_NORMAL; /* one of 256 is missing */
    assert_refused(m, STATUS_BAD_DATA, "255 of 256 byte tokens");
}

static void test_scores_and_types_that_are_none(void **state)
{
    (void)state;
    struct made_vocab *m = spm();
    m->scores[7] = __builtin_nanf("");
    assert_refused(m, STATUS_BAD_DATA, "token 7 has a score that is no number");
    m = spm();
    m->types[7] = 7;
    assert_refused(m, STATUS_BAD_DATA, "token 7 has type 7");
    m = spm();
    m->types[7] = -1;
    assert_refused(m, STATUS_BAD_DATA, "token 7 has type -1");
}

static void test_merges_that_are_none(void **state)
{
    (void)state;
    static const struct {
        const char *line, *sentence;
    } bad[] = {{"ab", "not two parts"},        {"", "not two parts"},          {" ", "not two parts"},
               {"a ", "not two parts"},        {" b", "not two parts"},        {"a  ", "is no token"},
               {"zz b", "a part is no token"}, {"a b", "what it gives is no"}, {"a b c", "is no token"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct made_vocab *m = made_bpe("gpt-2");
        made_merge(m, bad[i].line);
        made_source(m);
        assert_refused(m, STATUS_BAD_DATA, bad[i].sentence);
    }
    struct made_vocab *m = bpe();
    m->source.merges = NULL;
    assert_refused(m, STATUS_BAD_DATA, "tokenizer.ggml.merges is missing");
    m = bpe();
    m->source.n_merges = VOCAB_MERGES_MAX + 1ULL;
    assert_refused(m, STATUS_LIMIT, "tokenizer.ggml.merges has");
}

/* The first of equal merges counts; one that would give a control token is not made. */
static void test_merges_twice_and_into_control_tokens(void **state)
{
    (void)state;
    struct made_vocab *m = made_bpe("gpt-2");
    made_token(m, "ab", VOCAB_NORMAL, 0);   /* 256 */
    made_token(m, "abc", VOCAB_CONTROL, 0); /* 257 */
    made_merge(m, "a b");
    made_merge(m, "a b");
    made_merge(m, "ab c");
    struct tokenizer *t = made_tokenizer(m);
    assert_encodes(t, "abc", 0, "256 99");
    assert_encodes(t, "abc", TOKENIZE_SPECIAL, "257");
    tokenizer_free(t);
    made_free(m);
}

static void test_texts_that_are_odd(void **state)
{
    (void)state;
    struct made_vocab *m = spm();
    char *huge = mem_new(70001);
    memset(huge, 'x', 70000);
    made_token(m, huge, VOCAB_NORMAL, 0); /* 259 */
    made_token(m, huge + 1, VOCAB_CONTROL, 0);
    made_token(m, "", VOCAB_NORMAL, 0);
    made_token(m, "", VOCAB_CONTROL, 0); /* empty ones stand for nothing, and may be many */
    struct tokenizer *t = made_tokenizer(m);
    struct bytes piece;
    assert_true(tokenizer_token_bytes(t, 259, &piece));
    assert_int_equal(piece.size, 70000);
    struct tokenizer_ids ids = encoded(t, huge, 70000, TOKENIZE_SPECIAL);
    assert_int_equal(ids.n,
                     3 + 70000); /* U+2581 is no token here: three bytes; no merge leads to the huge one */
    tokenizer_ids_free(&ids);
    tokenizer_free(t);
    made_free(m);
    mem_free(huge);
    m = spm();
    made_token(m, "<s>", VOCAB_NORMAL, 0);
    made_source(m);
    assert_refused(m, STATUS_BAD_DATA, "1 and 259 have the same text '<s>'");
}

static void test_a_kind_that_is_not_there(void **state)
{
    (void)state;
    struct made_vocab *m = spm();
    static const char *const kinds[][2] = {{"t5", "'t5' (UGM) is not"},
                                           {"bert", "'bert' (WPM) is not"},
                                           {"rwkv", "'rwkv' (RWKV) is not"},
                                           {"plamo2", "'plamo2' is not"},
                                           {"", "'' is not"}};
    made_source(m);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct tokenizer *t = NULL;
        struct error err;
        m->source.model = bytes_of_text(kinds[i][0]);
        assert_int_equal(vocab_tokenizer(&t, &m->source, &err), STATUS_UNSUPPORTED);
        assert_non_null(strstr(err.text, kinds[i][1]));
        assert_non_null(strstr(err.text, "'gpt2'"));
    }
    made_free(m);
}

static void test_texts_over_the_limit_and_missing_bytes(void **state)
{
    (void)state;
    struct made_vocab *m = bpe();
    struct tokenizer *t = made_tokenizer(m);
    struct tokenizer_ids ids = {0};
    struct error err;
    uint8_t *text = mem_array(TOKENIZER_TEXT_MAX + 1, 1);
    memset(text, 'a', TOKENIZER_TEXT_MAX + 1);
    assert_int_equal(tokenizer_encode(t, bytes_of(text, TOKENIZER_TEXT_MAX + 1), 0, &ids, &err), STATUS_LIMIT);
    assert_int_equal(ids.n, 0);
    assert_int_equal(tokenizer_encode(t, bytes_of(text, TOKENIZER_TEXT_MAX), 0, &ids, &err), STATUS_OK);
    assert_int_equal(ids.n, TOKENIZER_TEXT_MAX);
    tokenizer_free(t);
    m->types[0xf5] = VOCAB_CONTROL; /* this byte has no token now */
    t = made_tokenizer(m);
    assert_int_equal(tokenizer_encode(t, bytes_of_text("ab\xf5"), 0, &ids, &err), STATUS_BAD_USAGE);
    assert_non_null(strstr(err.text, "0xF5"));
    assert_int_equal(ids.n, TOKENIZER_TEXT_MAX); /* nothing was appended */
    tokenizer_ids_free(&ids);
    mem_free(text);
    tokenizer_free(t);
    made_free(m);
}

/* A shard has no vocabulary; the error says where it is. */
static void test_a_file_without_vocabulary(void **state)
{
    (void)state;
    static const uint8_t empty[] = {'G', 'G', 'U', 'F', 3, 0, 0, 0, 0, 0, 0, 0,
                                    0,   0,   0,   0,   0, 0, 0, 0, 0, 0, 0, 0};
    struct bytes part = bytes_of(empty, sizeof empty);
    struct gguf *gguf;
    struct tokenizer *t = NULL;
    struct error err;
    if (gguf_open_memory(&gguf, &part, 1, &err))
        fail_msg("%s", err.text);
    assert_int_equal(tokenizer_create(&t, gguf, &err), STATUS_NOT_FOUND);
    assert_non_null(strstr(err.text, "tokenizer.gguf"));
    gguf_close(gguf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_that_differ),
        cmocka_unit_test(test_special_ids_outside_the_vocabulary),
        cmocka_unit_test(test_byte_tokens_that_are_none),
        cmocka_unit_test(test_scores_and_types_that_are_none),
        cmocka_unit_test(test_merges_that_are_none),
        cmocka_unit_test(test_merges_twice_and_into_control_tokens),
        cmocka_unit_test(test_texts_that_are_odd),
        cmocka_unit_test(test_a_kind_that_is_not_there),
        cmocka_unit_test(test_texts_over_the_limit_and_missing_bytes),
        cmocka_unit_test(test_a_file_without_vocabulary),
    };
    return crypto_start(NULL) ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
