/* Expressions that tell apart what others join as symbols: punctuation, signs of ASCII, stops. */
#include "model/tokenizer_stages.h"

static bool is_ascii_letter(uint8_t b)
{
    return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z');
}

static bool is_ascii_punctuation(uint8_t b)
{
    return b > ' ' && b < 0x7f && !is_ascii_letter(b) && !(b >= '0' && b <= '9');
}

/* What the two below share; `at` where nothing matches. */
static size_t signs_or_words(struct bytes text, size_t at, const char *after_symbols)
{
    const unsigned letters = UNICODE_LETTER | UNICODE_MARK, symbols = UNICODE_PUNCTUATION | UNICODE_SYMBOL;
    if (is_ascii_punctuation(tokenizer_stages_byte(text, at, false)) &&
        is_ascii_letter(tokenizer_stages_byte(text, at + 1, false))) {
        do
            at++;
        while (is_ascii_letter(tokenizer_stages_byte(text, at, false)));
        return at;
    }
    struct unicode_point p = unicode_at(text, at);
    if (p.class_bits & letters)
        return unicode_run(text, at, letters);
    if (!tokenizer_stages_is_newline(p) && !(p.class_bits & symbols) &&
        unicode_at(text, at + p.n_bytes).class_bits & letters)
        return unicode_run(text, at + p.n_bytes, letters);
    size_t start = p.value == ' ' ? at + 1 : at;
    if (unicode_at(text, start).class_bits & symbols)
        return tokenizer_stages_either(text, unicode_run(text, start, symbols), after_symbols, SIZE_MAX);
    return at;
}

static size_t deepseek3(struct bytes text, size_t at)
{
    size_t end = signs_or_words(text, at, "\r\n");
    if (end > at || !(unicode_at(text, at).class_bits & UNICODE_SPACE))
        return end;
    return tokenizer_stages_lines_or_spaces(text, at);
}

/* [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*
 * |\s*[\r\n]+|\s+(?!\S)|\s+ : what it does not match, numbers and control characters, stays together. */
size_t tokenizer_stage_deepseek3(struct bytes text, size_t at)
{
    return tokenizer_stages_match_or_gap(text, at, deepseek3);
}

static size_t spark(struct bytes text, size_t at)
{
    size_t end = signs_or_words(text, at, "");
    struct unicode_point p = unicode_at(text, at);
    if (end > at || !(p.class_bits & UNICODE_SPACE))
        return end;
    return tokenizer_stages_is_newline(p) ? at + 1 : tokenizer_stages_spaces(text, at);
}

/* As deepseek3, with | ?[\p{P}\p{S}]+|[\r\n]| instead of | ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+| */
size_t tokenizer_stage_spark(struct bytes text, size_t at)
{
    return tokenizer_stages_match_or_gap(text, at, spark);
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
