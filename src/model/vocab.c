#include "model/vocab.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "model/unicode.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define VOCAB_TEXT_BYTES_MAX ((uint64_t)256 << 20)
#define TABLES_BYTES_MAX     ((size_t)1 << 30)

/* A space in SPM's texts. */
static const uint8_t spm_space[3] = {0xe2, 0x96, 0x81};

/* --- which vocabulary -------------------------------------------------------------------------------- */

/* The rule of a byte-level BPE vocabulary; gemma4's name says its rule too. */
static enum status choose_rule(struct vocab *v, const struct vocab_source *s, struct error *err)
{
    struct bytes name = s->pre.size ? s->pre : bytes_of_text("default");
    if (bytes_equal(s->model, bytes_of_text("gemma4")))
        name = s->model;
    v->kind = TOKENIZER_BPE;
    v->rule = tokenizer_split_rule(name);
    if (!v->rule)
        return error_set(err, STATUS_UNSUPPORTED,
                         "tokenizer.ggml.pre '%.*s' is not supported; known rules: %s, and others like them",
                         name.size > 60 ? 60 : (int)name.size, (const char *)name.data,
                         tokenizer_split_names());
    v->adds_bos = (v->rule->flags & TOKENIZER_RULE_ADD_BOS) != 0;
    v->adds_sep = (v->rule->flags & TOKENIZER_RULE_ADD_SEP) != 0;
    v->is_raw = v->escapes_spaces = (v->rule->flags & TOKENIZER_RULE_RAW) != 0;
    return STATUS_OK;
}

static enum status choose_kind(struct vocab *v, const struct vocab_source *s, struct error *err)
{
    if (bytes_equal(s->model, bytes_of_text("llama"))) {
        v->kind = TOKENIZER_SPM;
        v->adds_bos = v->adds_space_prefix = v->is_raw = v->escapes_spaces = true;
        return STATUS_OK;
    }
    if (bytes_equal(s->model, bytes_of_text("gpt2")) || bytes_equal(s->model, bytes_of_text("gemma4")))
        return choose_rule(v, s, err);
    static const char *const others[][2] = {{"t5", " (UGM)"}, {"bert", " (WPM)"}, {"rwkv", " (RWKV)"}};
    const char *kind = "";
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (bytes_equal(s->model, bytes_of_text(others[i][0])))
            kind = others[i][1];
    return error_set(err, STATUS_UNSUPPORTED,
                     "tokenizer.ggml.model '%.*s'%s is not supported: use a model with 'llama' (SPM), 'gpt2' "
                     "(byte-level BPE) or 'gemma4'",
                     s->model.size > 60 ? 60 : (int)s->model.size, (const char *)s->model.data, kind);
}

static enum status check_counts(const struct vocab *v, const struct vocab_source *s, struct error *err)
{
    if (!s->tokens || s->n_tokens == 0 || s->n_tokens > TOKENIZER_VOCAB_MAX)
        return error_set(err, STATUS_BAD_DATA, "tokenizer.ggml.tokens has %" PRIu64 " entries, want 1 to %u",
                         s->n_tokens, TOKENIZER_VOCAB_MAX);
    if (s->types && s->n_types != s->n_tokens)
        return error_set(err, STATUS_BAD_DATA,
                         "tokenizer.ggml.token_type has %" PRIu64 " entries for %" PRIu64 " tokens", s->n_types,
                         s->n_tokens);
    if (v->kind != TOKENIZER_SPM)
        return STATUS_OK;
    if (!s->scores)
        return error_set(err, STATUS_BAD_DATA,
                         "tokenizer.ggml.scores is missing, which a 'llama' vocabulary needs");
    if (s->n_scores != s->n_tokens)
        return error_set(err, STATUS_BAD_DATA,
                         "tokenizer.ggml.scores has %" PRIu64 " entries for %" PRIu64 " tokens", s->n_scores,
                         s->n_tokens);
    return STATUS_OK;
}

/* --- what tokens are and stand for -------------------------------------------------------------------- */

