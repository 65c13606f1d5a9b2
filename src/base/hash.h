/* hash - SHA-256 and SHA-1. The only door to libcrypto's digests (FIPS 180-4).
 * Owned by the caller. Thread: one at a time. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/bytes.h"

#define SHA256_BYTES 32
#define SHA1_BYTES   20

struct sha256 {
    uint8_t bytes[SHA256_BYTES];
};

enum hash_kind { HASH_SHA256, HASH_SHA1 };

struct hasher; /* a running digest */
struct hasher *hasher_new(enum hash_kind kind);
void hasher_add(struct hasher *hasher, const void *data, size_t size);
void hasher_finish(struct hasher *hasher, uint8_t *out); /* 32 or 20 bytes; then free it */
void hasher_free(struct hasher *hasher);                 /* NULL is fine */

struct sha256 sha256_of(const void *data, size_t size);
void sha1_of(uint8_t out[SHA1_BYTES], const void *data, size_t size);
bool sha256_equal(const struct sha256 *a, const struct sha256 *b);
void sha256_hex(char out[2 * SHA256_BYTES + 1], const struct sha256 *hash);

#endif
