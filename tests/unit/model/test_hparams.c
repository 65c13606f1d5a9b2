/* Hyper-parameters and complete spans: what is refused and how it is said (G14). */
#include "gguf_raw.h"

#include "model/hparams.h"
#include "model/shards.h"
#include "model/tensors.h"

struct key {
    const char *name;
    uint32_t type;
    uint64_t value; /* of u32 and others as bits; for f32 in `real`, for text in `text` */
    float real;
    const char *text;
};

static const struct key base_keys[] = {
    {"general.architecture", GGUF_STRING, 0, 0, "llama"},
    {"llama.block_count", GGUF_U32, 4, 0, NULL},
    {"llama.context_length", GGUF_U32, 128, 0, NULL},
    {"llama.embedding_length", GGUF_U32, 64, 0, NULL},
    {"llama.feed_forward_length", GGUF_U32, 96, 0, NULL},
    {"llama.attention.head_count", GGUF_U32, 8, 0, NULL},
    {"llama.attention.layer_norm_rms_epsilon", GGUF_F32, 0, 1e-5F, NULL},
    {"llama.vocab_size", GGUF_U32, 50, 0, NULL},
};
#define N_BASE (sizeof base_keys / sizeof *base_keys)

static void put_key(struct buffer *b, const struct key *k)
{
    raw_key(b, k->name, k->type);
    switch (k->type) {
    case GGUF_STRING:
        raw_text(b, k->text);
        break;
    case GGUF_F32:
        buffer_f32(b, k->real);
        break;
    case GGUF_U8:
    case GGUF_BOOL:
        buffer_u8(b, (uint8_t)k->value);
        break;
    case GGUF_U64:
    case GGUF_F64:
        buffer_u64(b, k->value);
        break;
    case GGUF_ARRAY:
        buffer_u32(b, GGUF_U32);
        buffer_u64(b, 0);
        break;
    default:
        buffer_u32(b, (uint32_t)k->value);
    }
}

/* Keys with one replaced, added, or (type GGUF_TYPE_COUNT) left out. */
static enum status read_changed(struct hparams *out, const struct key *keys, size_t n_keys,
                                const struct key *change, struct error *err)
{
    struct buffer body, b;
    uint64_t n = 0;
    bool replaced = false;
    buffer_init(&body, 0);
    buffer_init(&b, 0);
    for (size_t i = 0; i < n_keys; i++) {
        bool same = change && strcmp(change->name, keys[i].name) == 0;
        replaced |= same;
        if (same && change->type == GGUF_TYPE_COUNT)
            continue;
        put_key(&body, same ? change : &keys[i]);
        n++;
    }
    if (change && !replaced) {
        put_key(&body, change);
        n++;
    }
    raw_head(&b, 3, 0, n);
    buffer_bytes(&b, body.data, body.size);
    struct bytes file = buffer_view(&b);
    struct gguf *gguf = NULL;
    enum status status = gguf_open_memory(&gguf, &file, 1, err);
    if (!status)
        status = hparams_read(out, gguf, err);
    gguf_close(gguf);
    buffer_free(&b);
    buffer_free(&body);
    return status;
}

static enum status read_with(struct hparams *out, const struct key *change, struct error *err)
{
    return read_changed(out, base_keys, N_BASE, change, err);
}

static void test_defaults(void **state)
{
    (void)state;
    struct hparams h;
    struct error err = {0};
    if (read_with(&h, NULL, &err))
        fail_msg("%s", err.text);
    assert_int_equal(h.arch, ARCH_LLAMA);
    assert_int_equal(h.n_layers, 4);
    assert_int_equal(h.n_embd, 64);
    assert_int_equal(h.n_vocab, 50);
    assert_int_equal(h.n_heads, 8);
    assert_int_equal(h.n_kv_heads, 8);
    assert_int_equal(h.head_dim_k, 8);
    assert_int_equal(h.head_dim_v, 8);
    assert_int_equal(h.n_rot, 8);
    assert_true(h.rope_freq_base == 10000.0F);
    assert_int_equal(h.rope_scaling, ROPE_SCALING_NONE);
    assert_true(h.rope_scale == 1.0F);
    struct hparams again = h;
    assert_true(hparams_equal(&h, &again));
    again.n_kv_heads = 4;
    assert_false(hparams_equal(&h, &again));
}

