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
    enum arch arch; /* one without experts, biases and fused matrices */
    uint32_t n_layers, n_vocab, n_embd, n_heads, n_kv_heads, n_ff;
    enum tensor_type types[4]; /* of matrices, taken in turn */
    bool is_tied;
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

static inline void tiny_add_tensor(struct gguf_writer *w, struct gguf_tensor *list, size_t *n, const char *name,
                                   enum tensor_type type, uint64_t n_cols, uint64_t n_rows)
{
    struct gguf_tensor t = {
        .type = type, .n_dims = n_rows ? 2 : 1, .dims = {n_cols, n_rows ? n_rows : 1, 1, 1}};
    const struct tensor_type_info *info = tensor_type_info(type);
    snprintf(t.name, sizeof t.name, "%s", name);
    t.bytes = n_cols / info->block_elements * info->block_bytes * t.dims[1];
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
    default:
        ASSERT(!"a type that the tests do not write");
    }
}

static inline void tiny_write_tensor(struct gguf_writer *w, const struct gguf_tensor *t, struct rng *rng)
{
    const struct tensor_type_info *info = tensor_type_info(t->type);
    bool is_norm = t->n_dims == 1;
    float scale = is_norm ? 1.0F : 1.0F / sqrtf((float)t->dims[0]);
    uint8_t *data = mem_array(t->bytes, 1);
    struct error err;

    for (uint64_t at = 0; at < t->bytes; at += info->block_bytes) {
        tiny_block(data + at, (enum tensor_type)t->type, scale, rng);
        if (is_norm) {
            float v = 1.0F + 0.1F * (float)(rng_unit(rng) - 0.5);
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
    tiny_key_u32(w, arch, "rope.dimension_count", m->n_embd / m->n_heads);
    tiny_key_f32(w, arch, "attention.layer_norm_rms_epsilon", 1e-5F);
    tiny_key_f32(w, arch, "rope.freq_base", 10000.0F);
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
    if (tensor_need_of(h, role) != TENSOR_NEEDED)
        return;
    tensor_name(name, role, layer);
    tiny_add_tensor(w, list, n, name, shape.n_dims > 1 ? m->types[(*turn)++ % 4] : TENSOR_TYPE_F32,
                    shape.dims[0], shape.n_dims > 1 ? shape.dims[1] : 0);
}

/* Writes it to `path`. */
static inline void tiny_model_write(const struct tiny_model *m, const char *path)
{
    struct gguf_writer *w = gguf_writer_new(3, GGUF_ALIGNMENT_DEFAULT);
    struct gguf_tensor list[256];
    struct rng rng = rng_seeded(m->seed);
    struct error err;
    size_t n = 0;
    uint32_t head_dim = m->n_embd / m->n_heads, turn = 0;
    struct hparams h = {.arch = m->arch,
                        .n_embd = m->n_embd,
                        .n_heads = m->n_heads,
                        .n_kv_heads = m->n_kv_heads,
                        .head_dim_k = head_dim,
                        .head_dim_v = head_dim,
                        .n_ff = m->n_ff,
                        .norm_spans_heads = m->arch == ARCH_OLMO2};
    static const enum tensor_role roles[] = {
        TENSOR_ATTN_NORM,   TENSOR_ATTN_Q,         TENSOR_ATTN_K,       TENSOR_ATTN_V,   TENSOR_ATTN_Q_NORM,
        TENSOR_ATTN_K_NORM, TENSOR_ATTN_OUTPUT,    TENSOR_FFN_NORM,     TENSOR_FFN_GATE, TENSOR_FFN_UP,
        TENSOR_FFN_DOWN,    TENSOR_ATTN_POST_NORM, TENSOR_FFN_POST_NORM};

    tiny_add_keys(w, m);
    tiny_add_tensor(w, list, &n, "token_embd.weight", m->types[turn++ % 4], m->n_embd, m->n_vocab);
    for (uint32_t layer = 0; layer < m->n_layers; layer++)
        for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
            tiny_add_layer_tensor(w, list, &n, m, &h, roles[i], layer, &turn);
    tiny_add_tensor(w, list, &n, "output_norm.weight", TENSOR_TYPE_F32, m->n_embd, 0);
    if (!m->is_tied)
        tiny_add_tensor(w, list, &n, "output.weight", m->types[turn++ % 4], m->n_embd, m->n_vocab);
    enum status status = gguf_writer_begin(w, path, &err);
    ASSERT(!status);
    for (size_t i = 0; i < n; i++)
        tiny_write_tensor(w, &list[i], &rng);
    status = gguf_writer_finish(w, &err);
    ASSERT(!status);
    gguf_writer_free(w);
}

#endif
