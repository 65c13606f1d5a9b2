#include "model/tokenizer_stages.h"

/* --- parts ----------------------------------------------------------------------------------------------- */

size_t tokenizer_stages_match_or_gap(struct bytes text, size_t at, tokenizer_match match)
{
    size_t end = match(text, at);
    if (end > at)
        return end;
    do
        at += unicode_at(text, at).n_bytes;
    while (at < text.size && match(text, at) == at);
    return at;
}

size_t tokenizer_stages_contraction(struct bytes text, size_t at, bool any_case)
{
    if (tokenizer_stages_byte(text, at, false) != '\'')
        return at;
    uint8_t a = tokenizer_stages_byte(text, at + 1, any_case),
            b = tokenizer_stages_byte(text, at + 2, any_case);
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return at + 2;
    bool three = (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l');
    return three ? at + 3 : at;
}

size_t tokenizer_stages_few(struct bytes text, size_t at, unsigned classes, size_t n_max)
{
    for (size_t n = 0; n < n_max; n++) {
        struct unicode_point p = unicode_at(text, at);
        if (!(p.class_bits & classes))
            break;
        at += p.n_bytes;
    }
    return at;
}

size_t tokenizer_stages_either(struct bytes text, size_t at, const char *bytes, size_t n_max)
{
    for (size_t n = 0; at < text.size && n < n_max; n++) {
        const char *b = bytes;
        while (*b && (uint8_t)*b != text.data[at])
            b++;
        if (!*b)
            return at;
        at++;
    }
    return at;
}

size_t tokenizer_stages_symbols(struct bytes text, size_t at, unsigned not_symbols, const char *after,
                                size_t n_after_max)
{
    size_t start = tokenizer_stages_byte(text, at, false) == ' ' ? at + 1 : at;
    size_t end = unicode_run_without(text, start, not_symbols);
    return end > start ? tokenizer_stages_either(text, end, after, n_after_max) : at;
}

size_t tokenizer_stages_spaces(struct bytes text, size_t at)
{
    size_t end = unicode_run(text, at, UNICODE_SPACE);
    if (end == at) /* not a space at all: nothing may stay behind */
        return at + unicode_at(text, at).n_bytes;
    size_t last = end - unicode_before(text, end).n_bytes;
    return end < text.size && last > at ? last : end;
}

size_t tokenizer_stages_lines_or_spaces(struct bytes text, size_t at)
{
    size_t end = at, newline_end = 0;
    for (;;) {
        struct unicode_point p = unicode_at(text, end);
        if (!(p.class_bits & UNICODE_SPACE))
            break;
        end += p.n_bytes;
        if (tokenizer_stages_is_newline(p))
            newline_end = end;
    }
    return newline_end ? newline_end : tokenizer_stages_spaces(text, at);
}

bool tokenizer_stages_in_ranges(uint32_t c, const struct tokenizer_range *ranges, size_t n)
{
    size_t low = 0, end = n;
    while (low < end) {
        size_t middle = low + (end - low) / 2;
        if (c < ranges[middle].first)
            end = middle;
        else if (c > ranges[middle].last)
            low = middle + 1;
        else
            return true;
    }
    return false;
}

size_t tokenizer_stages_while_in(struct bytes text, size_t at, const struct tokenizer_range *ranges, size_t n)
{
    for (;;) {
        struct unicode_point p = unicode_at(text, at);
        if (!p.n_bytes || !tokenizer_stages_in_ranges(p.value, ranges, n))
            return at;
        at += p.n_bytes;
    }
}

/* --- gpt-2 and llama3 with their kin ------------------------------------------------------------------------
 */

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
size_t tokenizer_stage_gpt2(struct bytes text, size_t at)
{
    size_t end = tokenizer_stages_contraction(text, at, false);
    if (end > at)
        return end;
    size_t start = tokenizer_stages_byte(text, at, false) == ' ' ? at + 1 : at;
    struct unicode_point p = unicode_at(text, start);
    if (p.class_bits & UNICODE_LETTER)
        return unicode_run(text, start, UNICODE_LETTER);
    if (p.class_bits & UNICODE_NUMBER)
        return unicode_run(text, start, UNICODE_NUMBER);
    if (p.n_bytes && !(p.class_bits & TOKENIZER_NOT_A_SYMBOL))
        return unicode_run_without(text, start, TOKENIZER_NOT_A_SYMBOL);
    return tokenizer_stages_spaces(text, at);
}

/* \p{L}\p{M}*(?: \p{L}\p{M}*)* one or more times: letters and marks, over single spaces between letters too. */
static size_t phrase(struct bytes text, size_t at)
{
    for (;;) {
        at = unicode_run(text, at, UNICODE_LETTER | UNICODE_MARK);
        if (tokenizer_stages_byte(text, at, false) != ' ' ||
            !(unicode_at(text, at + 1).class_bits & UNICODE_LETTER))
            return at;
        at++;
    }
}

struct words {
    bool contractions; /* (?i:'s|'t|'re|'ve|'m|'ll|'d) */
    bool phrases;      /* words go on over single spaces */
    unsigned letters;  /* with marks where the member counts them in */
    unsigned n_digits;
    const char *after_symbols;
    size_t n_after_max;
};

/* What the family of llama3's expression shares, letters being L:
 * (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?L+|\p{N}{1,n}| ?[^\s
 * L\p{N}]+[after]{0,n}|\s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t words(struct bytes text, size_t at, const struct words *w)
{
    size_t end = w->contractions ? tokenizer_stages_contraction(text, at, true) : at;
    if (end > at)
        return end;
    struct unicode_point p = unicode_at(text, at);
    if (p.class_bits & UNICODE_NUMBER)
        return tokenizer_stages_few(text, at, UNICODE_NUMBER, w->n_digits);
    size_t start = at;
    if (!(p.class_bits & w->letters) && !tokenizer_stages_is_newline(p))
        start += p.n_bytes;
    if (unicode_at(text, start).class_bits & w->letters)
        return w->phrases ? phrase(text, start) : unicode_run(text, start, w->letters);
    end = tokenizer_stages_symbols(text, at, UNICODE_SPACE | w->letters | UNICODE_NUMBER, w->after_symbols,
                                   w->n_after_max);
    return end > at ? end : tokenizer_stages_lines_or_spaces(text, at);
}

size_t tokenizer_stage_llama3(struct bytes text, size_t at)
{
    return words(text, at, &(struct words){true, false, UNICODE_LETTER, 3, "\r\n", SIZE_MAX});
}

size_t tokenizer_stage_qwen2(struct bytes text, size_t at)
{
    return words(text, at, &(struct words){true, false, UNICODE_LETTER, 1, "\r\n", SIZE_MAX});
}

size_t tokenizer_stage_qwen35(struct bytes text, size_t at)
{
    return words(text, at, &(struct words){true, false, UNICODE_LETTER | UNICODE_MARK, 1, "\r\n", SIZE_MAX});
}

/* As qwen2, but symbols do not take the line's end along. */
size_t tokenizer_stage_seed_coder(struct bytes text, size_t at)
{
    return words(text, at, &(struct words){true, false, UNICODE_LETTER, 1, "", SIZE_MAX});
}

/* As qwen2, without the contractions. */
size_t tokenizer_stage_ufakzeka(struct bytes text, size_t at)
{
    return words(text, at, &(struct words){false, false, UNICODE_LETTER, 1, "\r\n", SIZE_MAX});
}

/* As qwen2, but [^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+ for words and
 *  ?[^\s\p{L}\p{N}]+[\r\n/]? for symbols. */
size_t tokenizer_stage_exaone_moe(struct bytes text, size_t at)
{
    return words(text, at, &(struct words){true, true, UNICODE_LETTER, 1, "\r\n/", 1});
}
