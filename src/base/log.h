/* log - lines for whoever runs the node, on stderr. base, kernels, model, engine and wire do not
 * log. Never prompts, keys or tokens of text. info is rare and readable; warn means that a person is
 * needed. The lines of INTERFACE section 2 are results, not log: they go to stdout (say_*).
 *
 * Thread: any. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Both have a default (info, text). `name` as in --log-level; false when it is none. */
bool log_level_parse(enum log_level *out, const char *name);
void log_configure(enum log_level level, bool as_json);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One line of a command's result on stdout, line-buffered. With say_ascii(true) the signs that
 * people are told to look for (check marks, stars, pictures) are dropped and the words kept. */
void say_ascii(bool ascii);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
