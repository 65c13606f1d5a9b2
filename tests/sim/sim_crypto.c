/* Randomness by seed, and signatures that cost nothing: the linker puts these in place of base/crypto's
 * (--wrap). A signature is a MAC under the public key: whoever does not sign with `pair` is found out as
 * before, but anybody could forge one. Nobody here does. */
#include "sim/sim_crypto.h"

#include <string.h>

static struct rng source = {{1, 2, 3, 4}};

void sim_crypto_seed(uint64_t seed)
{
    source = rng_seeded(seed);
}

void __wrap_randombytes_buf(void *out, size_t size);
void __wrap_key_pair_new(struct key_pair *out);
struct signature __wrap_signature_new(const struct key_pair *pair, struct bytes message);
bool __wrap_crypto_verify(const struct public_key *key, struct bytes message,
                          const struct signature *signature);

void __wrap_randombytes_buf(void *out, size_t size)
{
    uint8_t *bytes = out;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = rng_u64(&source);
        memcpy(bytes + i, &word, size - i < 8 ? size - i : 8);
    }
}

void __wrap_key_pair_new(struct key_pair *out)
{
    __wrap_randombytes_buf(out, sizeof *out);
    memcpy(out->secret + SECRET_KEY_BYTES - PUBLIC_KEY_BYTES, out->public_key.bytes, PUBLIC_KEY_BYTES);
}

static struct signature sign(const struct public_key *key, struct bytes message)
{
    struct signature signature = {{0}};
    struct shared_key mac_key;
    memcpy(mac_key.bytes, key->bytes, sizeof mac_key.bytes);
    crypto_mac(signature.bytes, &mac_key, message);
    return signature;
}

struct signature __wrap_signature_new(const struct key_pair *pair, struct bytes message)
{
    return sign(&pair->public_key, message);
}

bool __wrap_crypto_verify(const struct public_key *key, struct bytes message, const struct signature *signature)
{
    struct signature right = sign(key, message);
    return memcmp(right.bytes, signature->bytes, sizeof right.bytes) == 0;
}
