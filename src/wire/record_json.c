/* The JSON form of records. Numbers that JSON readers may round (64-bit versions are small counters) fit in
 * 53 bits; every field has a bound. */
#include "base/mem.h"
#include "wire/record.h"

#include <string.h>

static const char *const assigned_names[] = {"no", "explicit", "command"};

static struct jv *shard_to_json(const struct record_shard *shard)
{
    struct jv *json = jv_object_new();
    jv_set_int(json, "id", shard->id);
    jv_set_text(json, "state", shard_state_name(shard->state));
    jv_set_text(json, "assigned", assigned_names[shard->assigned]);
    jv_set_bool(json, "verified", shard->verified);
    jv_set_int(json, "done", (int64_t)shard->bytes_done);
    jv_set_int(json, "total", (int64_t)shard->bytes_total);
    jv_set_int(json, "rate", (int64_t)shard->rate);
    jv_set_int(json, "sources", shard->n_sources);
    jv_set_int(json, "eta_s", shard->eta_s);
    jv_set_int(json, "since_ms", (int64_t)shard->since_ms);
    if (shard->failure)
        jv_set_text(json, "failure", finding_code_name(shard->failure));
    return json;
}

static struct jv *shards_to_json(const struct node_record *record)
{
    struct jv *array = jv_array_new();
    for (uint32_t i = 0; i < record->n_shards; i++)
        jv_append(array, shard_to_json(&record->shards[i]));
    return array;
}

static struct jv *links_to_json(const struct node_record *record)
{
    struct jv *array = jv_array_new();
    for (uint32_t i = 0; i < record->n_links; i++) {
        struct jv *link = jv_object_new();
        jv_set_hex(link, "peer", record->links[i].peer.bytes, NODE_ID_BYTES);
        jv_set_int(link, "rtt_us", record->links[i].rtt_us);
        jv_set_int(link, "clock_ms", (int64_t)record->links[i].clock_ms);
        jv_append(array, link);
    }
    return array;
}

static struct jv *addresses_to_json(const struct node_record *record)
{
    struct jv *array = jv_array_new();
    for (uint32_t i = 0; i < record->n_addresses; i++) {
        char text[ADDRESS_TEXT_BYTES];
        address_text(text, &record->addresses[i]);
        jv_append(array, jv_text_new(text));
    }
    return array;
}

/* Plain fields, so that writing and reading cannot drift apart. */
#define INT_FIELDS(X)                                                                                          \
    X(epoch)                                                                                                   \
    X(version)                                                                                                 \
    X(now_ms)                                                                                                  \
    X(wall_ms)                                                                                                 \
    X(role)                                                                                                    \
    X(dht_port)                                                                                                \
    X(torrent_port)                                                                                            \
    X(n_cores)                                                                                                 \
    X(n_threads)                                                                                               \
    X(ram_total)                                                                                               \
    X(ram_free)                                                                                                \
    X(memory_budget)                                                                                           \
    X(memory_used)                                                                                             \
    X(memory_bandwidth)                                                                                        \
    X(disk_free)                                                                                               \
    X(arithmetic)                                                                                              \
    X(n_ctx)                                                                                                   \
    X(n_slots)                                                                                                 \
    X(n_shards_expected)                                                                                       \
    X(n_sequences)                                                                                             \
    X(n_queued)                                                                                                \
    X(tokens_done)                                                                                             \
    X(coordinator_heard_ms)
#define BOOL_FIELDS(X)                                                                                         \
    X(fetch_allowed)                                                                                           \
    X(draining)                                                                                                \
    X(has_manifest)                                                                                            \
    X(has_tokenizer)
#define TEXT_FIELDS(X)                                                                                         \
    X(cluster)                                                                                                 \
    X(api)                                                                                                     \
    X(cpu)                                                                                                     \
    X(boot_id)                                                                                                 \
    X(model)

