#include "wire/announcement.h"

#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

#define TIME_MS_MAX ((int64_t)1 << 53) /* far enough, and no sum with it overflows */

static const char seal_context[] = "shoal announcement 1";

uint64_t announcement_value_id(const struct node_id *id)
{
    struct reader r = reader_over(bytes_of(id->bytes, 8));
    uint64_t value_id = reader_u64(&r);
    return value_id ? value_id : 1; /* OpenDHT takes 0 for "any" */
}

static void body_encode(struct buffer *out, const struct announcement *a)
{
    buffer_bytes(out, a->id.bytes, sizeof a->id.bytes);
    buffer_u64(out, a->epoch);
    buffer_u64(out, a->sequence);
    buffer_u64(out, (uint64_t)a->issued_ms);
    buffer_u64(out, (uint64_t)a->expires_ms);
    buffer_u32(out, a->role);
    buffer_u8(out, (uint8_t)strlen(a->cluster));
    buffer_text(out, a->cluster);
    buffer_u8(out, (uint8_t)a->n_addresses);
    for (uint32_t i = 0; i < a->n_addresses; i++)
        address_write(out, &a->addresses[i]);
}

static bool body_decode(struct announcement *a, struct bytes in)
{
    struct reader r = reader_over(in);
    reader_copy(&r, a->id.bytes, sizeof a->id.bytes);
    a->epoch = reader_u64(&r);
    a->sequence = reader_u64(&r);
    a->issued_ms = (int64_t)reader_u64(&r);
    a->expires_ms = (int64_t)reader_u64(&r);
    a->role = reader_u32(&r);
    struct bytes cluster = reader_bytes(&r, reader_u8(&r));
    if (cluster.size >= sizeof a->cluster || (cluster.size && memchr(cluster.data, 0, cluster.size)))
        return false;
    if (cluster.size)
        memcpy(a->cluster, cluster.data, cluster.size);
    a->n_addresses = reader_u8(&r);
    if (a->n_addresses > ANNOUNCEMENT_ADDRESSES_MAX)
        return false;
    for (uint32_t i = 0; i < a->n_addresses; i++)
        if (!address_read(&a->addresses[i], &r))
            return false;
    return reader_done(&r);
}

struct sha256 announcement_content(const struct announcement *announcement)
{
    struct buffer body;
    buffer_init(&body, ANNOUNCEMENT_BYTES_MAX);
    body_encode(&body, announcement);
    struct sha256 hash = sha256_of(body.data, body.size);
    buffer_free(&body);
    return hash;
}

void announcement_seal(struct buffer *out, const struct announcement *announcement, const struct key_pair *pair,
                       const struct shared_key *announce_key)
{
    struct buffer body;
    buffer_init(&body, ANNOUNCEMENT_BYTES_MAX);
    body_encode(&body, announcement);
    struct signature signature = signature_new(pair, buffer_view(&body));
    buffer_bytes(&body, signature.bytes, sizeof signature.bytes);
    ASSERT(!body.failed);
    buffer_u64(out, announcement->sequence);
    crypto_seal(out, announce_key, buffer_view(&body), bytes_of_text(seal_context));
    buffer_free(&body);
}

static enum status check(const struct announcement *a, uint64_t sequence, int64_t wall_ms, struct error *err)
{
    if (a->sequence != sequence)
        return error_set(err, STATUS_REFUSED, "announcement: sequence %" PRIu64 " outside, %" PRIu64 " inside",
                         sequence, a->sequence);
    if (a->issued_ms < 0 || a->expires_ms < a->issued_ms || a->expires_ms > TIME_MS_MAX)
        return error_set(err, STATUS_BAD_DATA, "announcement: issued at %" PRId64 " ms, expires at %" PRId64,
                         a->issued_ms, a->expires_ms);
    if (a->issued_ms > wall_ms + ANNOUNCEMENT_SKEW_MS)
        return error_set(err, STATUS_TIMEOUT, "announcement issued %" PRId64 " s in the future",
                         (a->issued_ms - wall_ms) / 1000);
    if (a->expires_ms + ANNOUNCEMENT_SKEW_MS < wall_ms)
        return error_set(err, STATUS_TIMEOUT, "announcement expired %" PRId64 " s ago",
                         (wall_ms - a->expires_ms) / 1000);
    return STATUS_OK;
}

enum status announcement_open(struct announcement *out, struct bytes stored,
                              const struct shared_key *announce_key, int64_t wall_ms, struct error *err)
{
    struct reader r = reader_over(stored);
    uint64_t sequence = reader_u64(&r);
    struct bytes sealed = reader_bytes(&r, reader_left(&r));
    struct buffer body;
    buffer_init(&body, ANNOUNCEMENT_BYTES_MAX);
    if (reader_failed(&r) || stored.size > ANNOUNCEMENT_BYTES_MAX ||
        !crypto_open(&body, announce_key, sealed, bytes_of_text(seal_context)) || body.size < SIGNATURE_BYTES) {
        buffer_free(&body);
        return error_set(err, STATUS_REFUSED, "announcement of %zu bytes is not sealed with this swarm's key",
                         stored.size);
    }
    struct announcement a = {0};
    struct signature signature;
    size_t body_bytes = body.size - SIGNATURE_BYTES;
    memcpy(signature.bytes, body.data + body_bytes, SIGNATURE_BYTES);
    enum status status;
    if (!body_decode(&a, bytes_of(body.data, body_bytes)))
        status = error_set(err, STATUS_BAD_DATA, "announcement: bad body of %zu bytes", body_bytes);
    else if (!crypto_verify((const struct public_key *)&a.id, bytes_of(body.data, body_bytes), &signature))
        status = error_set(err, STATUS_REFUSED, "announcement: the signature is not by the node that it names");
    else
        status = check(&a, sequence, wall_ms, err);
    buffer_free(&body);
    if (!status || status == STATUS_TIMEOUT)
        *out = a;
    return status;
}

static void lookup(uint8_t out[ANNOUNCEMENT_KEY_BYTES], const struct shared_key *key, const char *label,
                   const char *cluster, uint32_t shard)
{
    struct buffer context;
    buffer_init(&context, 0);
    buffer_text(&context, cluster ? cluster : "");
    buffer_u8(&context, 0);
    buffer_u32(&context, shard);
    struct shared_key derived = crypto_derive(key, label, buffer_view(&context));
    memcpy(out, derived.bytes, ANNOUNCEMENT_KEY_BYTES);
    buffer_free(&context);
}

void announcement_member_key(uint8_t out[ANNOUNCEMENT_KEY_BYTES], const struct shared_key *lookup_key,
                             const char *cluster)
{
    lookup(out, lookup_key, cluster ? "members" : "clusters", cluster, 0);
}

void announcement_shard_key(uint8_t out[ANNOUNCEMENT_KEY_BYTES], const struct shared_key *lookup_key,
                            const char *cluster, uint32_t shard)
{
    lookup(out, lookup_key, "shard", cluster, shard);
}
