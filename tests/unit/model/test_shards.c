/* Split and merge: what is cut comes together again byte for byte, whatever the cut. */
#include "shards_support.h"

/* What every shard must be: a GGUF file that binds as the span the manifest says, with the hashes it says. */
static void check_shard(const struct manifest *m, const struct manifest_shard *s, const struct hparams *model)
{
    char *path = shards_path(out_dir, s->file);
    struct gguf *g = NULL;
    struct hparams h;
    struct span span;
    struct tensor_table *table = NULL;
    struct error err = {0};
    uint32_t index, count;
    struct buffer file;
    if (gguf_open(&g, path, &err) || hparams_read(&h, g, &err) ||
        span_read(&span, &index, &count, g, &h, &err) || tensor_table_bind(&table, g, &h, &span, &err))
        fail_msg("%s", err.text);
    assert_true(hparams_equal(&h, model));
    assert_int_equal(index, s->id);
    assert_int_equal(count, m->n_shards);
    assert_int_equal(span.first_layer, s->span.first_layer);
    assert_int_equal(span.end_layer, s->span.end_layer);
    assert_int_equal(span.embedding, s->span.embedding);
    assert_int_equal(span.output, s->span.output);
    for (size_t i = 0; i < gguf_n_keys(g); i++)
        assert_false(gguf_key_starts(gguf_key_at(g, i), "tokenizer."));
    read_whole(&file, path);
    assert_int_equal(file.size, s->bytes);
    struct sha256 hash = sha256_of(file.data, file.size);
    assert_true(sha256_equal(&hash, &s->sha256));
    assert_int_equal(s->n_pieces, (s->bytes + s->piece_bytes - 1) / s->piece_bytes);
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        size_t at = (size_t)i * s->piece_bytes,
               n = file.size - at < s->piece_bytes ? file.size - at : s->piece_bytes;
        uint8_t sha1[SHA1_BYTES];
        sha1_of(sha1, file.data + at, n);
        assert_memory_equal(sha1, s->pieces[i].sha1, SHA1_BYTES);
    }
    buffer_free(&file);
    tensor_table_free(table);
    gguf_close(g);
    mem_free(path);
}

static void read_hparams(struct hparams *out, const char *path, struct sha256 *fingerprint)
{
    struct gguf *g = NULL;
    struct error err = {0};
    if (gguf_open(&g, path, &err) || hparams_read(out, g, &err) ||
        model_fingerprint(fingerprint, g, NULL, &err))
        fail_msg("%s", err.text);
    gguf_close(g);
}

/* Split, look at every shard, merge, compare. */
static void round_trip(const char *model, uint32_t n_shards)
{
    struct hparams h;
    struct sha256 fingerprint, merged_fingerprint;
    struct error err = {0};
    read_hparams(&h, model, &fingerprint);
    struct manifest *m = split_signed(model, n_shards);
    assert_int_equal(m->n_shards, n_shards < h.n_layers ? n_shards : h.n_layers);
    assert_int_equal(m->n_layers, h.n_layers);
    assert_true(sha256_equal(&m->fingerprint, &fingerprint));
    uint32_t at = 0;
    for (uint32_t i = 0; i < m->n_shards; i++) {
        assert_int_equal(m->shards[i].span.first_layer, at);
        at = m->shards[i].span.end_layer;
        check_shard(m, &m->shards[i], &h);
    }
    assert_int_equal(at, h.n_layers);
    if (shards_merge(out_dir, merged_path, NULL, &err))
        fail_msg("merging '%s': %s", model, err.text);
    check_same_files(model, merged_path);
    read_hparams(&h, merged_path, &merged_fingerprint);
    assert_true(sha256_equal(&fingerprint, &merged_fingerprint));
    manifest_free(m);
}

static void test_round_trips(void **state)
{
    (void)state;
    for (int kind = 0; kind < 6; kind++) {
        struct raw_model m = raw_model_small();
        m.tied = kind == 1 || kind == 2;
        m.rope_freqs = kind == 2;
        m.end_unpadded = kind == 3;
        m.n_vocab = kind == 3 ? 17 : m.n_vocab; /* an end that is not aligned */
        m.alignment = kind == 4 ? 256 : 0;
        m.version = kind == 5 ? 2 : 3;
        write_model(&m);
        for (uint32_t n = 1; n <= 6; n++)
            round_trip(model_path, n);
    }
}

