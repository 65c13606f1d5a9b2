/* vocab - a vocabulary, checked: what each token is, which text has which id, which pairs merge.
 *
 * For the tokenizer's own files; everybody else uses tokenizer.h. Built from a vocab_source, which holds views
 * of what a file says, nothing of it believed yet. Immutable after vocab_build; owned by its tokenizer. */
#ifndef MODEL_VOCAB_H
#define MODEL_VOCAB_H

#include "model/tokenizer.h"
#include "model/tokenizer_split.h"

struct gguf;

enum vocab_type { /* as tokenizer.ggml.token_type counts them */
                  VOCAB_NORMAL = 1,
                  VOCAB_UNKNOWN,
                  VOCAB_CONTROL,
                  VOCAB_USER_DEFINED,
                  VOCAB_UNUSED,
                  VOCAB_BYTE,
};

enum vocab_id {
    VOCAB_ID_BOS,
    VOCAB_ID_EOS,
    VOCAB_ID_EOT,
    VOCAB_ID_EOM,
    VOCAB_ID_UNKNOWN,
    VOCAB_ID_SEPARATOR,
    VOCAB_ID_FIM_PAD,
    VOCAB_ID_FIM_REP,
    VOCAB_ID_FIM_SEP,
    VOCAB_ID_COUNT
};
extern const char *const vocab_id_keys[VOCAB_ID_COUNT]; /* "tokenizer.ggml.bos_token_id", ... */

#define VOCAB_MERGES_MAX        (1U << 24)
#define VOCAB_SPECIAL_BYTES_MAX 512 /* a longer special token is never found in text */

struct vocab_source {
    struct bytes model, pre, name; /* data NULL where the file has none; name: the model's */
    const struct bytes *tokens, *merges;
    const float *scores;  /* NULL where there are none */
    const int32_t *types; /* NULL where there are none */
    uint64_t n_tokens, n_merges, n_scores, n_types;
    int64_t ids[VOCAB_ID_COUNT];                            /* -1 where there is none */
    int8_t adds_bos, adds_eos, adds_sep, adds_space_prefix; /* -1 where there is none */
};

struct vocab_merge {
    uint32_t left, right; /* left is TOKENIZER_NO_ID in an empty slot */
    uint32_t rank, id;
};

struct vocab {
    enum tokenizer_kind kind;
    const struct tokenizer_rule *rule; /* NULL for SPM */
    uint32_t n;
    uint8_t *text_block, *bytes_block; /* tokens as the file has them; what they stand for */
    uint64_t *text_at, *bytes_at;      /* n + 1 offsets each */
    float *scores;                     /* SPM only */
    uint8_t *types, *ends_generation;
    uint32_t *index; /* open addressing by text: id + 1, 0 empty */
    uint32_t index_mask;
    struct vocab_merge *merges; /* BPE only; open addressing by the pair */
    uint32_t merges_mask;
    uint32_t *specials; /* ids that are found in text before all else, longest first */
    uint32_t n_specials;
    uint32_t ids[VOCAB_ID_COUNT]; /* TOKENIZER_NO_ID where there is none */
    uint32_t byte_ids[256];       /* TOKENIZER_NO_ID where the vocabulary lacks it */
    size_t mergeable_bytes_max;   /* the longest text that a merge can give */
    bool adds_bos, adds_eos, adds_sep, adds_space_prefix;
    bool is_raw;               /* tokens are plain UTF-8, not in GPT-2's signs: SPM, and some of BPE */
    bool escapes_spaces;       /* a space is U+2581 in tokens */
    bool strips_after_special; /* white space behind a special token is dropped */
    struct sha256 fingerprint;
};

enum status vocab_build(struct vocab *v, const struct vocab_source *source, struct error *err);
void vocab_clear(struct vocab *v); /* accepts half-built ones */

static inline struct bytes vocab_text(const struct vocab *v, uint32_t id)
{
    return bytes_of(v->text_block + v->text_at[id], (size_t)(v->text_at[id + 1] - v->text_at[id]));
}
static inline struct bytes vocab_bytes(const struct vocab *v, uint32_t id)
{
    return bytes_of(v->bytes_block + v->bytes_at[id], (size_t)(v->bytes_at[id + 1] - v->bytes_at[id]));
}
/* TOKENIZER_NO_ID where there is none. */
uint32_t vocab_find(const struct vocab *v, struct bytes text);
/* Whether it is found in text before all else. */
bool vocab_is_special(const struct vocab *v, uint32_t id);
/* What merging may give: not control, unknown or byte tokens; in BPE not user-defined ones either, which are
 * cut out of a text before. */
bool vocab_is_plain(const struct vocab *v, uint32_t id);
/* As vocab_find, but only what is plain. */
uint32_t vocab_find_plain(const struct vocab *v, struct bytes text);
static inline const char *vocab_rule_name(const struct vocab *v)
{
    return v->rule ? v->rule->name : "spm";
}
/* NULL where the pair does not merge. */
const struct vocab_merge *vocab_merge_of(const struct vocab *v, uint32_t left, uint32_t right);

/* vocab_merges.c */
enum status vocab_merges_build(struct vocab *v, const struct vocab_source *source, struct error *err);
/* vocab_specials.c: types by name, ends of generation, the list of specials. */
enum status vocab_specials_build(struct vocab *v, const struct vocab_source *source, struct error *err);
/* vocab_signs.c: GPT-2's printable sign for each byte, as a code point; -1 for a code point that is none. */
uint32_t vocab_sign_of(uint8_t byte);
int vocab_byte_of(uint32_t code_point);

/* vocab_gguf.c: views into `gguf`; the arrays are freed with vocab_source_free. */
enum status vocab_source_read(struct vocab_source *out, const struct gguf *gguf, struct error *err);
void vocab_source_free(struct vocab_source *source);

/* For tests and fuzzing: a tokenizer from a source. */
enum status vocab_tokenizer(struct tokenizer **out, const struct vocab_source *source, struct error *err);

#endif
