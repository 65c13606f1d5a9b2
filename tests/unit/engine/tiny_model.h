/* tiny_model - a small model with random weights, written as a GGUF file, so that the engine's tests need
 * nothing from outside. The weights come from a seed; quantised ones are quantised here by the formats' own
 * definitions (whether that is right is compared elsewhere, with llama.cpp's files). */
#ifndef TESTS_TINY_MODEL_H
#define TESTS_TINY_MODEL_H

#include "base/mem.h"
#include "base/rand.h"
#include "kernels/types.h"
#include "model/gguf_write.h"
#include "model/tensors.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct tiny_model {
    enum arch arch; /* one without fused matrices */
    uint32_t n_layers, n_vocab, n_embd, n_heads, n_kv_heads, n_ff;
    enum tensor_type types[4];    /* of matrices, taken in turn */
    enum tensor_type expert_type; /* of experts' matrices; F32: as the others, in turn */
    bool is_tied;
    uint32_t n_experts, n_experts_used;
    enum tensor_role without; /* a layer's, left out; TENSOR_TOKEN_EMBD: none */
    bool has_vocabulary;      /* of no use but to please other engines */
    uint64_t seed;
};

static inline struct tiny_model tiny_model_default(void)
{
    return (struct tiny_model){
        .n_layers = 3,
        .n_vocab = 301,
        .n_embd = 256,
        .n_heads = 8,
        .n_kv_heads = 2,
        .n_ff = 512,
        .types = {TENSOR_TYPE_Q8_0, TENSOR_TYPE_Q4_K, TENSOR_TYPE_Q4_0, TENSOR_TYPE_Q6_K},
        .seed = 42,
    };
}

/* gpt-oss with all it has: heads wider than their share, windows, stretched positions, experts. */
static inline struct tiny_model tiny_model_gptoss(void)
{
    return (struct tiny_model){
        .arch = ARCH_GPTOSS,
        .n_layers = 4,
        .n_vocab = 512,
        .n_embd = 128,
        .n_heads = 8,
        .n_kv_heads = 2,
        .n_ff = 96,
        .n_experts = 7,
        .n_experts_used = 3,
        .seed = 42, /* types: all F32 */
    };
}

static inline uint32_t tiny_head_dim(const struct tiny_model *m)
{
    return m->n_embd / m->n_heads * (m->arch == ARCH_GPTOSS ? 2 : 1);
}

static inline void tiny_add_tensor(struct gguf_writer *w, struct gguf_tensor *list, size_t *n, const char *name,
                                   enum tensor_type type, const struct tensor_shape *shape)
{
    struct gguf_tensor t = {
        .type = type, .n_dims = shape->n_dims, .dims = {shape->dims[0], shape->dims[1], shape->dims[2], 1}};
    const struct tensor_type_info *info = tensor_type_info(type);
    snprintf(t.name, sizeof t.name, "%s", name);
    t.bytes = t.dims[0] / info->block_elements * info->block_bytes * t.dims[1] * t.dims[2];
    gguf_writer_add_tensor(w, &t);
    list[(*n)++] = t;
}

static inline void tiny_f16(uint8_t *out, float v)
{
    _Float16 half = (_Float16)v;
    memcpy(out, &half, 2);
}

/* One block of random weights of about `scale`. */
static inline void tiny_block(uint8_t *out, enum tensor_type type, float scale, struct rng *rng)
{
    const struct tensor_type_info *info = tensor_type_info(type);
    float value = (float)(rng_unit(rng) * 2 - 1) * scale * 1.7F;

    for (uint32_t i = 0; i < info->block_bytes; i++)
        out[i] = (uint8_t)rng_u64(rng);
    switch (type) {
    case TENSOR_TYPE_F32:
        memcpy(out, &value, 4);
        break;
    case TENSOR_TYPE_F16:
        tiny_f16(out, value);
        break;
    case TENSOR_TYPE_BF16: {
        uint32_t bits;
        memcpy(&bits, &value, 4);
        bits >>= 16;
        memcpy(out, &bits, 2);
        break;
    }
    case TENSOR_TYPE_Q8_0:
        tiny_f16(out, scale / 70);
        break;
    case TENSOR_TYPE_Q4_0:
        tiny_f16(out, scale / 5);
        break;
    case TENSOR_TYPE_Q4_K: /* 4-bit quants times 6-bit scales, minus 6-bit minima */
        tiny_f16(out, scale / 150);
        tiny_f16(out + 2, scale / 20);
        break;
    case TENSOR_TYPE_Q6_K:
        tiny_f16(out + 208, scale / 1500);
        break;
    case TENSOR_TYPE_MXFP4:
        out[0] = (uint8_t)(126 + (int)rng_below(rng, 3) + (int)lroundf(log2f(scale / 3.2F)));
        break;
    default:
        ASSERT(!"a type that the tests do not write");
    }
}

