#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static _Noreturn void out_of_memory(size_t bytes)
{
    fprintf(stderr, "shoal: out of memory (%zu bytes)\n", bytes);
    abort();
}

void *mem_new(size_t bytes)
{
    return mem_array(1, bytes);
}

void *mem_array(size_t count, size_t bytes_each)
{
    void *block = calloc(count ? count : 1, bytes_each ? bytes_each : 1);
    if (!block)
        out_of_memory(count * bytes_each);
    return block;
}

void *mem_resize(void *block, size_t count, size_t bytes_each)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, bytes_each, &bytes))
        out_of_memory(SIZE_MAX);
    void *grown = realloc(block, bytes ? bytes : 1);
    if (!grown)
        out_of_memory(bytes);
    return grown;
}

void *mem_copy(const void *data, size_t bytes)
{
    void *copy = mem_new(bytes);
    if (bytes)
        memcpy(copy, data, bytes);
    return copy;
}

char *mem_string_n(const char *text, size_t n_bytes)
{
    char *copy = mem_new(n_bytes + 1);
    if (n_bytes)
        memcpy(copy, text, n_bytes);
    return copy;
}

char *mem_string(const char *text)
{
    return mem_string_n(text, strlen(text));
}

char *mem_format(const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ASSERT(n >= 0);
    char *text = mem_new((size_t)n + 1);
    vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return text;
}

void mem_free(void *block)
{
    free(block);
}

void *mem_try_array(size_t count, size_t bytes_each, size_t bytes_max)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, bytes_each, &bytes) || bytes > bytes_max)
        return NULL;
    return calloc(count ? count : 1, bytes_each ? bytes_each : 1);
}

void *mem_try_aligned(size_t bytes)
{
    size_t rounded;
    if (__builtin_add_overflow(bytes, (size_t)63, &rounded))
        return NULL;
    rounded &= ~(size_t)63;
    void *block = aligned_alloc(64, rounded ? rounded : 64);
    if (block)
        memset(block, 0, rounded ? rounded : 64);
    return block;
}

#define HUGE_PAGE  ((size_t)2 << 20)
#define SMALL_PAGE ((size_t)4096)

/* The part on huge pages: the last one too unless much of it would be empty. */
static size_t huge_bytes(size_t bytes)
{
    size_t whole = bytes / HUGE_PAGE * HUGE_PAGE, rest = bytes - whole;
    return bytes >= HUGE_PAGE && rest && HUGE_PAGE - rest <= bytes / 16 ? whole + HUGE_PAGE : whole;
}

size_t mem_large_bytes(size_t bytes)
{
    size_t huge = huge_bytes(bytes), small = (bytes + SMALL_PAGE - 1) / SMALL_PAGE * SMALL_PAGE;
    return huge > small ? huge : small;
}

void *mem_try_large(size_t bytes)
{
    void *block;

    if (bytes > SIZE_MAX - HUGE_PAGE)
        return NULL;
    if (bytes < HUGE_PAGE)
        return mem_try_aligned(bytes);
    if (posix_memalign(&block, HUGE_PAGE, mem_large_bytes(bytes)) != 0)
        return NULL;
    (void)madvise(block, huge_bytes(bytes), MADV_HUGEPAGE); /* a wish; without it only slower */
    return block;
}
