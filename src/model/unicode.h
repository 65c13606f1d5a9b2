/* unicode - code points of UTF-8 text and their classes, as splitting rules need them.
 *
 * Classes are general categories, joined where no rule tells them apart; SPACE is the White_Space property
 * and goes before the category. Everything else (control, format, unassigned) is 0. Thread: any. */
#ifndef MODEL_UNICODE_H
#define MODEL_UNICODE_H

#include "base/bytes.h"

#include <stdint.h>

enum {
    UNICODE_UPPER = 1,        /* Lu Lt */
    UNICODE_LOWER = 2,        /* Ll */
    UNICODE_OTHER_LETTER = 4, /* Lm Lo */
    UNICODE_MARK = 8,
    UNICODE_NUMBER = 16,
    UNICODE_PUNCTUATION = 32,
    UNICODE_SYMBOL = 64,
    UNICODE_SPACE = 128,
    UNICODE_LETTER = UNICODE_UPPER | UNICODE_LOWER | UNICODE_OTHER_LETTER,
};

/* One code point of a text. n_bytes is 0 past the end. A byte that is part of no valid code point
 * stands alone as U+FFFD, a symbol. */
struct unicode_point {
    uint32_t value;
    uint8_t n_bytes;
    uint8_t class_bits;
};

struct unicode_point unicode_at(struct bytes text, size_t at);
uint8_t unicode_class(uint32_t code_point);
/* Writes at most 4 bytes, returns how many. The code point is valid. */
size_t unicode_encode(uint8_t out[4], uint32_t code_point);

/* unicode_tables.c */
extern const uint32_t unicode_runs[];
extern const uint32_t unicode_n_runs;
extern const char unicode_version[]; /* "14.0.0" */

#endif
