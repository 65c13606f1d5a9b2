/* GGUF files byte by byte, right and wrong: a test says exactly what lies in the file. */
#ifndef TEST_GGUF_RAW_H
#define TEST_GGUF_RAW_H

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "base/rand.h"
#include "model/gguf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static inline void raw_head(struct buffer *b, uint32_t version, uint64_t n_tensors, uint64_t n_keys)
{
    buffer_text(b, "GGUF");
    buffer_u32(b, version);
    buffer_u64(b, n_tensors);
    buffer_u64(b, n_keys);
}

static inline void raw_text(struct buffer *b, const char *text)
{
    buffer_u64(b, strlen(text));
    buffer_text(b, text);
}

static inline void raw_key(struct buffer *b, const char *key, uint32_t type)
{
    raw_text(b, key);
    buffer_u32(b, type);
}

static inline void raw_key_u32(struct buffer *b, const char *key, uint32_t v)
{
    raw_key(b, key, GGUF_U32);
    buffer_u32(b, v);
}

static inline void raw_key_u16(struct buffer *b, const char *key, uint16_t v)
{
    raw_key(b, key, GGUF_U16);
    buffer_u16(b, v);
}

static inline void raw_key_f32(struct buffer *b, const char *key, float v)
{
    raw_key(b, key, GGUF_F32);
    buffer_f32(b, v);
}

static inline void raw_key_text(struct buffer *b, const char *key, const char *text)
{
    raw_key(b, key, GGUF_STRING);
    raw_text(b, text);
}

static inline void raw_key_array(struct buffer *b, const char *key, uint32_t element, uint64_t n)
{
    raw_key(b, key, GGUF_ARRAY);
    buffer_u32(b, element);
    buffer_u64(b, n);
}

static inline void raw_tensor(struct buffer *b, const char *name, uint32_t type, uint64_t offset,
                              uint32_t n_dims, const uint64_t *dims)
{
    raw_text(b, name);
    buffer_u32(b, n_dims);
    for (uint32_t i = 0; i < n_dims; i++)
        buffer_u64(b, dims[i]);
    buffer_u32(b, type);
    buffer_u64(b, offset);
}

static inline void raw_tensor_1d(struct buffer *b, const char *name, uint32_t type, uint64_t offset, uint64_t n)
{
    raw_tensor(b, name, type, offset, 1, &n);
}

static inline void raw_pad(struct buffer *b, size_t alignment)
{
    while (b->size % alignment)
        buffer_u8(b, 0);
}

static inline void raw_zeros(struct buffer *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buffer_u8(b, 0);
}

/* --- a whole small llama model ------------------------------------------------------------------------- */

struct raw_model {
    uint32_t n_layers, n_embd, n_heads, n_kv_heads, n_ff, n_vocab;
    bool tied, rope_freqs, end_unpadded;
    uint32_t version, alignment; /* 0: 3, and no key */
    uint64_t seed;
};

static inline struct raw_model raw_model_small(void)
{
    return (struct raw_model){
        .n_layers = 5, .n_embd = 32, .n_heads = 4, .n_kv_heads = 2, .n_ff = 48, .n_vocab = 19, .seed = 1};
}

struct raw_builder {
    struct buffer table, gaps; /* gaps: u64 begin, u64 end of padding between tensors */
    uint64_t offset, n_tensors;
    uint64_t alignment, last_end;
};

static inline void raw_build_tensor(struct raw_builder *r, const char *name, uint64_t n0, uint64_t n1)
{
    uint64_t dims[2] = {n0, n1 ? n1 : 1};
    raw_tensor(&r->table, name, 0, r->offset, n1 ? 2 : 1, dims);
    r->last_end = r->offset + 4 * dims[0] * dims[1];
    r->offset = (r->last_end + r->alignment - 1) / r->alignment * r->alignment;
    buffer_u64(&r->gaps, r->last_end);
    buffer_u64(&r->gaps, r->offset);
    r->n_tensors++;
}

