/* links: wire */
/* What peers tell of nodes. First byte: 0 a record's JSON (the signature would stop nearly all), 1 a signed
 * record, 2 a digest, 3 a want. What is taken keeps its bounds and survives being written and read again. */
#include "base/mem.h"
#include "wire/record.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_bounds(const struct node_record *r)
{
    ASSERT(r->n_addresses <= RECORD_ADDRESSES_MAX && r->n_shards <= RECORD_SHARDS_MAX);
    ASSERT(r->n_links <= RECORD_LINKS_MAX && r->findings.n <= RECORD_FINDINGS_MAX);
    ASSERT(strlen(r->cluster) < sizeof r->cluster && strlen(r->boot_id) < sizeof r->boot_id);
    for (uint32_t i = 0; i < r->n_shards; i++) {
        const struct record_shard *s = &r->shards[i];
        ASSERT(s->id < RECORD_SHARDS_MAX && (i == 0 || s[-1].id < s->id));
        ASSERT((unsigned)s->state < SHARD_STATE_COUNT && (unsigned)s->assigned <= ASSIGNED_BY_COMMAND);
        ASSERT((unsigned)s->failure < FINDING_CODE_END && s->eta_s >= -1);
        ASSERT(record_shard_find(r, s->id) == s);
    }
    for (uint32_t i = 0; i < r->findings.n; i++) {
        const struct finding *f = &r->findings.items[i];
        ASSERT(f->cause && f->action && f->shard >= FINDING_NO_SHARD && f->eta_s >= -1);
        ASSERT((unsigned)f->code < FINDING_CODE_END && (unsigned)f->severity <= SEVERITY_INFO);
    }
}

static char *print(const struct node_record *r)
{
    struct jv *json = record_to_json(r);
    char *text = jv_print(json, JV_COMPACT);
    jv_free(json);
    return text;
}

/* Written and read again it says the same. */
static void check_again(const struct node_record *r)
{
    struct node_record again;
    struct error err;
    struct jv *json = record_to_json(r);
    enum status status = record_from_json(&again, json, &err);
    ASSERT(status == STATUS_OK);
    jv_free(json);
    check_bounds(&again);
    ASSERT(again.n_shards == r->n_shards && again.n_links == r->n_links && again.version == r->version);
    ASSERT(again.findings.n == r->findings.n && strcmp(again.model, r->model) == 0);
    struct node_record copy;
    record_copy(&copy, &again);
    char *a = print(&again), *b = print(&copy);
    ASSERT(strcmp(a, b) == 0);
    mem_free(a);
    mem_free(b);
    record_free(&copy);
    record_free(&again);
}

static void take_record(struct bytes in, bool is_signed)
{
    struct node_record r;
    struct jv *json = NULL;
    struct error err;
    if (is_signed ? record_open(&r, in, &err)
                  : (jv_parse(&json, in, NULL, &err) || record_from_json(&r, json, &err))) {
        ASSERT(err.text[0] && err.status);
    } else {
        check_bounds(&r);
        check_again(&r);
        record_free(&r);
    }
    jv_free(json);
}

static void take_list(struct bytes in, bool is_digest)
{
    static struct digest_entry entries[DIGEST_ENTRIES_MAX];
    static struct node_id ids[DIGEST_ENTRIES_MAX];
    size_t n = 0;
    struct buffer again;
    if (is_digest ? digest_decode(entries, DIGEST_ENTRIES_MAX, &n, in, NULL)
                  : want_decode(ids, DIGEST_ENTRIES_MAX, &n, in, NULL))
        return;
    buffer_init(&again, 0);
    if (is_digest)
        digest_encode(&again, entries, n);
    else
        want_encode(&again, ids, n);
    ASSERT(n <= DIGEST_ENTRIES_MAX && bytes_equal(buffer_view(&again), in));
    buffer_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    if (!started)
        started = crypto_start(NULL) == STATUS_OK;
    if (!size)
        return 0;
    struct bytes in = bytes_of(data + 1, size - 1);
    if (data[0] % 4 < 2)
        take_record(in, data[0] % 4 == 1);
    else
        take_list(in, data[0] % 4 == 2);
    return 0;
}
