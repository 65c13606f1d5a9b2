/* unicode - code points of UTF-8 text and their classes, as splitting rules need them.
 *
 * Classes are general categories, joined where no rule tells them apart; SPACE is the White_Space property
 * and goes before the category. Some points have a further class besides. Everything else (control, format,
 * unassigned) is 0. Thread: any. */
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
    UNICODE_DECIMAL = 256, /* also NUMBER: the digits of a script */
    UNICODE_WORD = 512,    /* besides its category: what \w means */
    UNICODE_HAN = 1024,    /* besides its category: the script */
    UNICODE_LETTER = UNICODE_UPPER | UNICODE_LOWER | UNICODE_OTHER_LETTER,
};

/* One code point of a text. n_bytes is 0 past the end. A byte that is part of no valid code point
 * stands alone as U+FFFD, a symbol. */
struct unicode_point {
    uint32_t value;
    uint8_t n_bytes;
    uint16_t class_bits;
};

struct unicode_point unicode_at(struct bytes text, size_t at);
/* The last code point that ends before `end`; n_bytes is 0 at the start. */
struct unicode_point unicode_before(struct bytes text, size_t end);
/* Where the run of points that have one of these classes ends; `at` itself where there is none. */
size_t unicode_run(struct bytes text, size_t at, unsigned classes);
/* Where the run of points that have none of these classes ends. */
size_t unicode_run_without(struct bytes text, size_t at, unsigned classes);
uint16_t unicode_class(uint32_t code_point);
/* Writes at most 4 bytes, returns how many. The code point is valid. */
size_t unicode_encode(uint8_t out[4], uint32_t code_point);

/* unicode_tables.c: where each run of points of one class starts, sorted: first << UNICODE_CLASS_BITS | class
 */
#define UNICODE_CLASS_BITS 11
extern const uint32_t unicode_runs[];
extern const uint32_t unicode_n_runs;
extern const uint16_t unicode_ascii[128]; /* the classes of the first of them */
extern const char unicode_version[];      /* "14.0.0" */

#endif
