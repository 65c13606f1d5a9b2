#include "base/log.h"

#include "base/bytes.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static enum log_level level_max = LOG_INFO;
static bool json_lines, ascii_only;
static pthread_mutex_t line_lock = PTHREAD_MUTEX_INITIALIZER;
static const char *const level_names[] = {"error", "warn", "info", "debug"};

bool log_level_parse(enum log_level *out, const char *name)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++)
        if (strcmp(level_names[i], name) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    return false;
}

void log_configure(enum log_level level, bool as_json)
{
    level_max = level;
    json_lines = as_json;
}

static void print_json_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if (*c < 0x20)
            fprintf(out, "\\u%04x", *c);
        else
            fputc(*c, out);
    }
    fputc('"', out);
}

static void write_line(enum log_level level, const char *format, va_list args)
{
    char text[2048];
    vsnprintf(text, sizeof text, format, args);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct tm broken;
    gmtime_r(&now.tv_sec, &broken);
    char when[32];
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &broken);

    pthread_mutex_lock(&line_lock);
    if (json_lines) {
        fprintf(stderr, "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"text\":", when, now.tv_nsec / 1000000,
                level_names[level]);
        print_json_text(stderr, text);
        fputs("}\n", stderr);
    } else {
        fprintf(stderr, "%s.%03ldZ %-5s %s\n", when, now.tv_nsec / 1000000, level_names[level], text);
    }
    pthread_mutex_unlock(&line_lock);
}

#define DEFINE_LOG(name, level)                                                                                \
    void name(const char *format, ...)                                                                         \
    {                                                                                                          \
        if ((level) > level_max)                                                                               \
            return;                                                                                            \
        va_list args;                                                                                          \
        va_start(args, format);                                                                                \
        write_line(level, format, args);                                                                       \
        va_end(args);                                                                                          \
    }
DEFINE_LOG(log_error, LOG_ERROR)
DEFINE_LOG(log_warn, LOG_WARN)
DEFINE_LOG(log_info, LOG_INFO)
DEFINE_LOG(log_debug, LOG_DEBUG)

void say_ascii(bool ascii)
{
    ascii_only = ascii;
}

/* Drops every non-ASCII code point, and the space after one or a run of them where two would meet. */
static void drop_signs(char *text)
{
    char *out = text;
    bool dropped = false;
    for (const char *in = text; *in; in++) {
        if ((unsigned char)*in >= 0x80) {
            dropped = true;
            continue;
        }
        if (dropped && *in == ' ' && (out == text || out[-1] == ' '))
            continue;
        dropped = false;
        *out++ = *in;
    }
    while (out > text && out[-1] == ' ')
        out--;
    *out = '\0';
}

void say(const char *format, ...)
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
    if (ascii_only)
        drop_signs(text);
    pthread_mutex_lock(&line_lock);
    fputs(text, stdout);
    fputc('\n', stdout);
    fflush(stdout);
    pthread_mutex_unlock(&line_lock);
    mem_free(text);
}