static void test_options(void **state)
{
    (void)state;
    struct hparams h;
    struct error err;
    const struct key kv = {"llama.attention.head_count_kv", GGUF_U32, 2, 0, NULL};
    const struct key factor = {"llama.rope.scaling.factor", GGUF_F32, 0, 4.0F, NULL};
    const struct key none = {"llama.rope.scaling.type", GGUF_STRING, 0, 0, "none"};
    const struct key old = {"llama.rope.scale_linear", GGUF_F32, 0, 2.0F, NULL};
    const struct key rot = {"llama.rope.dimension_count", GGUF_U32, 4, 0, NULL};
    assert_int_equal(read_with(&h, &kv, &err), STATUS_OK);
    assert_int_equal(h.n_kv_heads, 2);
    assert_int_equal(read_with(&h, &factor, &err), STATUS_OK);
    assert_int_equal(h.rope_scaling, ROPE_SCALING_LINEAR);
    assert_true(h.rope_scale == 4.0F);
    assert_int_equal(read_with(&h, &old, &err), STATUS_OK);
    assert_true(h.rope_scale == 2.0F);
    assert_int_equal(read_with(&h, &none, &err), STATUS_OK);
    assert_int_equal(h.rope_scaling, ROPE_SCALING_NONE);
    assert_int_equal(read_with(&h, &rot, &err), STATUS_OK);
    assert_int_equal(h.n_rot, 4);
}

#define ABSENT GGUF_TYPE_COUNT

