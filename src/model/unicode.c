#include "model/unicode.h"

uint16_t unicode_class(uint32_t code_point)
{
    uint32_t low = 0, end = unicode_n_runs; /* the last run that starts at or before it */
    while (end - low > 1) {
        uint32_t middle = low + (end - low) / 2;
        if (unicode_runs[middle] >> UNICODE_CLASS_BITS <= code_point)
            low = middle;
        else
            end = middle;
    }
    return (uint16_t)(unicode_runs[low] & ((1U << UNICODE_CLASS_BITS) - 1));
}

struct unicode_point unicode_before(struct bytes text, size_t end)
{
    text.size = end;
    for (size_t n = end < 4 ? end : 4; n > 1; n--)
        if (utf8_valid_length(text.data + end - n, n) == n)
            return unicode_at(text, end - n);
    return end ? unicode_at(text, end - 1) : (struct unicode_point){0};
}

size_t unicode_run(struct bytes text, size_t at, unsigned classes)
{
    for (;;) {
        struct unicode_point p = unicode_at(text, at);
        if (!(p.class_bits & classes))
            return at;
        at += p.n_bytes;
    }
}

size_t unicode_run_without(struct bytes text, size_t at, unsigned classes)
{
    for (;;) {
        struct unicode_point p = unicode_at(text, at);
        if (!p.n_bytes || p.class_bits & classes)
            return at;
        at += p.n_bytes;
    }
}

size_t unicode_encode(uint8_t out[4], uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}
