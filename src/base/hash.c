#include "base/hash.h"

#include "base/mem.h"

#include <openssl/evp.h>
#include <string.h>

struct hasher {
    EVP_MD_CTX *context;
};

struct hasher *hasher_new(enum hash_kind kind)
{
    struct hasher *hasher = mem_new(sizeof *hasher);
    hasher->context = EVP_MD_CTX_new();
    ASSERT(hasher->context);
    int ok = EVP_DigestInit_ex(hasher->context, kind == HASH_SHA1 ? EVP_sha1() : EVP_sha256(), NULL);
    ASSERT(ok == 1);
    return hasher;
}

void hasher_add(struct hasher *hasher, const void *data, size_t size)
{
    int ok = EVP_DigestUpdate(hasher->context, data, size);
    ASSERT(ok == 1);
}

void hasher_finish(struct hasher *hasher, uint8_t *out)
{
    int ok = EVP_DigestFinal_ex(hasher->context, out, NULL);
    ASSERT(ok == 1);
}

void hasher_free(struct hasher *hasher)
{
    if (!hasher)
        return;
    EVP_MD_CTX_free(hasher->context);
    mem_free(hasher);
}

static void digest(enum hash_kind kind, uint8_t *out, const void *data, size_t size)
{
    struct hasher *hasher = hasher_new(kind);
    hasher_add(hasher, data, size);
    hasher_finish(hasher, out);
    hasher_free(hasher);
}

struct sha256 sha256_of(const void *data, size_t size)
{
    struct sha256 hash;
    digest(HASH_SHA256, hash.bytes, data, size);
    return hash;
}

void sha1_of(uint8_t out[SHA1_BYTES], const void *data, size_t size)
{
    digest(HASH_SHA1, out, data, size);
}

bool sha256_equal(const struct sha256 *a, const struct sha256 *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

void sha256_hex(char out[2 * SHA256_BYTES + 1], const struct sha256 *hash)
{
    hex_encode(out, hash->bytes, sizeof hash->bytes);
}
