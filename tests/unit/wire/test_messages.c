/* Records, announcements, steps: what is written is read again, what is bent is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rand.h"
#include "wire/announcement.h"
#include "wire/record.h"
#include "wire/step.h"

#include <string.h>

static void fill_record(struct node_record *r, const struct key_pair *pair)
{
    record_init(r);
    memcpy(r->id.bytes, pair->public_key.bytes, NODE_ID_BYTES);
    r->epoch = 3;
    r->version = 17;
    r->now_ms = 5000;
    r->role = 1;
    strncpy(r->cluster, "test", sizeof r->cluster - 1);
    r->n_addresses = 1;
    assert_true(address_parse(&r->addresses[0], "192.0.2.1:7400"));
    r->memory_budget = 1ULL << 33;
    memcpy(r->kv, "q8_0", 5);
    r->n_shards = 2;
    r->shards = mem_array(2, sizeof *r->shards);
    r->shards[0] = (struct record_shard){
        .id = 2, .state = SHARD_LOADED, .assigned = ASSIGNED_EXPLICIT, .verified = true, .eta_s = -1};
    r->shards[1] =
        (struct record_shard){.id = 5, .state = SHARD_FAILED, .failure = FINDING_DISK_FULL, .eta_s = 4};
    struct finding *f = finding_add(&r->findings, FINDING_DISK_FULL, 5, &r->id, "no room for shard %d", 5);
    f->since_ms = 4000;
    finding_set_action(f, "df -h");
    jv_set_int(finding_evidence(f), "needed", 12345);
}

static void a_record_survives_the_wire(void **state)
{
    struct key_pair pair;
    struct node_record in, out;
    struct buffer wire;
    struct error err;
    (void)state;
    key_pair_new(&pair);
    fill_record(&in, &pair);
    buffer_init(&wire, 0);
    record_sign(&wire, &in, &pair);
    assert_int_equal(record_open(&out, buffer_view(&wire), &err), STATUS_OK);
    assert_true(node_id_equal(&in.id, &out.id));
    assert_int_equal(out.version, 17);
    assert_int_equal(out.n_shards, 2);
    assert_int_equal(out.shards[0].state, SHARD_LOADED);
    assert_true(out.shards[0].verified);
    assert_int_equal(out.shards[1].failure, FINDING_DISK_FULL);
    assert_int_equal(out.shards[1].eta_s, 4);
    assert_int_equal(out.memory_budget, 1ULL << 33);
    assert_string_equal(out.kv, "q8_0");
    assert_true(address_equal(&in.addresses[0], &out.addresses[0]));
    assert_int_equal(out.findings.n, 1);
    assert_string_equal(out.findings.items[0].cause, "no room for shard 5");
    assert_int_equal(out.findings.items[0].since_ms, 4000);
    assert_int_equal(jv_get_int(out.findings.items[0].evidence, "needed", 0), 12345);
    record_free(&in);
    record_free(&out);
    buffer_free(&wire);
}

/* One flipped bit anywhere: the signature does not hold, or it is no JSON any more. */
static void a_bent_record_is_refused(void **state)
{
    struct key_pair pair, other;
    struct node_record in, out;
    struct buffer wire;
    (void)state;
    key_pair_new(&pair);
    key_pair_new(&other);
    fill_record(&in, &pair);
    buffer_init(&wire, 0);
    record_sign(&wire, &in, &pair);
    struct rng rng = rng_seeded(7);
    for (int i = 0; i < 500; i++) {
        size_t at = (size_t)rng_below(&rng, wire.size);
        uint8_t bit = (uint8_t)(1U << rng_below(&rng, 8));
        wire.data[at] ^= bit;
        assert_int_not_equal(record_open(&out, buffer_view(&wire), NULL), STATUS_OK);
        wire.data[at] ^= bit;
    }
    for (size_t n = 0; n < wire.size; n += 7)
        assert_int_not_equal(record_open(&out, bytes_of(wire.data, n), NULL), STATUS_OK);
    buffer_clear(&wire);
    record_sign(&wire, &in, &other); /* a member speaks for another */
    assert_int_equal(record_open(&out, buffer_view(&wire), NULL), STATUS_REFUSED);
    record_free(&in);
    buffer_free(&wire);
}

