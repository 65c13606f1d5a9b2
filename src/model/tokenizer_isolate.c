/* Expressions that set some things apart; what they do not match is a gap, and stays together. */
#include "model/tokenizer_stages.h"

#include <string.h>

static size_t newline(struct bytes text, size_t at)
{
    return text.data[at] == '\r' || text.data[at] == '\n' ? at + 1 : at;
}

/* [\r\n] */
size_t tokenizer_stage_newline(struct bytes text, size_t at)
{
    return tokenizer_stages_match_or_gap(text, at, newline);
}

static size_t number(struct bytes text, size_t at)
{
    return tokenizer_stages_few(text, at, UNICODE_NUMBER, 1);
}

static size_t number3(struct bytes text, size_t at)
{
    return tokenizer_stages_few(text, at, UNICODE_NUMBER, 3);
}

static size_t numbers(struct bytes text, size_t at)
{
    return tokenizer_stages_few(text, at, UNICODE_NUMBER, SIZE_MAX);
}

/* \p{N} */
size_t tokenizer_stage_number(struct bytes text, size_t at)
{
    return tokenizer_stages_match_or_gap(text, at, number);
}

/* \p{N}{1,3} */
size_t tokenizer_stage_number3(struct bytes text, size_t at)
{
    return tokenizer_stages_match_or_gap(text, at, number3);
}

/* \p{N}+ */
size_t tokenizer_stage_numbers(struct bytes text, size_t at)
{
    return tokenizer_stages_match_or_gap(text, at, numbers);
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
    return tokenizer_stages_match_or_gap(text, at, ascii_digits3);
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
    return tokenizer_stages_match_or_gap(text, at, falcon_punctuation);
}

/* [\p{P}\$\+<=>\^~\|]+ */
size_t tokenizer_stage_default_punctuation(struct bytes text, size_t at)
{
    return tokenizer_stages_match_or_gap(text, at, default_punctuation);
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
    return tokenizer_stages_match_or_gap(text, at, coder_letters);
}

/* \s?\p{P}+ */
size_t tokenizer_stage_coder_punctuation(struct bytes text, size_t at)
{
    return tokenizer_stages_match_or_gap(text, at, coder_punctuation);
}

/* Cased letters as the published expression lists them: most of Lu, Ll and Lt, without lower-case Armenian. */
static const struct tokenizer_range cased_letters[] = {
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
    return TOKENIZER_IN_RANGES(p.value, cased_letters);
}

static bool is_deepseek_punctuation(struct unicode_point p)
{
    static const struct tokenizer_range ranges[] = {{0x21, 0x2f},     {0x3a, 0x7e},     {0x2018, 0x201f},
                                                    {0x3000, 0x3002}, {0xff01, 0xff0f}, {0xff1a, 0xff5e}};
    return TOKENIZER_IN_RANGES(p.value, ranges);
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
    return tokenizer_stages_match_or_gap(text, at, deepseek_letters);
}

