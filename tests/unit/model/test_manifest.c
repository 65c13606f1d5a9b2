/* The manifest: printed as documented, signed, and refused when anything in it is wrong. */
#include "gguf_raw.h"

#include "base/jv.h"
#include "model/manifest.h"

#define N_SHARDS 3

static struct key_pair owner;

static struct sha256 hash_like(unsigned v)
{
    return sha256_of(&v, sizeof v);
}

static struct manifest *make(void)
{
    struct manifest *m = manifest_new(N_SHARDS);
    struct shard_truth truth = {.n_shards = N_SHARDS, .next = 42};
    snprintf(m->name, sizeof m->name, "a small \xc3\xb8ne");
    snprintf(m->architecture, sizeof m->architecture, "llama");
    m->n_layers = 7;
    m->arithmetic = 1;
    m->fingerprint = hash_like(1);
    snprintf(m->tokenizer.file, sizeof m->tokenizer.file, TOKENIZER_FILE);
    m->tokenizer.bytes = 1234;
    m->tokenizer.sha256 = hash_like(2);
    const uint32_t ends[N_SHARDS] = {2, 5, 7};
    for (uint32_t i = 0; i < N_SHARDS; i++) {
        struct manifest_shard *s = &m->shards[i];
        s->id = i;
        snprintf(s->file, sizeof s->file, "shard-%u.gguf", i);
        s->bytes = MANIFEST_PIECE_BYTES_MIN + 1 + i;
        s->sha256 = hash_like(10 + i);
        s->span.first_layer = i ? ends[i - 1] : 0;
        s->span.end_layer = ends[i];
        s->span.embedding = i == 0;
        s->span.output = i == N_SHARDS - 1;
        s->piece_bytes = MANIFEST_PIECE_BYTES_MIN;
        s->n_pieces = 2;
        s->pieces = mem_array(2, sizeof *s->pieces);
        sha1_of(s->pieces[0].sha1, "a", 1);
        sha1_of(s->pieces[1].sha1, "b", 1);
    }
    manifest_probe_tokens(truth.tokens, 1000);
    truth.states = mem_array(N_SHARDS, sizeof *truth.states);
    truth.self_tests = mem_array(N_SHARDS, sizeof *truth.self_tests);
    for (unsigned i = 0; i < N_SHARDS; i++) {
        truth.states[i] = hash_like(20 + i);
        truth.self_tests[i] = hash_like(30 + i);
    }
    manifest_set_truth(m, &truth);
    shard_truth_free(&truth);
    return m;
}

static int start(void **state)
{
    if (raw_start(state))
        return -1;
    key_pair_new(&owner);
    return 0;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct error err = {0};
    struct manifest *m = make(), *again = NULL;
    assert_int_equal(manifest_sign(m, &owner, &err), STATUS_OK);
    if (manifest_parse(&again, manifest_text(m), &err))
        fail_msg("%s", err.text);
    assert_string_equal(again->name, m->name);
    assert_string_equal(again->architecture, "llama");
    assert_int_equal(again->n_layers, 7);
    assert_int_equal(again->n_shards, 3);
    assert_int_equal(again->arithmetic, 1);
    assert_true(sha256_equal(&again->fingerprint, &m->fingerprint));
    assert_int_equal(again->tokenizer.bytes, 1234);
    assert_int_equal(again->n_probe_tokens, 8);
    assert_memory_equal(again->probe_tokens, m->probe_tokens, 8 * sizeof *m->probe_tokens);
    assert_int_equal(again->probe_next, 42);
    for (uint32_t i = 0; i < N_SHARDS; i++) {
        const struct manifest_shard *a = &m->shards[i], *b = manifest_shard_at(again, i);
        assert_string_equal(a->file, b->file);
        assert_int_equal(a->bytes, b->bytes);
        assert_true(sha256_equal(&a->sha256, &b->sha256));
        assert_true(sha256_equal(&a->self_test, &b->self_test));
        assert_true(sha256_equal(&m->probe_states[i], &again->probe_states[i]));
        assert_memory_equal(&a->span, &b->span, sizeof a->span);
        assert_memory_equal(a->pieces, b->pieces, 2 * sizeof *a->pieces);
    }
    assert_null(manifest_shard_at(again, 3));
    assert_int_equal(manifest_shard_of_layer(again, 0)->id, 0);
    assert_int_equal(manifest_shard_of_layer(again, 1)->id, 0);
    assert_int_equal(manifest_shard_of_layer(again, 2)->id, 1);
    assert_int_equal(manifest_shard_of_layer(again, 6)->id, 2);
    assert_null(manifest_shard_of_layer(again, 7));
    assert_true(manifest_is_of(again, &owner.public_key));
    struct key_pair other;
    key_pair_new(&other);
    assert_false(manifest_is_of(again, &other.public_key));
    assert_true(bytes_equal(manifest_text(again), manifest_text(m)));
    manifest_free(again);
    manifest_free(m);
}

