#include "model/tokenizer_split.h"
#include "model/unicode.h"

/* Where a match that starts at `at` ends; `at` itself where none starts there. */
typedef size_t (*match_fn)(struct bytes text, size_t at);

/* The match at `at`, or else the gap up to the next one. A failing match looks at a few points only. */
static size_t match_or_gap(struct bytes text, size_t at, match_fn match)
{
    size_t end = match(text, at);
    if (end > at)
        return end;
    do
        at += unicode_at(text, at).n_bytes;
    while (at < text.size && match(text, at) == at);
    return at;
}

static size_t newline(struct bytes text, size_t at)
{
    return text.data[at] == '\r' || text.data[at] == '\n' ? at + 1 : at;
}

/* [\r\n] */
size_t tokenizer_stage_newline(struct bytes text, size_t at)
{
    return match_or_gap(text, at, newline);
}

static size_t of_class(struct bytes text, size_t at, unsigned classes, size_t n_max)
{
    for (size_t n = 0; n < n_max; n++) {
        struct unicode_point p = unicode_at(text, at);
        if (!(p.class_bits & classes))
            break;
        at += p.n_bytes;
    }
    return at;
}

static size_t number(struct bytes text, size_t at)
{
    return of_class(text, at, UNICODE_NUMBER, 1);
}

static size_t number3(struct bytes text, size_t at)
{
    return of_class(text, at, UNICODE_NUMBER, 3);
}

static size_t numbers(struct bytes text, size_t at)
{
    return of_class(text, at, UNICODE_NUMBER, SIZE_MAX);
}

/* \p{N} */
size_t tokenizer_stage_number(struct bytes text, size_t at)
{
    return match_or_gap(text, at, number);
}

/* \p{N}{1,3} */
size_t tokenizer_stage_number3(struct bytes text, size_t at)
{
    return match_or_gap(text, at, number3);
}

/* \p{N}+ */
size_t tokenizer_stage_numbers(struct bytes text, size_t at)
{
    return match_or_gap(text, at, numbers);
}

static size_t ascii_digits3(struct bytes text, size_t at)
{
    size_t end = at;
    while (end < text.size && end < at + 3 && text.data[end] >= '0' && text.data[end] <= '9')
        end++;
    return end == at + 3 ? end : at;
}

/* [0-9][0-9][0-9] */
size_t tokenizer_stage_ascii_digits3(struct bytes text, size_t at)
{
    return match_or_gap(text, at, ascii_digits3);
}

static bool is_one_of(uint32_t c, const char *signs)
{
    for (; *signs; signs++)
        if ((uint8_t)*signs == c)
            return true;
    return false;
}

static size_t punctuation_or(struct bytes text, size_t at, const char *signs)
{
    for (;;) {
        struct unicode_point p = unicode_at(text, at);
        if (!p.n_bytes || !(p.class_bits & UNICODE_PUNCTUATION || is_one_of(p.value, signs)))
            return at;
        at += p.n_bytes;
    }
}

static size_t falcon_punctuation(struct bytes text, size_t at)
{
    return punctuation_or(text, at, "$+<=>^~|`");
}

static size_t default_punctuation(struct bytes text, size_t at)
{
    return punctuation_or(text, at, "$+<=>^~|");
}

/* [\p{P}\$\+<=>\^~\|`]+ */
size_t tokenizer_stage_falcon_punctuation(struct bytes text, size_t at)
{
    return match_or_gap(text, at, falcon_punctuation);
}

/* [\p{P}\$\+<=>\^~\|]+ */
size_t tokenizer_stage_default_punctuation(struct bytes text, size_t at)
{
    return match_or_gap(text, at, default_punctuation);
}

/* \s? in front of what is_member has one or more of. A space may itself be a member. */
static size_t spaced(struct bytes text, size_t at, bool (*is_member)(struct unicode_point p))
{
    struct unicode_point p = unicode_at(text, at);
    size_t start = p.class_bits & UNICODE_SPACE ? at + p.n_bytes : at, end = start;
    for (p = unicode_at(text, end); p.n_bytes && is_member(p); p = unicode_at(text, end))
        end += p.n_bytes;
    if (end > start)
        return end;
    return start > at && is_member(unicode_at(text, at)) ? start : at;
}

static bool is_letter(struct unicode_point p)
{
    return p.class_bits & UNICODE_LETTER;
}

static bool is_punctuation(struct unicode_point p)
{
    return p.class_bits & UNICODE_PUNCTUATION;
}

static size_t coder_letters(struct bytes text, size_t at)
{
    return spaced(text, at, is_letter);
}

static size_t coder_punctuation(struct bytes text, size_t at)
{
    return spaced(text, at, is_punctuation);
}

/* \s?\p{L}+ */
size_t tokenizer_stage_coder_letters(struct bytes text, size_t at)
{
    return match_or_gap(text, at, coder_letters);
}

/* \s?\p{P}+ */
size_t tokenizer_stage_coder_punctuation(struct bytes text, size_t at)
{
    return match_or_gap(text, at, coder_punctuation);
}

struct range {
    uint32_t first, last;
};

static bool in_ranges(uint32_t c, const struct range *ranges, size_t n)
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

#define IN_RANGES(c, ranges) in_ranges(c, ranges, sizeof(ranges) / sizeof *(ranges))