struct jv *record_to_json(const struct node_record *record)
{
    struct jv *json = jv_object_new();
    jv_set_hex(json, "id", record->id.bytes, NODE_ID_BYTES);
#define X(name) jv_set_int(json, #name, (int64_t)record->name);
    INT_FIELDS(X)
#undef X
#define X(name) jv_set_bool(json, #name, record->name);
    BOOL_FIELDS(X)
#undef X
#define X(name) jv_set_text(json, #name, record->name);
    TEXT_FIELDS(X)
#undef X
    jv_set_text(json, "kv", record->kv);
    jv_set(json, "addresses", addresses_to_json(record));
    jv_set_hex(json, "fingerprint", record->fingerprint.bytes, SHA256_BYTES);
    jv_set_hex(json, "split", record->split.bytes, SHA256_BYTES);
    jv_set(json, "shards", shards_to_json(record));
    jv_set(json, "links", links_to_json(record));
    struct jv *findings = jv_array_new();
    for (uint32_t i = 0; i < record->findings.n && i < RECORD_FINDINGS_MAX; i++)
        jv_append(findings, finding_to_json(&record->findings.items[i], record->now_ms));
    jv_set(json, "findings", findings);
    return json;
}

/* Any integer from 0 to 2^53; `max` is the field's type. */
static bool read_int(uint64_t *out, const struct jv *json, const char *name, uint64_t max)
{
    int64_t v = jv_get_int(json, name, -1);
    if (v < 0 || (uint64_t)v > max || v > (int64_t)1 << 53)
        return false;
    *out = (uint64_t)v;
    return true;
}