/* Names and order as documented. */
static void test_the_documented_form(void **state)
{
    (void)state;
    const char *const top[] = {"format",     "name",      "architecture", "n_layers", "n_shards", "fingerprint",
                               "arithmetic", "tokenizer", "shards",       "probe",    "owner",    "signature"};
    const char *const shard[] = {"id",        "file",   "bytes",       "sha256", "first_layer", "end_layer",
                                 "embedding", "output", "piece_bytes", "pieces", "self_test"};
    struct manifest *m = make();
    struct jv *root;
    size_t n = 0;
    assert_int_equal(manifest_sign(m, &owner, NULL), STATUS_OK);
    assert_int_equal(jv_parse(&root, manifest_text(m), NULL, NULL), STATUS_OK);
    for (void *i = jv_first(root); i; i = jv_next(root, i))
        assert_string_equal(jv_iter_key(i), top[n++]);
    assert_int_equal(n, sizeof top / sizeof *top);
    const struct jv *first = jv_at(jv_get(root, "shards"), 0);
    n = 0;
    for (void *i = jv_first(first); i; i = jv_next(first, i))
        assert_string_equal(jv_iter_key(i), shard[n++]);
    assert_int_equal(n, sizeof shard / sizeof *shard);
    assert_string_equal(jv_get_text(root, "format", ""), "shoal-manifest-1");
    /* SHA-1 of "a" (FIPS 180-4 implementations agree) */
    assert_string_equal(jv_text(jv_at(jv_get(first, "pieces"), 0), ""),
                        "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8");
    jv_free(root);
    manifest_free(m);
}

/* Signs whatever JSON it is given, so that a field's check is seen and not the signature's. */
static char *sign_again(struct jv *root)
{
    jv_remove(root, "signature");
    jv_set_hex(root, "owner", owner.public_key.bytes, PUBLIC_KEY_BYTES);
    char *covered = jv_print(root, JV_COMPACT_SORTED);
    struct signature s = signature_new(&owner, bytes_of_text(covered));
    mem_free(covered);
    jv_set_hex(root, "signature", s.bytes, SIGNATURE_BYTES);
    return jv_print(root, JV_COMPACT);
}

/* path: "name", "shards.1.name" or "probe.name"; `json` replaces the value, NULL removes it. */
static void change(struct jv *root, const char *path, const char *json)
{
    struct jv *at = root, *value = NULL;
    const char *name = path;
    if (strncmp(path, "shards.", 7) == 0) {
        at = jv_at(jv_get(root, "shards"), (size_t)(path[7] - '0'));
        name = path + 9;
    } else if (strncmp(path, "probe.", 6) == 0) {
        at = jv_get(root, "probe");
        name = path + 6;
    } else if (strncmp(path, "tokenizer.", 10) == 0) {
        at = jv_get(root, "tokenizer");
        name = path + 10;
    }
    assert_non_null(at);
    if (!json) {
        jv_remove(at, name);
        return;
    }
    assert_int_equal(jv_parse(&value, bytes_of_text(json), NULL, NULL), STATUS_OK);
    jv_set(at, name, value);
}

