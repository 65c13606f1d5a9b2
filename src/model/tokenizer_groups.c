/* Runs cut into groups, counted from their end. A stage has no memory, and counting to the end of a run for
 * each group would take the square of its length: so one stage cuts a run's odd beginning off, which takes two
 * counts, and the next one takes groups of what is left. */
#include "model/tokenizer_stages.h"

static size_t count(struct bytes text, size_t at, size_t end)
{
    size_t n = 0;
    for (; at < end; n++)
        at += unicode_at(text, at).n_bytes;
    return n;
}

/* Where a run of these ends that \b stands behind: at the text's end, or before what is no part of a word. */
static size_t bounded_decimals(struct bytes text, size_t at)
{
    size_t end = unicode_run(text, at, UNICODE_DECIMAL);
    return end > at && !(unicode_at(text, end).class_bits & UNICODE_WORD) ? end : at;
}

/* \d+\b, whole runs only. */
size_t tokenizer_stage_bounded_decimals(struct bytes text, size_t at)
{
    size_t end = bounded_decimals(text, at);
    if (end > at)
        return end;
    while (at < text.size && bounded_decimals(text, at) == at) {
        size_t behind = unicode_run(text, at, UNICODE_DECIMAL); /* a run with no \b behind it, at one go */
        at = behind > at ? behind : at + unicode_at(text, at).n_bytes;
    }
    return at;
}

/* As many points of the piece as are over multiples of three, or else all; a piece that does not end with one
 * of `classes` as a whole. */
static size_t lead(struct bytes text, size_t at, unsigned classes)
{
    if (!(unicode_before(text, text.size).class_bits & classes))
        return text.size;
    size_t n_over = count(text, at, text.size) % 3;
    return n_over ? tokenizer_stages_few(text, at, classes, n_over) : text.size;
}

static size_t threes(struct bytes text, size_t at, unsigned classes)
{
    if (!(unicode_before(text, text.size).class_bits & classes))
        return text.size;
    return tokenizer_stages_few(text, at, classes, 3);
}

/* Behind bounded_decimals, \d{1,3}(?=(?:\d{3})*\b) : only its matches end with a digit. */
size_t tokenizer_stage_decimals_lead(struct bytes text, size_t at)
{
    return lead(text, at, UNICODE_DECIMAL);
}

size_t tokenizer_stage_decimals3(struct bytes text, size_t at)
{
    return threes(text, at, UNICODE_DECIMAL);
}

/* Behind numbers, \p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N})) */
size_t tokenizer_stage_numbers_lead(struct bytes text, size_t at)
{
    return lead(text, at, UNICODE_NUMBER);
}

size_t tokenizer_stage_numbers3(struct bytes text, size_t at)
{
    return threes(text, at, UNICODE_NUMBER);
}

/* The first place behind `from` where a run of decimals has a multiple of three of them left. */
static size_t first_cut(struct bytes text, size_t from)
{
    while (from < text.size) {
        size_t run = unicode_run_without(text, from, UNICODE_DECIMAL);
        size_t end = unicode_run(text, run, UNICODE_DECIMAL), n = count(text, run, end);
        if (n >= 3)
            return tokenizer_stages_few(text, run, UNICODE_DECIMAL, n % 3);
        from = end;
    }
    return from;
}

/* (?=(\d{3})+(?!\d)) cuts and takes nothing. In two steps: up to a run's first cut, or from it to the next
 * run's.
 */
size_t tokenizer_stage_superbpe_lead(struct bytes text, size_t at)
{
    size_t cut = first_cut(text, at);
    return cut > at ? cut : first_cut(text, unicode_run(text, at, UNICODE_DECIMAL));
}

/* What starts with four decimals or more starts at a cut: a lead has two at most. */
size_t tokenizer_stage_superbpe_threes(struct bytes text, size_t at)
{
    size_t three = tokenizer_stages_few(text, at, UNICODE_DECIMAL, 3);
    return tokenizer_stages_few(text, three, UNICODE_DECIMAL, 1) > three ? three : text.size;
}

/* Behind llama3: a piece of spaces alone is \s{512}(?!\S)|\s{256}(?!\S)|...|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}
 * instead. Such a piece ends with a space that is no line's end, and only such a piece does. */
size_t tokenizer_stage_jais_spaces(struct bytes text, size_t at)
{
    struct unicode_point last = unicode_before(text, text.size);
    if (!(last.class_bits & UNICODE_SPACE) || tokenizer_stages_is_newline(last))
        return text.size;
    size_t n_spaces = count(text, at, tokenizer_stages_few(text, at, UNICODE_SPACE, 512)), n_group = 512;
    while (n_group > n_spaces)
        n_group /= 2;
    return tokenizer_stages_few(text, at, UNICODE_SPACE, n_group);
}
