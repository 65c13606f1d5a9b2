/* tls - TLS 1.3 with an external PSK and ECDHE, no certificates: who completes the handshake has the
 * swarm key (SECURITY section 1, row A). conn.h runs it over sockets; here is what both share.
 *
 * The PSK's identity is the same word for every swarm, so it tells nothing, and a peer with another
 * key fails at the binder and can be named as such. Thread: loop. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/bytes.h"

#define TLS_PSK_BYTES 32

struct tls; /* one key; outlives its connections */

enum status tls_new(struct tls **out, const uint8_t psk[TLS_PSK_BYTES], struct error *err);
void tls_free(struct tls *tls); /* NULL is fine */

#endif