static const struct {
    const char *path, *json, *says;
} changes[] = {
    {"name", "\"\"", "'name'"},
    {"name", "7", "'name'"},
    {"name", "\"a\\u0007b\"", "control characters"},
    {"architecture", "\"\"", "'architecture'"},
    {"architecture", "\"a/b\"", "'architecture'"},
    {"n_layers", "0", "'n_layers' is 0; 1 to 4096"},
    {"n_layers", "5000", "'n_layers' is 5000"},
    {"n_layers", "8", "'shards[2].output'"},
    {"n_layers", "6", "'shards[2].end_layer' is 7"},
    {"n_layers", "\"7\"", "'n_layers'"},
    {"n_shards", "2", "'shards'"},
    {"n_shards", "4", "'shards'"},
    {"n_shards", "-1", "'n_shards' is -1"},
    {"n_shards", "3.0", "'n_shards'"},
    {"fingerprint", "\"00\"", "'fingerprint'"},
    {"fingerprint", NULL, "'fingerprint'"},
    {"arithmetic", "0", "'arithmetic' is 0"},
    {"tokenizer", "[]", "'tokenizer.file'"},
    {"tokenizer.file", "\"../etc/passwd\"", "'tokenizer.file'"},
    {"tokenizer.file", "\".hidden\"", "'tokenizer.file'"},
    {"tokenizer.file", "\"shard-1.gguf\"", "'shards[1].file'"},
    {"tokenizer.bytes", "0", "'tokenizer.bytes' is 0"},
    {"tokenizer.sha256", "\"XY\"", "'tokenizer.sha256'"},
    {"shards", "{}", "'shards'"},
    {"shards", "[1, 2, 3]", "'shards[0].'"},
    {"shards.1.id", "2", "'shards[1].id' is 2; 1 to 1"},
    {"shards.0.file", "\"a/b\"", "'shards[0].file'"},
    {"shards.0.file", "\"manifest.json\"", "'shards[0].file'"},
    {"shards.2.file", "\"shard-0.gguf\"", "a name that no other shard has"},
    {"shards.1.bytes", "-5", "'shards[1].bytes' is -5"},
    {"shards.1.bytes", "9223372036854775807", "'shards[1].bytes' is"},
    {"shards.1.sha256", "\"\"", "'shards[1].sha256'"},
    {"shards.1.first_layer", "1", "'shards[1].first_layer' is 1; 2 to 2"},
    {"shards.1.first_layer", "3", "'shards[1].first_layer' is 3; 2 to 2"},
    {"shards.1.end_layer", "2", "'shards[1].end_layer' is 2"},
    {"shards.1.end_layer", "9", "'shards[1].end_layer' is 9"},
    {"shards.1.embedding", "true", "'shards[1].embedding'"},
    {"shards.0.embedding", "1", "'shards[0].embedding'"},
    {"shards.2.output", "false", "'shards[2].output'"},
    {"shards.1.piece_bytes", "1", "'shards[1].piece_bytes' is 1"},
    {"shards.1.piece_bytes", "300000", "power of two"},
    {"shards.1.pieces", "[]", "'shards[1].pieces' has 0 entries"},
    {"shards.1.pieces", "[\"00\", \"11\"]", "'shards[1].pieces'"},
    {"shards.1.self_test", NULL, "'shards[1].self_test'"},
    {"probe", NULL, "'probe.tokens'"},
    {"probe.tokens", "[]", "'probe.tokens'"},
    {"probe.tokens", "[-1]", "'probe.tokens'"},
    {"probe.tokens", "[1.5]", "'probe.tokens'"},
    {"probe.tokens", "[16777216]", "'probe.tokens'"},
    {"probe.states", "[]", "'probe.states'"},
    {"probe.next", "-1", "'probe.next' is -1"},
};

static void test_every_field_is_checked(void **state)
{
    (void)state;
    struct manifest *m = make(), *out = NULL;
    assert_int_equal(manifest_sign(m, &owner, NULL), STATUS_OK);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct jv *root;
        struct error err = {0};
        assert_int_equal(jv_parse(&root, manifest_text(m), NULL, NULL), STATUS_OK);
        change(root, changes[i].path, changes[i].json);
        char *text = sign_again(root);
        enum status status = manifest_parse(&out, bytes_of_text(text), &err);
        if (status != STATUS_BAD_DATA || !strstr(err.text, changes[i].says))
            fail_msg("%s = %s: '%s': \"%s\", without \"%s\"", changes[i].path,
                     changes[i].json ? changes[i].json : "(none)", status_name(status), err.text,
                     changes[i].says);
        mem_free(text);
        jv_free(root);
    }
    assert_null(out);
    manifest_free(m);
}