static const char *shared_file(const char *name, char out[512])
{
    const char *shared = getenv("SHOAL_SHARED");
    snprintf(out, 512, "%s/%s", shared ? shared : "../shared", name);
    return access(out, R_OK) == 0 ? out : NULL;
}

static void test_reference_models(void **state)
{
    (void)state;
    const char *const models[] = {"models/stories260K.gguf", "reference/arch/llama.gguf",
                                  "reference/arch/llama3.gguf", "reference/quant/Q4_K_M.gguf",
                                  "reference/quant/Q8_0.gguf"};
    int n = 0;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char path[512];
        if (!shared_file(models[i], path))
            continue;
        n++;
        for (uint32_t shards = 1; shards <= 8; shards += shards < 3 ? 1 : 5)
            round_trip(path, shards);
    }
    if (!n) {
        print_message("the reference models are not here (SHOAL_SHARED)\n");
        skip();
    }
}

/* llama.cpp's parts go in, one file comes out, whose fingerprint is the set's. */
static void test_split_parts_as_input(void **state)
{
    (void)state;
    struct raw_model small = raw_model_small();
    struct buffer b;
    struct gguf *g = NULL;
    struct error err = {0};
    struct bytes view;
    buffer_init(&b, 0);
    raw_model_build(&b, &small);
    view = buffer_view(&b);
    assert_int_equal(gguf_open_memory(&g, &view, 1, &err), STATUS_OK);
    size_t n = gguf_n_tensors(g), half = n / 2;
    for (int part = 0; part < 2; part++) {
        struct buffer file, data;
        char path[160];
        size_t first = part ? half : 0, end = part ? n : half;
        buffer_init(&file, 0);
        buffer_init(&data, 0);
        raw_head(&file, 3, end - first, part ? 3 : gguf_n_keys(g) + 3);
        for (size_t i = 0; !part && i < gguf_n_keys(g); i++)
            buffer_bytes(&file, gguf_key_at(g, i)->record.data, gguf_key_at(g, i)->record.size);
        raw_key_u16(&file, "split.no", (uint16_t)part);
        raw_key_u16(&file, "split.count", 2);
        raw_key_u32(&file, "split.tensors.count", (uint32_t)n);
        for (size_t i = first; i < end; i++) {
            const struct gguf_tensor *t = gguf_tensor_at(g, i);
            raw_tensor(&file, t->name, t->type, data.size, t->n_dims, t->dims);
            buffer_bytes(&data, b.data + t->offset, (size_t)t->bytes);
            raw_pad(&data, 32);
        }
        raw_pad(&file, 32);
        buffer_bytes(&file, data.data, data.size);
        snprintf(path, sizeof path, "%s/m-0000%d-of-00002.gguf", dir, part + 1);
        assert_int_equal(file_write(path, buffer_view(&file), 0644, &err), STATUS_OK);
        buffer_free(&file);
        buffer_free(&data);
    }
    gguf_close(g);
    assert_int_equal(file_write(model_path, buffer_view(&b), 0644, &err), STATUS_OK);
    char first[160];
    snprintf(first, sizeof first, "%s/m-00001-of-00002.gguf", dir);
    struct manifest *m = split_signed(first, 3);
    if (shards_merge(out_dir, merged_path, NULL, &err))
        fail_msg("%s", err.text);
    check_same_files(model_path, merged_path);
    manifest_free(m);
    buffer_free(&b);
}

/* --- plans ---------------------------------------------------------------------------------------------- */

static void plan_of(const struct raw_model *m, uint32_t n_shards, struct span *spans, uint32_t *n)
{
    struct buffer b;
    struct gguf *g = NULL;
    struct hparams h;
    struct error err = {0};
    buffer_init(&b, 0);
    raw_model_build(&b, m);
    struct bytes view = buffer_view(&b);
    if (gguf_open_memory(&g, &view, 1, &err) || hparams_read(&h, g, &err) ||
        shards_plan(spans, n, n_shards, g, &h, &err))
        fail_msg("%s", err.text);
    gguf_close(g);
    buffer_free(&b);
}