static bool read_text(char *out, size_t size, const struct jv *json, const char *name)
{
    const char *text = jv_get_text(json, name, NULL);
    if (!text || strlen(text) >= size)
        return false;
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static bool read_addresses(struct node_record *out, const struct jv *array)
{
    size_t n = jv_count(array);
    if (!jv_is_array(array) || n > RECORD_ADDRESSES_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!address_parse(&out->addresses[i], jv_text(jv_at(array, i), "")))
            return false;
    out->n_addresses = (uint32_t)n;
    return true;
}

static bool read_assigned(enum assigned_by *out, const char *name)
{
    for (int i = 0; i < 3; i++)
        if (strcmp(assigned_names[i], name) == 0) {
            *out = (enum assigned_by)i;
            return true;
        }
    return false;
}

static bool read_shard(struct record_shard *out, const struct jv *json)
{
    uint64_t id, done, total, rate, n_sources, since;
    if (!read_int(&id, json, "id", RECORD_SHARDS_MAX - 1) || !read_int(&done, json, "done", UINT64_MAX) ||
        !read_int(&total, json, "total", UINT64_MAX) || !read_int(&rate, json, "rate", UINT64_MAX) ||
        !read_int(&n_sources, json, "sources", UINT32_MAX) || !read_int(&since, json, "since_ms", UINT64_MAX) ||
        !shard_state_parse(&out->state, jv_get_text(json, "state", "")) ||
        !read_assigned(&out->assigned, jv_get_text(json, "assigned", "")))
        return false;
    int64_t eta = jv_get_int(json, "eta_s", -1);
    out->id = (uint32_t)id;
    out->bytes_done = done;
    out->bytes_total = total;
    out->rate = rate;
    out->n_sources = (uint32_t)n_sources;
    out->since_ms = since;
    out->eta_s = eta >= 0 && eta <= INT32_MAX ? (int32_t)eta : -1;
    out->verified = jv_get_bool(json, "verified", false);
    if (!finding_code_parse(&out->failure, jv_get_text(json, "failure", "NONE")))
        out->failure = FINDING_NONE;
    return true;
}

static bool read_shards(struct node_record *out, const struct jv *array)
{
    size_t n = jv_count(array);
    if (!jv_is_array(array) || n > RECORD_SHARDS_MAX)
        return false;
    out->shards = mem_array(n, sizeof *out->shards);
    for (size_t i = 0; i < n; i++) {
        if (!read_shard(&out->shards[i], jv_at(array, i)))
            return false;
        if (i && out->shards[i].id <= out->shards[i - 1].id)
            return false;
    }
    out->n_shards = (uint32_t)n;
    return true;
}

static bool read_links(struct node_record *out, const struct jv *array)
{
    size_t n = jv_count(array);
    if (!jv_is_array(array) || n > RECORD_LINKS_MAX)
        return false;
    out->links = mem_array(n, sizeof *out->links);
    for (size_t i = 0; i < n; i++) {
        uint64_t rtt;
        out->links[i].clock_ms = 0; /* older programs do not say it */
        if (!jv_get_hex(jv_at(array, i), "peer", out->links[i].peer.bytes, NODE_ID_BYTES) ||
            !read_int(&rtt, jv_at(array, i), "rtt_us", UINT32_MAX) ||
            (jv_get(jv_at(array, i), "clock_ms") &&
             !read_int(&out->links[i].clock_ms, jv_at(array, i), "clock_ms", UINT64_MAX)))
            return false;
        out->links[i].rtt_us = (uint32_t)rtt;
    }
    out->n_links = (uint32_t)n;
    return true;
}

static enum status read_findings(struct node_record *out, const struct jv *array, struct error *err)
{
    size_t n = jv_count(array);
    if (!jv_is_array(array) || n > RECORD_FINDINGS_MAX)
        return error_set(err, STATUS_BAD_DATA, "record: bad field 'findings'");
    for (size_t i = 0; i < n; i++) {
        /* A code that a newer version knows and we don't is left out, not fatal. */
        struct error ignored;
        (void)finding_from_json(&out->findings, jv_at(array, i), out->now_ms, &ignored);
    }
    return STATUS_OK;
}

static const char *read_fields(struct node_record *r, const struct jv *json)
{
    uint64_t v;
    if (!jv_get_hex(json, "id", r->id.bytes, NODE_ID_BYTES))
        return "id";
#define X(name)                                                                                                \
    if (!read_int(&v, json, #name,                                                                             \
                  sizeof r->name == 2   ? UINT16_MAX                                                           \
                  : sizeof r->name == 4 ? UINT32_MAX                                                           \
                                        : UINT64_MAX))                                                         \
        return #name;                                                                                          \
    r->name = (__typeof__(r->name))v;
    INT_FIELDS(X)
#undef X
#define X(name) r->name = jv_get_bool(json, #name, false);
    BOOL_FIELDS(X)
#undef X
#define X(name)                                                                                                \
    if (!read_text(r->name, sizeof r->name, json, #name))                                                      \
        return #name;
    TEXT_FIELDS(X)
#undef X
    if (jv_get(json, "kv") && !read_text(r->kv, sizeof r->kv, json, "kv"))
        return "kv";
    if (!r->kv[0])
        memcpy(r->kv, "f16", sizeof "f16");
    if (!read_addresses(r, jv_get(json, "addresses")))
        return "addresses";
    if (!jv_get_hex(json, "fingerprint", r->fingerprint.bytes, SHA256_BYTES))
        return "fingerprint";
    if (jv_get(json, "split") && !jv_get_hex(json, "split", r->split.bytes, SHA256_BYTES))
        return "split";
    if (!read_shards(r, jv_get(json, "shards")))
        return "shards";
    if (!read_links(r, jv_get(json, "links")))
        return "links";
    return NULL;
}

enum status record_from_json(struct node_record *out, const struct jv *json, struct error *err)
{
    struct node_record r;
    record_init(&r);
    const char *bad = read_fields(&r, json);
    enum status status = bad ? error_set(err, STATUS_BAD_DATA, "record: bad field '%s'", bad)
                             : read_findings(&r, jv_get(json, "findings"), err);
    if (status) {
        record_free(&r);
        return status;
    }
    *out = r;
    return STATUS_OK;
}
