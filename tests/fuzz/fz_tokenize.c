/* links: model */
/* A fixed vocabulary, any text: ids are in range and no control tokens, and the text comes back. The first byte
 * chooses the splitting rule; 0xff SPM. */
#include "base/mem.h"
#include "model/vocab.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One name for each expression over bytes in signs. */
static const char *const rules[] = {
    "llama-bpe",    "qwen2",          "gpt-2",       "default",  "tekken",   "gpt-4o",     "qwen35",
    "deepseek-llm", "deepseek-coder", "deepseek-v3", "bloom",    "falcon",   "starcoder",  "seed-coder",
    "viking",       "minicpm5",       "jais-2",      "laguna",   "ufakzeka", "exaone-moe", "chameleon",
    "spark2_5",     "afmoe",          "youtu",       "tiny_aya", "kimi-k2",  "superbpe"};
#define N_RULES (sizeof rules / sizeof *rules)

#define N_TOKENS 270
static struct bytes tokens[N_TOKENS], merges[] = {{(const uint8_t *)"a a", 3},
                                                  {(const uint8_t *)"aa aa", 5},
                                                  {(const uint8_t *)"\xc4\xa0 a", 4},
                                                  {(const uint8_t *)"1 2", 3},
                                                  {(const uint8_t *)"' l", 3}};
static float scores[N_TOKENS];
static int32_t types[N_TOKENS];
static char texts[256][8];

static uint64_t fill(bool spm)
{
    static const char *const more_bpe[] = {"aa", "aaaa", "\u0120a", "12", "'l", "<|x|>", "<t>"};
    static const char *const more_spm[] = {"\u2581", "a", "aa", "\u2581a", "<unk>", "<s>", "<t>"};
    for (unsigned b = 0; b < 256; b++) {
        uint32_t sign = vocab_sign_of((uint8_t)b);
        if (spm)
            snprintf(texts[b], sizeof texts[b], "<0x%02X>", b);
        else
            snprintf(texts[b], sizeof texts[b], sign < 0x80 ? "%c" : "%c%c",
                     sign < 0x80 ? (int)sign : (int)(0xc0 | sign >> 6), (int)(0x80 | (sign & 0x3f)));
        tokens[b] = bytes_of_text(texts[b]);
        types[b] = spm ? VOCAB_BYTE : VOCAB_NORMAL;
    }
    for (unsigned i = 0; i < 7; i++) {
        tokens[256 + i] = bytes_of_text(spm ? more_spm[i] : more_bpe[i]);
        types[256 + i] = i == 6          ? VOCAB_USER_DEFINED
                         : i == 5        ? VOCAB_CONTROL
                         : spm && i == 4 ? VOCAB_UNKNOWN
                                         : VOCAB_NORMAL;
        scores[256 + i] = -(float)i;
    }
    return 263;
}

static struct tokenizer *tokenizer_for(unsigned choice)
{
    static struct tokenizer *made[N_RULES + 1];
    bool spm = choice == N_RULES;
    if (made[choice])
        return made[choice];
    struct vocab_source s = {
        .model = bytes_of_text(spm ? "llama" : "gpt2"), .adds_bos = -1, .adds_space_prefix = -1};
    s.pre = bytes_of_text(spm ? "" : rules[choice]);
    s.n_tokens = s.n_types = s.n_scores = fill(spm);
    s.tokens = tokens;
    s.types = types;
    s.scores = scores;
    s.merges = merges;
    s.n_merges = sizeof merges / sizeof *merges;
    for (int i = 0; i < VOCAB_ID_COUNT; i++)
        s.ids[i] = UINT32_MAX;
    struct error err;
    if (vocab_tokenizer(&made[choice], &s, &err)) {
        fprintf(stderr, "%s\n", err.text);
        assert_failed("the fixed vocabulary loads", __FILE__, __LINE__);
    }
    return made[choice];
}

/* SPM reads U+2581 as a space. */
static struct bytes with_spaces(struct buffer *out, struct bytes text)
{
    for (size_t i = 0; i < text.size;) {
        bool space = text.size - i >= 3 && memcmp(text.data + i, "\u2581", 3) == 0;
        buffer_u8(out, space ? ' ' : text.data[i]);
        i += space ? 3 : 1;
    }
    return buffer_view(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const struct tokenizer *t = tokenizer_for(data[0] == 0xff ? N_RULES : data[0] % N_RULES);
    struct bytes text = bytes_of(data + 1, size - 1);
    struct tokenizer_ids ids = {0};
    struct buffer back, spaced, streamed;
    buffer_init(&back, 0);
    buffer_init(&spaced, 0);
    buffer_init(&streamed, 0);
    ASSERT(tokenizer_encode(t, text, 0, &ids, NULL) == STATUS_OK);
    struct tokenizer_stream stream = {0};
    for (size_t i = 0; i < ids.n; i++) {
        struct bytes piece;
        ASSERT(tokenizer_token_bytes(t, ids.ids[i], &piece) && !tokenizer_is_control(t, ids.ids[i]));
        tokenizer_stream_push(&stream, piece, &streamed);
        ASSERT(utf8_valid_prefix(streamed.data, streamed.size) == streamed.size);
    }
    ASSERT(tokenizer_decode(t, ids.ids, ids.n, 0, &back, NULL) == STATUS_OK);
    if (tokenizer_kind(t) == TOKENIZER_SPM)
        text = with_spaces(&spaced, text);
    ASSERT(bytes_equal(buffer_view(&back), text));
    buffer_free(&back);
    buffer_free(&spaced);
    buffer_free(&streamed);
    tokenizer_ids_free(&ids);
    return 0;
}