/* Of a vector: about 1 for norms; about 0 for what is added, and of gates so much that they meet their limits.
 */
static inline float tiny_vector_value(const struct gguf_tensor *t, struct rng *rng)
{
    float v = (float)(rng_unit(rng) - 0.5);
    if (strstr(t->name, "gate_exps") || strstr(t->name, "up_exps"))
        return 14 * v;
    return strstr(t->name, "sinks") ? 4 * v : strstr(t->name, ".bias") ? v : 1 + 0.1F * v;
}

static inline void tiny_write_tensor(struct gguf_writer *w, const struct gguf_tensor *t, struct rng *rng)
{
    const struct tensor_type_info *info = tensor_type_info(t->type);
    bool is_vector = t->n_dims == 1 || strstr(t->name, ".bias");
    float scale = is_vector ? 1.0F : 1.0F / sqrtf((float)t->dims[0]);
    uint8_t *data = mem_array(t->bytes, 1);
    struct error err;

    for (uint64_t at = 0; at < t->bytes; at += info->block_bytes) {
        tiny_block(data + at, (enum tensor_type)t->type, scale, rng);
        if (is_vector) {
            float v = tiny_vector_value(t, rng);
            memcpy(data + at, &v, sizeof v);
        }
    }
    enum status status = gguf_writer_data(w, data, t->bytes, &err);
    ASSERT(!status);
    mem_free(data);
}

static inline void tiny_key_u32(struct gguf_writer *w, const char *arch, const char *name, uint32_t value)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", arch, name);
    gguf_writer_add_u32(w, key, value);
}

static inline void tiny_key_f32(struct gguf_writer *w, const char *arch, const char *name, float value)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", arch, name);
    gguf_writer_add_f32(w, key, value);
}

static inline void tiny_add_gptoss_keys(struct gguf_writer *w, const struct tiny_model *m)
{
    const char *arch = arch_name(m->arch);
    tiny_key_u32(w, arch, "attention.key_length", tiny_head_dim(m));
    tiny_key_u32(w, arch, "attention.value_length", tiny_head_dim(m));
    tiny_key_u32(w, arch, "attention.sliding_window", 16);
    tiny_key_u32(w, arch, "expert_count", m->n_experts);
    tiny_key_u32(w, arch, "expert_used_count", m->n_experts_used);
    tiny_key_u32(w, arch, "expert_feed_forward_length", m->n_ff);
    gguf_writer_add_string(w, "gpt-oss.rope.scaling.type", "yarn");
    tiny_key_f32(w, arch, "rope.scaling.factor", 32.0F);
    tiny_key_u32(w, arch, "rope.scaling.original_context_length", 16);
}

static inline void tiny_add_vocabulary(struct gguf_writer *w, uint32_t n)
{
    static const char *const first[] = {"<unk>", "<s>", "</s>"};
    const char **texts = mem_array(n, sizeof *texts);
    char(*memory)[16] = mem_array(n, sizeof *memory);
    for (uint32_t i = 0; i < n; i++) {
        snprintf(memory[i], sizeof memory[i], i < 259 ? "<0x%02X>" : "w%u", i < 259 ? i - 3 : i);
        texts[i] = i < 3 ? first[i] : memory[i];
    }
    gguf_writer_add_string(w, "tokenizer.ggml.model", "llama");
    gguf_writer_add_strings(w, "tokenizer.ggml.tokens", texts, n);
    mem_free(texts);
    mem_free(memory);
}

static inline void tiny_add_keys(struct gguf_writer *w, const struct tiny_model *m)
{
    const char *arch = arch_name(m->arch);
    gguf_writer_add_string(w, "general.architecture", arch);
    tiny_key_u32(w, arch, "block_count", m->n_layers);
    tiny_key_u32(w, arch, "context_length", 512);
    tiny_key_u32(w, arch, "vocab_size", m->n_vocab);
    tiny_key_u32(w, arch, "embedding_length", m->n_embd);
    tiny_key_u32(w, arch, "feed_forward_length", m->n_ff);
    tiny_key_u32(w, arch, "attention.head_count", m->n_heads);
    tiny_key_u32(w, arch, "attention.head_count_kv", m->n_kv_heads);
    tiny_key_u32(w, arch, "rope.dimension_count", tiny_head_dim(m));
    tiny_key_f32(w, arch, "attention.layer_norm_rms_epsilon", 1e-5F);
    tiny_key_f32(w, arch, "rope.freq_base", 10000.0F);
    if (m->has_vocabulary)
        tiny_add_vocabulary(w, m->n_vocab);
    if (m->arch == ARCH_GPTOSS)
        tiny_add_gptoss_keys(w, m);
    if (m->arch == ARCH_OLMO2)
        tiny_key_u32(w, arch, "attention.sliding_window", 9);
    if (m->arch == ARCH_GRANITE) {
        tiny_key_f32(w, arch, "embedding_scale", 3.5F);
        tiny_key_f32(w, arch, "residual_scale", 0.22F);
        tiny_key_f32(w, arch, "attention.scale", 0.1F);
        tiny_key_f32(w, arch, "logit_scale", 2.5F);
    }
}

