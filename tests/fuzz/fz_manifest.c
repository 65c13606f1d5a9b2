/* links: model */
/* Any bytes as a manifest: refused, or whole. The signature would stop nearly all, so what a change of its
 * fields leads to is seen by signing the same JSON anew. */
#include "base/crypto.h"
#include "base/jv.h"
#include "base/mem.h"
#include "model/manifest.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_whole(const struct manifest *m)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < m->n_shards; i++) {
        const struct manifest_shard *s = &m->shards[i];
        check(s->id == i && s->span.first_layer == at && s->span.end_layer > at);
        check((uint64_t)s->n_pieces * s->piece_bytes >= s->bytes && s->n_pieces > 0);
        check(!strchr(s->file, '/') && s->file[0] != '\0' && s->file[0] != '.');
        check(manifest_shard_of_layer(m, at) == s);
        at = s->span.end_layer;
    }
    check(at == m->n_layers && m->n_probe_tokens > 0);
}

static void parse(struct bytes text)
{
    struct manifest *m = NULL;
    struct error err = {0};
    if (manifest_parse(&m, text, &err)) {
        check(m == NULL && err.text[0] != '\0');
        return;
    }
    check_whole(m);
    check(bytes_equal(manifest_text(m), text) || memchr(text.data, 0, text.size));
    manifest_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct key_pair owner;
    static bool started;
    struct jv *root = NULL;
    struct error err;
    if (!started) {
        check(crypto_start(&err) == STATUS_OK);
        key_pair_new(&owner);
    }
    started = true;
    parse(bytes_of(data, size));
    if (jv_parse(&root, bytes_of(data, size), NULL, &err) == STATUS_OK && jv_is_object(root)) {
        jv_remove(root, "signature");
        jv_set_hex(root, "owner", owner.public_key.bytes, PUBLIC_KEY_BYTES);
        char *covered = jv_print(root, JV_COMPACT_SORTED);
        struct signature s = signature_new(&owner, bytes_of_text(covered));
        jv_set_hex(root, "signature", s.bytes, SIGNATURE_BYTES);
        char *text = jv_print(root, JV_COMPACT);
        parse(bytes_of_text(text));
        mem_free(text);
        mem_free(covered);
    }
    jv_free(root);
    return 0;
}
