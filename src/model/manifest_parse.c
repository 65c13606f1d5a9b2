/* Reading a manifest: every field against its limits, the spans against each other, then the signature. */
#include "model/manifest.h"

#include "base/jv.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

#define VALUES_MAX 600000 /* pieces, and what 4,096 shards have beside them */
#define DEPTH_MAX  8
#define FILE_MAX   ((int64_t)1 << 53)

/* A place in the document, for messages: "shards[3]." */
struct field {
    const struct jv *object;
    const char *path; /* "" at the top */
    struct error *err;
};

static enum status bad(const struct field *at, const char *name, const char *want)
{
    return error_set(at->err, STATUS_BAD_DATA, "manifest: '%s%s' is missing or wrong; it must be %s", at->path,
                     name, want);
}

static enum status read_int(const struct field *at, const char *name, int64_t min, int64_t max, int64_t *out)
{
    const struct jv *v = jv_get(at->object, name);
    if (!jv_is_int(v))
        return bad(at, name, "a whole number");
    *out = jv_int(v, 0);
    if (*out < min || *out > max)
        return error_set(at->err, STATUS_BAD_DATA,
                         "manifest: '%s%s' is %" PRId64 "; %" PRId64 " to %" PRId64 " are allowed", at->path,
                         name, *out, min, max);
    return STATUS_OK;
}

static enum status read_u32(const struct field *at, const char *name, uint32_t min, uint32_t max, uint32_t *out)
{
    int64_t v = 0;
    enum status status = read_int(at, name, min, max, &v);
    *out = (uint32_t)v;
    return status;
}

static enum status read_size(const struct field *at, uint64_t *out)
{
    int64_t v = 0;
    enum status status = read_int(at, "bytes", 1, FILE_MAX, &v);
    *out = (uint64_t)v;
    return status;
}

static enum status read_hash(const struct field *at, const char *name, uint8_t *out, size_t n)
{
    return jv_get_hex(at->object, name, out, n) ? STATUS_OK
                                                : bad(at, name, "lower-case hex of the right length");
}

static bool is_plain_name(const char *text)
{
    size_t n = strlen(text);
    if (n < 1 || n > MANIFEST_FILE_NAME_MAX || text[0] == '.')
        return false;
    for (const char *c = text; *c; c++)
        if (!(*c >= 'a' && *c <= 'z') && !(*c >= 'A' && *c <= 'Z') && !(*c >= '0' && *c <= '9') &&
            !strchr("._-", *c))
            return false;
    return true;
}

static enum status read_file_name(const struct field *at, char out[MANIFEST_FILE_NAME_MAX + 1])
{
    const char *text = jv_get_text(at->object, "file", "");
    if (!is_plain_name(text))
        return bad(at, "file", "a plain file name of letters, digits, '.', '_' and '-', at most 63");
    memcpy(out, text, strlen(text) + 1);
    return STATUS_OK;
}

static enum status read_names(const struct field *at, struct manifest *m)
{
    const char *name = jv_get_text(at->object, "name", ""), *arch = jv_get_text(at->object, "architecture", "");
    size_t n = strlen(name), n_arch = strlen(arch);
    if (n < 1 || n > MANIFEST_NAME_MAX)
        return bad(at, "name", "text of 1 to 127 bytes");
    for (size_t i = 0; i < n; i++)
        if ((uint8_t)name[i] < 0x20 || name[i] == 0x7f)
            return bad(at, "name", "text without control characters");
    if (n_arch < 1 || n_arch >= sizeof m->architecture || !is_plain_name(arch))
        return bad(at, "architecture", "a name of at most 31 letters and digits");
    memcpy(m->name, name, n + 1);
    memcpy(m->architecture, arch, n_arch + 1);
    return STATUS_OK;
}

/* --- shards --------------------------------------------------------------------------------------------- */