static enum status copy_texts(struct vocab *v, const struct vocab_source *s, struct error *err)
{
    uint64_t total = 0;
    v->n = (uint32_t)s->n_tokens;
    for (uint32_t i = 0; i < v->n; i++)
        total += s->tokens[i].size; /* cannot wrap: all lie in one file */
    if (total > VOCAB_TEXT_BYTES_MAX)
        return error_set(err, STATUS_LIMIT,
                         "tokenizer.ggml.tokens has %" PRIu64 " bytes of text, at most %" PRIu64, total,
                         VOCAB_TEXT_BYTES_MAX);
    /* No token stands for more bytes than its text has. */
    v->text_block = mem_try_array((size_t)total, 1, TABLES_BYTES_MAX);
    v->bytes_block = mem_try_array((size_t)total, 1, TABLES_BYTES_MAX);
    v->text_at = mem_try_array((size_t)v->n + 1, sizeof *v->text_at, TABLES_BYTES_MAX);
    v->bytes_at = mem_try_array((size_t)v->n + 1, sizeof *v->bytes_at, TABLES_BYTES_MAX);
    v->types = mem_try_array(v->n, 1, TABLES_BYTES_MAX);
    v->ends_generation = mem_try_array(v->n, 1, TABLES_BYTES_MAX);
    if (!v->text_block || !v->bytes_block || !v->text_at || !v->bytes_at || !v->types || !v->ends_generation)
        return error_set(err, STATUS_NO_MEMORY, "no memory for a vocabulary of %" PRIu32 " tokens", v->n);
    for (uint32_t i = 0; i < v->n; i++) {
        if (s->tokens[i].size)
            memcpy(v->text_block + v->text_at[i], s->tokens[i].data, s->tokens[i].size);
        v->text_at[i + 1] = v->text_at[i] + s->tokens[i].size;
    }
    return STATUS_OK;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "<0x41>": 0x41. -1 for anything else. */
static int byte_token_value(struct bytes text)
{
    if (text.size != 6 || memcmp(text.data, "<0x", 3) != 0 || text.data[5] != '>')
        return -1;
    int high = hex_digit(text.data[3]), low = hex_digit(text.data[4]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static enum status copy_types(struct vocab *v, const struct vocab_source *s, struct error *err)
{
    for (uint32_t i = 0; i < v->n; i++) {
        int32_t type = s->types ? s->types[i] : VOCAB_NORMAL;
        if (v->rule && v->is_raw && type == VOCAB_NORMAL && byte_token_value(s->tokens[i]) >= 0)
            type = VOCAB_BYTE; /* there they go by their names */
        if (type < 0 || type > VOCAB_BYTE)
            return error_set(err, STATUS_BAD_DATA,
                             "tokenizer.ggml.token_type: token %" PRIu32 " has type %" PRId32 ", want 1 to 6",
                             i, type);
        v->types[i] = (uint8_t)(type ? type : VOCAB_NORMAL); /* 0 is "undefined" */
    }
    if (v->kind != TOKENIZER_SPM)
        return STATUS_OK;
    v->scores = mem_try_array(v->n, sizeof *v->scores, TABLES_BYTES_MAX);
    if (!v->scores)
        return error_set(err, STATUS_NO_MEMORY, "no memory for %" PRIu32 " scores", v->n);
    for (uint32_t i = 0; i < v->n; i++) {
        if (isnan(s->scores[i]))
            return error_set(err, STATUS_BAD_DATA,
                             "tokenizer.ggml.scores: token %" PRIu32 " has a score that is no number", i);
        v->scores[i] = s->scores[i];
    }
    return STATUS_OK;
}

static size_t unescape_spm(uint8_t *out, struct bytes text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.size;) {
        if (text.size - i >= 3 && memcmp(text.data + i, spm_space, 3) == 0) {
            out[n++] = ' ';
            i += 3;
        } else {
            out[n++] = text.data[i++];
        }
    }
    return n;
}

/* A text that is not in GPT-2's signs throughout was added by hand, and means itself. */
static size_t unescape_bpe(uint8_t *out, struct bytes text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.size;) {
        struct unicode_point p = unicode_at(text, i);
        int byte = vocab_byte_of(p.value);
        if (byte < 0) {
            memcpy(out, text.data, text.size);
            return text.size;
        }
        out[n++] = (uint8_t)byte;
        i += p.n_bytes;
    }
    return n;
}

static enum status stand_for_byte(struct vocab *v, uint32_t id, uint8_t *out, struct error *err)
{
    struct bytes text = vocab_text(v, id);
    int value = byte_token_value(text);
    if (value < 0)
        return error_set(err, STATUS_BAD_DATA,
                         "tokenizer.ggml.tokens: byte token %" PRIu32 " is '%.*s', want <0x00> to <0xFF>", id,
                         text.size > 40 ? 40 : (int)text.size, (const char *)text.data);
    if (v->byte_ids[value] != TOKENIZER_NO_ID)
        return error_set(err, STATUS_BAD_DATA,
                         "tokenizer.ggml.tokens: %" PRIu32 " and %" PRIu32 " are both byte 0x%02X",
                         v->byte_ids[value], id, (unsigned)value);
    v->byte_ids[value] = id;
    *out = (uint8_t)value;
    return STATUS_OK;
}

static enum status stand_for(struct vocab *v, uint32_t id, uint8_t *out, size_t *n, struct error *err)
{
    struct bytes text = vocab_text(v, id);
    switch ((enum vocab_type)v->types[id]) {
    case VOCAB_BYTE:
        *n = 1;
        return stand_for_byte(v, id, out, err);
    case VOCAB_CONTROL:
    case VOCAB_UNKNOWN:
        *n = 0;
        return STATUS_OK;
    case VOCAB_USER_DEFINED: /* means itself; a BPE vocabulary does not write it in signs */
        if (!v->is_raw) {
            if (text.size)
                memcpy(out, text.data, text.size);
            *n = text.size;
            return STATUS_OK;
        }
        break;
    case VOCAB_NORMAL:
    case VOCAB_UNUSED:
        break;
    }
    *n = v->is_raw ? unescape_spm(out, text) : unescape_bpe(out, text);
    return STATUS_OK;
}

static enum status fill_bytes(struct vocab *v, struct error *err)
{
    for (uint32_t id = 0; id < v->n; id++) {
        size_t n = 0;
        if (stand_for(v, id, v->bytes_block + v->bytes_at[id], &n, err))
            return STATUS_BAD_DATA;
        v->bytes_at[id + 1] = v->bytes_at[id] + n;
        size_t n_text = vocab_text(v, id).size;
        if (vocab_is_plain(v, id) && n_text > v->mergeable_bytes_max)
            v->mergeable_bytes_max = n_text;
    }
    return STATUS_OK;
}

/* --- text to id --------------------------------------------------------------------------------------- */

bool vocab_is_plain(const struct vocab *v, uint32_t id)
{
    uint8_t type = v->types[id];
    return type == VOCAB_NORMAL || type == VOCAB_UNUSED ||
           (type == VOCAB_USER_DEFINED && v->kind == TOKENIZER_SPM);
}

uint32_t vocab_find(const struct vocab *v, struct bytes text)
{
    uint32_t at = (uint32_t)crypto_table_hash(text) & v->index_mask;
    for (; v->index[at]; at = (at + 1) & v->index_mask)
        if (bytes_equal(vocab_text(v, v->index[at] - 1), text))
            return v->index[at] - 1;
    return TOKENIZER_NO_ID;
}

uint32_t vocab_find_plain(const struct vocab *v, struct bytes text)
{
    if (text.size > v->mergeable_bytes_max)
        return TOKENIZER_NO_ID;
    uint32_t id = vocab_find(v, text);
    if (id == TOKENIZER_NO_ID)
        return id;
    bool plain =
        v->types[id] == VOCAB_NORMAL || v->types[id] == VOCAB_USER_DEFINED || v->types[id] == VOCAB_UNUSED;
    return plain ? id : TOKENIZER_NO_ID;
}

/* Empty texts have no place in the index: nothing can ask for them. */
static enum status index_texts(struct vocab *v, struct error *err)
{
    size_t n_slots = 16;
    while (n_slots < 2 * (size_t)v->n)
        n_slots *= 2;
    v->index = mem_try_array(n_slots, sizeof *v->index, TABLES_BYTES_MAX);
    if (!v->index)
        return error_set(err, STATUS_NO_MEMORY, "no memory for an index of %" PRIu32 " tokens", v->n);
    v->index_mask = (uint32_t)(n_slots - 1);
    for (uint32_t id = 0; id < v->n; id++) {
        struct bytes text = vocab_text(v, id);
        uint32_t at = (uint32_t)crypto_table_hash(text) & v->index_mask;
        for (; text.size && v->index[at]; at = (at + 1) & v->index_mask)
            if (bytes_equal(vocab_text(v, v->index[at] - 1), text))
                return error_set(err, STATUS_BAD_DATA,
                                 "tokenizer.ggml.tokens: %" PRIu32 " and %" PRIu32 " have the same text '%.*s'",
                                 v->index[at] - 1, id, text.size > 40 ? 40 : (int)text.size,
                                 (const char *)text.data);
        if (text.size)
            v->index[at] = id + 1;
    }
    return STATUS_OK;
}

/* --- special ids and bytes ----------------------------------------------------------------------------- */

static enum status copy_flags(struct vocab *v, const struct vocab_source *s, struct error *err)
{
    if (s->adds_bos >= 0)
        v->adds_bos = s->adds_bos;
    if (s->adds_eos >= 0)
        v->adds_eos = s->adds_eos;
    if (s->adds_sep >= 0)
        v->adds_sep = s->adds_sep;
    if (v->rule && v->rule->flags & TOKENIZER_RULE_WHOLE_LINES)
        v->adds_bos = true; /* files of gemma4 that say otherwise were wrongly converted */
    if (v->kind == TOKENIZER_SPM && s->adds_space_prefix >= 0)
        v->adds_space_prefix = s->adds_space_prefix;
    bool no_bos = v->ids[VOCAB_ID_BOS] == TOKENIZER_NO_ID, no_eos = v->ids[VOCAB_ID_EOS] == TOKENIZER_NO_ID;
    if ((s->adds_bos > 0 && no_bos) || (s->adds_eos > 0 && no_eos))
        return error_set(err, STATUS_BAD_DATA,
                         "tokenizer.ggml.add_%s_token is true, but there is no %s_token_id",
                         s->adds_bos > 0 && no_bos ? "bos" : "eos", s->adds_bos > 0 && no_bos ? "bos" : "eos");
    v->adds_bos = v->adds_bos && !no_bos;
    return STATUS_OK;
}

static enum status copy_ids(struct vocab *v, const struct vocab_source *s, struct error *err)
{
    static const uint32_t spm_ids[] = {[VOCAB_ID_BOS] = 1, [VOCAB_ID_EOS] = 2, [VOCAB_ID_UNKNOWN] = 0};
    for (int i = 0; i < VOCAB_ID_COUNT; i++) {
        v->ids[i] = TOKENIZER_NO_ID;
        bool has_default = i == VOCAB_ID_BOS || i == VOCAB_ID_EOS || i == VOCAB_ID_UNKNOWN;
        if (s->ids[i] < 0 && v->kind == TOKENIZER_SPM && has_default && spm_ids[i] < v->n)
            v->ids[i] = spm_ids[i];
        if (s->ids[i] < 0 || s->ids[i] == UINT32_MAX) /* converters write -1 for "none" */
            continue;
        if (s->ids[i] >= v->n)
            return error_set(err, STATUS_BAD_DATA, "%s is %" PRId64 ", the vocabulary has %" PRIu32 " tokens",
                             vocab_id_keys[i], s->ids[i], v->n);
        v->ids[i] = (uint32_t)s->ids[i];
    }
    return copy_flags(v, s, err);
}
/* BPE: each byte's sign is a token; a missing one is told when a text has that byte. */
static void find_signs(struct vocab *v)
{
    for (unsigned b = 0; b < 256; b++) {
        uint8_t sign[4];
        size_t n = unicode_encode(sign, vocab_sign_of((uint8_t)b));
        uint32_t id = vocab_find_plain(v, bytes_of(sign, n));
        if (id != TOKENIZER_NO_ID)
            v->byte_ids[b] = id;
    }
}

/* SPM falls back to bytes for what it has no token for: all of them, or an unknown token instead. */
static enum status check_bytes(const struct vocab *v, struct error *err)
{
    unsigned n_have = 0, missing = 0;
    for (unsigned b = 0; b < 256; b++) {
        n_have += v->byte_ids[b] != TOKENIZER_NO_ID;
        if (v->byte_ids[b] == TOKENIZER_NO_ID)
            missing = b;
    }
    if (n_have == 256 || (n_have == 0 && v->ids[VOCAB_ID_UNKNOWN] != TOKENIZER_NO_ID))
        return STATUS_OK;
    return error_set(err, STATUS_BAD_DATA,
                     "the vocabulary has %u of 256 byte tokens, not <0x%02X>: text could not be kept", n_have,
                     missing);
}

/* --- the whole ---------------------------------------------------------------------------------------- */

static void hash_list(struct hasher *h, const void *data, uint64_t n_bytes)
{
    hasher_add(h, &n_bytes, sizeof n_bytes);
    if (n_bytes)
        hasher_add(h, data, (size_t)n_bytes);
}

static void take_fingerprint(struct vocab *v, const struct vocab_source *s)
{
    struct hasher *h = hasher_new(HASH_SHA256);
    const char *rule = vocab_rule_name(v);
    uint8_t flags[5] = {v->adds_bos, v->adds_space_prefix, v->strips_after_special, v->adds_eos, v->adds_sep};
    hash_list(h, rule, strlen(rule));
    hash_list(h, v->text_at, sizeof *v->text_at * ((uint64_t)v->n + 1));
    hash_list(h, v->text_block, v->text_at[v->n]);
    hash_list(h, v->types, v->n);
    hash_list(h, v->scores, v->scores ? sizeof *v->scores * (uint64_t)v->n : 0);
    hash_list(h, v->ids, sizeof v->ids);
    hash_list(h, flags, sizeof flags);
    for (uint64_t i = 0; v->merges && i < s->n_merges; i++)
        hash_list(h, s->merges[i].data, s->merges[i].size);
    hasher_finish(h, v->fingerprint.bytes);
    hasher_free(h);
}

static enum status build(struct vocab *v, const struct vocab_source *s, struct error *err)
{
    enum status status = choose_kind(v, s, err);
    if (!status)
        status = check_counts(v, s, err);
    if (!status)
        status = copy_texts(v, s, err);
    if (!status)
        status = copy_types(v, s, err);
    if (!status)
        status = index_texts(v, err);
    if (!status)
        status = copy_ids(v, s, err);
    if (!status)
        status = vocab_specials_build(v, s, err); /* may change types, so before what reads them */
    if (!status)
        status = fill_bytes(v, err);
    if (!status && v->is_raw)
        status = check_bytes(v, err);
    if (!status && !v->is_raw)
        find_signs(v);
    if (!status && v->kind == TOKENIZER_BPE)
        status = vocab_merges_build(v, s, err);
    if (!status)
        take_fingerprint(v, s);
    return status;
}

enum status vocab_build(struct vocab *v, const struct vocab_source *source, struct error *err)
{
    *v = (struct vocab){0};
    for (int i = 0; i < 256; i++)
        v->byte_ids[i] = TOKENIZER_NO_ID;
    enum status status = build(v, source, err);
    if (status)
        vocab_clear(v);
    return status;
}

void vocab_clear(struct vocab *v)
{
    mem_free(v->text_block);
    mem_free(v->bytes_block);
    mem_free(v->text_at);
    mem_free(v->bytes_at);
    mem_free(v->scores);
    mem_free(v->types);
    mem_free(v->ends_generation);
    mem_free(v->index);
    mem_free(v->merges);
    mem_free(v->specials);
    *v = (struct vocab){0};
}
