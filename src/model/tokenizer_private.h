/* tokenizer_private - what the tokenizer's own files share. */
#ifndef MODEL_TOKENIZER_PRIVATE_H
#define MODEL_TOKENIZER_PRIVATE_H

#include "model/vocab.h"

struct tokenizer {
    struct vocab vocab;
};

/* A stretch of text that became one special token, or did not. */
struct fragment {
    size_t start, end;
    uint32_t id; /* TOKENIZER_NO_ID: plain text */
};

struct fragments {
    struct fragment *list;
    size_t n, capacity;
};

/* Cuts text at its special tokens: control tokens only where all their bytes lie in special runs, user-defined
 * ones everywhere. Longer tokens go first, wherever they are. */
enum status tokenizer_cut(struct fragments *out, const struct vocab *v, struct bytes text,
                          const struct tokenizer_run *runs, size_t n_runs, struct error *err);

#endif
