#include "model/tokenizer.h"

#include "base/mem.h"
#include "model/tokenizer_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum status vocab_tokenizer(struct tokenizer **out, const struct vocab_source *source, struct error *err)
{
    struct tokenizer *t = mem_new(sizeof *t);
    enum status status = vocab_build(&t->vocab, source, err);
    if (status) {
        mem_free(t);
        return status;
    }
    *out = t;
    return STATUS_OK;
}

enum status tokenizer_create(struct tokenizer **out, const struct gguf *gguf, struct error *err)
{
    struct vocab_source source;
    enum status status = vocab_source_read(&source, gguf, err);
    if (status)
        return error_wrap(err, status, "reading the vocabulary");
    status = vocab_tokenizer(out, &source, err);
    vocab_source_free(&source);
    return status ? error_wrap(err, status, "reading the vocabulary") : STATUS_OK;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t)
        return;
    vocab_clear(&t->vocab);
    mem_free(t);
}

enum tokenizer_kind tokenizer_kind(const struct tokenizer *t)
{
    return t->vocab.kind;
}

const char *tokenizer_rule(const struct tokenizer *t)
{
    return vocab_rule_name(&t->vocab);
}

uint32_t tokenizer_n_vocab(const struct tokenizer *t)
{
    return t->vocab.n;
}

uint32_t tokenizer_bos(const struct tokenizer *t)
{
    return t->vocab.ids[VOCAB_ID_BOS];
}

uint32_t tokenizer_eos(const struct tokenizer *t)
{
    return t->vocab.ids[VOCAB_ID_EOS];
}

uint32_t tokenizer_sep(const struct tokenizer *t)
{
    return t->vocab.ids[VOCAB_ID_SEPARATOR];
}

bool tokenizer_adds_bos(const struct tokenizer *t)
{
    return t->vocab.adds_bos;
}

bool tokenizer_adds_eos(const struct tokenizer *t)
{
    return t->vocab.adds_eos;
}

bool tokenizer_adds_sep(const struct tokenizer *t)
{
    return t->vocab.adds_sep;
}

bool tokenizer_is_end_of_generation(const struct tokenizer *t, uint32_t id)
{
    return id < t->vocab.n && t->vocab.ends_generation[id];
}

bool tokenizer_is_control(const struct tokenizer *t, uint32_t id)
{
    return id < t->vocab.n && t->vocab.types[id] == VOCAB_CONTROL;
}

struct sha256 tokenizer_fingerprint(const struct tokenizer *t)
{
    return t->vocab.fingerprint;
}

uint32_t tokenizer_id_of(const struct tokenizer *t, struct bytes token_text)
{
    return vocab_find(&t->vocab, token_text);
}

const char *tokenizer_rules_known(void)
{
    return tokenizer_split_names();
}

void tokenizer_ids_append(struct tokenizer_ids *list, uint32_t id)
{
    if (list->n == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 64;
        list->ids = mem_resize(list->ids, list->capacity, sizeof *list->ids);
    }
    list->ids[list->n++] = id;
}

void tokenizer_ids_free(struct tokenizer_ids *list)
{
    mem_free(list->ids);
    *list = (struct tokenizer_ids){0};
}

bool tokenizer_token_bytes(const struct tokenizer *t, uint32_t id, struct bytes *out)
{
    bool known = id < t->vocab.n;
    *out = known ? vocab_bytes(&t->vocab, id) : bytes_of(NULL, 0);
    return known;
}

void tokenizer_token_name(const struct tokenizer *t, uint32_t id, char *out, size_t out_bytes)
{
    ASSERT(out_bytes > 0);
    size_t n = 0;
    struct bytes text = id < t->vocab.n ? vocab_text(&t->vocab, id) : bytes_of_text("(out of range)");
    for (size_t i = 0; i < text.size; i++) {
        char piece[8];
        uint8_t b = text.data[i];
        bool plain = b >= ' ' && b < 0x7f && b != '\\';
        int n_piece = snprintf(piece, sizeof piece, plain ? "%c" : "\\x%02x", b);
        if (n + (size_t)n_piece >= out_bytes)
            break;
        memcpy(out + n, piece, (size_t)n_piece);
        n += (size_t)n_piece;
    }
    out[n] = 0;
}

enum status tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n_ids, unsigned flags,
                             struct buffer *out, struct error *err)
{
    const struct vocab *v = &t->vocab;
    for (size_t i = 0; i < n_ids; i++)
        if (ids[i] >= v->n)
            return error_set(err, STATUS_BAD_USAGE,
                             "token %" PRIu32 " at place %zu is outside the vocabulary of 0 to %" PRIu32,
                             ids[i], i, v->n - 1);
    bool drops_space = v->adds_space_prefix && !(flags & DETOKENIZE_KEEP_SPACE);
    bool after_special = true;
    for (size_t i = 0; i < n_ids; i++) {
        uint8_t type = v->types[ids[i]];
        bool special = type == VOCAB_CONTROL || type == VOCAB_UNKNOWN || type == VOCAB_USER_DEFINED;
        bool named = flags & DETOKENIZE_SPECIAL && (type == VOCAB_CONTROL || type == VOCAB_UNKNOWN);
        struct bytes bytes = named ? vocab_text(v, ids[i]) : vocab_bytes(v, ids[i]);
        bool drop = drops_space && after_special && !special && bytes.size && bytes.data[0] == ' ';
        buffer_bytes(out, bytes.data + drop, bytes.size - drop);
        after_special = special;
    }
    return out->failed
               ? error_set(err, STATUS_LIMIT, "the text of %zu tokens passes %zu bytes", n_ids, out->max)
               : STATUS_OK;
}
