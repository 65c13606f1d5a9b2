/* tokenizer_merge - joins neighbours of a sequence of symbols, best pair first, leftmost among equals.
 *
 * The one engine of both kinds of vocabulary: a heap of pairs over a linked list, n log n; four
 * children a place, which lie in one cache line. A pair that has been
 * overtaken is known by its size. Working memory, kept from word to word; zero-initialise. One thread. */
#ifndef MODEL_TOKENIZER_MERGE_H
#define MODEL_TOKENIZER_MERGE_H

#include "base/bytes.h"

#include <stdbool.h>

struct merge_symbol {
    uint32_t start, n_bytes; /* in the word */
    uint32_t id;             /* TOKENIZER_NO_ID: no token yet */
    uint32_t before, after;  /* TOKENIZER_NO_ID at the ends */
};

struct merge_pair {
    uint64_t order; /* key, then the left symbol: lower goes first */
    uint32_t n_bytes, id;
};

struct tokenizer_merge {
    struct merge_symbol *symbols;
    struct merge_pair *heap;
    uint32_t n_symbols, n_heap, capacity;
};

/* Whether two neighbours join: how early, and into which id. */
typedef bool (*merge_rank)(const void *vocab, const uint8_t *word, const struct merge_symbol *left,
                           const struct merge_symbol *right, uint32_t *key, uint32_t *id);

/* Room for n symbols; n_symbols is 0 then. False when memory is out. */
bool tokenizer_merge_reserve(struct tokenizer_merge *m, size_t n);
void tokenizer_merge_add(struct tokenizer_merge *m, uint32_t n_bytes, uint32_t id);
/* Symbol 0 is the first of the list afterwards; `after` leads on. */
void tokenizer_merge_run(struct tokenizer_merge *m, const uint8_t *word, merge_rank rank, const void *vocab);
void tokenizer_merge_free(struct tokenizer_merge *m);

#endif