/* A field of a later version is no error, and the signature covers it. */
static void test_unknown_fields_stay(void **state)
{
    (void)state;
    struct manifest *m = make(), *out = NULL;
    struct jv *root;
    struct error err = {0};
    assert_int_equal(manifest_sign(m, &owner, NULL), STATUS_OK);
    assert_int_equal(jv_parse(&root, manifest_text(m), NULL, NULL), STATUS_OK);
    change(root, "later", "{\"b\": 1, \"a\": [true, null]}");
    char *text = sign_again(root);
    assert_int_equal(manifest_parse(&out, bytes_of_text(text), &err), STATUS_OK);
    assert_non_null(strstr(out->text, "later"));
    manifest_free(out);
    mem_free(text);
    change(root, "later", "{\"b\": 2, \"a\": [true, null]}");
    text = jv_print(root, JV_COMPACT);
    assert_int_equal(manifest_parse(&out, bytes_of_text(text), &err), STATUS_REFUSED);
    mem_free(text);
    jv_free(root);
    manifest_free(m);
}

static void test_signature(void **state)
{
    (void)state;
    struct manifest *m = make(), *out = NULL;
    struct error err = {0};
    assert_int_equal(manifest_sign(m, &owner, NULL), STATUS_OK);
    char *text = mem_string(m->text), *at = strstr(text, "\"next\": 42");
    assert_non_null(at);
    at[9] = '3';
    assert_int_equal(manifest_parse(&out, bytes_of_text(text), &err), STATUS_REFUSED);
    assert_non_null(strstr(err.text, "signature"));
    mem_free(text);

    struct jv *root; /* signed by the owner, said to be another's */
    struct key_pair other;
    key_pair_new(&other);
    assert_int_equal(jv_parse(&root, manifest_text(m), NULL, NULL), STATUS_OK);
    jv_set_hex(root, "owner", other.public_key.bytes, PUBLIC_KEY_BYTES);
    text = jv_print(root, JV_COMPACT);
    assert_int_equal(manifest_parse(&out, bytes_of_text(text), &err), STATUS_REFUSED);
    mem_free(text);
    jv_free(root);
    assert_null(out);
    manifest_free(m);
}

/* The signature is over the bytes that the interface names, so that other programs can check it. */
static void test_signature_covers_sorted_compact_json(void **state)
{
    (void)state;
    struct manifest *m = make();
    struct jv *root;
    assert_int_equal(manifest_sign(m, &owner, NULL), STATUS_OK);
    assert_int_equal(jv_parse(&root, manifest_text(m), NULL, NULL), STATUS_OK);
    jv_remove(root, "signature");
    char *covered = jv_print(root, JV_COMPACT_SORTED);
    assert_int_equal(strncmp(covered, "{\"architecture\":\"llama\",\"arithmetic\":1,\"fingerprint\":\"", 53),
                     0);
    assert_true(crypto_verify(&owner.public_key, bytes_of_text(covered), &m->signature));
    mem_free(covered);
    jv_free(root);
    manifest_free(m);
}

/* Results by other rules are told as such, with both versions and who has to change what. */
static void test_other_arithmetic(void **state)
{
    (void)state;
    struct error err = {0};
    struct manifest *m = make();
    assert_int_equal(manifest_check_arithmetic(m, 1, &err), STATUS_OK);
    assert_int_equal(manifest_check_arithmetic(m, 2, &err), STATUS_UNSUPPORTED);
    assert_non_null(strstr(err.text, "'a small"));
    assert_non_null(strstr(err.text, "by arithmetic 1, this version of shoal computes by 2"));
    assert_non_null(strstr(err.text, "`shoal split"));
    m->arithmetic = 3;
    assert_int_equal(manifest_check_arithmetic(m, 2, &err), STATUS_UNSUPPORTED);
    assert_non_null(strstr(err.text, "by arithmetic 3, this version of shoal computes by 2"));
    assert_non_null(strstr(err.text, "install that version"));
    assert_null(strstr(err.text, "`shoal split"));
    manifest_free(m);
}