/* Cased letters as the published expression lists them: most of Lu, Ll and Lt, without lower-case Armenian. */
static const struct range cased_letters[] = {
    {0x41, 0x5a},       {0x61, 0x7a},       {0xb5, 0xb5},       {0xc0, 0xd6},       {0xd8, 0xf6},
    {0xf8, 0x1ba},      {0x1bc, 0x1bf},     {0x1c4, 0x293},     {0x295, 0x2af},     {0x370, 0x373},
    {0x376, 0x376},     {0x377, 0x377},     {0x37b, 0x37d},     {0x37f, 0x37f},     {0x386, 0x386},
    {0x388, 0x38a},     {0x38c, 0x38c},     {0x38e, 0x3a1},     {0x3a3, 0x3f5},     {0x3f7, 0x481},
    {0x48a, 0x52f},     {0x531, 0x556},     {0x10a0, 0x10c5},   {0x13a0, 0x13f5},   {0x13f8, 0x13fd},
    {0x1c90, 0x1cba},   {0x1cbd, 0x1cbf},   {0x1d00, 0x1d2b},   {0x1d6b, 0x1d77},   {0x1d79, 0x1d9a},
    {0x1e00, 0x1f15},   {0x1f18, 0x1f1d},   {0x1f20, 0x1f45},   {0x1f48, 0x1f4d},   {0x1f50, 0x1f57},
    {0x1f59, 0x1f59},   {0x1f5b, 0x1f5b},   {0x1f5d, 0x1f5d},   {0x1f5f, 0x1f7d},   {0x1f80, 0x1fb4},
    {0x1fb6, 0x1fbc},   {0x1fbe, 0x1fbe},   {0x1fc2, 0x1fc4},   {0x1fc6, 0x1fcc},   {0x1fd0, 0x1fd3},
    {0x1fd6, 0x1fdb},   {0x1fe0, 0x1fec},   {0x1ff2, 0x1ff4},   {0x1ff6, 0x1ffc},   {0x2102, 0x2102},
    {0x2107, 0x2107},   {0x210a, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211d},   {0x2124, 0x2124},
    {0x2126, 0x2126},   {0x2128, 0x2128},   {0x212a, 0x212d},   {0x212f, 0x2134},   {0x2139, 0x2139},
    {0x213c, 0x213f},   {0x2145, 0x2149},   {0x214e, 0x214e},   {0x2183, 0x2183},   {0x2184, 0x2184},
    {0x2c00, 0x2c7b},   {0x2c7e, 0x2ce4},   {0x2ceb, 0x2cee},   {0x2cf2, 0x2cf2},   {0x2cf3, 0x2cf3},
    {0xa640, 0xa66d},   {0xa680, 0xa69b},   {0xa722, 0xa76f},   {0xa771, 0xa787},   {0xa78b, 0xa78e},
    {0xab70, 0xabbf},   {0xfb00, 0xfb06},   {0xfb13, 0xfb17},   {0xff21, 0xff3a},   {0xff41, 0xff5a},
    {0x10400, 0x1044f}, {0x104b0, 0x104d3}, {0x104d8, 0x104fb}, {0x10c80, 0x10cb2}, {0x10cc0, 0x10cf2},
    {0x118a0, 0x118df}, {0x1e900, 0x1e943}};

static bool is_cased_letter(struct unicode_point p)
{
    return IN_RANGES(p.value, cased_letters);
}

static bool is_deepseek_punctuation(struct unicode_point p)
{
    static const struct range ranges[] = {{0x21, 0x2f},     {0x3a, 0x7e},     {0x2018, 0x201f},
                                          {0x3000, 0x3002}, {0xff01, 0xff0f}, {0xff1a, 0xff5e}};
    return IN_RANGES(p.value, ranges);
}

static size_t deepseek_letters(struct bytes text, size_t at)
{
    return spaced(text, at, is_cased_letter);
}

static size_t deepseek_punctuation(struct bytes text, size_t at)
{
    return spaced(text, at, is_deepseek_punctuation);
}

/* \s?[A-Za-z...]+ */
size_t tokenizer_stage_deepseek_letters(struct bytes text, size_t at)
{
    return match_or_gap(text, at, deepseek_letters);
}

/* \s?[!-/:-~...]+ with the same in full width, quotation marks and CJK stops */
size_t tokenizer_stage_deepseek_punctuation(struct bytes text, size_t at)
{
    return match_or_gap(text, at, deepseek_punctuation);
}

/* \s+$ */
size_t tokenizer_stage_trailing_space(struct bytes text, size_t at)
{
    size_t end = at, spaces_from = at;
    for (;;) {
        struct unicode_point p = unicode_at(text, end);
        if (!p.n_bytes)
            break;
        end += p.n_bytes;
        if (!(p.class_bits & UNICODE_SPACE))
            spaces_from = end;
    }
    return spaces_from > at ? spaces_from : end;
}

static size_t while_in(struct bytes text, size_t at, const struct range *ranges, size_t n)
{
    for (;;) {
        struct unicode_point p = unicode_at(text, at);
        if (!p.n_bytes || !in_ranges(p.value, ranges, n))
            return at;
        at += p.n_bytes;
    }
}

static size_t deepseek_cjk(struct bytes text, size_t at)
{
    static const struct range ranges[] = {{0x0800, 0x9fa5}, {0xac00, 0xd7ff}};
    return while_in(text, at, ranges, 2);
}

static size_t deepseek3_cjk(struct bytes text, size_t at)
{
    static const struct range ranges[] = {{0x3040, 0x30ff}, {0x4e00, 0x9fa5}};
    return while_in(text, at, ranges, 2);
}

/* [\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+ */
size_t tokenizer_stage_deepseek_cjk(struct bytes text, size_t at)
{
    return match_or_gap(text, at, deepseek_cjk);
}

/* [\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+ */
size_t tokenizer_stage_deepseek3_cjk(struct bytes text, size_t at)
{
    return match_or_gap(text, at, deepseek3_cjk);
}