static void test_refused(void **state)
{
    (void)state;
    const struct {
        struct key key;
        enum status status;
        const char *says;
    } cases[] = {
        {{"llama.block_count", GGUF_U32, 0, 0, NULL}, STATUS_BAD_DATA, "'llama.block_count' is 0; 1 to 4096"},
        {{"llama.block_count", GGUF_U32, UINT32_MAX, 0, NULL}, STATUS_BAD_DATA, "is 4294967295"},
        {{"llama.block_count", ABSENT, 0, 0, NULL}, STATUS_BAD_DATA, "'llama.block_count' is missing"},
        {{"llama.attention.head_count", GGUF_U32, 0, 0, NULL}, STATUS_BAD_DATA, "head_count' is 0"},
        {{"llama.attention.head_count", GGUF_U32, 7, 0, NULL}, STATUS_BAD_DATA, "must be a multiple of"},
        {{"llama.attention.head_count_kv", GGUF_U32, 0, 0, NULL},
         STATUS_BAD_DATA,
         "head_count_kv' is 0; 1 to 8"},
        {{"llama.attention.head_count_kv", GGUF_U32, 16, 0, NULL}, STATUS_BAD_DATA, "head_count_kv' is 16"},
        {{"llama.attention.head_count_kv", GGUF_U32, 3, 0, NULL}, STATUS_BAD_DATA, "must divide"},
        {{"llama.rope.dimension_count", GGUF_U32, 5, 0, NULL}, STATUS_BAD_DATA, "it must be even"},
        {{"llama.rope.dimension_count", GGUF_U32, 10, 0, NULL}, STATUS_BAD_DATA, "is 10; 2 to 8"},
        {{"llama.rope.dimension_count", GGUF_U32, 0, 0, NULL}, STATUS_BAD_DATA, "is 0"},
        {{"llama.context_length", GGUF_U32, 0, 0, NULL}, STATUS_BAD_DATA, "context_length' is 0"},
        {{"llama.embedding_length", GGUF_U32, 60, 0, NULL}, STATUS_BAD_DATA, "must be a multiple of"},
        {{"llama.embedding_length", GGUF_U32, 0, 0, NULL}, STATUS_BAD_DATA, "embedding_length' is 0"},
        {{"llama.embedding_length", GGUF_U32, UINT32_MAX, 0, NULL}, STATUS_BAD_DATA, "1 to 1048576"},
        {{"llama.feed_forward_length", GGUF_U32, 0, 0, NULL}, STATUS_BAD_DATA, "feed_forward_length' is 0"},
        {{"llama.vocab_size", GGUF_U32, 0, 0, NULL}, STATUS_BAD_DATA, "vocab_size' is 0"},
        {{"llama.vocab_size", ABSENT, 0, 0, NULL}, STATUS_BAD_DATA, "vocab_size' is missing"},
        {{"llama.attention.layer_norm_rms_epsilon", ABSENT, 0, 0, NULL}, STATUS_BAD_DATA, "is missing"},
        {{"llama.attention.layer_norm_rms_epsilon", GGUF_F32, 0, -1.0F, NULL}, STATUS_BAD_DATA, "is -1"},
        {{"llama.rope.freq_base", GGUF_F32, 0, 0.0F, NULL}, STATUS_BAD_DATA, "freq_base' is 0"},
        {{"llama.rope.freq_base", GGUF_F32, 0, __builtin_nanf(""), NULL}, STATUS_BAD_DATA, "freq_base' is"},
        {{"llama.rope.freq_base", GGUF_F32, 0, __builtin_inff(), NULL}, STATUS_BAD_DATA, "freq_base' is inf"},
        {{"llama.rope.scaling.type", GGUF_STRING, 0, 0, "su"}, STATUS_UNSUPPORTED, "a RoPE scaling other than"},
        {{"llama.rope.scaling.attn_factor", GGUF_F32, 0, 0, NULL}, STATUS_BAD_DATA, "attn_factor' is 0"},
        {{"llama.rope.scaling.original_context_length", GGUF_U32, 0, 0, NULL},
         STATUS_BAD_DATA,
         "original_context_length' is 0"},
        {{"llama.expert_count", GGUF_U32, 8, 0, NULL}, STATUS_BAD_DATA, "expert_used_count' is missing"},
        {{"general.architecture", GGUF_STRING, 0, 0, "gpt\nx"}, STATUS_UNSUPPORTED, "'gpt?x' is not supported"},
        {{"general.architecture", ABSENT, 0, 0, NULL}, STATUS_BAD_DATA, "'general.architecture' is missing"},
        {{"tokenizer.ggml.tokens", GGUF_ARRAY, 0, 0, NULL},
         STATUS_BAD_DATA,
         "array of u32; it must be one of string"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hparams h;
        struct error err = {0};
        enum status status = read_with(&h, &cases[i].key, &err);
        if (status != cases[i].status || !strstr(err.text, cases[i].says))
            fail_msg("case %zu (%s): '%s': \"%s\", without \"%s\"", i, cases[i].key.name, status_name(status),
                     err.text, cases[i].says);
    }
}

/* As the published models of 20 billion weights have them. */
static const struct key gptoss_keys[] = {
    {"general.architecture", GGUF_STRING, 0, 0, "gpt-oss"},
    {"gpt-oss.block_count", GGUF_U32, 24, 0, NULL},
    {"gpt-oss.context_length", GGUF_U32, 131072, 0, NULL},
    {"gpt-oss.embedding_length", GGUF_U32, 2880, 0, NULL},
    {"gpt-oss.feed_forward_length", GGUF_U32, 2880, 0, NULL},
    {"gpt-oss.attention.head_count", GGUF_U32, 64, 0, NULL},
    {"gpt-oss.attention.head_count_kv", GGUF_U32, 8, 0, NULL},
    {"gpt-oss.attention.key_length", GGUF_U32, 64, 0, NULL},
    {"gpt-oss.attention.value_length", GGUF_U32, 64, 0, NULL},
    {"gpt-oss.attention.layer_norm_rms_epsilon", GGUF_F32, 0, 1e-5F, NULL},
    {"gpt-oss.attention.sliding_window", GGUF_U32, 128, 0, NULL},
    {"gpt-oss.rope.freq_base", GGUF_F32, 0, 150000.0F, NULL},
    {"gpt-oss.rope.scaling.type", GGUF_STRING, 0, 0, "yarn"},
    {"gpt-oss.rope.scaling.factor", GGUF_F32, 0, 32.0F, NULL},
    {"gpt-oss.rope.scaling.original_context_length", GGUF_U32, 4096, 0, NULL},
    {"gpt-oss.expert_count", GGUF_U32, 32, 0, NULL},
    {"gpt-oss.expert_used_count", GGUF_U32, 4, 0, NULL},
    {"gpt-oss.expert_feed_forward_length", GGUF_U32, 2880, 0, NULL},
    {"gpt-oss.vocab_size", GGUF_U32, 201088, 0, NULL},
};
#define N_GPTOSS (sizeof gptoss_keys / sizeof *gptoss_keys)

static void test_gptoss(void **state)
{
    (void)state;
    struct hparams h;
    struct error err = {0};
    if (read_changed(&h, gptoss_keys, N_GPTOSS, NULL, &err))
        fail_msg("%s", err.text);
    assert_int_equal(h.arch, ARCH_GPTOSS);
    assert_int_equal(h.head_dim_k, 64);
    assert_int_equal(h.n_rot, 64);
    assert_true(h.attn_scale == 0.125F);
    assert_int_equal(h.rope_scaling, ROPE_SCALING_YARN);
    assert_int_equal(h.n_experts_used, 4);
    for (uint32_t layer = 0; layer < 24; layer++)
        assert_int_equal(hparams_layer_window(&h, layer), layer % 2 ? 0 : 128);
    assert_int_equal(tensor_need_of(&h, TENSOR_ATTN_SINKS), TENSOR_NEEDED);
    assert_int_equal(tensor_need_of(&h, TENSOR_FFN_NORM), TENSOR_FOREIGN);
    struct tensor_shape bias = tensor_shape_of(&h, TENSOR_EXPERTS_DOWN_BIAS);
    assert_int_equal(bias.n_dims, 2);
    assert_int_equal(bias.dims[0], 2880);
    assert_int_equal(bias.dims[1], 32);
}

static void test_gptoss_refused(void **state)
{
    (void)state;
    const struct {
        struct key key;
        enum status status;
        const char *says;
    } cases[] = {
        {{"gpt-oss.expert_count", ABSENT, 0, 0, NULL}, STATUS_BAD_DATA, "'gpt-oss.expert_count' is missing"},
        {{"gpt-oss.expert_used_count", GGUF_U32, 33, 0, NULL}, STATUS_BAD_DATA, "is 33; 1 to 32"},
        {{"gpt-oss.expert_feed_forward_length", ABSENT, 0, 0, NULL}, STATUS_BAD_DATA, "is missing"},
        {{"gpt-oss.attention.sliding_window", ABSENT, 0, 0, NULL}, STATUS_BAD_DATA, "is missing"},
        {{"gpt-oss.rope.freq_base_swa", GGUF_F32, 0, 10000.0F, NULL}, STATUS_UNSUPPORTED, "freq_base_swa"},
        {{"gpt-oss.rope.dimension_count", GGUF_U32, 32, 0, NULL}, STATUS_UNSUPPORTED, "dimension_count"},
        {{"gpt-oss.attention.value_length", GGUF_U32, 128, 0, NULL},
         STATUS_UNSUPPORTED,
         "heads of another size"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hparams h;
        struct error err = {0};
        enum status status = read_changed(&h, gptoss_keys, N_GPTOSS, &cases[i].key, &err);
        if (status != cases[i].status || !strstr(err.text, cases[i].says))
            fail_msg("case %zu (%s): '%s': \"%s\"", i, cases[i].key.name, status_name(status), err.text);
    }
}

/* Each key with each other type is an error, never a guess. */
static void test_wrong_types(void **state)
{
    (void)state;
    const uint32_t types[] = {GGUF_U8,   GGUF_I32,    GGUF_U32,   GGUF_F32,
                              GGUF_BOOL, GGUF_STRING, GGUF_ARRAY, GGUF_U64};
    for (size_t i = 0; i < N_BASE; i++)
        for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
            struct key wrong = {base_keys[i].name, types[t], 8, 8.0F, "8"};
            struct hparams h;
            struct error err = {0};
            if (types[t] == base_keys[i].type)
                continue;
            if (read_with(&h, &wrong, &err) != STATUS_BAD_DATA || !strstr(err.text, "it must be"))
                fail_msg("%s of type %u: \"%s\"", wrong.name, types[t], err.text);
        }
}

/* --- complete spans ------------------------------------------------------------------------------------ */

static void test_roles(void **state)
{
    (void)state;
    enum tensor_role role;
    uint32_t layer;
    char name[GGUF_NAME_BYTES_MAX + 1];
    for (int r = 0; r < TENSOR_ROLE_COUNT; r++) {
        tensor_name(name, (enum tensor_role)r, 17);
        assert_true(tensor_role_of(name, &role, &layer));
        assert_int_equal(role, r);
        assert_int_equal(layer, r < TENSOR_ROLE_LAYER_FIRST ? TENSOR_NO_LAYER : 17);
        if (strstr(name, "norm") || strstr(name, ".bias") || strstr(name, "rope") || strstr(name, "sinks"))
            assert_true(tensor_role_is_vector((enum tensor_role)r));
        else
            assert_false(tensor_role_is_vector((enum tensor_role)r));
    }
    const char *const none[] = {"blk.0.attn_q.biases",
                                "blk.0.attn_q",
                                "blk.00.attn_q.weight",
                                "blk.4096.attn_q.weight",
                                "blk.99999999999.attn_q.weight",
                                "blk..attn_q.weight",
                                "blk.-1.attn_q.weight",
                                "attn_q.weight",
                                "blk.1.output.weight",
                                "output.weight.x",
                                "output.weigh",
                                "blk.1",
                                "blk.1.ffn_gate.1.weight",
                                ""};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(tensor_role_of(none[i], &role, &layer));
}

static enum status bind_model(const struct buffer *file, struct error *err)
{
    struct gguf *g = NULL;
    struct hparams h;
    struct span span;
    struct tensor_table *table = NULL;
    struct bytes view = buffer_view(file);
    enum status status = gguf_open_memory(&g, &view, 1, err);
    if (!status)
        status = hparams_read(&h, g, err);
    if (!status)
        status = span_read(&span, NULL, NULL, g, &h, err);
    if (!status)
        status = tensor_table_bind(&table, g, &h, &span, err);
    if (!status) {
        assert_non_null(tensor_table_get(table, TENSOR_OUTPUT, TENSOR_NO_LAYER));
        for (uint32_t l = 0; l < h.n_layers; l++)
            for (int r = TENSOR_ROLE_LAYER_FIRST; r < TENSOR_ROLE_COUNT; r++)
                assert_true(!tensor_table_get(table, (enum tensor_role)r, l) ==
                            (tensor_need_of(&h, (enum tensor_role)r) != TENSOR_NEEDED));
        assert_null(tensor_table_get(table, TENSOR_ATTN_Q, h.n_layers));
    }
    tensor_table_free(table);
    gguf_close(g);
    return status;
}

/* Overwrites one name in the file's table by another of the same length. */
static void rename_in_file(struct buffer *b, const char *from, const char *to)
{
    size_t n = strlen(from);
    assert_int_equal(n, strlen(to));
    for (size_t i = 0; i + n <= b->size; i++)
        if (memcmp(b->data + i, from, n) == 0) {
            memcpy(b->data + i, to, n);
            return;
        }
    fail_msg("'%s' is not in the file", from);
}

static void test_complete_models(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        struct raw_model m = raw_model_small();
        struct buffer b;
        struct error err = {0};
        m.tied = kind & 1;
        m.rope_freqs = kind & 2;
        buffer_init(&b, 0);
        raw_model_build(&b, &m);
        if (bind_model(&b, &err))
            fail_msg("%s", err.text);
        buffer_free(&b);
    }
}

