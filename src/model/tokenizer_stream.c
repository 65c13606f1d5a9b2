#include "model/tokenizer.h"

#include <string.h>

static const char replacement[] = "\xef\xbf\xbd";

/* How many bytes the code point that starts with these may still become: 0 when they cannot start one. The
 * ranges of the second byte are RFC 3629's: no overlong forms, no surrogates, nothing above U+10FFFF. */
static size_t wanted_length(const uint8_t *p, size_t n)
{
    size_t want = p[0] >= 0xc2 && p[0] <= 0xdf   ? 2
                  : p[0] >= 0xe0 && p[0] <= 0xef ? 3
                  : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                                 : 0;
    uint8_t low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    uint8_t high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (n > 1 && (p[1] < low || p[1] > high))
        return 0;
    if (n > 2 && (p[2] & 0xc0) != 0x80)
        return 0;
    return want > n ? want : 0;
}

/* Gives out what is whole in `data`; what may still grow stays in `held`. */
static void push_some(struct tokenizer_stream *s, const uint8_t *data, size_t n, struct buffer *out)
{
    size_t at = 0;
    while (at < n) {
        size_t whole = utf8_valid_prefix(data + at, n - at);
        buffer_bytes(out, data + at, whole);
        at += whole;
        if (at == n)
            break;
        if (n - at < 4 && wanted_length(data + at, n - at)) {
            s->n_held = n - at;
            memcpy(s->held, data + at, s->n_held);
            return;
        }
        buffer_text(out, replacement);
        at++;
    }
}

void tokenizer_stream_push(struct tokenizer_stream *s, struct bytes token_bytes, struct buffer *out)
{
    size_t at = 0;
    while (s->n_held && at < token_bytes.size) { /* at most three rounds */
        uint8_t joined[4];
        size_t n = s->n_held;
        memcpy(joined, s->held, n);
        joined[n++] = token_bytes.data[at++];
        s->n_held = 0;
        push_some(s, joined, n, out);
    }
    push_some(s, token_bytes.data + at, token_bytes.size - at, out);
}

void tokenizer_stream_finish(struct tokenizer_stream *s, struct buffer *out)
{
    for (size_t i = 0; i < s->n_held; i++)
        buffer_text(out, replacement);
    s->n_held = 0;
}
