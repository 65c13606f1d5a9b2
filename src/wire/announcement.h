/* announcement - what a node puts into the DHT: who it is and where. Shard state does not travel by DHT; a
 * node announces itself under the key of each shard it holds or is assigned, and under its cluster's member
 * key.
 *
 * Stored form: u64 sequence (clear, so that a holder keeps the highest) and a sealed box (XChaCha20-Poly1305
 * under the announce key) of a signed body. A member cannot announce for another: value id and signature must
 * be those of the id inside. Times are wall clock, used for expiry only, with 120 s of tolerance. */
#ifndef WIRE_ANNOUNCEMENT_H
#define WIRE_ANNOUNCEMENT_H

#include "base/hash.h"
#include "wire/address.h"
#include "wire/node_id.h"

#define ANNOUNCEMENT_BYTES_MAX     2048
#define ANNOUNCEMENT_ADDRESSES_MAX 8
#define ANNOUNCEMENT_SKEW_MS       120000
#define ANNOUNCEMENT_KEY_BYTES     20

struct announcement {
    struct node_id id;
    uint64_t epoch, sequence;
    int64_t issued_ms, expires_ms; /* wall clock */
    uint32_t role;
    char cluster[64];
    uint32_t n_addresses;
    struct address addresses[ANNOUNCEMENT_ADDRESSES_MAX];
};

void announcement_seal(struct buffer *out, const struct announcement *announcement, const struct key_pair *pair,
                       const struct shared_key *announce_key);
/* REFUSED: not sealed with our key, or the signature is another's; TIMEOUT: expired, or issued in the future
 * (the text gives the seconds), and `out` is filled in all the same: the signature is good; BAD_DATA: the body.
 */
enum status announcement_open(struct announcement *out, struct bytes stored,
                              const struct shared_key *announce_key, int64_t wall_ms, struct error *err);
uint64_t announcement_value_id(const struct node_id *id);
/* Hash of all that the signature covers: equal sequence and other content is equivocation. */
struct sha256 announcement_content(const struct announcement *announcement);

/* DHT keys: keyed hash of the cluster's name (members), or of name and shard. NULL cluster: the key under which
 * all clusters of one swarm key list themselves. */
void announcement_member_key(uint8_t out[ANNOUNCEMENT_KEY_BYTES], const struct shared_key *lookup_key,
                             const char *cluster);
void announcement_shard_key(uint8_t out[ANNOUNCEMENT_KEY_BYTES], const struct shared_key *lookup_key,
                            const char *cluster, uint32_t shard);

#endif