static void test_incomplete_models(void **state)
{
    (void)state;
    const struct {
        const char *from, *to, *says;
        enum status status;
    } cases[] = {
        {"blk.3.attn_q.weight", "blk.3.attn_q.biases", "'blk.3.attn_q.biases' is none", STATUS_UNSUPPORTED},
        {"blk.3.attn_output.weight", "blk.3.attn_q_norm.weight", "is none that the llama", STATUS_UNSUPPORTED},
        {"blk.4.ffn_up.weight", "blk.9.ffn_up.weight", "'blk.9.ffn_up.weight' is none", STATUS_UNSUPPORTED},
        {"output_norm.weight", "output_norm.weihgt", "'output_norm.weihgt' is none", STATUS_UNSUPPORTED},
        {"blk.2.attn_k.weight", "blk.2.ffn_up.weight", "is there twice", STATUS_BAD_DATA},
        {"blk.2.attn_q.weight", "rope_freqs.weight\0\0", "NUL", STATUS_BAD_DATA},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct raw_model m = raw_model_small();
        struct buffer b;
        struct error err = {0};
        buffer_init(&b, 0);
        raw_model_build(&b, &m);
        if (i == 5) { /* an embedded NUL, which rename_in_file cannot say */
            for (size_t at = 0; at + 19 <= b.size; at++)
                if (memcmp(b.data + at, cases[i].from, 19) == 0) {
                    b.data[at + 5] = 0;
                    break;
                }
        } else {
            rename_in_file(&b, cases[i].from, cases[i].to);
        }
        enum status status = bind_model(&b, &err);
        if (status != cases[i].status || !strstr(err.text, cases[i].says))
            fail_msg("case %zu: '%s': \"%s\", without \"%s\"", i, status_name(status), err.text, cases[i].says);
        buffer_free(&b);
    }
}