static enum status read_pieces(const struct field *at, struct manifest_shard *s)
{
    const struct jv *pieces = jv_get(at->object, "pieces");
    enum status status =
        read_u32(at, "piece_bytes", MANIFEST_PIECE_BYTES_MIN, MANIFEST_PIECE_BYTES_MAX, &s->piece_bytes);
    if (status)
        return status;
    if (s->piece_bytes & (s->piece_bytes - 1))
        return bad(at, "piece_bytes", "a power of two");
    uint64_t n = (s->bytes + s->piece_bytes - 1) / s->piece_bytes;
    if (!jv_is_array(pieces) || jv_count(pieces) != n)
        return error_set(at->err, STATUS_BAD_DATA,
                         "manifest: '%spieces' has %zu entries; %" PRIu64 " bytes in pieces of %" PRIu32
                         " need %" PRIu64,
                         at->path, jv_count(pieces), s->bytes, s->piece_bytes, n);
    s->pieces = mem_array((size_t)n, sizeof *s->pieces);
    s->n_pieces = (uint32_t)n;
    for (size_t i = 0; i < n; i++)
        if (!hex_decode(s->pieces[i].sha1, SHA1_BYTES, jv_text(jv_at(pieces, i), "")))
            return bad(at, "pieces", "lower-case SHA-1 hex each");
    return STATUS_OK;
}

static enum status read_span(const struct field *at, const struct manifest *m, uint32_t first, struct span *out)
{
    const struct jv *embedding = jv_get(at->object, "embedding"), *output = jv_get(at->object, "output");
    enum status status;
    if ((status = read_u32(at, "first_layer", first, first, &out->first_layer)) ||
        (status = read_u32(at, "end_layer", first + 1, m->n_layers, &out->end_layer)))
        return status;
    out->embedding = jv_bool(embedding, false);
    out->output = jv_bool(output, false);
    if (!jv_is_bool(embedding) || out->embedding != (out->first_layer == 0))
        return bad(at, "embedding", "true for the first shard and false for the others");
    if (!jv_is_bool(output) || out->output != (out->end_layer == m->n_layers))
        return bad(at, "output", "true for the last shard and false for the others");
    return STATUS_OK;
}

static enum status read_shard(const struct field *at, struct manifest *m, uint32_t id)
{
    struct manifest_shard *s = &m->shards[id];
    uint32_t first = id ? m->shards[id - 1].span.end_layer : 0;
    enum status status;
    if (!jv_is_object(at->object))
        return bad(at, "", "an object");
    if ((status = read_u32(at, "id", id, id, &s->id)) || (status = read_file_name(at, s->file)) ||
        (status = read_size(at, &s->bytes)) ||
        (status = read_hash(at, "sha256", s->sha256.bytes, SHA256_BYTES)) ||
        (status = read_span(at, m, first, &s->span)) || (status = read_pieces(at, s)) ||
        (status = read_hash(at, "self_test", s->self_test.bytes, SHA256_BYTES)))
        return status;
    if (strcmp(s->file, m->tokenizer.file) == 0 || strcmp(s->file, MANIFEST_FILE) == 0)
        return bad(at, "file", "a name that no other file has");
    for (uint32_t i = 0; i < id; i++)
        if (strcmp(s->file, m->shards[i].file) == 0)
            return bad(at, "file", "a name that no other shard has");
    return STATUS_OK;
}

static enum status read_shards(const struct field *top, struct manifest *m)
{
    const struct jv *list = jv_get(top->object, "shards");
    enum status status = STATUS_OK;
    if (!jv_is_array(list) || jv_count(list) != m->n_shards)
        return bad(top, "shards", "an array of n_shards entries");
    for (uint32_t i = 0; !status && i < m->n_shards; i++) {
        char *path = mem_format("shards[%" PRIu32 "].", i);
        struct field at = {.object = jv_at(list, i), .path = path, .err = top->err};
        status = read_shard(&at, m, i);
        mem_free(path);
    }
    if (!status && m->shards[m->n_shards - 1].span.end_layer != m->n_layers)
        return bad(top, "shards", "spans that end with n_layers");
    return status;
}

