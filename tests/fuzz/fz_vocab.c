/* links: model */
/* Any vocabulary: it is refused, or tokenizes a fixed text into ids of its own, none of them control, and a
 * byte-level one gives the text back. Input: kind, rule, flags, then tokens (type, score, size, text) until a
 * size of 255, then merges (size, text). */
#include "base/mem.h"
#include "model/vocab.h"

#include <stdint.h>
#include <string.h>

#define ENTRIES_MAX 2048

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char fixed_text[] =
    "Once upon a time, 12345 <s>[x]</s> \xc3\xa9\xe4\xbd\xa0\n\n  aaaaaaaa abababab 'll \xff";

struct input {
    struct bytes tokens[ENTRIES_MAX], merges[ENTRIES_MAX];
    float scores[ENTRIES_MAX];
    int32_t types[ENTRIES_MAX];
    uint8_t signs[256][2];
    struct vocab_source source;
};

/* All bytes first, as their kind writes them: a vocabulary without them is refused at once. */
static void add_bytes(struct input *in, bool spm)
{
    static char names[256][7];
    for (unsigned b = 0; b < 256; b++) {
        uint32_t sign = vocab_sign_of((uint8_t)b);
        uint8_t *out = in->signs[b];
        out[0] = (uint8_t)(sign < 0x80 ? sign : 0xc0 | sign >> 6);
        out[1] = (uint8_t)(0x80 | (sign & 0x3f));
        memcpy(names[b], "<0x00>", 7);
        names[b][3] = "0123456789ABCDEF"[b >> 4];
        names[b][4] = "0123456789ABCDEF"[b & 15];
        in->tokens[b] = spm ? bytes_of(names[b], 6) : bytes_of(out, sign < 0x80 ? 1 : 2);
        in->types[b] = spm ? VOCAB_BYTE : VOCAB_NORMAL;
    }
    in->source.n_tokens = 256;
}

static void read_entries(struct input *in, struct reader *r)
{
    while (reader_left(r) > 3 && in->source.n_tokens < ENTRIES_MAX) {
        uint8_t type = reader_u8(r), score = reader_u8(r), n = reader_u8(r);
        if (n == 255)
            break;
        uint64_t i = in->source.n_tokens++;
        in->types[i] = type % 8;
        in->scores[i] = (float)score - 128;
        in->tokens[i] = reader_bytes(r, n < reader_left(r) ? n : reader_left(r));
    }
    while (reader_left(r) > 0 && in->source.n_merges < ENTRIES_MAX) {
        uint8_t n = reader_u8(r);
        in->merges[in->source.n_merges++] = reader_bytes(r, n < reader_left(r) ? n : reader_left(r));
    }
}

/* A vocabulary of code points that has no U+2581 gives a space back as that sign. */
static void use(const struct tokenizer *t, bool is_byte_level)
{
    struct tokenizer_ids ids = {0};
    struct buffer back;
    buffer_init(&back, 0);
    struct bytes text = bytes_of(fixed_text, sizeof fixed_text - 1);
    if (tokenizer_encode(t, text, 0, &ids, NULL) == STATUS_OK) {
        for (size_t i = 0; i < ids.n; i++)
            ASSERT(ids.ids[i] < tokenizer_n_vocab(t) && !tokenizer_is_control(t, ids.ids[i]));
        ASSERT(tokenizer_decode(t, ids.ids, ids.n, 0, &back, NULL) == STATUS_OK);
        ASSERT(!is_byte_level || bytes_equal(buffer_view(&back), text));
    }
    ids.n = 0;
    tokenizer_encode(t, text, TOKENIZE_SPECIAL | TOKENIZE_ADD_BOS, &ids, NULL);
    tokenizer_ids_free(&ids);
    buffer_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const rules[] = {
        "llama-bpe",   "qwen2", "gpt-2",  "default",   "tekken", "gpt-4o",     "deepseek-llm", "deepseek-coder",
        "deepseek-v3", "bloom", "falcon", "starcoder", "gemma4", "sarvam-moe", "superbpe",     "tiny_aya"};
    struct reader r = reader_over(bytes_of(data, size));
    struct input *in = mem_new(sizeof *in);
    bool spm = reader_u8(&r) & 1;
    in->source.model = bytes_of_text(spm ? "llama" : "gpt2");
    in->source.pre = bytes_of_text(rules[reader_u8(&r) % (sizeof rules / sizeof *rules)]);
    bool raw = !spm && bytes_equal(in->source.pre, bytes_of_text("gemma4"));
    raw = raw || (!spm && bytes_equal(in->source.pre, bytes_of_text("sarvam-moe")));
    uint8_t flags = reader_u8(&r);
    in->source.adds_bos = flags & 1 ? 1 : -1;
    in->source.adds_eos = flags & 16 ? 1 : -1;
    in->source.adds_sep = flags & 32 ? 1 : -1;
    in->source.adds_space_prefix = flags & 2 ? 0 : -1;
    in->source.name = bytes_of_text(flags & 4 ? "Phi-3" : "x");
    for (int i = 0; i < VOCAB_ID_COUNT; i++)
        in->source.ids[i] = flags & 8 ? (int64_t)reader_u8(&r) * 3 : -1;
    add_bytes(in, spm || raw);
    read_entries(in, &r);
    in->source.tokens = in->tokens;
    in->source.merges = in->merges;
    in->source.scores = in->scores;
    in->source.types = in->types;
    in->source.n_scores = in->source.n_types = in->source.n_tokens;
    struct tokenizer *t;
    if (vocab_tokenizer(&t, &in->source, NULL) == STATUS_OK) {
        use(t, !spm && !raw);
        tokenizer_free(t);
    }
    mem_free(in);
    return 0;
}
