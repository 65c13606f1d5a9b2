#include "model/unicode.h"

static uint32_t decode(const uint8_t *p, size_t n)
{
    switch (n) {
    case 1:
        return p[0];
    case 2:
        return (p[0] & 0x1fU) << 6 | (p[1] & 0x3fU);
    case 3:
        return (p[0] & 0x0fU) << 12 | (p[1] & 0x3fU) << 6 | (p[2] & 0x3fU);
    default:
        return (p[0] & 0x07U) << 18 | (p[1] & 0x3fU) << 12 | (p[2] & 0x3fU) << 6 | (p[3] & 0x3fU);
    }
}

struct unicode_point unicode_at(struct bytes text, size_t at)
{
    struct unicode_point point = {0};
    if (at >= text.size)
        return point;
    uint8_t first = text.data[at];
    if (first < 0x80)
        return (struct unicode_point){first, 1, unicode_ascii[first]};
    size_t n = utf8_valid_length(text.data + at, text.size - at);
    point.value = n ? decode(text.data + at, n) : 0xfffd;
    point.n_bytes = (uint8_t)(n ? n : 1);
    point.class_bits = unicode_class(point.value);
    return point;
}
