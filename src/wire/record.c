#include "wire/record.h"

#include "base/mem.h"

#include <string.h>

static const char *const state_names[SHARD_STATE_COUNT] = {
    "ABSENT", "QUEUED", "FETCHING", "VERIFYING", "PRESENT", "LOADING", "LOADED", "UNLOADING", "FAILED",
};
static const char signature_label[] = "shoal record 1";

const char *shard_state_name(enum shard_state state)
{
    return (unsigned)state < SHARD_STATE_COUNT ? state_names[state] : "UNKNOWN";
}

bool shard_state_parse(enum shard_state *out, const char *name)
{
    for (int i = 0; i < SHARD_STATE_COUNT; i++)
        if (strcmp(state_names[i], name) == 0) {
            *out = (enum shard_state)i;
            return true;
        }
    return false;
}

void record_init(struct node_record *record)
{
    memset(record, 0, sizeof *record);
}

void record_free(struct node_record *record)
{
    mem_free(record->shards);
    mem_free(record->links);
    finding_list_free(&record->findings);
    record_init(record);
}

void record_copy(struct node_record *out, const struct node_record *record)
{
    *out = *record;
    out->shards = mem_copy(record->shards, record->n_shards * sizeof *record->shards);
    out->links = mem_copy(record->links, record->n_links * sizeof *record->links);
    out->findings = (struct finding_list){0};
    for (uint32_t i = 0; i < record->findings.n; i++)
        finding_list_append(&out->findings, &record->findings.items[i]);
}

bool record_same_split(const struct node_record *a, const struct node_record *b)
{
    static const struct sha256 unknown;
    return sha256_equal(&a->split, &unknown) || sha256_equal(&b->split, &unknown) ||
           sha256_equal(&a->split, &b->split);
}

const struct record_shard *record_shard_find(const struct node_record *record, uint32_t id)
{
    for (uint32_t i = 0; i < record->n_shards; i++)
        if (record->shards[i].id == id)
            return &record->shards[i];
    return NULL;
}

bool record_is_newer(const struct node_record *a, uint64_t epoch, uint64_t version)
{
    return a->epoch != epoch ? a->epoch > epoch : a->version > version;
}

void record_sign(struct buffer *out, const struct node_record *record, const struct key_pair *pair)
{
    struct jv *json = record_to_json(record);
    char *text = jv_print(json, JV_COMPACT);
    jv_free(json);
    struct buffer message;
    buffer_init(&message, 0);
    buffer_text(&message, signature_label);
    buffer_text(&message, text);
    struct signature signature = signature_new(pair, buffer_view(&message));
    buffer_bytes(out, signature.bytes, sizeof signature.bytes);
    buffer_text(out, text);
    buffer_free(&message);
    mem_free(text);
}

enum status record_open(struct node_record *out, struct bytes signed_record, struct error *err)
{
    struct reader r = reader_over(signed_record);
    struct signature signature;
    reader_copy(&r, signature.bytes, sizeof signature.bytes);
    struct bytes text = reader_bytes(&r, reader_left(&r));
    if (reader_failed(&r) || signed_record.size > RECORD_BYTES_MAX)
        return error_set(err, STATUS_BAD_DATA, "record of %zu bytes", signed_record.size);
    struct jv *json;
    enum status status = jv_parse(&json, text, NULL, err);
    if (status)
        return error_wrap(err, status, "record");

    struct public_key id;
    struct buffer message;
    buffer_init(&message, 0);
    buffer_text(&message, signature_label);
    buffer_bytes(&message, text.data, text.size);
    if (!jv_get_hex(json, "id", id.bytes, sizeof id.bytes))
        status = error_set(err, STATUS_BAD_DATA, "record: no id");
    else if (!crypto_verify(&id, buffer_view(&message), &signature))
        status = error_set(err, STATUS_REFUSED, "record of %.8s: its signature is not by that node",
                           jv_get_text(json, "id", ""));
    else
        status = record_from_json(out, json, err);
    buffer_free(&message);
    jv_free(json);
    return status;
}

void digest_encode(struct buffer *out, const struct digest_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buffer_bytes(out, entries[i].id.bytes, sizeof entries[i].id.bytes);
        buffer_u64(out, entries[i].epoch);
        buffer_u64(out, entries[i].version);
    }
}

enum status digest_decode(struct digest_entry *out, size_t max, size_t *out_n, struct bytes in,
                          struct error *err)
{
    const size_t entry_bytes = NODE_ID_BYTES + 16;
    size_t n = in.size / entry_bytes;
    if (in.size % entry_bytes || n > max)
        return error_set(err, STATUS_BAD_DATA, "digest of %zu bytes", in.size);
    struct reader r = reader_over(in);
    for (size_t i = 0; i < n; i++) {
        reader_copy(&r, out[i].id.bytes, sizeof out[i].id.bytes);
        out[i].epoch = reader_u64(&r);
        out[i].version = reader_u64(&r);
    }
    *out_n = n;
    return STATUS_OK;
}

void want_encode(struct buffer *out, const struct node_id *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buffer_bytes(out, ids[i].bytes, sizeof ids[i].bytes);
}

enum status want_decode(struct node_id *out, size_t max, size_t *out_n, struct bytes in, struct error *err)
{
    size_t n = in.size / NODE_ID_BYTES;
    if (in.size % NODE_ID_BYTES || n > max)
        return error_set(err, STATUS_BAD_DATA, "want of %zu bytes", in.size);
    struct reader r = reader_over(in);
    for (size_t i = 0; i < n; i++)
        reader_copy(&r, out[i].bytes, sizeof out[i].bytes);
    *out_n = n;
    return STATUS_OK;
}
