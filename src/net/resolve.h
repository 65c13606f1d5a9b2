/* resolve - names to numeric addresses, off the loop. A numeric host is answered without asking
 * anybody, still from the loop. Thread: loop. */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include "net/conn.h"

#define RESOLVE_ANSWERS_MAX 8

struct resolve;

/* Calls fn once with the answers, or with n = 0 and a sentence. */
struct resolve *resolve_start(struct loop *loop, const char *host, uint16_t port,
                              void (*fn)(void *arg, const struct endpoint *answers, size_t n, const char *text),
                              void *arg);
void resolve_cancel(struct resolve *resolve); /* before fn was called; NULL is fine */

#endif
