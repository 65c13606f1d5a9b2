/* links: wire */
/* A value from the DHT. First byte: 0 as it is; else the rest is sealed with the swarm's key, 2 and 3 also
 * signed by the node that it names, so that a member's body is reached. What is taken names its signer, is in
 * time and keeps its bounds. */
#include "wire/announcement.h"

#include <string.h>

#define WALL_MS 1700000000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct shared_key announce_key = {{1, 2, 3}};
static struct key_pair member;

static void check_taken(const struct announcement *a, bool is_signed)
{
    ASSERT(is_signed && memcmp(a->id.bytes, member.public_key.bytes, NODE_ID_BYTES) == 0);
    ASSERT(memchr(a->cluster, 0, sizeof a->cluster) && a->n_addresses <= ANNOUNCEMENT_ADDRESSES_MAX);
    ASSERT(a->issued_ms <= WALL_MS + ANNOUNCEMENT_SKEW_MS);
    for (uint32_t i = 0; i < a->n_addresses; i++) {
        char text[ADDRESS_TEXT_BYTES];
        ASSERT(a->addresses[i].family == 4 || a->addresses[i].family == 6);
        address_text(text, &a->addresses[i]);
        (void)address_is_dialable(&a->addresses[i]);
    }
}

/* sequence (8 bytes, clear), then the sealed body. */
static void wrap(struct buffer *out, struct bytes in, bool is_signed)
{
    struct buffer body;
    buffer_init(&body, 0);
    if (is_signed) {
        buffer_bytes(&body, member.public_key.bytes, NODE_ID_BYTES);
        buffer_bytes(&body, in.data, in.size);
        struct signature signature = signature_new(&member, buffer_view(&body));
        buffer_bytes(&body, signature.bytes, sizeof signature.bytes);
    } else {
        buffer_bytes(&body, in.data, in.size);
    }
    /* The body says epoch, then the sequence that must stand outside. */
    struct reader r = reader_over(in);
    (void)reader_u64(&r);
    buffer_u64(out, reader_u64(&r));
    crypto_seal(out, &announce_key, buffer_view(&body), bytes_of_text("shoal announcement 1"));
    buffer_free(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    struct announcement a;
    struct error err;
    struct buffer stored;
    if (!started) {
        started = crypto_start(NULL) == STATUS_OK;
        key_pair_new(&member);
    }
    if (!size)
        return 0;
    bool is_signed = data[0] % 4 >= 2;
    buffer_init(&stored, 0);
    if (data[0] % 4 == 0)
        buffer_bytes(&stored, data + 1, size - 1);
    else
        wrap(&stored, bytes_of(data + 1, size - 1), is_signed);
    enum status status = announcement_open(&a, buffer_view(&stored), &announce_key, WALL_MS, &err);
    if (status)
        ASSERT(err.text[0] &&
               (status == STATUS_REFUSED || status == STATUS_BAD_DATA || status == STATUS_TIMEOUT));
    else
        check_taken(&a, is_signed);
    buffer_free(&stored);
    return 0;
}