/* One tensor of a layer, if the architecture has it; matrices take their types in turn. */
static inline void tiny_add_layer_tensor(struct gguf_writer *w, struct gguf_tensor *list, size_t *n,
                                         const struct tiny_model *m, const struct hparams *h,
                                         enum tensor_role role, uint32_t layer, uint32_t *turn)
{
    struct tensor_shape shape = tensor_shape_of(h, role);
    char name[GGUF_NAME_BYTES_MAX + 1];
    if (tensor_need_of(h, role) != TENSOR_NEEDED || role == m->without)
        return;
    tensor_name(name, role, layer);
    enum tensor_type type = tensor_role_is_vector(role) ? TENSOR_TYPE_F32 : m->types[(*turn)++ % 4];
    if (shape.n_dims == 3 && m->expert_type != TENSOR_TYPE_F32)
        type = m->expert_type;
    tiny_add_tensor(w, list, n, name, type, &shape);
}

/* Writes it to `path`. */
static inline void tiny_model_write(const struct tiny_model *m, const char *path)
{
    struct gguf_writer *w = gguf_writer_new(3, GGUF_ALIGNMENT_DEFAULT);
    struct gguf_tensor list[256];
    struct rng rng = rng_seeded(m->seed);
    struct error err;
    size_t n = 0;
    uint32_t head_dim = tiny_head_dim(m), turn = 0;
    struct hparams h = {.arch = m->arch,
                        .n_embd = m->n_embd,
                        .n_vocab = m->n_vocab,
                        .n_heads = m->n_heads,
                        .n_kv_heads = m->n_kv_heads,
                        .head_dim_k = head_dim,
                        .head_dim_v = head_dim,
                        .n_ff = m->n_ff,
                        .n_experts = m->n_experts,
                        .norm_spans_heads = m->arch == ARCH_OLMO2};
    static const enum tensor_role roles[] = {
        TENSOR_ATTN_NORM,       TENSOR_ATTN_Q,           TENSOR_ATTN_K,       TENSOR_ATTN_V,
        TENSOR_ATTN_Q_NORM,     TENSOR_ATTN_K_NORM,      TENSOR_ATTN_OUTPUT,  TENSOR_FFN_NORM,
        TENSOR_FFN_GATE,        TENSOR_FFN_UP,           TENSOR_FFN_DOWN,     TENSOR_ATTN_POST_NORM,
        TENSOR_FFN_POST_NORM,   TENSOR_ATTN_Q_BIAS,      TENSOR_ATTN_K_BIAS,  TENSOR_ATTN_V_BIAS,
        TENSOR_ATTN_SINKS,      TENSOR_ATTN_OUTPUT_BIAS, TENSOR_FFN_ROUTER,   TENSOR_FFN_ROUTER_BIAS,
        TENSOR_EXPERTS_GATE,    TENSOR_EXPERTS_UP,       TENSOR_EXPERTS_DOWN, TENSOR_EXPERTS_GATE_BIAS,
        TENSOR_EXPERTS_UP_BIAS, TENSOR_EXPERTS_DOWN_BIAS};

    tiny_add_keys(w, m);
    struct tensor_shape embedding = tensor_shape_of(&h, TENSOR_TOKEN_EMBD),
                        norm = tensor_shape_of(&h, TENSOR_OUTPUT_NORM);

    tiny_add_tensor(w, list, &n, "token_embd.weight", m->types[turn++ % 4], &embedding);
    for (uint32_t layer = 0; layer < m->n_layers; layer++)
        for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
            tiny_add_layer_tensor(w, list, &n, m, &h, roles[i], layer, &turn);
    tiny_add_tensor(w, list, &n, "output_norm.weight", TENSOR_TYPE_F32, &norm);
    if (!m->is_tied)
        tiny_add_tensor(w, list, &n, "output.weight", m->types[turn++ % 4], &embedding);
    enum status status = gguf_writer_begin(w, path, &err);
    ASSERT(!status);
    for (size_t i = 0; i < n; i++)
        tiny_write_tensor(w, &list[i], &rng);
    status = gguf_writer_finish(w, &err);
    ASSERT(!status);
    gguf_writer_free(w);
}

#endif
