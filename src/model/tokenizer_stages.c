#include "model/tokenizer_split.h"
#include "model/unicode.h"

enum { NOT_A_SYMBOL = UNICODE_SPACE | UNICODE_LETTER | UNICODE_NUMBER };

static bool is_newline(struct unicode_point p)
{
    return p.n_bytes && (p.value == '\r' || p.value == '\n');
}

/* Where the run of points that have one of these classes ends. */
static size_t run_of(struct bytes text, size_t at, unsigned classes)
{
    for (;;) {
        struct unicode_point p = unicode_at(text, at);
        if (!(p.class_bits & classes))
            return at;
        at += p.n_bytes;
    }
}

/* Where the run of points that have none of these classes ends. */
static size_t run_without(struct bytes text, size_t at, unsigned classes)
{
    for (;;) {
        struct unicode_point p = unicode_at(text, at);
        if (!p.n_bytes || p.class_bits & classes)
            return at;
        at += p.n_bytes;
    }
}

static size_t run_of_either(struct bytes text, size_t at, const char *bytes)
{
    while (at < text.size) {
        const char *b = bytes;
        while (*b && (uint8_t)*b != text.data[at])
            b++;
        if (!*b)
            return at;
        at++;
    }
    return at;
}

static uint8_t byte_at(struct bytes text, size_t at, bool any_case)
{
    uint8_t b = at < text.size ? text.data[at] : 0;
    return any_case && b >= 'A' && b <= 'Z' ? (uint8_t)(b | 0x20) : b;
}

