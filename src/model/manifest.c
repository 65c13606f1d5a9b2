/* The manifest as a value: making, signing, asking. Reading it is manifest_parse.c's. */
#include "model/manifest.h"

#include "base/file.h"
#include "base/jv.h"
#include "base/mem.h"
#include "base/rand.h"

#include <inttypes.h>
#include <string.h>

#define PIECES_OF_SHARD 2000

void manifest_probe_tokens(uint32_t out[MANIFEST_PROBE_TOKENS], uint32_t n_vocab)
{
    ASSERT(n_vocab > 0);
    for (uint32_t i = 0; i < MANIFEST_PROBE_TOKENS; i++)
        out[i] = (uint32_t)(rand_mix(0x73686f616c, i) % n_vocab);
}

void shard_truth_free(struct shard_truth *truth)
{
    mem_free(truth->states);
    mem_free(truth->self_tests);
    *truth = (struct shard_truth){0};
}

struct manifest *manifest_new(uint32_t n_shards)
{
    ASSERT(n_shards >= 1 && n_shards <= MANIFEST_SHARDS_MAX);
    struct manifest *m = mem_new(sizeof *m);
    m->n_shards = n_shards;
    m->shards = mem_array(n_shards, sizeof *m->shards);
    m->probe_states = mem_array(n_shards, sizeof *m->probe_states);
    return m;
}

void manifest_free(struct manifest *manifest)
{
    if (!manifest)
        return;
    for (uint32_t i = 0; i < manifest->n_shards; i++)
        mem_free(manifest->shards[i].pieces);
    mem_free(manifest->shards);
    mem_free(manifest->probe_states);
    mem_free(manifest->text);
    mem_free(manifest);
}

enum status manifest_check_arithmetic(const struct manifest *manifest, uint32_t arithmetic, struct error *err)
{
    if (manifest->arithmetic == arithmetic)
        return STATUS_OK;
    return error_set(err, STATUS_UNSUPPORTED,
                     "manifest of '%s': its results were computed by arithmetic %" PRIu32
                     ", this version of shoal computes by %" PRIu32 ": %s",
                     manifest->name, manifest->arithmetic, arithmetic,
                     manifest->arithmetic < arithmetic
                         ? "split the model again, into as many shards (`shoal split MODEL.gguf --shards N`); "
                           "only " MANIFEST_FILE " will differ, the shard files here stay right"
                         : "a newer shoal split the model; install that version here");
}

void manifest_set_truth(struct manifest *manifest, const struct shard_truth *truth)
{
    ASSERT(truth->n_shards == manifest->n_shards);
    manifest->n_probe_tokens = MANIFEST_PROBE_TOKENS;
    memcpy(manifest->probe_tokens, truth->tokens, sizeof truth->tokens);
    manifest->probe_next = truth->next;
    for (uint32_t i = 0; i < manifest->n_shards; i++) {
        manifest->probe_states[i] = truth->states[i];
        manifest->shards[i].self_test = truth->self_tests[i];
    }
}

uint32_t manifest_piece_bytes(uint64_t file_bytes, uint32_t n_shards)
{
    uint64_t n_max = MANIFEST_PIECES_MAX / (n_shards ? n_shards : 1);
    uint32_t piece_bytes = MANIFEST_PIECE_BYTES_MIN;
    if (n_max > PIECES_OF_SHARD)
        n_max = PIECES_OF_SHARD;
    while (piece_bytes < MANIFEST_PIECE_BYTES_MAX && (file_bytes + piece_bytes - 1) / piece_bytes > n_max)
        piece_bytes *= 2;
    return piece_bytes;
}

/* --- printing and signing ------------------------------------------------------------------------------- */

static struct jv *hex_text(const uint8_t *data, size_t n)
{
    char text[2 * SIGNATURE_BYTES + 1];
    ASSERT(n <= SIGNATURE_BYTES);
    hex_encode(text, data, n);
    return jv_text_new(text);
}

static struct jv *shard_json(const struct manifest_shard *s)
{
    struct jv *o = jv_object_new(), *pieces = jv_array_new();
    for (uint32_t i = 0; i < s->n_pieces; i++)
        jv_append(pieces, hex_text(s->pieces[i].sha1, SHA1_BYTES));
    jv_set_int(o, "id", s->id);
    jv_set_text(o, "file", s->file);
    jv_set_int(o, "bytes", (int64_t)s->bytes);
    jv_set_hex(o, "sha256", s->sha256.bytes, SHA256_BYTES);
    jv_set_int(o, "first_layer", s->span.first_layer);
    jv_set_int(o, "end_layer", s->span.end_layer);
    jv_set_bool(o, "embedding", s->span.embedding);
    jv_set_bool(o, "output", s->span.output);
    jv_set_int(o, "piece_bytes", s->piece_bytes);
    jv_set(o, "pieces", pieces);
    jv_set_hex(o, "self_test", s->self_test.bytes, SHA256_BYTES);
    return o;
}