/* A model whose embedding has more rows than the vocabulary (T4), and one with a layer too few. */
static void test_shapes_must_fit(void **state)
{
    (void)state;
    struct raw_model m = raw_model_small();
    struct buffer b;
    struct error err = {0};
    buffer_init(&b, 0);
    raw_model_build(&b, &m);
    for (size_t i = 0; i + 12 < b.size; i++)
        if (memcmp(b.data + i, "llama.block_count", 17) == 0) {
            b.data[i + 17 + 4] = 6;
            break;
        }
    assert_int_equal(bind_model(&b, &err), STATUS_BAD_DATA);
    assert_non_null(strstr(err.text, "blk.5."));
    assert_non_null(strstr(err.text, "is missing"));
    buffer_clear(&b);
    raw_model_build(&b, &m);
    for (size_t i = 0; i + 40 < b.size; i++)
        if (memcmp(b.data + i, "llama.feed_forward_length", 25) == 0) {
            b.data[i + 25 + 4] = 49;
            break;
        }
    assert_int_equal(bind_model(&b, &err), STATUS_BAD_DATA);
    assert_non_null(strstr(err.text, "the hyper-parameters say"));
    buffer_clear(&b);
    raw_model_build(&b, &m);
    for (size_t i = 0; i + 40 < b.size; i++) /* "token_embd.weight", 2 dimensions, 32, then the rows */
        if (memcmp(b.data + i, "token_embd.weight", 17) == 0) {
            b.data[i + 17 + 4 + 8]--;
            break;
        }
    assert_int_equal(bind_model(&b, &err), STATUS_BAD_DATA);
    assert_non_null(
        strstr(err.text, "'token_embd.weight' has 2 dimensions, 32 x 18; the hyper-parameters say 2, 32 x 19"));
    buffer_free(&b);
}

