/* tokenizer_split - how a byte-level BPE vocabulary cuts text into words before it merges inside them.
 *
 * A file names its rule (tokenizer.ggml.pre). A rule is one or more stages, each the state machine of one
 * published regular expression: every stage cuts each piece of the one before, as matches and the gaps between
 * them, and sees nothing beyond that piece. Pieces cover the text exactly. Linear in the text.
 * Pure; the splitter lives on its caller's stack. */
#ifndef MODEL_TOKENIZER_SPLIT_H
#define MODEL_TOKENIZER_SPLIT_H

#include "base/bytes.h"

#include <stdbool.h>

#define TOKENIZER_STAGES_MAX 6

/* The end of the piece that starts at `at`, which is before the end of the text. */
typedef size_t (*tokenizer_stage)(struct bytes text, size_t at);

enum {
    TOKENIZER_RULE_WHOLE_WORDS = 1, /* a word that is a token is that token, whatever the merges say */
    TOKENIZER_RULE_ADD_BOS = 2,     /* unless the file says otherwise */
    TOKENIZER_RULE_ADD_SEP = 4,     /* likewise: models of embeddings */
    /* Tokens are plain UTF-8, not in GPT-2's signs, a space in them is U+2581; <0x00> to <0xFF> for the rest.
     */
    TOKENIZER_RULE_RAW = 8,
    TOKENIZER_RULE_WHOLE_LINES = 16, /* line ends that are a token are that token, whatever the merges say */
};

struct tokenizer_rule {
    const char *name;
    unsigned flags;
    tokenizer_stage stages[TOKENIZER_STAGES_MAX];
};

/* NULL where the name is not known. */
const struct tokenizer_rule *tokenizer_split_rule(struct bytes name);
/* All of them, from 0 on; NULL behind the last one. */
const struct tokenizer_rule *tokenizer_split_rule_at(size_t i);
const char *tokenizer_split_names(void); /* one for each expression, comma-separated */

struct tokenizer_splitter {
    const struct tokenizer_rule *rule;
    struct bytes text;
    size_t at;
    size_t ends[TOKENIZER_STAGES_MAX + 1]; /* ends[0]: of the text; ends[k]: of the piece of stage k - 1 */
    unsigned depth;
};
struct tokenizer_splitter tokenizer_split_over(const struct tokenizer_rule *rule, struct bytes text);
bool tokenizer_split_next(struct tokenizer_splitter *s, struct bytes *piece);

/* One function for each expression, which stands above it there. tokenizer_stages.c: */
size_t tokenizer_stage_gpt2(struct bytes text, size_t at);
size_t tokenizer_stage_llama3(struct bytes text, size_t at);
size_t tokenizer_stage_qwen2(struct bytes text, size_t at);
size_t tokenizer_stage_qwen35(struct bytes text, size_t at);
size_t tokenizer_stage_seed_coder(struct bytes text, size_t at);
size_t tokenizer_stage_ufakzeka(struct bytes text, size_t at);
size_t tokenizer_stage_exaone_moe(struct bytes text, size_t at);
/* tokenizer_cased.c: */
size_t tokenizer_stage_tekken(struct bytes text, size_t at);
size_t tokenizer_stage_gpt4o(struct bytes text, size_t at);
size_t tokenizer_stage_youtu(struct bytes text, size_t at);
size_t tokenizer_stage_kimi_k2(struct bytes text, size_t at);
/* tokenizer_symbols.c: */
size_t tokenizer_stage_deepseek3(struct bytes text, size_t at);
size_t tokenizer_stage_spark(struct bytes text, size_t at);
size_t tokenizer_stage_bloom(struct bytes text, size_t at);
/* tokenizer_groups.c: */
size_t tokenizer_stage_bounded_decimals(struct bytes text, size_t at);
size_t tokenizer_stage_decimals_lead(struct bytes text, size_t at);
size_t tokenizer_stage_decimals3(struct bytes text, size_t at);
size_t tokenizer_stage_numbers_lead(struct bytes text, size_t at);
size_t tokenizer_stage_numbers3(struct bytes text, size_t at);
size_t tokenizer_stage_superbpe_lead(struct bytes text, size_t at);
size_t tokenizer_stage_superbpe_threes(struct bytes text, size_t at);
size_t tokenizer_stage_jais_spaces(struct bytes text, size_t at);
/* tokenizer_isolate.c: expressions that set some things apart and leave the rest as gaps. */
size_t tokenizer_stage_newline(struct bytes text, size_t at);
size_t tokenizer_stage_newline_runs(struct bytes text, size_t at);
size_t tokenizer_stage_number(struct bytes text, size_t at);
size_t tokenizer_stage_number3(struct bytes text, size_t at);
size_t tokenizer_stage_numbers(struct bytes text, size_t at);
size_t tokenizer_stage_ascii_digits3(struct bytes text, size_t at);
size_t tokenizer_stage_falcon_punctuation(struct bytes text, size_t at);
size_t tokenizer_stage_default_punctuation(struct bytes text, size_t at);
size_t tokenizer_stage_coder_letters(struct bytes text, size_t at);
size_t tokenizer_stage_coder_punctuation(struct bytes text, size_t at);
size_t tokenizer_stage_deepseek_letters(struct bytes text, size_t at);
size_t tokenizer_stage_deepseek_punctuation(struct bytes text, size_t at);
size_t tokenizer_stage_trailing_space(struct bytes text, size_t at);
size_t tokenizer_stage_deepseek_cjk(struct bytes text, size_t at);
size_t tokenizer_stage_deepseek3_cjk(struct bytes text, size_t at);
size_t tokenizer_stage_youtu_scripts(struct bytes text, size_t at);
size_t tokenizer_stage_afmoe_scripts(struct bytes text, size_t at);
size_t tokenizer_stage_chameleon_tokens(struct bytes text, size_t at);
size_t tokenizer_stage_chameleon_spaces(struct bytes text, size_t at);
size_t tokenizer_stage_chameleon_signs(struct bytes text, size_t at);

#endif