static inline void raw_build_layer(struct raw_builder *r, const struct raw_model *m, uint32_t layer)
{
    static const char *const names[] = {"attn_norm", "attn_q",   "attn_k",   "attn_v", "attn_output",
                                        "ffn_norm",  "ffn_gate", "ffn_down", "ffn_up"};
    uint64_t e = m->n_embd, kv = e / m->n_heads * m->n_kv_heads, f = m->n_ff;
    const uint64_t shapes[][2] = {{e, 0}, {e, e}, {e, kv}, {e, kv}, {e, e}, {e, 0}, {e, f}, {f, e}, {e, f}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%u.%s.weight", layer, names[i]);
        raw_build_tensor(r, name, shapes[i][0], shapes[i][1]);
    }
}

/* Appends the model's file to `out`, as an ordinary writer would lay it out. */
static inline void raw_model_build(struct buffer *out, const struct raw_model *m)
{
    struct raw_builder r = {.alignment = m->alignment ? m->alignment : 32};
    struct rng rng = rng_seeded(m->seed);
    buffer_init(&r.table, 0);
    buffer_init(&r.gaps, 0);
    raw_build_tensor(&r, "token_embd.weight", m->n_embd, m->n_vocab);
    raw_build_tensor(&r, "output_norm.weight", m->n_embd, 0);
    if (m->rope_freqs)
        raw_build_tensor(&r, "rope_freqs.weight", m->n_embd / m->n_heads / 2, 0);
    for (uint32_t l = m->n_layers; l-- > 0;) /* not in the order of layers: the file's order is kept */
        raw_build_layer(&r, m, l);
    if (!m->tied)
        raw_build_tensor(&r, "output.weight", m->n_embd, m->n_vocab);

    raw_head(out, m->version ? m->version : 3, r.n_tensors, 13 + (m->alignment != 0));
    raw_key_text(out, "general.architecture", "llama");
    raw_key_text(out, "general.name", "small one");
    raw_key_u32(out, "llama.block_count", m->n_layers);
    raw_key_array(out, "tokenizer.ggml.tokens", GGUF_STRING, m->n_vocab);
    for (uint32_t i = 0; i < m->n_vocab; i++)
        raw_text(out, i % 3 ? "ab" : "");
    raw_key_u32(out, "llama.context_length", 128);
    raw_key_u32(out, "llama.embedding_length", m->n_embd);
    raw_key_u32(out, "llama.feed_forward_length", m->n_ff);
    raw_key_u32(out, "llama.attention.head_count", m->n_heads);
    raw_key_u32(out, "llama.attention.head_count_kv", m->n_kv_heads);
    raw_key_text(out, "tokenizer.ggml.model", "llama");
    raw_key_f32(out, "llama.attention.layer_norm_rms_epsilon", 1e-5F);
    raw_key_f32(out, "llama.rope.freq_base", 10000.0F);
    raw_key_array(out, "tokenizer.ggml.scores", GGUF_F32, 2);
    buffer_f32(out, 0.5F);
    buffer_f32(out, -1.0F);
    if (m->alignment)
        raw_key_u32(out, "general.alignment", m->alignment);
    buffer_bytes(out, r.table.data, r.table.size);
    raw_pad(out, r.alignment);
    size_t begin = out->size, end = m->end_unpadded ? r.last_end : r.offset;
    while (out->size < begin + r.offset) {
        float v = (float)(rng_unit(&rng) - 0.5);
        buffer_f32(out, v);
    }
    struct reader gaps = reader_over(buffer_view(&r.gaps));
    while (reader_left(&gaps)) {
        uint64_t from = reader_u64(&gaps), to = reader_u64(&gaps);
        memset(out->data + begin + from, 0, to - from);
    }
    out->size = begin + end;
    buffer_free(&r.table);
    buffer_free(&r.gaps);
}

static inline int raw_start(void **state)
{
    struct error err;
    (void)state;
    return crypto_start(&err) ? -1 : 0;
}

#endif
