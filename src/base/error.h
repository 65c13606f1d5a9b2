/* error - a status for programs and one line of context for people.
 *
 * The deepest function writes the fact with its numbers (error_set), callers add where
 * (error_wrap), the last one prints or logs it. A status class means an action: BAD_DATA
 * drops the peer or file, TIMEOUT replans, LIMIT refuses. Bugs are ASSERTs, never statuses.
 *
 * `err` may be NULL everywhere: the text is then dropped, the status is still returned.
 * Owned by the caller, usually on its stack. Thread: whoever owns it. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>

enum status {
    STATUS_OK = 0,
    STATUS_BAD_USAGE,   /* the caller of the program asked for something impossible */
    STATUS_BAD_DATA,    /* bytes from a file or a peer break their format */
    STATUS_UNSUPPORTED, /* well-formed, but outside what this program does */
    STATUS_NOT_FOUND,
    STATUS_EXISTS,
    STATUS_IO,      /* disk or socket; sys_errno tells */
    STATUS_NETWORK, /* resolve, connect, handshake */
    STATUS_TIMEOUT, /* a deadline passed */
    STATUS_LIMIT,   /* a named maximum would be passed */
    STATUS_NO_MEMORY,
    STATUS_REFUSED, /* not allowed: key, signature, permission */
    STATUS_BUSY,    /* try again later */
    STATUS_CANCELLED,
    STATUS_COUNT
};

#define ERROR_TEXT_MAX 640

struct error {
    enum status status;
    int sys_errno; /* 0 where no system call failed */
    char text[ERROR_TEXT_MAX];
};

/* Each returns the status it was given (error_wrap: the one already in err), so that it can be the
 * operand of `return`. error_set_errno appends strerror(sys_errno) and stores the number.
 * error_wrap puts its text and ": " before what is there. */
enum status error_set(struct error *err, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
enum status error_set_errno(struct error *err, enum status status, int sys_errno, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
enum status error_wrap(struct error *err, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void error_clear(struct error *err);

const char *status_name(enum status status);

/* The documented exit code of a command that ended with this status: 0 done, 1 check failed,
 * 2 wrong usage, 3 cannot reach or use what it needs, 4 bad input file. */
int status_exit_code(enum status status);

/* Our own invariants only, never input. Always on; prints file, line and condition, then aborts. */
_Noreturn void assert_failed(const char *condition, const char *file, int line);
#define ASSERT(condition) ((condition) ? (void)0 : assert_failed(#condition, __FILE__, __LINE__))

#endif
