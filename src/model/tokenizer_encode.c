#include "base/mem.h"
#include "model/tokenizer_merge.h"
#include "model/tokenizer_private.h"

#include <inttypes.h>
#include <string.h>

struct encoder {
    const struct vocab *v;
    struct tokenizer_ids *ids;
    struct tokenizer_merge merge;
    struct buffer escaped; /* the fragment with its spaces as U+2581, or a word in signs */
};

static enum status no_memory(size_t n_bytes, struct error *err)
{
    return error_set(err, STATUS_NO_MEMORY, "no memory to tokenize %zu bytes", n_bytes);
}

/* What has no token, as its bytes, or as unknown. */
static void emit_bytes(struct encoder *e, const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t id = e->v->byte_ids[data[i]];
        if (id ==
            TOKENIZER_NO_ID) { /* then none has one, and there is an unknown token: vocab_build saw to it */
            tokenizer_ids_append(e->ids, e->v->ids[VOCAB_ID_UNKNOWN]);
            return;
        }
        tokenizer_ids_append(e->ids, id);
    }
}

/* Each code point of the word a symbol, and then what merging makes of them. */
static void merge_points(struct encoder *e, struct bytes word, merge_rank rank)
{
    for (size_t at = 0; at < word.size;) {
        size_t n = utf8_valid_length(word.data + at, word.size - at);
        n = n ? n : 1;
        tokenizer_merge_add(&e->merge, (uint32_t)n, vocab_find_plain(e->v, bytes_of(word.data + at, n)));
        at += n;
    }
    tokenizer_merge_run(&e->merge, word.data, rank, e->v);
    for (uint32_t i = 0; i != TOKENIZER_NO_ID; i = e->merge.symbols[i].after) {
        const struct merge_symbol *s = &e->merge.symbols[i];
        if (s->id == TOKENIZER_NO_ID)
            emit_bytes(e, word.data + s->start, s->n_bytes);
        else
            tokenizer_ids_append(e->ids, s->id);
    }
}

/* --- SPM: score-driven merges of characters -------------------------------------------------------------- */

/* Higher scores first: the order of floats as the order of unsigned integers, turned round. */
static uint32_t score_key(float score)
{
    float plain = score + 0.0F; /* no -0 */
    uint32_t bits;
    memcpy(&bits, &plain, sizeof bits);
    return bits & 0x80000000U ? bits : ~(bits | 0x80000000U);
}

static bool spm_rank(const void *vocab, const uint8_t *word, const struct merge_symbol *left,
                     const struct merge_symbol *right, uint32_t *key, uint32_t *id)
{
    const struct vocab *v = vocab;
    *id = vocab_find_plain(v, bytes_of(word + left->start, (size_t)left->n_bytes + right->n_bytes));
    if (*id == TOKENIZER_NO_ID)
        return false;
    *key = score_key(v->scores[*id]);
    return true;
}

static void escape_spaces(struct buffer *out, struct bytes text, bool space_in_front)
{
    static const char space[] = "\xe2\x96\x81";
    buffer_clear(out);
    if (space_in_front)
        buffer_text(out, space);
    for (size_t i = 0, start = 0; i <= text.size; i++) {
        if (i < text.size && text.data[i] != ' ')
            continue;
        buffer_bytes(out, text.data + start, i - start);
        if (i < text.size)
            buffer_text(out, space);
        start = i + 1;
    }
}

static enum status spm_encode(struct encoder *e, struct bytes text, bool space_in_front, struct error *err)
{
    escape_spaces(&e->escaped, text, space_in_front);
    struct bytes word = buffer_view(&e->escaped);
    if (e->escaped.failed || !tokenizer_merge_reserve(&e->merge, word.size))
        return no_memory(text.size, err);
    merge_points(e, word, spm_rank);
    return STATUS_OK;
}

/* --- BPE: rank-driven merges of bytes inside words ---------------------------------------------------------
 */

static bool bpe_rank(const void *vocab, const uint8_t *word, const struct merge_symbol *left,
                     const struct merge_symbol *right, uint32_t *key, uint32_t *id)
{
    (void)word;
    const struct vocab_merge *merge = vocab_merge_of(vocab, left->id, right->id);
    if (!merge)
        return false;
    *key = merge->rank;
    *id = merge->id;
    return true;
}

/* The token that a whole word is; TOKENIZER_NO_ID where it is none. */
static uint32_t whole_word(struct encoder *e, struct bytes word)
{
    if (word.size > e->v->mergeable_bytes_max)
        return TOKENIZER_NO_ID;
    buffer_clear(&e->escaped);
    for (size_t i = 0; i < word.size; i++) {
        uint32_t sign = vocab_sign_of(word.data[i]); /* below 0x800: two bytes at most */
        if (sign >= 0x80)
            buffer_u8(&e->escaped, (uint8_t)(0xc0 | sign >> 6));
        buffer_u8(&e->escaped, (uint8_t)(sign < 0x80 ? sign : 0x80 | (sign & 0x3f)));
    }
    return vocab_find_plain(e->v, buffer_view(&e->escaped));
}

