/* tls.c's side for conn.c: OpenSSL's objects go no further. */
#ifndef NET_TLS_PRIVATE_H
#define NET_TLS_PRIVATE_H

#include "net/conn.h"
#include "net/tls.h"

#include <openssl/ssl.h>

#define TLS_TEXT_BYTES  256
#define TLS_BATCH_BYTES (64 << 10)

SSL *tls_session(struct tls *tls, int fd, bool as_client);
/* Hands over to the kernel what SSL_write gathered; false: some is left, or (*out_failed) the socket failed. */
bool tls_flush(SSL *ssl, bool *out_failed);
size_t tls_waiting(SSL *ssl); /* gathered and not handed over */
/* Whether a finished handshake is what it must be: 1.3, and the PSK was really used. */
bool tls_is_proved(SSL *ssl);
/* What the failure of the last call on `ssl` (its result) means, with a sentence. sys_errno: errno right after
 * it. */
enum conn_end tls_explain(SSL *ssl, int result, int sys_errno, bool in_handshake, char text[TLS_TEXT_BYTES]);

#endif
