/* tokenizer - a model's own vocabulary: text to token ids and back.
 *
 * Two kinds: SPM (score-driven merges, byte fallback) and BPE (rank-driven merges behind the splitting rule
 * that the file names; over bytes in GPT-2's signs, or over code points with byte fallback, as gemma4 has it).
 * Text never gives control tokens unless TOKENIZE_SPECIAL says so. BPE gives back every byte it was given; SPM
 * and gemma4 too, but for U+2581, which they cannot tell from a space. Knows nothing of roles or templates
 * (chat_template.h). Owned by whoever created it; keeps no reference to the gguf. Immutable. Thread: any. */
#ifndef MODEL_TOKENIZER_H
#define MODEL_TOKENIZER_H

#include "base/bytes.h"
#include "base/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gguf;
struct tokenizer;

#define TOKENIZER_TEXT_MAX  ((size_t)4 << 20) /* bytes of one text; longer: STATUS_LIMIT */
#define TOKENIZER_VOCAB_MAX (1U << 24)
#define TOKENIZER_NO_ID     UINT32_MAX

enum tokenizer_kind { TOKENIZER_SPM, TOKENIZER_BPE };

/* UNSUPPORTED names the vocabulary kind or splitting rule and lists what is known; BAD_DATA the key, the
 * value and what is allowed. */
enum status tokenizer_create(struct tokenizer **out, const struct gguf *gguf, struct error *err);
void tokenizer_free(struct tokenizer *t); /* NULL is fine */

enum tokenizer_kind tokenizer_kind(const struct tokenizer *t);
const char *tokenizer_rule(const struct tokenizer *t); /* the splitting rule's name; "spm" for SPM */
uint32_t tokenizer_n_vocab(const struct tokenizer *t);
uint32_t tokenizer_bos(const struct tokenizer *t); /* TOKENIZER_NO_ID where the model has none */
uint32_t tokenizer_eos(const struct tokenizer *t);
uint32_t tokenizer_sep(const struct tokenizer *t);
bool tokenizer_adds_bos(const struct tokenizer *t); /* the model's key, or its kind's custom */
/* Likewise; models of embeddings want them, generation never does. */
bool tokenizer_adds_eos(const struct tokenizer *t);
bool tokenizer_adds_sep(const struct tokenizer *t);
/* What ends an answer: eos, eot, <|im_end|>, <|eot_id|>, <end_of_turn>, ... False for ids out of range. */
bool tokenizer_is_end_of_generation(const struct tokenizer *t, uint32_t id);
bool tokenizer_is_control(const struct tokenizer *t, uint32_t id);
/* SHA-256 over kind, rule, all tokens, scores, types, merges and special ids. */
struct sha256 tokenizer_fingerprint(const struct tokenizer *t);
/* The id of a token by its text as the file has it ("<|im_end|>"); TOKENIZER_NO_ID where there is none. */
uint32_t tokenizer_id_of(const struct tokenizer *t, struct bytes token_text);
/* The splitting rules that load, one name for each expression, comma-separated; many have more names. */
const char *tokenizer_rules_known(void);

/* A growing list of ids; zero-initialise, free with tokenizer_ids_free. */
struct tokenizer_ids {
    uint32_t *ids;
    size_t n, capacity;
};
void tokenizer_ids_append(struct tokenizer_ids *list, uint32_t id);
void tokenizer_ids_free(struct tokenizer_ids *list);

enum {
    TOKENIZE_SPECIAL =
        1, /* the text's control tokens are parsed: for our own markers, never for a user's text */
    TOKENIZE_ADD_BOS = 2, /* BOS in front, where tokenizer_adds_bos() */
    TOKENIZE_ADD_EOS = 4, /* EOS behind, where tokenizer_adds_eos() */
};

/* Appends to `list`. On failure (text too long, memory, a byte the vocabulary lacks) nothing is appended. */
enum status tokenizer_encode(const struct tokenizer *t, struct bytes text, unsigned flags,
                             struct tokenizer_ids *list, struct error *err);

/* A run of bytes of one text, in which control tokens are parsed or are not. */
struct tokenizer_run {
    size_t n_bytes;
    bool is_special;
};

/* As tokenizer_encode, one text whose runs cover it exactly: a control token is found only where all its
 * bytes lie in special runs. Splitting and merging see the text as a whole, so that a prompt without
 * smuggled tokens gets the very ids that the model was trained on. TOKENIZE_SPECIAL is ignored. */
enum status tokenizer_encode_runs(const struct tokenizer *t, struct bytes text,
                                  const struct tokenizer_run *runs, size_t n_runs, unsigned flags,
                                  struct tokenizer_ids *list, struct error *err);

/* The bytes that one token stands for, a view that lives as long as the tokenizer: SPM with its leading
 * space, byte tokens as their byte (perhaps part of a code point), control and unknown tokens as nothing.
 * False, and empty, where the id is out of range. */
bool tokenizer_token_bytes(const struct tokenizer *t, uint32_t id, struct bytes *out);
/* The token as the file has it, escaped to printable ASCII, always NUL-terminated, cut to fit. */
void tokenizer_token_name(const struct tokenizer *t, uint32_t id, char *out, size_t out_bytes);

enum {
    DETOKENIZE_SPECIAL = 1,    /* control tokens as their text instead of nothing */
    DETOKENIZE_KEEP_SPACE = 2, /* SPM: keeps the space that tokenizer_encode put in front */
};
/* Appends the bytes of a whole sequence: the inverse of tokenizer_encode. BAD_USAGE names the first id
 * that is out of range. */
enum status tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n_ids, unsigned flags,
                             struct buffer *out, struct error *err);

/* Token bytes to whole UTF-8 while an answer grows: an incomplete code point is held back (at most 3
 * bytes), an invalid byte becomes U+FFFD. All pieces joined are valid UTF-8. Zero-initialise. */
struct tokenizer_stream {
    uint8_t held[4];
    size_t n_held;
};
/* Appends what is whole by now, perhaps nothing. */
void tokenizer_stream_push(struct tokenizer_stream *s, struct bytes token_bytes, struct buffer *out);
/* Appends a U+FFFD for each byte still held back; the stream is fresh again. */
void tokenizer_stream_finish(struct tokenizer_stream *s, struct buffer *out);

#endif