/* \s?[!-/:-~...]+ with the same in full width, quotation marks and CJK stops */
size_t tokenizer_stage_deepseek_punctuation(struct bytes text, size_t at)
{
    return tokenizer_stages_match_or_gap(text, at, deepseek_punctuation);
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

static size_t deepseek_cjk(struct bytes text, size_t at)
{
    static const struct tokenizer_range ranges[] = {{0x0800, 0x9fa5}, {0xac00, 0xd7ff}};
    return TOKENIZER_WHILE_IN(text, at, ranges);
}

static size_t deepseek3_cjk(struct bytes text, size_t at)
{
    static const struct tokenizer_range ranges[] = {{0x3040, 0x30ff}, {0x4e00, 0x9fa5}};
    return TOKENIZER_WHILE_IN(text, at, ranges);
}

/* [\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+ */
size_t tokenizer_stage_deepseek_cjk(struct bytes text, size_t at)
{
    return tokenizer_stages_match_or_gap(text, at, deepseek_cjk);
}

/* [\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+ */
size_t tokenizer_stage_deepseek3_cjk(struct bytes text, size_t at)
{
    return tokenizer_stages_match_or_gap(text, at, deepseek3_cjk);
}

/* [^\n]+|[\n]+ */
size_t tokenizer_stage_newline_runs(struct bytes text, size_t at)
{
    bool newlines = text.data[at] == '\n';
    do
        at++;
    while (at < text.size && (text.data[at] == '\n') == newlines);
    return at;
}

static size_t youtu_scripts(struct bytes text, size_t at)
{
    static const struct tokenizer_range hangul[] = {{0x3131, 0x318e}, {0xac00, 0xd7a3}};
    static const struct tokenizer_range stops[] = {{0x2014, 0x2014}, {0x2018, 0x2019}, {0x201c, 0x201d},
                                                   {0x2026, 0x2026}, {0x3001, 0x303f}, {0xfe30, 0xfe4f},
                                                   {0xff01, 0xff01}, {0xff0c, 0xff0c}, {0xff1a, 0xff1b}};
    static const struct tokenizer_range bopomofo[] = {{0x3105, 0x312f}};
    size_t end = TOKENIZER_WHILE_IN(text, at, hangul);
    if (end == at)
        end = TOKENIZER_WHILE_IN(text, at, stops);
    if (end == at)
        end = TOKENIZER_WHILE_IN(text, at, bopomofo);
    return end > at ? end : deepseek3_cjk(text, at);
}

/* [\uac00-\ud7a3\u3131-\u318e]+|[stops of Chinese]+|[\u3105-\u312f]+|[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+
 */
size_t tokenizer_stage_youtu_scripts(struct bytes text, size_t at)
{
    return tokenizer_stages_match_or_gap(text, at, youtu_scripts);
}

static size_t afmoe_scripts(struct bytes text, size_t at)
{
    static const struct tokenizer_range ranges[] = {{0x0e40, 0x0eff}, {0x1000, 0x109f}, {0x1100, 0x11ff},
                                                    {0x1780, 0x17ff}, {0x2f00, 0x2fdf}, {0x3040, 0x30ff},
                                                    {0x3400, 0x4dbf}, {0x4e00, 0xfaff}, {0xff65, 0xff9f}};
    return TOKENIZER_WHILE_IN(text, at, ranges);
}

/* CJK, kana, Hangul, Thai, Lao, Khmer and Burmese: one [...]+ */
size_t tokenizer_stage_afmoe_scripts(struct bytes text, size_t at)
{
    return tokenizer_stages_match_or_gap(text, at, afmoe_scripts);
}

static bool has_word(struct bytes text, size_t at, const char *word)
{
    size_t n = strlen(word);
    return text.size - at >= n && memcmp(text.data + at, word, n) == 0;
}

static size_t sentinel(struct bytes text, size_t at)
{
    static const char start[] = "<sentinel:";
    if (!has_word(text, at, start))
        return at;
    size_t digits = at + sizeof start - 1;
    size_t end = tokenizer_stages_either(text, digits, "0123456789", SIZE_MAX);
    return end > digits && tokenizer_stages_byte(text, end, false) == '>' ? end + 1 : at;
}

static size_t image(struct bytes text, size_t at)
{
    if (!has_word(text, at, "IMGIMG"))
        return at;
    size_t end = tokenizer_stages_either(text, at + 6, "ABCDEFGHI", 4);
    return end > at + 6 && tokenizer_stages_byte(text, end, false) == 'Z' ? end + 1 : at;
}

/* A failing match may look at a long run of digits, but no other match starts inside that. */
static size_t chameleon_token(struct bytes text, size_t at)
{
    size_t end = sentinel(text, at);
    return end > at ? end : image(text, at);
}

/* <sentinel:[0-9]+>, then (IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z ; neither can hold the other. */
size_t tokenizer_stage_chameleon_tokens(struct bytes text, size_t at)
{
    return tokenizer_stages_match_or_gap(text, at, chameleon_token);
}

static size_t chameleon_spaces(struct bytes text, size_t at)
{
    if (text.data[at] == '\t' || text.data[at] == '\n')
        return at + 1;
    return has_word(text, at, "    ") ? at + 4 : has_word(text, at, "  ") ? at + 2 : at;
}

/* ([\t\n]|    |  ) */
size_t tokenizer_stage_chameleon_spaces(struct bytes text, size_t at)
{
    return tokenizer_stages_match_or_gap(text, at, chameleon_spaces);
}

static size_t chameleon_sign(struct bytes text, size_t at)
{
    struct unicode_point p = unicode_at(text, at);
    bool ascii = p.value < 0x80 && p.class_bits & UNICODE_SYMBOL; /* $+<=>^`|~ */
    return ascii || p.class_bits & UNICODE_PUNCTUATION ? at + p.n_bytes : at;
}

/* [\p{P}!-/:-@\[-`{-~] */
size_t tokenizer_stage_chameleon_signs(struct bytes text, size_t at)
{
    return tokenizer_stages_match_or_gap(text, at, chameleon_sign);
}