static void announcements_of_impossible_times_are_refused(void **state)
{
    static const int64_t times[][2] = {
        {-1, 1000}, {INT64_MIN, INT64_MAX}, {1000, 999}, {0, INT64_MAX}, {1000, ((int64_t)1 << 53) + 1}};
    struct key_pair pair;
    struct shared_key key = {{3}};
    (void)state;
    key_pair_new(&pair);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        struct announcement in = {.sequence = 1, .issued_ms = times[i][0], .expires_ms = times[i][1]}, out;
        struct buffer stored;
        memcpy(in.id.bytes, pair.public_key.bytes, NODE_ID_BYTES);
        buffer_init(&stored, 0);
        announcement_seal(&stored, &in, &pair, &key);
        assert_int_equal(announcement_open(&out, buffer_view(&stored), &key, 1000, NULL), STATUS_BAD_DATA);
        buffer_free(&stored);
    }
}

static void announcements_open_for_members_only(void **state)
{
    struct key_pair pair, other;
    struct shared_key key, wrong;
    struct announcement in = {.epoch = 1,
                              .sequence = 99,
                              .issued_ms = 1000000,
                              .expires_ms = 1600000,
                              .n_addresses = 1},
                        out;
    struct buffer stored;
    (void)state;
    key_pair_new(&pair);
    key_pair_new(&other);
    crypto_random(&key, sizeof key);
    crypto_random(&wrong, sizeof wrong);
    memcpy(in.id.bytes, pair.public_key.bytes, NODE_ID_BYTES);
    strncpy(in.cluster, "c", sizeof in.cluster - 1);
    assert_true(address_parse(&in.addresses[0], "[2001:db8::1]:7401"));
    buffer_init(&stored, ANNOUNCEMENT_BYTES_MAX);
    announcement_seal(&stored, &in, &pair, &key);
    assert_int_equal(announcement_open(&out, buffer_view(&stored), &key, 1100000, NULL), STATUS_OK);
    assert_int_equal(out.sequence, 99);
    assert_true(address_equal(&in.addresses[0], &out.addresses[0]));
    assert_int_equal(announcement_open(&out, buffer_view(&stored), &wrong, 1100000, NULL), STATUS_REFUSED);
    assert_int_equal(announcement_open(&out, buffer_view(&stored), &key, 9900000, NULL), STATUS_TIMEOUT);
    assert_int_equal(announcement_open(&out, buffer_view(&stored), &key, 500000, NULL), STATUS_TIMEOUT);
    stored.data[0] ^= 1; /* another sequence outside than inside */
    assert_int_equal(announcement_open(&out, buffer_view(&stored), &key, 1100000, NULL), STATUS_REFUSED);
    buffer_clear(&stored);
    announcement_seal(&stored, &in, &other, &key); /* member, but another's id */
    assert_int_equal(announcement_open(&out, buffer_view(&stored), &key, 1100000, NULL), STATUS_REFUSED);
    buffer_free(&stored);
}

static struct step_message *new_step(void)
{
    static float hidden[3 * 8];
    struct step_message *m = mem_new(sizeof *m);
    m->sequence = 42;
    m->turn = 2;
    m->flags = STEP_SAMPLE;
    m->stage = 1;
    m->position = 10;
    m->n_tokens = 3;
    m->n_ahead = 5;
    m->plan.n_stages = 2;
    m->plan.stages[0].layer_end = 4;
    m->plan.stages[1].layer_first = 4;
    m->plan.stages[1].layer_end = 9;
    m->sampling.temperature = 0.5F;
    m->sampling.n_biases = 1;
    m->sampling.biases[0] = (struct step_bias){.token = 7, .bias = -1.5F};
    m->tokens[2] = 31;
    m->n_embd = 8;
    for (int i = 0; i < 24; i++)
        hidden[i] = (float)i / 7;
    m->hidden = bytes_of(hidden, sizeof hidden);
    m->n_hops = 1;
    m->hops[0].compute_us = 123;
    return m;
}