/* 's|'t|'re|'ve|'m|'ll|'d : its length, or 0. */
static size_t contraction(struct bytes text, size_t at, bool any_case)
{
    if (byte_at(text, at, false) != '\'')
        return 0;
    uint8_t a = byte_at(text, at + 1, any_case), b = byte_at(text, at + 2, any_case);
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    bool three = (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l');
    return three ? 3 : 0;
}

/* \s+(?!\S)|\s+ : a run of spaces before something else leaves its last one to that. */
static size_t spaces(struct bytes text, size_t at)
{
    size_t end = at, last = at;
    for (;;) {
        struct unicode_point p = unicode_at(text, end);
        if (!(p.class_bits & UNICODE_SPACE))
            break;
        last = end;
        end += p.n_bytes;
    }
    if (end == at) /* not a space at all: nothing may stay behind */
        return at + unicode_at(text, at).n_bytes;
    return end < text.size && last > at ? last : end;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t lines_or_spaces(struct bytes text, size_t at)
{
    size_t end = at, newline_end = 0;
    for (;;) {
        struct unicode_point p = unicode_at(text, end);
        if (!(p.class_bits & UNICODE_SPACE))
            break;
        end += p.n_bytes;
        if (is_newline(p))
            newline_end = end;
    }
    return newline_end ? newline_end : spaces(text, at);
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
size_t tokenizer_stage_gpt2(struct bytes text, size_t at)
{
    size_t n = contraction(text, at, false);
    if (n)
        return at + n;
    size_t start = byte_at(text, at, false) == ' ' ? at + 1 : at;
    struct unicode_point p = unicode_at(text, start);
    if (p.class_bits & UNICODE_LETTER)
        return run_of(text, start, UNICODE_LETTER);
    if (p.class_bits & UNICODE_NUMBER)
        return run_of(text, start, UNICODE_NUMBER);
    if (p.n_bytes && !(p.class_bits & NOT_A_SYMBOL))
        return run_without(text, start, NOT_A_SYMBOL);
    return spaces(text, at);
}

static size_t numbers(struct bytes text, size_t at, unsigned n_max)
{
    for (unsigned n = 0; n < n_max; n++) {
        struct unicode_point p = unicode_at(text, at);
        if (!(p.class_bits & UNICODE_NUMBER))
            break;
        at += p.n_bytes;
    }
    return at;
}

/* What the family of llama3's expression shares. Letters L, with marks where the member counts them in:
 * (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?L+|\p{N}{1,n}| ?[^\s L\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 */
static size_t words(struct bytes text, size_t at, unsigned letters, unsigned n_digits,
                    const char *after_symbols)
{
    size_t n = contraction(text, at, true);
    if (n)
        return at + n;
    struct unicode_point p = unicode_at(text, at);
    if (p.class_bits & letters)
        return run_of(text, at, letters);
    if (p.class_bits & UNICODE_NUMBER)
        return numbers(text, at, n_digits);
    if (!is_newline(p) && unicode_at(text, at + p.n_bytes).class_bits & letters)
        return run_of(text, at + p.n_bytes, letters);
    size_t start = p.value == ' ' ? at + 1 : at;
    struct unicode_point q = unicode_at(text, start);
    unsigned not_symbols = UNICODE_SPACE | letters | UNICODE_NUMBER;
    if (q.n_bytes && !(q.class_bits & not_symbols))
        return run_of_either(text, run_without(text, start, not_symbols), after_symbols);
    return lines_or_spaces(text, at);
}

size_t tokenizer_stage_llama3(struct bytes text, size_t at)
{
    return words(text, at, UNICODE_LETTER, 3, "\r\n");
}

size_t tokenizer_stage_qwen2(struct bytes text, size_t at)
{
    return words(text, at, UNICODE_LETTER, 1, "\r\n");
}

size_t tokenizer_stage_qwen35(struct bytes text, size_t at)
{
    return words(text, at, UNICODE_LETTER | UNICODE_MARK, 1, "\r\n");
}

/* As qwen2, but symbols do not take the line's end along. */
size_t tokenizer_stage_seed_coder(struct bytes text, size_t at)
{
    return words(text, at, UNICODE_LETTER, 1, "");
}

enum {
    UPPERISH = UNICODE_UPPER | UNICODE_OTHER_LETTER | UNICODE_MARK,
    LOWERISH = UNICODE_LOWER | UNICODE_OTHER_LETTER | UNICODE_MARK,
};

/* U*W+|U+W* with U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], W = [\p{Ll}\p{Lm}\p{Lo}\p{M}]; `at` where neither
 * matches. A run of U gives back as much as W+ needs: up to the last point that is in both. */
static size_t cased_word(struct bytes text, size_t at, bool may_be_upper_only)
{
    size_t end = at, both_end = at;
    for (;;) {
        struct unicode_point p = unicode_at(text, end);
        if (!(p.class_bits & UPPERISH))
            break;
        end += p.n_bytes;
        if (p.class_bits & LOWERISH)
            both_end = end;
    }
    size_t lower_end = run_of(text, end, LOWERISH);
    if (lower_end > end)
        return lower_end;
    if (both_end > at || !may_be_upper_only)
        return both_end;
    return end;
}

/* [^\r\n\p{L}\p{N}]? in front of a cased word: greedy, and the first alternative before the second. */
static size_t prefixed_word(struct bytes text, size_t at)
{
    struct unicode_point p = unicode_at(text, at);
    bool prefix = !is_newline(p) && !(p.class_bits & (UNICODE_LETTER | UNICODE_NUMBER));
    size_t behind = at + p.n_bytes;
    for (int upper_only = 0; upper_only < 2; upper_only++) {
        size_t end = prefix ? cased_word(text, behind, upper_only) : behind;
        if (prefix && end > behind)
            return end;
        end = cased_word(text, at, upper_only);
        if (end > at)
            return end;
    }
    return at;
}

/* | ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+ : what follows the words in tekken and gpt-4o. */
static size_t symbols_or_spaces(struct bytes text, size_t at)
{
    size_t start = byte_at(text, at, false) == ' ' ? at + 1 : at;
    struct unicode_point p = unicode_at(text, start);
    if (p.n_bytes && !(p.class_bits & NOT_A_SYMBOL))
        return run_of_either(text, run_without(text, start, NOT_A_SYMBOL), "\r\n/");
    return lines_or_spaces(text, at);
}

/* [^\r\n\p{L}\p{N}]?U*W+|[^\r\n\p{L}\p{N}]?U+W*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
size_t tokenizer_stage_tekken(struct bytes text, size_t at)
{
    size_t end = prefixed_word(text, at);
    if (end == at)
        end = numbers(text, at, 1);
    return end > at ? end : symbols_or_spaces(text, at);
}

/* As tekken, with (?i:'s|'t|'re|'ve|'m|'ll|'d)? behind each word and \p{N}{1,3}. */
size_t tokenizer_stage_gpt4o(struct bytes text, size_t at)
{
    size_t end = prefixed_word(text, at);
    if (end > at)
        return end + contraction(text, end, true);
    end = numbers(text, at, 3);
    return end > at ? end : symbols_or_spaces(text, at);
}

static bool is_ascii_letter(uint8_t b)
{
    return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z');
}

static bool is_ascii_punctuation(uint8_t b)
{
    return b > ' ' && b < 0x7f && !is_ascii_letter(b) && !(b >= '0' && b <= '9');
}

/* `at` where nothing matches: for numbers and control characters. */
static size_t deepseek3_match(struct bytes text, size_t at)
{
    const unsigned letters = UNICODE_LETTER | UNICODE_MARK, symbols = UNICODE_PUNCTUATION | UNICODE_SYMBOL;
    if (is_ascii_punctuation(byte_at(text, at, false)) && is_ascii_letter(byte_at(text, at + 1, false))) {
        do
            at++;
        while (is_ascii_letter(byte_at(text, at, false)));
        return at;
    }
    struct unicode_point p = unicode_at(text, at);
    if (p.class_bits & letters)
        return run_of(text, at, letters);
    if (!is_newline(p) && !(p.class_bits & symbols) && unicode_at(text, at + p.n_bytes).class_bits & letters)
        return run_of(text, at + p.n_bytes, letters);
    size_t start = p.value == ' ' ? at + 1 : at;
    if (unicode_at(text, start).class_bits & symbols)
        return run_of_either(text, run_of(text, start, symbols), "\r\n");
    return p.class_bits & UNICODE_SPACE ? lines_or_spaces(text, at) : at;
}

/* [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*
 * |\s*[\r\n]+|\s+(?!\S)|\s+ : what it does not match stays together. */
size_t tokenizer_stage_deepseek3(struct bytes text, size_t at)
{
    size_t end = deepseek3_match(text, at);
    if (end > at)
        return end;
    do
        at += unicode_at(text, at).n_bytes;
    while (at < text.size && deepseek3_match(text, at) == at);
    return at;
}

static bool bloom_stops(struct unicode_point p)
{
    switch (p.value) {
    case '(':
    case ')':
    case '|':
    case '.':
    case ',':
    case '!':
    case '?':
    case 0x2026: /* horizontal ellipsis */
    case 0x3002: /* ideographic full stop, fullwidth comma, ideographic comma */
    case 0xff0c:
    case 0x3001:
    case 0x0964: /* danda, Arabic full stop, Arabic comma */
    case 0x06d4:
    case 0x060c:
        return true;
    default:
        return !p.n_bytes || p.class_bits & UNICODE_SPACE;
    }
}

/*  ?[^(\s|.,!?...)]+ : what it does not match stays together. */
size_t tokenizer_stage_bloom(struct bytes text, size_t at)
{
    bool in_gap = false;
    for (;;) {
        struct unicode_point p = unicode_at(text, at);
        size_t start = p.n_bytes && p.value == ' ' ? at + 1 : at;
        if (!bloom_stops(unicode_at(text, start))) {
            if (in_gap)
                return at;
            at = start;
            break;
        }
        if (!p.n_bytes)
            return at;
        in_gap = true;
        at += p.n_bytes;
    }
    for (;;) {
        struct unicode_point p = unicode_at(text, at);
        if (bloom_stops(p))
            return at;
        at += p.n_bytes;
    }
}
