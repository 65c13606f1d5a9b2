/* bytes - views of bytes, a bounded reader that latches its first failure, and a growing buffer.
 *
 * The reader yields zeros after it failed, so that a decoder's body is its message's schema and is
 * checked once, with reader_done() or reader_failed(). All integers are little-endian. Read in
 * statements, never in an initialiser list: C leaves that order open. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct bytes {
    const uint8_t *data; /* borrowed */
    size_t size;
};

static inline struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){.data = data, .size = size};
}
struct bytes bytes_of_text(const char *text);
bool bytes_equal(struct bytes a, struct bytes b);

struct reader {
    const uint8_t *data;
    size_t size;
    size_t at; /* bytes taken so far */
    bool failed;
};

struct reader reader_over(struct bytes in);
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
float reader_f32(struct reader *r);
double reader_f64(struct reader *r);
struct bytes reader_bytes(struct reader *r, uint64_t size); /* a view into the input */
void reader_copy(struct reader *r, void *out, size_t size); /* zeroes `out` on failure */
size_t reader_left(const struct reader *r);
bool reader_failed(const struct reader *r);
bool reader_done(const struct reader *r); /* nothing failed and nothing is left */

/* buffer - bytes that grow up to `max`; past it the buffer latches `failed` and takes nothing more. */
struct buffer {
    uint8_t *data;
    size_t size, capacity, max;
    bool failed;
};

#define BUFFER_MAX_DEFAULT ((size_t)256 << 20)

void buffer_init(struct buffer *b, size_t max); /* 0: BUFFER_MAX_DEFAULT */
void buffer_free(struct buffer *b);
void buffer_clear(struct buffer *b); /* keeps the memory */
void buffer_u8(struct buffer *b, uint8_t v);
void buffer_u16(struct buffer *b, uint16_t v);
void buffer_u32(struct buffer *b, uint32_t v);
void buffer_u64(struct buffer *b, uint64_t v);
void buffer_f32(struct buffer *b, float v);
void buffer_f64(struct buffer *b, double v);
void buffer_bytes(struct buffer *b, const void *data, size_t size);
void buffer_text(struct buffer *b, const char *text); /* without its NUL */
void buffer_format(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buffer_consume(struct buffer *b, size_t n_bytes); /* drops from the front */
/* Room for n more bytes behind the content, for reading into; NULL past max. Add to `size` what was filled. */
uint8_t *buffer_room(struct buffer *b, size_t n_bytes);
struct bytes buffer_view(const struct buffer *b);
/* The text so far, NUL-terminated inside the buffer (the NUL is not counted). */
const char *buffer_string(struct buffer *b);
/* The text as a block for mem_free; the buffer is empty afterwards. */
char *buffer_take_string(struct buffer *b);

/* Lower-case hex. hex_encode writes 2 * n + 1 bytes. hex_decode wants exactly 2 * n digits. */
void hex_encode(char *out, const uint8_t *data, size_t n);
bool hex_decode(uint8_t *out, size_t n, const char *text);
/* base64url without padding (RFC 4648 section 5). Encode: a block for mem_free. Decode: false
 * unless `text` is exactly the encoding of n bytes. */
char *base64url_encode(const uint8_t *data, size_t n);
bool base64url_decode(uint8_t *out, size_t n, const char *text);

/* The length of the valid UTF-8 code point at data, 0 where there is none (RFC 3629). */
size_t utf8_valid_length(const uint8_t *data, size_t n_left);
/* How many leading bytes form whole, valid code points. */
size_t utf8_valid_prefix(const uint8_t *data, size_t n);

#endif