/* What a shard claims must fit the model's layers. */
static void test_spans(void **state)
{
    (void)state;
    const struct {
        uint32_t index, count, first, end;
        bool good;
    } cases[] = {
        {0, 2, 0, 2, true},  {1, 2, 2, 4, true},  {0, 1, 0, 4, true},  {1, 3, 1, 2, true},
        {2, 2, 2, 4, false}, {0, 2, 1, 2, false}, {1, 2, 0, 4, false}, {0, 2, 0, 4, false},
        {0, 2, 2, 2, false}, {1, 2, 3, 2, false}, {1, 2, 2, 5, false}, {0, 5, 0, 1, false},
        {0, 0, 0, 4, false}, {1, 2, 2, 3, false}, {1, 3, 0, 2, false}, {0, UINT32_MAX, 0, 1, false},
    };
    struct hparams h = {.n_layers = 4};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer b;
        struct gguf *g = NULL;
        struct span span;
        struct error err = {0};
        uint32_t index = 99, count = 99;
        buffer_init(&b, 0);
        raw_head(&b, 3, 0, 4);
        raw_key_u32(&b, KEY_SHARD_INDEX, cases[i].index);
        raw_key_u32(&b, KEY_SHARD_COUNT, cases[i].count);
        raw_key_u32(&b, KEY_SHARD_FIRST_LAYER, cases[i].first);
        raw_key_u32(&b, KEY_SHARD_END_LAYER, cases[i].end);
        struct bytes view = buffer_view(&b);
        assert_int_equal(gguf_open_memory(&g, &view, 1, &err), STATUS_OK);
        enum status status = span_read(&span, &index, &count, g, &h, &err);
        if (status != (cases[i].good ? STATUS_OK : STATUS_BAD_DATA))
            fail_msg("case %zu: '%s'", i, status_name(status));
        if (cases[i].good) {
            assert_int_equal(index, cases[i].index);
            assert_int_equal(span.embedding, cases[i].first == 0);
            assert_int_equal(span.output, cases[i].end == 4);
        }
        gguf_close(g);
        buffer_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_gptoss),
        cmocka_unit_test(test_gptoss_refused),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_wrong_types),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_complete_models),
        cmocka_unit_test(test_incomplete_models),
        cmocka_unit_test(test_shapes_must_fit),
        cmocka_unit_test(test_spans),
    };
    return cmocka_run_group_tests(tests, raw_start, NULL);
}