static enum status read_probe(const struct field *top, struct manifest *m)
{
    struct field at = {.object = jv_get(top->object, "probe"), .path = "probe.", .err = top->err};
    const struct jv *tokens = jv_get(at.object, "tokens"), *states = jv_get(at.object, "states");
    size_t n = jv_count(tokens);
    if (!jv_is_array(tokens) || n < 1 || n > MANIFEST_PROBE_TOKENS_MAX)
        return bad(&at, "tokens", "an array of 1 to 64 token ids");
    m->n_probe_tokens = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        int64_t id = jv_int(jv_at(tokens, i), -1);
        if (id < 0 || id >= MODEL_VOCAB_MAX)
            return bad(&at, "tokens", "an array of token ids");
        m->probe_tokens[i] = (uint32_t)id;
    }
    if (!jv_is_array(states) || jv_count(states) != m->n_shards)
        return bad(&at, "states", "an array of one hash for each shard");
    for (uint32_t i = 0; i < m->n_shards; i++)
        if (!hex_decode(m->probe_states[i].bytes, SHA256_BYTES, jv_text(jv_at(states, i), "")))
            return bad(&at, "states", "lower-case SHA-256 hex each");
    return read_u32(&at, "next", 0, MODEL_VOCAB_MAX - 1, &m->probe_next);
}

static enum status read_all(const struct field *top, struct manifest *m)
{
    struct field tokenizer = {
        .object = jv_get(top->object, "tokenizer"), .path = "tokenizer.", .err = top->err};
    enum status status;
    (void)((status = read_names(top, m)) ||
           (status = read_hash(top, "fingerprint", m->fingerprint.bytes, SHA256_BYTES)) ||
           (status = read_u32(top, "arithmetic", 1, INT32_MAX, &m->arithmetic)) ||
           (status = read_file_name(&tokenizer, m->tokenizer.file)) ||
           (status = read_size(&tokenizer, &m->tokenizer.bytes)) ||
           (status = read_hash(&tokenizer, "sha256", m->tokenizer.sha256.bytes, SHA256_BYTES)) ||
           (status = read_shards(top, m)) || (status = read_probe(top, m)) ||
           (status = read_hash(top, "owner", m->owner.bytes, PUBLIC_KEY_BYTES)) ||
           (status = read_hash(top, "signature", m->signature.bytes, SIGNATURE_BYTES)));
    return status;
}

static enum status check_signature(struct jv *root, const struct manifest *m, struct error *err)
{
    jv_remove(root, "signature");
    char *covered = jv_print(root, JV_COMPACT_SORTED);
    bool good = crypto_verify(&m->owner, bytes_of_text(covered), &m->signature);
    mem_free(covered);
    return good ? STATUS_OK
                : error_set(err, STATUS_REFUSED,
                            "manifest of '%s': the signature is not its owner's: it was changed or damaged",
                            m->name);
}

static enum status parse_root(struct manifest **out, struct jv *root, struct bytes text, struct error *err)
{
    struct field top = {.object = root, .path = "", .err = err};
    uint32_t n_layers, n_shards;
    enum status status;
    if (!jv_is_object(root))
        return error_set(err, STATUS_BAD_DATA, "manifest: not a JSON object");
    if (strcmp(jv_get_text(root, "format", ""), MANIFEST_FORMAT) != 0)
        return error_set(err, STATUS_UNSUPPORTED,
                         "manifest: 'format' is '%.40s'; this version reads " MANIFEST_FORMAT,
                         jv_get_text(root, "format", ""));
    if ((status = read_u32(&top, "n_layers", 1, MODEL_LAYERS_MAX, &n_layers)) ||
        (status = read_u32(&top, "n_shards", 1, n_layers, &n_shards)))
        return status;
    struct manifest *m = manifest_new(n_shards);
    m->n_layers = n_layers;
    if ((status = read_all(&top, m)) || (status = check_signature(root, m, err))) {
        manifest_free(m);
        return status;
    }
    m->text = mem_string_n((const char *)text.data, text.size);
    *out = m;
    return STATUS_OK;
}

enum status manifest_parse(struct manifest **out, struct bytes text, struct error *err)
{
    const struct jv_limits limits = {
        .bytes_max = MANIFEST_BYTES_MAX, .depth_max = DEPTH_MAX, .values_max = VALUES_MAX};
    struct jv *root;
    enum status status = jv_parse(&root, text, &limits, err);
    if (status)
        return error_wrap(err, status, "manifest");
    status = parse_root(out, root, text, err);
    jv_free(root);
    return status;
}
