#include "base/crypto.h"

#include "base/mem.h"

#include <sodium.h>
#include <string.h>

_Static_assert(SEAL_EXTRA_BYTES ==
                   crypto_aead_xchacha20poly1305_ietf_NPUBBYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES,
               "nonce and tag");
_Static_assert(crypto_sign_SECRETKEYBYTES == SECRET_KEY_BYTES, "Ed25519 secret");

static uint8_t table_key[crypto_shorthash_KEYBYTES];

enum status crypto_start(struct error *err)
{
    static bool started;
    if (started)
        return STATUS_OK;
    if (sodium_init() < 0)
        return error_set(err, STATUS_IO, "libsodium does not start on this machine");
    randombytes_buf(table_key, sizeof table_key);
    started = true;
    return STATUS_OK;
}

void crypto_random(void *out, size_t size)
{
    randombytes_buf(out, size);
}

uint64_t crypto_random_u64(void)
{
    uint64_t v;
    randombytes_buf(&v, sizeof v);
    return v;
}

void crypto_wipe(void *secret, size_t size)
{
    sodium_memzero(secret, size);
}

bool crypto_equal(const void *a, const void *b, size_t size)
{
    return sodium_memcmp(a, b, size) == 0;
}

void key_pair_new(struct key_pair *out)
{
    crypto_sign_keypair(out->public_key.bytes, out->secret);
}

struct signature signature_new(const struct key_pair *pair, struct bytes message)
{
    struct signature signature;
    crypto_sign_detached(signature.bytes, NULL, message.data, message.size, pair->secret);
    return signature;
}

bool crypto_verify(const struct public_key *key, struct bytes message, const struct signature *signature)
{
    return crypto_sign_verify_detached(signature->bytes, message.data, message.size, key->bytes) == 0;
}

struct shared_key crypto_derive(const struct shared_key *key, const char *label, struct bytes context)
{
    struct shared_key derived;
    uint8_t label_bytes = (uint8_t)strlen(label);
    crypto_generichash_state state;
    crypto_generichash_init(&state, key->bytes, sizeof key->bytes, sizeof derived.bytes);
    crypto_generichash_update(&state, &label_bytes, 1);
    crypto_generichash_update(&state, (const uint8_t *)label, label_bytes);
    crypto_generichash_update(&state, context.data, context.size);
    crypto_generichash_final(&state, derived.bytes, sizeof derived.bytes);
    return derived;
}

void crypto_mac(uint8_t out[MAC_BYTES], const struct shared_key *key, struct bytes message)
{
    crypto_generichash(out, MAC_BYTES, message.data, message.size, key->bytes, sizeof key->bytes);
}

void crypto_seal(struct buffer *out, const struct shared_key *key, struct bytes message, struct bytes context)
{
    uint8_t nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];
    randombytes_buf(nonce, sizeof nonce);
    unsigned long long sealed_bytes = 0;
    size_t room = message.size + crypto_aead_xchacha20poly1305_ietf_ABYTES;
    uint8_t *sealed = mem_new(room);
    crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, &sealed_bytes, message.data, message.size, context.data,
                                               context.size, NULL, nonce, key->bytes);
    buffer_bytes(out, nonce, sizeof nonce);
    buffer_bytes(out, sealed, (size_t)sealed_bytes);
    mem_free(sealed);
}

bool crypto_open(struct buffer *out, const struct shared_key *key, struct bytes sealed, struct bytes context)
{
    if (sealed.size < SEAL_EXTRA_BYTES)
        return false;
    const size_t nonce_bytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
    uint8_t *message = mem_new(sealed.size);
    unsigned long long message_bytes = 0;
    bool ok = crypto_aead_xchacha20poly1305_ietf_decrypt(
                  message, &message_bytes, NULL, sealed.data + nonce_bytes, sealed.size - nonce_bytes,
                  context.data, context.size, sealed.data, key->bytes) == 0;
    if (ok)
        buffer_bytes(out, message, (size_t)message_bytes);
    mem_free(message);
    return ok && !out->failed;
}

uint64_t crypto_table_hash(struct bytes name)
{
    uint64_t hash;
    crypto_shorthash((uint8_t *)&hash, name.data, name.size, table_key);
    return hash;
}