static struct jv *probe_json(const struct manifest *m)
{
    struct jv *o = jv_object_new(), *tokens = jv_array_new(), *states = jv_array_new();
    for (uint32_t i = 0; i < m->n_probe_tokens; i++)
        jv_append(tokens, jv_int_new(m->probe_tokens[i]));
    for (uint32_t i = 0; i < m->n_shards; i++)
        jv_append(states, hex_text(m->probe_states[i].bytes, SHA256_BYTES));
    jv_set(o, "tokens", tokens);
    jv_set(o, "states", states);
    jv_set_int(o, "next", m->probe_next);
    return o;
}

/* Everything but the signature, in the order that the interface documents. */
static struct jv *manifest_json(const struct manifest *m)
{
    struct jv *o = jv_object_new(), *tokenizer = jv_object_new(), *shards = jv_array_new();
    jv_set_text(tokenizer, "file", m->tokenizer.file);
    jv_set_int(tokenizer, "bytes", (int64_t)m->tokenizer.bytes);
    jv_set_hex(tokenizer, "sha256", m->tokenizer.sha256.bytes, SHA256_BYTES);
    for (uint32_t i = 0; i < m->n_shards; i++)
        jv_append(shards, shard_json(&m->shards[i]));
    jv_set_text(o, "format", MANIFEST_FORMAT);
    jv_set_text(o, "name", m->name);
    jv_set_text(o, "architecture", m->architecture);
    jv_set_int(o, "n_layers", m->n_layers);
    jv_set_int(o, "n_shards", m->n_shards);
    jv_set_hex(o, "fingerprint", m->fingerprint.bytes, SHA256_BYTES);
    jv_set_int(o, "arithmetic", m->arithmetic);
    jv_set(o, "tokenizer", tokenizer);
    jv_set(o, "shards", shards);
    jv_set(o, "probe", probe_json(m));
    jv_set_hex(o, "owner", m->owner.bytes, PUBLIC_KEY_BYTES);
    return o;
}

enum status manifest_sign(struct manifest *manifest, const struct key_pair *owner, struct error *err)
{
    manifest->owner = owner->public_key;
    struct jv *o = manifest_json(manifest);
    char *covered = jv_print(o, JV_COMPACT_SORTED);
    manifest->signature = signature_new(owner, bytes_of_text(covered));
    jv_set_hex(o, "signature", manifest->signature.bytes, SIGNATURE_BYTES);
    char *text = jv_print(o, JV_INDENTED);
    if (strlen(text) > MANIFEST_BYTES_MAX / 2) { /* for eyes only while it is small */
        mem_free(text);
        text = jv_print(o, JV_COMPACT);
    }
    jv_free(o);
    mem_free(covered);
    if (strlen(text) > MANIFEST_BYTES_MAX) {
        size_t n = strlen(text);
        mem_free(text);
        return error_set(err, STATUS_LIMIT,
                         "a manifest of %zu bytes passes the limit of %zu; cut into fewer shards", n,
                         MANIFEST_BYTES_MAX);
    }
    mem_free(manifest->text);
    manifest->text = text;
    return STATUS_OK;
}

enum status manifest_save(const struct manifest *manifest, const char *path, struct error *err)
{
    ASSERT(manifest->text);
    return file_write(path, bytes_of_text(manifest->text), 0644, err);
}

enum status manifest_load(struct manifest **out, const char *path, struct error *err)
{
    struct buffer text;
    buffer_init(&text, MANIFEST_BYTES_MAX + (1 << 17));
    enum status status = file_read(&text, path, MANIFEST_BYTES_MAX, err);
    if (!status && (status = manifest_parse(out, buffer_view(&text), err)))
        error_wrap(err, status, "'%s'", path);
    buffer_free(&text);
    return status;
}

struct bytes manifest_text(const struct manifest *manifest)
{
    ASSERT(manifest->text);
    return bytes_of_text(manifest->text);
}

bool manifest_is_of(const struct manifest *manifest, const struct public_key *owner)
{
    return crypto_equal(manifest->owner.bytes, owner->bytes, PUBLIC_KEY_BYTES);
}

const struct manifest_shard *manifest_shard_at(const struct manifest *manifest, uint32_t id)
{
    return id < manifest->n_shards ? &manifest->shards[id] : NULL;
}

const struct manifest_shard *manifest_shard_of_layer(const struct manifest *manifest, uint32_t layer)
{
    uint32_t low = 0, high = manifest->n_shards;
    if (layer >= manifest->n_layers)
        return NULL;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (manifest->shards[middle].span.first_layer <= layer)
            low = middle;
        else
            high = middle;
    }
    return &manifest->shards[low];
}

struct sha256 manifest_split(const struct manifest *manifest)
{
    struct buffer all;
    buffer_init(&all, 0);
    for (uint32_t i = 0; i < manifest->n_shards; i++) {
        const struct manifest_shard *shard = &manifest->shards[i];
        buffer_u32(&all, shard->span.first_layer);
        buffer_u32(&all, shard->span.end_layer);
        buffer_bytes(&all, shard->sha256.bytes, sizeof shard->sha256.bytes);
    }
    struct bytes text = buffer_view(&all);
    struct sha256 split = sha256_of(text.data, text.size);
    buffer_free(&all);
    return split;
}