static void test_plans(void **state)
{
    (void)state;
    struct raw_model m = raw_model_small();
    struct span spans[64];
    uint32_t n;
    m.n_layers = 32;
    m.n_vocab = 4; /* a small embedding: 32 even layers in 8 shards */
    plan_of(&m, 8, spans, &n);
    assert_int_equal(n, 8);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(spans[i].end_layer - spans[i].first_layer, 4);
    plan_of(&m, 40, spans, &n);
    assert_int_equal(n, 32); /* one a layer at most */
    m.n_layers = 8;
    plan_of(&m, 8, spans, &n);
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(spans[i].end_layer, i + 1);
    /* An embedding and a head as heavy as three layers each: 16 layers are 22 in weight, 5 or 6 a shard. */
    m.n_layers = 16;
    m.n_vocab = 3 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48 + 64) / 32;
    plan_of(&m, 4, spans, &n);
    assert_int_equal(n, 4);
    assert_true(spans[0].end_layer == 2 || spans[0].end_layer == 3);
    assert_true(spans[3].first_layer == 13 || spans[3].first_layer == 14);
    assert_true(spans[1].end_layer - spans[1].first_layer >= 5);
    assert_true(spans[2].end_layer - spans[2].first_layer >= 5);
    assert_true(spans[0].embedding && !spans[1].embedding && spans[3].output && !spans[2].output);
}

static void test_split_refuses(void **state)
{
    (void)state;
    struct manifest *m = NULL;
    struct error err = {0};
    char path[200];
    fresh_shards();
    path_of(path, "shard-0.gguf");
    struct split_options options = {.model = path, .out_dir = out_dir, .n_shards = 4};
    assert_int_equal(shards_split(&m, &options, &err), STATUS_BAD_DATA);
    assert_non_null(strstr(err.text, "is a shard already"));
    struct buffer b; /* a whole model that lies where shard 0 would be written stays what it is */
    read_whole(&b, model_path);
    assert_int_equal(file_write(path, buffer_view(&b), 0644, &err), STATUS_OK);
    assert_int_equal(shards_split(&m, &options, &err), STATUS_BAD_USAGE);
    check_same_files(path, model_path);
    options.model = model_path;
    options.name = "bad\nname";
    assert_int_equal(shards_split(&m, &options, &err), STATUS_BAD_USAGE);
    options.name = NULL;
    options.out_dir = model_path; /* a file, no folder */
    assert_int_equal(shards_split(&m, &options, &err), STATUS_IO);
    options.model = "/nonexistent.gguf";
    assert_int_equal(shards_split(&m, &options, &err), STATUS_NOT_FOUND);
    const bool cancel = true;
    struct model_progress progress = {.cancel = &cancel};
    options = (struct split_options){.model = model_path, .out_dir = out_dir, .progress = &progress};
    assert_int_equal(shards_split(&m, &options, &err), STATUS_CANCELLED);
    assert_null(m);
    buffer_free(&b);
}

struct seen_progress {
    uint64_t last, total;
    bool went_back;
};

static void see_progress(void *arg, uint64_t done, uint64_t total)
{
    struct seen_progress *seen = arg;
    seen->went_back |= done < seen->last || done > total;
    seen->last = done;
    seen->total = total;
}

static void test_progress_reaches_its_end(void **state)
{
    (void)state;
    for (int tied = 0; tied < 2; tied++) {
        struct raw_model small = raw_model_small();
        struct seen_progress seen = {0};
        struct model_progress progress = {.report = see_progress, .arg = &seen};
        struct split_options options = {
            .model = model_path, .out_dir = out_dir, .n_shards = 3, .progress = &progress};
        struct manifest *m = NULL;
        struct error err = {0};
        small.tied = tied;
        write_model(&small);
        assert_int_equal(shards_split(&m, &options, &err), STATUS_OK);
        assert_false(seen.went_back);
        assert_true(seen.total > 0);
        assert_int_equal(seen.last, seen.total);
        manifest_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),          cmocka_unit_test(test_reference_models),
        cmocka_unit_test(test_split_parts_as_input), cmocka_unit_test(test_plans),
        cmocka_unit_test(test_split_refuses),        cmocka_unit_test(test_progress_reaches_its_end),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
