/* tokenizer_stages - what the files of splitting stages share: parts of expressions. For them only.
 *
 * Each part answers where its match that starts at `at` ends, and `at` itself where there is none. */
#ifndef MODEL_TOKENIZER_STAGES_H
#define MODEL_TOKENIZER_STAGES_H

#include "model/tokenizer_split.h"
#include "model/unicode.h"

enum { TOKENIZER_NOT_A_SYMBOL = UNICODE_SPACE | UNICODE_LETTER | UNICODE_NUMBER };

typedef size_t (*tokenizer_match)(struct bytes text, size_t at);

/* The match at `at`, or else the gap up to the next one. A failing match must look at a few points only. */
size_t tokenizer_stages_match_or_gap(struct bytes text, size_t at, tokenizer_match match);

static inline bool tokenizer_stages_is_newline(struct unicode_point p)
{
    return p.n_bytes && (p.value == '\r' || p.value == '\n');
}
/* 0 past the end; upper case as lower where any_case. */
static inline uint8_t tokenizer_stages_byte(struct bytes text, size_t at, bool any_case)
{
    uint8_t b = at < text.size ? text.data[at] : 0;
    return any_case && b >= 'A' && b <= 'Z' ? (uint8_t)(b | 0x20) : b;
}

/* 's|'t|'re|'ve|'m|'ll|'d */
size_t tokenizer_stages_contraction(struct bytes text, size_t at, bool any_case);
/* At most n_max points that have one of these classes. */
size_t tokenizer_stages_few(struct bytes text, size_t at, unsigned classes, size_t n_max);
/* ASCII only: [bytes]{0,n_max} */
size_t tokenizer_stages_either(struct bytes text, size_t at, const char *bytes, size_t n_max);
/*  ?[^\s\p{L}\p{N}]+[after]{0,n_after_max} with `not_symbols` for the classes left out */
size_t tokenizer_stages_symbols(struct bytes text, size_t at, unsigned not_symbols, const char *after,
                                size_t n_after_max);
/* \s+(?!\S)|\s+ : a run of spaces before something else leaves its last one to that. Never empty. */
size_t tokenizer_stages_spaces(struct bytes text, size_t at);
/* \s*[\r\n]+|\s+(?!\S)|\s+ */
size_t tokenizer_stages_lines_or_spaces(struct bytes text, size_t at);

struct tokenizer_range {
    uint32_t first, last;
};
/* Sorted, not overlapping. */
bool tokenizer_stages_in_ranges(uint32_t c, const struct tokenizer_range *ranges, size_t n);
#define TOKENIZER_IN_RANGES(c, ranges) tokenizer_stages_in_ranges(c, ranges, sizeof(ranges) / sizeof *(ranges))
/* [ranges]+ */
size_t tokenizer_stages_while_in(struct bytes text, size_t at, const struct tokenizer_range *ranges, size_t n);
#define TOKENIZER_WHILE_IN(text, at, ranges)                                                                   \
    tokenizer_stages_while_in(text, at, ranges, sizeof(ranges) / sizeof *(ranges))

#endif
