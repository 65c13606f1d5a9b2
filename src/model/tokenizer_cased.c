/* Expressions whose words end where upper case begins again. */
#include "model/tokenizer_stages.h"

enum {
    UPPERISH = UNICODE_UPPER | UNICODE_OTHER_LETTER | UNICODE_MARK,
    LOWERISH = UNICODE_LOWER | UNICODE_OTHER_LETTER | UNICODE_MARK,
};

static bool is_in(struct unicode_point p, unsigned classes, unsigned never)
{
    return p.class_bits & classes && !(p.class_bits & never);
}

/* U*W+|U+W* with U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], W = [\p{Ll}\p{Lm}\p{Lo}\p{M}], without what is in
 * `never`; `at` where neither matches. A run of U gives back as much as W+ needs: up to the last point that is
 * in both. */
static size_t cased_word(struct bytes text, size_t at, unsigned never, bool may_be_upper_only)
{
    size_t end = at, both_end = at;
    for (;;) {
        struct unicode_point p = unicode_at(text, end);
        if (!is_in(p, UPPERISH, never))
            break;
        end += p.n_bytes;
        if (p.class_bits & LOWERISH)
            both_end = end;
    }
    size_t lower_end = end;
    for (struct unicode_point p = unicode_at(text, end); is_in(p, LOWERISH, never);
         p = unicode_at(text, lower_end))
        lower_end += p.n_bytes;
    if (lower_end > end)
        return lower_end;
    if (both_end > at || !may_be_upper_only)
        return both_end;
    return end;
}

/* [^\r\n\p{L}\p{N}]? in front of a cased word: greedy, and the first alternative before the second. */
static size_t prefixed_word(struct bytes text, size_t at, unsigned never)
{
    struct unicode_point p = unicode_at(text, at);
    bool prefix = !tokenizer_stages_is_newline(p) && !(p.class_bits & (UNICODE_LETTER | UNICODE_NUMBER));
    size_t behind = at + p.n_bytes;
    for (int upper_only = 0; upper_only < 2; upper_only++) {
        size_t end = prefix ? cased_word(text, behind, never, upper_only) : behind;
        if (prefix && end > behind)
            return end;
        end = cased_word(text, at, never, upper_only);
        if (end > at)
            return end;
    }
    return at;
}

struct cased {
    bool contractions; /* (?i:'s|'t|'re|'ve|'m|'ll|'d)? behind each word */
    unsigned never;    /* classes that are in no word */
    unsigned n_digits;
    const char *after_symbols;
};

/* [^\r\n\p{L}\p{N}]?U*W+|[^\r\n\p{L}\p{N}]?U+W*|\p{N}{1,n}| ?[^\s\p{L}\p{N}]+[after]*|\s*[\r\n]+|\s+(?!\S)|\s+
 */
static size_t cased(struct bytes text, size_t at, const struct cased *c)
{
    size_t end = prefixed_word(text, at, c->never);
    if (end > at)
        return c->contractions ? tokenizer_stages_contraction(text, end, true) : end;
    end = tokenizer_stages_few(text, at, UNICODE_NUMBER, c->n_digits);
    if (end == at)
        end = tokenizer_stages_symbols(text, at, TOKENIZER_NOT_A_SYMBOL, c->after_symbols, SIZE_MAX);
    return end > at ? end : tokenizer_stages_lines_or_spaces(text, at);
}

size_t tokenizer_stage_tekken(struct bytes text, size_t at)
{
    return cased(text, at, &(struct cased){false, 0, 1, "\r\n/"});
}

size_t tokenizer_stage_gpt4o(struct bytes text, size_t at)
{
    return cased(text, at, &(struct cased){true, 0, 3, "\r\n/"});
}

/* As gpt-4o, digits one by one. */
size_t tokenizer_stage_youtu(struct bytes text, size_t at)
{
    return cased(text, at, &(struct cased){true, 0, 1, "\r\n/"});
}

/* \p{Han}+ goes first, and the words of gpt-4o have no \p{Han}; no slash behind symbols. */
size_t tokenizer_stage_kimi_k2(struct bytes text, size_t at)
{
    size_t end = unicode_run(text, at, UNICODE_HAN);
    return end > at ? end : cased(text, at, &(struct cased){true, UNICODE_HAN, 3, "\r\n"});
}
