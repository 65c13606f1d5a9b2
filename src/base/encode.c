/* Text forms of bytes: hex, base64url, and the check of UTF-8. */
#include "base/bytes.h"
#include "base/mem.h"

#include <string.h>

void hex_encode(char *out, const uint8_t *data, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
    out[2 * n] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool hex_decode(uint8_t *out, size_t n, const char *text)
{
    if (strlen(text) != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static const char base64url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

char *base64url_encode(const uint8_t *data, size_t n)
{
    char *text = mem_new((n + 2) / 3 * 4 + 1), *out = text;
    uint32_t held = 0;
    unsigned n_bits = 0;
    for (size_t i = 0; i < n; i++) {
        held = held << 8 | data[i];
        n_bits += 8;
        while (n_bits >= 6) {
            n_bits -= 6;
            *out++ = base64url_digits[held >> n_bits & 63];
        }
    }
    if (n_bits)
        *out++ = base64url_digits[held << (6 - n_bits) & 63];
    *out = '\0';
    return text;
}

bool base64url_decode(uint8_t *out, size_t n, const char *text)
{
    if (strlen(text) != (n * 8 + 5) / 6)
        return false;
    uint32_t held = 0;
    unsigned n_bits = 0;
    size_t at = 0;
    for (; *text; text++) {
        const char *digit = strchr(base64url_digits, *text);
        if (!digit)
            return false;
        held = held << 6 | (uint32_t)(digit - base64url_digits);
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            out[at++] = (uint8_t)(held >> n_bits);
        }
    }
    return at == n && (held & ((1U << n_bits) - 1)) == 0;
}

size_t utf8_valid_length(const uint8_t *data, size_t n_left)
{
    if (n_left == 0)
        return 0;
    uint8_t first = data[0];
    if (first < 0x80)
        return 1;
    size_t n = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || n > n_left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((data[i] & 0xc0) != 0x80)
            return 0;
    /* RFC 3629 section 4: no overlong forms, no surrogates, nothing above U+10FFFF. */
    if ((first == 0xe0 && data[1] < 0xa0) || (first == 0xed && data[1] > 0x9f) ||
        (first == 0xf0 && data[1] < 0x90) || (first == 0xf4 && data[1] > 0x8f))
        return 0;
    return n;
}

size_t utf8_valid_prefix(const uint8_t *data, size_t n)
{
    size_t at = 0;
    while (at < n) {
        size_t length = utf8_valid_length(data + at, n - at);
        if (!length)
            break;
        at += length;
    }
    return at;
}