static void a_step_survives_the_wire(void **state)
{
    struct step_message *in = new_step(), *out = mem_new(sizeof *out);
    struct buffer wire;
    (void)state;
    buffer_init(&wire, 0);
    step_encode(&wire, in);
    assert_int_equal(step_decode(out, buffer_view(&wire), NULL), STATUS_OK);
    assert_int_equal(out->position, 10);
    assert_int_equal(out->tokens[2], 31);
    assert_int_equal(out->plan.stages[1].layer_end, 9);
    assert_true(out->sampling.biases[0].bias == -1.5F);
    assert_int_equal(out->hops[0].compute_us, 123);
    assert_true(bytes_equal(in->hidden, out->hidden));
    for (size_t n = 0; n < wire.size; n++) /* cut anywhere */
        assert_int_equal(step_decode(out, bytes_of(wire.data, n), NULL), STATUS_BAD_DATA);
    buffer_u8(&wire, 0); /* one byte too many */
    assert_int_equal(step_decode(out, buffer_view(&wire), NULL), STATUS_BAD_DATA);
    mem_free(in);
    mem_free(out);
    buffer_free(&wire);
}

/* SECURITY R5, R6: hidden sizes, zero counts, plans with gaps. Each change alone must be refused. */
static void hostile_steps_are_refused(void **state)
{
    struct step_message *out = mem_new(sizeof *out);
    (void)state;
    for (int i = 0; i < 9; i++) {
        struct step_message *m = new_step();
        if (i == 0)
            m->sequence = 0;
        else if (i == 1)
            m->stage = 2;
        else if (i == 2)
            m->plan.stages[1].layer_first = 5;
        else if (i == 3)
            m->plan.stages[1].layer_end = 4;
        else if (i == 4)
            m->plan.stages[0].layer_first = 1;
        else if (i == 5)
            m->n_embd = 9;
        else if (i == 6)
            m->n_embd = 0;
        else if (i == 7)
            m->flags = 0x80;
        else
            m->plan.n_stages = 0;
        struct buffer wire;
        buffer_init(&wire, 0);
        step_encode(&wire, m);
        assert_int_equal(step_decode(out, buffer_view(&wire), NULL), STATUS_BAD_DATA);
        buffer_free(&wire);
        mem_free(m);
    }
    mem_free(out);
}

static void digests_and_wants(void **state)
{
    struct digest_entry in[2] = {{.epoch = 1, .version = 2}, {.epoch = 3, .version = 4}}, out[2];
    struct buffer wire;
    size_t n;
    (void)state;
    in[1].id.bytes[31] = 9;
    buffer_init(&wire, 0);
    digest_encode(&wire, in, 2);
    assert_int_equal(digest_decode(out, 2, &n, buffer_view(&wire), NULL), STATUS_OK);
    assert_int_equal(n, 2);
    assert_memory_equal(in, out, sizeof in);
    assert_int_equal(digest_decode(out, 1, &n, buffer_view(&wire), NULL), STATUS_BAD_DATA);
    assert_int_equal(digest_decode(out, 2, &n, bytes_of(wire.data, 47), NULL), STATUS_BAD_DATA);
    buffer_free(&wire);
}

static int start(void **state)
{
    (void)state;
    return crypto_start(NULL) == STATUS_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_survives_the_wire),
        cmocka_unit_test(a_bent_record_is_refused),
        cmocka_unit_test(announcements_open_for_members_only),
        cmocka_unit_test(announcements_of_impossible_times_are_refused),
        cmocka_unit_test(a_step_survives_the_wire),
        cmocka_unit_test(hostile_steps_are_refused),
        cmocka_unit_test(digests_and_wants),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
