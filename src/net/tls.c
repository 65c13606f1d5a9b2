#include "net/tls_private.h"

#include "base/crypto.h"
#include "base/mem.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

struct tls {
    SSL_CTX *ctx;
    uint8_t psk[TLS_PSK_BYTES];
};

static const unsigned char psk_identity[] = {'s', 'h', 'o', 'a', 'l', '1'};

/* RFC 8446 4.2.11: an external PSK has one hash; SHA-256 is that of both our suites. */
static SSL_SESSION *psk_session(SSL *ssl)
{
    static const unsigned char aes_128_gcm_sha256[] = {0x13, 0x01};
    const struct tls *tls = SSL_get_app_data(ssl);
    SSL_SESSION *session = SSL_SESSION_new();
    const SSL_CIPHER *suite = SSL_CIPHER_find(ssl, aes_128_gcm_sha256);
    if (session && suite && SSL_SESSION_set1_master_key(session, tls->psk, sizeof tls->psk) &&
        SSL_SESSION_set_cipher(session, suite) && SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) &&
        SSL_SESSION_set1_id_context(session, psk_identity, sizeof psk_identity))
        return session;
    SSL_SESSION_free(session);
    return NULL;
}

/* Client: what we offer. */
static int use_session(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *id_bytes,
                       SSL_SESSION **out)
{
    if (md && EVP_MD_get_type(md) != NID_sha256)
        return 0;
    *out = psk_session(ssl);
    *id = psk_identity;
    *id_bytes = sizeof psk_identity;
    return *out != NULL;
}

/* Server: what we accept. No session and success means: go on without, which then fails for want of a
 * certificate. */
static int find_session(SSL *ssl, const unsigned char *id, size_t id_bytes, SSL_SESSION **out)
{
    *out = NULL;
    if (id_bytes == sizeof psk_identity && memcmp(id, psk_identity, id_bytes) == 0)
        *out = psk_session(ssl);
    return 1;
}

enum status tls_new(struct tls **out, const uint8_t psk[TLS_PSK_BYTES], struct error *err)
{
    struct tls *tls = mem_new(sizeof *tls);
    memcpy(tls->psk, psk, sizeof tls->psk);
    SSL_CTX *ctx = tls->ctx = SSL_CTX_new(TLS_method());
    if (!ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) ||
        !SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) || !SSL_CTX_set1_groups_list(ctx, "X25519") ||
        !SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256") ||
        !SSL_CTX_set_session_id_context(ctx, psk_identity, sizeof psk_identity) ||
        !SSL_CTX_set_num_tickets(ctx, 0) || !SSL_CTX_set_max_early_data(ctx, 0)) {
        tls_free(tls);
        return error_set(err, STATUS_UNSUPPORTED, "OpenSSL refuses TLS 1.3 with X25519 and AES-128-GCM: %s",
                         ERR_reason_error_string(ERR_get_error()));
    }
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_default_read_buffer_len(ctx, TLS_BATCH_BYTES);
    /* The store is empty: whoever comes with a certificate instead of the key fails here. */
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_psk_use_session_callback(ctx, use_session);
    SSL_CTX_set_psk_find_session_callback(ctx, find_session);
    *out = tls;
    return STATUS_OK;
}

void tls_free(struct tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->ctx);
    crypto_wipe(tls->psk, sizeof tls->psk);
    mem_free(tls);
}

/* Records gather in a buffer before the socket: a system call and a wake-up of the reader for each record of
 * 16 KiB would cost ten times its encryption. */
SSL *tls_session(struct tls *tls, int fd, bool as_client)
{
    SSL *ssl = SSL_new(tls->ctx);
    BIO *in = BIO_new_socket(fd, BIO_NOCLOSE), *out = BIO_new_socket(fd, BIO_NOCLOSE),
        *batch = BIO_new(BIO_f_buffer());
    ASSERT(ssl && in && out && batch && BIO_set_write_buffer_size(batch, TLS_BATCH_BYTES));
    SSL_set_bio(ssl, in, BIO_push(batch, out));
    SSL_set_app_data(ssl, tls);
    if (as_client)
        SSL_set_connect_state(ssl);
    else
        SSL_set_accept_state(ssl);
    return ssl;
}

bool tls_flush(SSL *ssl, bool *out_failed)
{
    BIO *out = SSL_get_wbio(ssl);
    *out_failed = false;
    if (!BIO_wpending(out) || BIO_flush(out) > 0)
        return true;
    *out_failed = !BIO_should_retry(out);
    return false;
}

size_t tls_waiting(SSL *ssl)
{
    return (size_t)BIO_wpending(SSL_get_wbio(ssl));
}

bool tls_is_proved(SSL *ssl)
{
    return SSL_session_reused(ssl) && SSL_version(ssl) == TLS1_3_VERSION;
}

/* The server checks the binder, the client is told by an alert (RFC 8446 section 4.2.11). */
static bool is_wrong_key(SSL *ssl, int reason)
{
    if (SSL_is_server(ssl))
        return reason == SSL_R_BINDER_DOES_NOT_VERIFY;
    return reason == SSL_R_SSLV3_ALERT_ILLEGAL_PARAMETER || reason == SSL_R_TLSV1_ALERT_DECRYPT_ERROR ||
           reason == SSL_R_TLSV1_ALERT_UNKNOWN_PSK_IDENTITY;
}

static enum conn_end explain_handshake(SSL *ssl, int reason, char text[TLS_TEXT_BYTES])
{
    if (is_wrong_key(ssl, reason)) {
        snprintf(text, TLS_TEXT_BYTES, "the other side has another swarm key");
        return CONN_END_WRONG_KEY;
    }
    switch (reason) {
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        snprintf(text, TLS_TEXT_BYTES, "the other side closed the connection during the TLS handshake");
        return CONN_END_RESET;
    case SSL_R_HTTP_REQUEST:
        snprintf(text, TLS_TEXT_BYTES, "the other side speaks plain HTTP on a port for links");
        return CONN_END_NOT_TLS;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        snprintf(text, TLS_TEXT_BYTES, "the other side answered with a certificate instead of the swarm key");
        return CONN_END_NOT_TLS;
    default: {
        const char *why = ERR_reason_error_string((unsigned long)ERR_PACK(ERR_LIB_SSL, 0, reason));
        snprintf(text, TLS_TEXT_BYTES, "the other side does not speak shoal's protocol (TLS: %s)",
                 why ? why : "?");
        return CONN_END_NOT_TLS;
    }
    }
}

enum conn_end tls_explain(SSL *ssl, int result, int sys_errno, bool in_handshake, char text[TLS_TEXT_BYTES])
{
    int kind = SSL_get_error(ssl, result);
    unsigned long first = ERR_peek_error();
    int reason = ERR_GET_REASON(first);
    ERR_clear_error();
    if (kind == SSL_ERROR_ZERO_RETURN) {
        snprintf(text, TLS_TEXT_BYTES, "the other side closed the connection");
        return CONN_END_CLOSED;
    }
    if (kind == SSL_ERROR_SYSCALL) {
        snprintf(text, TLS_TEXT_BYTES, "connection lost: %s", sys_errno ? strerror(sys_errno) : "end of file");
        return CONN_END_RESET;
    }
    if (in_handshake)
        return explain_handshake(ssl, reason, text);
    if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        snprintf(text, TLS_TEXT_BYTES, "the connection was cut without TLS's end mark");
        return CONN_END_TRUNCATED;
    }
    snprintf(text, TLS_TEXT_BYTES, "TLS: %s", first ? ERR_reason_error_string(first) : "unknown failure");
    return CONN_END_BROKEN;
}