static enum status bpe_word(struct encoder *e, struct bytes word, struct error *err)
{
    uint32_t whole = e->v->rule->flags & TOKENIZER_RULE_WHOLE_WORDS ? whole_word(e, word) : TOKENIZER_NO_ID;
    if (whole != TOKENIZER_NO_ID) {
        tokenizer_ids_append(e->ids, whole);
        return STATUS_OK;
    }
    if (!tokenizer_merge_reserve(&e->merge, word.size))
        return no_memory(word.size, err);
    for (size_t i = 0; i < word.size; i++) {
        uint32_t id = e->v->byte_ids[word.data[i]];
        if (id == TOKENIZER_NO_ID)
            return error_set(err, STATUS_BAD_USAGE,
                             "the text has byte 0x%02X, for which this vocabulary has no token", word.data[i]);
        tokenizer_merge_add(&e->merge, 1, id);
    }
    tokenizer_merge_run(&e->merge, word.data, bpe_rank, e->v);
    for (uint32_t i = 0; i != TOKENIZER_NO_ID; i = e->merge.symbols[i].after)
        tokenizer_ids_append(e->ids, e->merge.symbols[i].id);
    return STATUS_OK;
}

/* BPE over code points: the splitting sees the spaces escaped. */
static enum status raw_encode(struct encoder *e, struct bytes text, struct error *err)
{
    escape_spaces(&e->escaped, text, false);
    if (e->escaped.failed)
        return no_memory(text.size, err);
    bool whole_lines = e->v->rule->flags & TOKENIZER_RULE_WHOLE_LINES;
    struct tokenizer_splitter words = tokenizer_split_over(e->v->rule, buffer_view(&e->escaped));
    struct bytes word;
    while (tokenizer_split_next(&words, &word)) {
        uint32_t whole = whole_lines && word.data[0] == '\n' ? vocab_find_plain(e->v, word) : TOKENIZER_NO_ID;
        if (whole != TOKENIZER_NO_ID) {
            tokenizer_ids_append(e->ids, whole);
            continue;
        }
        if (!tokenizer_merge_reserve(&e->merge, word.size))
            return no_memory(word.size, err);
        merge_points(e, word, bpe_rank);
    }
    return STATUS_OK;
}

static enum status bpe_encode(struct encoder *e, struct bytes text, struct error *err)
{
    struct tokenizer_splitter words = tokenizer_split_over(e->v->rule, text);
    struct bytes word;
    enum status status = STATUS_OK;
    while (!status && tokenizer_split_next(&words, &word))
        status = bpe_word(e, word, err);
    return status;
}

/* --- both ------------------------------------------------------------------------------------------------- */

static enum status encode_fragments(struct encoder *e, struct bytes text, const struct fragments *fragments,
                                    struct error *err)
{
    bool after_special = true;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < fragments->n && !status; i++) {
        const struct fragment *f = &fragments->list[i];
        struct bytes part = bytes_of(text.data + f->start, f->end - f->start);
        if (f->id != TOKENIZER_NO_ID)
            tokenizer_ids_append(e->ids, f->id);
        else if (e->v->kind == TOKENIZER_SPM)
            status = spm_encode(e, part, after_special && e->v->adds_space_prefix, err);
        else
            status = e->v->is_raw ? raw_encode(e, part, err) : bpe_encode(e, part, err);
        after_special = f->id != TOKENIZER_NO_ID;
    }
    return status;
}

enum status tokenizer_encode_runs(const struct tokenizer *t, struct bytes text,
                                  const struct tokenizer_run *runs, size_t n_runs, unsigned flags,
                                  struct tokenizer_ids *list, struct error *err)
{
    size_t n_before = list->n, n_covered = 0;
    for (size_t i = 0; i < n_runs; i++)
        n_covered += runs[i].n_bytes;
    ASSERT(n_covered == text.size);
    if (text.size > TOKENIZER_TEXT_MAX)
        return error_set(err, STATUS_LIMIT, "the text has %zu bytes, at most %zu are tokenized at once",
                         text.size, TOKENIZER_TEXT_MAX);
    struct encoder e = {.v = &t->vocab, .ids = list};
    struct fragments fragments = {0};
    buffer_init(&e.escaped, 0);
    if (flags & TOKENIZE_ADD_BOS && t->vocab.adds_bos)
        tokenizer_ids_append(list, t->vocab.ids[VOCAB_ID_BOS]);
    enum status status = tokenizer_cut(&fragments, &t->vocab, text, runs, n_runs, err);
    if (!status)
        status = encode_fragments(&e, text, &fragments, err);
    if (!status && flags & TOKENIZE_ADD_EOS && t->vocab.adds_eos)
        tokenizer_ids_append(list, t->vocab.ids[VOCAB_ID_EOS]);
    if (status)
        list->n = n_before;
    mem_free(fragments.list);
    tokenizer_merge_free(&e.merge);
    buffer_free(&e.escaped);
    return status;
}

enum status tokenizer_encode(const struct tokenizer *t, struct bytes text, unsigned flags,
                             struct tokenizer_ids *list, struct error *err)
{
    struct tokenizer_run run = {.n_bytes = text.size, .is_special = (flags & TOKENIZE_SPECIAL) != 0};
    return tokenizer_encode_runs(t, text, &run, 1, flags, list, err);
}