static void test_not_a_manifest(void **state)
{
    (void)state;
    const struct {
        const char *text;
        enum status status;
    } cases[] = {{"", STATUS_BAD_DATA},
                 {"[]", STATUS_BAD_DATA},
                 {"{}", STATUS_UNSUPPORTED},
                 {"{\"format\": \"shoal-manifest-2\"}", STATUS_UNSUPPORTED},
                 {"nonsense", STATUS_BAD_DATA},
                 {"{\"format\":\"shoal-manifest-1\"}", STATUS_BAD_DATA},
                 {"[[[[[[[[[[[[1]]]]]]]]]]]]", STATUS_LIMIT}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct manifest *out = NULL;
        struct error err = {0};
        enum status status = manifest_parse(&out, bytes_of_text(cases[i].text), &err);
        if (status != cases[i].status)
            fail_msg("case %zu: '%s' (%s)", i, status_name(status), err.text);
        assert_null(out);
    }
    struct manifest *out = NULL;
    assert_int_equal(manifest_load(&out, "/nonexistent/manifest.json", NULL), STATUS_NOT_FOUND);
}

static void test_the_split_is_of_spans_and_contents(void **state)
{
    (void)state;
    struct manifest *m = make(), *other = make();
    struct sha256 first = manifest_split(m), second;
    other->tokenizer.sha256 = hash_like(3); /* mended, and signed anew */
    snprintf(other->name, sizeof other->name, "another name");
    second = manifest_split(other);
    assert_true(sha256_equal(&first, &second));
    other->shards[1].span.end_layer = other->shards[2].span.first_layer = 6;
    second = manifest_split(other);
    assert_false(sha256_equal(&first, &second));
    other->shards[1].span.end_layer = other->shards[2].span.first_layer = 5;
    other->shards[2].sha256 = hash_like(99);
    second = manifest_split(other);
    assert_false(sha256_equal(&first, &second));
    manifest_free(m);
    manifest_free(other);
}

static void test_piece_bytes(void **state)
{
    (void)state;
    assert_int_equal(manifest_piece_bytes(1, 8), 256 << 10);
    assert_int_equal(manifest_piece_bytes((uint64_t)500 << 20, 8), 256 << 10);
    assert_int_equal(manifest_piece_bytes((uint64_t)501 << 20, 8), 512 << 10);
    assert_int_equal(manifest_piece_bytes((uint64_t)4000 << 20, 8), 2 << 20);
    /* 4,096 shards together stay under MANIFEST_PIECES_MAX */
    uint64_t bytes = (uint64_t)600 << 20;
    uint32_t piece = manifest_piece_bytes(bytes, 4096);
    assert_true((bytes + piece - 1) / piece * 4096 <= MANIFEST_PIECES_MAX);
}

static void test_probe_tokens(void **state)
{
    (void)state;
    uint32_t a[MANIFEST_PROBE_TOKENS], b[MANIFEST_PROBE_TOKENS];
    bool differ = false;
    manifest_probe_tokens(a, 512);
    manifest_probe_tokens(b, 512);
    assert_memory_equal(a, b, sizeof a);
    for (int i = 0; i < MANIFEST_PROBE_TOKENS; i++) {
        assert_true(a[i] < 512);
        differ |= a[i] != a[0];
    }
    assert_true(differ);
    manifest_probe_tokens(a, 1);
    assert_int_equal(a[7], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_the_documented_form),
        cmocka_unit_test(test_every_field_is_checked),
        cmocka_unit_test(test_unknown_fields_stay),
        cmocka_unit_test(test_signature),
        cmocka_unit_test(test_signature_covers_sorted_compact_json),
        cmocka_unit_test(test_other_arithmetic),
        cmocka_unit_test(test_not_a_manifest),
        cmocka_unit_test(test_the_split_is_of_spans_and_contents),
        cmocka_unit_test(test_piece_bytes),
        cmocka_unit_test(test_probe_tokens),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
