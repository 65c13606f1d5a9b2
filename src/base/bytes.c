#include "base/bytes.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct bytes bytes_of_text(const char *text)
{
    return bytes_of(text, strlen(text));
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

struct reader reader_over(struct bytes in)
{
    return (struct reader){.data = in.data, .size = in.size};
}

struct bytes reader_bytes(struct reader *r, uint64_t size)
{
    if (r->failed || size > r->size - r->at) {
        r->failed = true;
        return (struct bytes){0};
    }
    struct bytes view = bytes_of(r->data + r->at, (size_t)size);
    r->at += (size_t)size;
    return view;
}

static uint64_t read_le(struct reader *r, size_t n)
{
    struct bytes view = reader_bytes(r, n);
    uint64_t v = 0;
    for (size_t i = 0; i < view.size; i++)
        v |= (uint64_t)view.data[i] << (8 * i);
    return v;
}

uint8_t reader_u8(struct reader *r)
{
    return (uint8_t)read_le(r, 1);
}

uint16_t reader_u16(struct reader *r)
{
    return (uint16_t)read_le(r, 2);
}

uint32_t reader_u32(struct reader *r)
{
    return (uint32_t)read_le(r, 4);
}

uint64_t reader_u64(struct reader *r)
{
    return read_le(r, 8);
}

float reader_f32(struct reader *r)
{
    uint32_t bits = reader_u32(r);
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

double reader_f64(struct reader *r)
{
    uint64_t bits = reader_u64(r);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

void reader_copy(struct reader *r, void *out, size_t size)
{
    struct bytes view = reader_bytes(r, size);
    if (r->failed)
        memset(out, 0, size);
    else if (size)
        memcpy(out, view.data, size);
}

size_t reader_left(const struct reader *r)
{
    return r->failed ? 0 : r->size - r->at;
}

bool reader_failed(const struct reader *r)
{
    return r->failed;
}

bool reader_done(const struct reader *r)
{
    return !r->failed && r->at == r->size;
}

void buffer_init(struct buffer *b, size_t max)
{
    *b = (struct buffer){.max = max ? max : BUFFER_MAX_DEFAULT};
}

void buffer_free(struct buffer *b)
{
    mem_free(b->data);
    *b = (struct buffer){.max = b->max};
}

void buffer_clear(struct buffer *b)
{
    b->size = 0;
    b->failed = false;
}

/* One byte more than asked for is kept, for buffer_string's NUL. */
static bool reserve(struct buffer *b, size_t more)
{
    if (b->failed || more > b->max - b->size) {
        b->failed = true;
        return false;
    }
    if (b->size + more + 1 > b->capacity) {
        size_t capacity = b->capacity ? b->capacity : 64;
        while (capacity < b->size + more + 1)
            capacity *= 2;
        b->data = mem_resize(b->data, capacity, 1);
        b->capacity = capacity;
    }
    return true;
}

uint8_t *buffer_room(struct buffer *b, size_t n_bytes)
{
    return reserve(b, n_bytes) ? b->data + b->size : NULL;
}

void buffer_bytes(struct buffer *b, const void *data, size_t size)
{
    if (!size || !reserve(b, size))
        return;
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

static void write_le(struct buffer *b, uint64_t v, size_t n)
{
    uint8_t raw[8];
    for (size_t i = 0; i < n; i++)
        raw[i] = (uint8_t)(v >> (8 * i));
    buffer_bytes(b, raw, n);
}

void buffer_u8(struct buffer *b, uint8_t v)
{
    write_le(b, v, 1);
}

void buffer_u16(struct buffer *b, uint16_t v)
{
    write_le(b, v, 2);
}

void buffer_u32(struct buffer *b, uint32_t v)
{
    write_le(b, v, 4);
}

void buffer_u64(struct buffer *b, uint64_t v)
{
    write_le(b, v, 8);
}

void buffer_f32(struct buffer *b, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    buffer_u32(b, bits);
}

void buffer_f64(struct buffer *b, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    buffer_u64(b, bits);
}

void buffer_text(struct buffer *b, const char *text)
{
    buffer_bytes(b, text, strlen(text));
}

void buffer_format(struct buffer *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ASSERT(n >= 0);
    if (reserve(b, (size_t)n)) {
        vsnprintf((char *)b->data + b->size, (size_t)n + 1, format, again);
        b->size += (size_t)n;
    }
    va_end(again);
}

void buffer_consume(struct buffer *b, size_t n_bytes)
{
    ASSERT(n_bytes <= b->size);
    if (n_bytes && b->size > n_bytes)
        memmove(b->data, b->data + n_bytes, b->size - n_bytes);
    b->size -= n_bytes;
}

struct bytes buffer_view(const struct buffer *b)
{
    return bytes_of(b->data, b->size);
}

const char *buffer_string(struct buffer *b)
{
    if (!b->data) {
        b->data = mem_new(64);
        b->capacity = 64;
    }
    b->data[b->size] = '\0';
    return (const char *)b->data;
}

char *buffer_take_string(struct buffer *b)
{
    buffer_string(b);
    char *text = (char *)b->data;
    size_t max = b->max;
    *b = (struct buffer){.max = max};
    return text;
}
