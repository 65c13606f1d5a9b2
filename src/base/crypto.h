/* crypto - signatures, sealing, MACs and random bytes. The only door to libsodium.
 *
 * crypto_start() must succeed once, before anything else here. Secrets live in fixed structs that
 * their owner wipes with crypto_wipe. Thread: any. */
#ifndef BASE_CRYPTO_H
#define BASE_CRYPTO_H

#include "base/bytes.h"

#define PUBLIC_KEY_BYTES 32
#define SECRET_KEY_BYTES 64
#define SIGNATURE_BYTES  64
#define SHARED_KEY_BYTES 32
#define MAC_BYTES        16
#define SEAL_EXTRA_BYTES 40 /* nonce of 24, tag of 16 */

struct public_key {
    uint8_t bytes[PUBLIC_KEY_BYTES];
};
struct key_pair { /* Ed25519, RFC 8032 */
    struct public_key public_key;
    uint8_t secret[SECRET_KEY_BYTES];
};
struct signature {
    uint8_t bytes[SIGNATURE_BYTES];
};
struct shared_key {
    uint8_t bytes[SHARED_KEY_BYTES];
};

enum status crypto_start(struct error *err);
void crypto_random(void *out, size_t size);
uint64_t crypto_random_u64(void);
void crypto_wipe(void *secret, size_t size);
bool crypto_equal(const void *a, const void *b, size_t size); /* in constant time */

void key_pair_new(struct key_pair *out);
struct signature signature_new(const struct key_pair *pair, struct bytes message);
bool crypto_verify(const struct public_key *key, struct bytes message, const struct signature *signature);

/* BLAKE2b keyed, 32 bytes of output: one key for each purpose out of one secret. `label` names it. */
struct shared_key crypto_derive(const struct shared_key *key, const char *label, struct bytes context);
/* BLAKE2b-128 with key over the message. */
void crypto_mac(uint8_t out[MAC_BYTES], const struct shared_key *key, struct bytes message);

/* XChaCha20-Poly1305: appends nonce, ciphertext and tag to `out`. Open: false unless it is whole and
 * was sealed with this key and the same `context`. */
void crypto_seal(struct buffer *out, const struct shared_key *key, struct bytes message, struct bytes context);
bool crypto_open(struct buffer *out, const struct shared_key *key, struct bytes sealed, struct bytes context);

/* SipHash-2-4 under a key drawn at start: for hash tables over names from outside. */
uint64_t crypto_table_hash(struct bytes name);

#endif
