#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_text(struct error *err, const char *format, va_list args)
{
    if (vsnprintf(err->text, sizeof err->text, format, args) < 0)
        err->text[0] = '\0';
}

enum status error_set(struct error *err, enum status status, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        set_text(err, format, args);
        va_end(args);
        err->status = status;
        err->sys_errno = 0;
    }
    return status;
}

enum status error_set_errno(struct error *err, enum status status, int sys_errno, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        set_text(err, format, args);
        va_end(args);
        size_t used = strlen(err->text);
        snprintf(err->text + used, sizeof err->text - used, ": %s", strerror(sys_errno));
        err->status = status;
        err->sys_errno = sys_errno;
    }
    return status;
}

enum status error_wrap(struct error *err, enum status status, const char *format, ...)
{
    if (err) {
        struct error inner = *err;
        va_list args;
        va_start(args, format);
        set_text(err, format, args);
        va_end(args);
        size_t used = strlen(err->text);
        snprintf(err->text + used, sizeof err->text - used, ": %s", inner.text);
        err->status = status;
    }
    return status;
}

void error_clear(struct error *err)
{
    if (err)
        *err = (struct error){.status = STATUS_OK};
}

const char *status_name(enum status status)
{
    static const char *const names[STATUS_COUNT] = {
        [STATUS_OK] = "ok",
        [STATUS_BAD_USAGE] = "bad usage",
        [STATUS_BAD_DATA] = "bad data",
        [STATUS_UNSUPPORTED] = "unsupported",
        [STATUS_NOT_FOUND] = "not found",
        [STATUS_EXISTS] = "exists",
        [STATUS_IO] = "input/output",
        [STATUS_NETWORK] = "network",
        [STATUS_TIMEOUT] = "timeout",
        [STATUS_LIMIT] = "limit",
        [STATUS_NO_MEMORY] = "no memory",
        [STATUS_REFUSED] = "refused",
        [STATUS_BUSY] = "busy",
        [STATUS_CANCELLED] = "cancelled",
    };
    return (unsigned)status < STATUS_COUNT ? names[status] : "unknown";
}

int status_exit_code(enum status status)
{
    switch (status) {
    case STATUS_OK:
        return 0;
    case STATUS_BAD_USAGE:
    case STATUS_LIMIT:
        return 2;
    case STATUS_BAD_DATA:
    case STATUS_UNSUPPORTED:
        return 4;
    default:
        return 3;
    }
}

void assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "shoal: bug: %s:%d: %s does not hold\n", file, line, condition);
    abort();
}
