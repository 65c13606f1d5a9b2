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

struct tokenizer_rule {
    const char *name;
    bool ignore_merges; /* a word that is a token is that token, whatever the merges say */
    bool add_bos;       /* unless the file says otherwise */
    tokenizer_stage stages[TOKENIZER_STAGES_MAX];
};

/* NULL where the name is not known. */
const struct tokenizer_rule *tokenizer_split_rule(struct bytes name);
const char *tokenizer_split_names(void); /* all of them, comma-separated */

struct tokenizer_splitter {
    const struct tokenizer_rule *rule;
    struct bytes text;
    size_t at;
    size_t ends[TOKENIZER_STAGES_MAX + 1]; /* ends[0]: of the text; ends[k]: of the piece of stage k - 1 */
    unsigned depth;
};
struct tokenizer_splitter tokenizer_split_over(const struct tokenizer_rule *rule, struct bytes text);
bool tokenizer_split_next(struct tokenizer_splitter *s, struct bytes *piece);

/* tokenizer_stages.c: one function for each expression, which stands above it there. */
size_t tokenizer_stage_gpt2(struct bytes text, size_t at);
size_t tokenizer_stage_llama3(struct bytes text, size_t at);
size_t tokenizer_stage_qwen2(struct bytes text, size_t at);
size_t tokenizer_stage_qwen35(struct bytes text, size_t at);
size_t tokenizer_stage_seed_coder(struct bytes text, size_t at);
size_t tokenizer_stage_tekken(struct bytes text, size_t at);
size_t tokenizer_stage_gpt4o(struct bytes text, size_t at);
size_t tokenizer_stage_deepseek3(struct bytes text, size_t at);
size_t tokenizer_stage_bloom(struct bytes text, size_t at);

/* tokenizer_isolate.c: expressions that set some things apart and leave the rest as gaps. */
size_t tokenizer_stage_newline(struct bytes text, size_t at);
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

#endif
