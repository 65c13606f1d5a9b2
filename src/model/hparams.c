#include "model/hparams.h"

#include "base/bytes.h"
#include "model/gguf.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const arch_names[ARCH_COUNT] = {[ARCH_LLAMA] = "llama"};

const char *arch_name(enum arch arch)
{
    return (unsigned)arch < ARCH_COUNT ? arch_names[arch] : "unknown";
}

struct source {
    const struct gguf *gguf;
    const char *arch;
    char key[96]; /* the one being read, for messages */
    struct error *err;
};

static const char *key_of(struct source *s, const char *name)
{
    snprintf(s->key, sizeof s->key, "%s.%s", s->arch, name);
    return s->key;
}

static enum status unsupported(const struct source *s, const char *what)
{
    return error_set(s->err, STATUS_UNSUPPORTED,
                     "'%s': key '%s' asks for %s, which is not supported in this version", gguf_path(s->gguf),
                     s->key, what);
}

/* A required key that is absent makes the file bad; without it nothing can be checked. */
static enum status missing(const struct source *s)
{
    return error_set(s->err, STATUS_BAD_DATA, "'%s': the key '%s' is missing; a model needs it",
                     gguf_path(s->gguf), s->key);
}

static enum status in_range(const struct source *s, uint32_t v, uint32_t min, uint32_t max)
{
    if (v >= min && v <= max)
        return STATUS_OK;
    return error_set(s->err, STATUS_BAD_DATA,
                     "'%s': '%s' is %" PRIu32 "; %" PRIu32 " to %" PRIu32 " are allowed", gguf_path(s->gguf),
                     s->key, v, min, max);
}

static enum status read_u32(struct source *s, const char *name, uint32_t min, uint32_t max, uint32_t *out)
{
    uint32_t v;
    enum status status = gguf_get_u32(s->gguf, key_of(s, name), &v, s->err);
    if (status == STATUS_NOT_FOUND)
        return missing(s);
    if (status || (status = in_range(s, v, min, max)))
        return status;
    *out = v;
    return STATUS_OK;
}

static enum status read_u32_or(struct source *s, const char *name, uint32_t fallback, uint32_t min,
                               uint32_t max, uint32_t *out)
{
    *out = fallback;
    if (gguf_find(s->gguf, key_of(s, name)))
        return read_u32(s, name, min, max, out);
    return in_range(s, fallback, min, max);
}

static enum status read_f32_or(struct source *s, const char *name, float fallback, float min, float max,
                               float *out)
{
    float v = fallback;
    enum status status = gguf_get_f32(s->gguf, key_of(s, name), &v, s->err);
    if (status && status != STATUS_NOT_FOUND)
        return status;
    if (!(v >= min && v <= max)) /* NaN, too */
        return error_set(s->err, STATUS_BAD_DATA, "'%s': '%s' is %g; %g to %g are allowed", gguf_path(s->gguf),
                         s->key, (double)v, (double)min, (double)max);
    *out = v;
    return STATUS_OK;
}

static enum status read_arch(struct source *s, enum arch *out)
{
    struct bytes name;
    snprintf(s->key, sizeof s->key, "general.architecture");
    enum status status = gguf_get_string(s->gguf, s->key, &name, s->err);
    if (status == STATUS_NOT_FOUND)
        return missing(s);
    if (status)
        return status;
    for (int a = 0; a < ARCH_COUNT; a++)
        if (bytes_equal(name, bytes_of_text(arch_names[a]))) {
            *out = (enum arch)a;
            s->arch = arch_names[a];
            return STATUS_OK;
        }
    char text[33] = "";
    for (size_t i = 0; i < name.size && i < sizeof text - 1; i++)
        text[i] = name.data[i] >= 0x20 && name.data[i] < 0x7f ? (char)name.data[i] : '?';
    return error_set(s->err, STATUS_UNSUPPORTED,
                     "'%s': the architecture '%s' is not supported in this version; llama is",
                     gguf_path(s->gguf), text);
}

static enum status read_vocab_size(struct source *s, uint32_t *out)
{
    const struct gguf_value *tokens = gguf_find(s->gguf, "tokenizer.ggml.tokens");
    snprintf(s->key, sizeof s->key, "tokenizer.ggml.tokens");
    if (tokens) {
        enum status status = gguf_get_array(s->gguf, s->key, GGUF_STRING, &tokens, s->err);
        if (status)
            return status;
        *out = tokens->count > UINT32_MAX ? UINT32_MAX : (uint32_t)tokens->count;
        return in_range(s, *out, 1, MODEL_VOCAB_MAX);
    }
    snprintf(s->key, sizeof s->key, "shoal.model.vocab_size"); /* of a shard, which has no vocabulary */
    enum status status = gguf_get_u32(s->gguf, s->key, out, s->err);
    if (status == STATUS_NOT_FOUND)
        return read_u32(s, "vocab_size", 1, MODEL_VOCAB_MAX, out);
    return status ? status : in_range(s, *out, 1, MODEL_VOCAB_MAX);
}

static enum status read_sizes(struct source *s, struct hparams *h)
{
    enum status status;
    (void)((status = read_u32(s, "block_count", 1, MODEL_LAYERS_MAX, &h->n_layers)) ||
           (status = read_u32(s, "context_length", 1, MODEL_CTX_MAX, &h->n_ctx_train)) ||
           (status = read_u32(s, "embedding_length", 1, MODEL_EMBD_MAX, &h->n_embd)) ||
           (status = read_u32(s, "feed_forward_length", 1, MODEL_FF_MAX, &h->n_ff)) ||
           (status = read_u32(s, "attention.head_count", 1, MODEL_HEADS_MAX, &h->n_heads)) ||
           (status = read_u32_or(s, "attention.head_count_kv", h->n_heads, 1, h->n_heads, &h->n_kv_heads)));
    if (status)
        return status;
    if (h->n_heads % h->n_kv_heads)
        return error_set(s->err, STATUS_BAD_DATA,
                         "'%s': '%s' is %" PRIu32 "; it must divide attention.head_count, %" PRIu32,
                         gguf_path(s->gguf), s->key, h->n_kv_heads, h->n_heads);
    return read_vocab_size(s, &h->n_vocab);
}

static enum status read_heads(struct source *s, struct hparams *h)
{
    bool both = gguf_find(s->gguf, key_of(s, "attention.value_length")) &&
                gguf_find(s->gguf, key_of(s, "attention.key_length"));
    if (!both && h->n_embd % h->n_heads)
        return error_set(s->err, STATUS_BAD_DATA,
                         "'%s': '%s.embedding_length' is %" PRIu32 "; without '%s' it must be a multiple of "
                         "attention.head_count, %" PRIu32,
                         gguf_path(s->gguf), s->arch, h->n_embd, s->key, h->n_heads);
    uint32_t even_share = h->n_embd / h->n_heads;
    enum status status;
    (void)((status =
                read_u32_or(s, "attention.key_length", even_share, 1, MODEL_HEAD_DIM_MAX, &h->head_dim_k)) ||
           (status =
                read_u32_or(s, "attention.value_length", even_share, 1, MODEL_HEAD_DIM_MAX, &h->head_dim_v)) ||
           (status = read_u32_or(s, "rope.dimension_count", h->head_dim_k, 2, h->head_dim_k, &h->n_rot)));
    if (status)
        return status;
    if (h->n_rot % 2)
        return error_set(s->err, STATUS_BAD_DATA, "'%s': '%s' is %" PRIu32 "; it must be even",
                         gguf_path(s->gguf), s->key, h->n_rot);
    return STATUS_OK;
}

static enum status read_scaling(struct source *s, struct hparams *h)
{
    struct bytes type = bytes_of_text("linear"); /* the format's default; without a factor it does nothing */
    enum status status = gguf_get_string(s->gguf, key_of(s, "rope.scaling.type"), &type, s->err);
    if (status && status != STATUS_NOT_FOUND)
        return status;
    h->rope_scaling = ROPE_SCALING_NONE;
    h->rope_scale = 1.0F;
    bool none = bytes_equal(type, bytes_of_text("none"));
    if (!none && !bytes_equal(type, bytes_of_text("linear")))
        return unsupported(s, "a RoPE scaling other than none and linear (yarn, longrope, ...)");
    float factor = 0;
    const char *name =
        gguf_find(s->gguf, key_of(s, "rope.scaling.factor")) ? "rope.scaling.factor" : "rope.scale_linear";
    if ((status = read_f32_or(s, name, 0.0F, 0.0F, 1e6F, &factor)))
        return status;
    if (none || factor == 0.0F || factor == 1.0F)
        return STATUS_OK;
    h->rope_scaling = ROPE_SCALING_LINEAR;
    h->rope_scale = factor;
    return STATUS_OK;
}

/* What would change the arithmetic if it were overlooked. */
static enum status refuse_features(struct source *s)
{
    uint32_t n_experts = 0;
    enum status status = gguf_get_u32(s->gguf, key_of(s, "expert_count"), &n_experts, s->err);
    if (status && status != STATUS_NOT_FOUND)
        return status;
    if (n_experts > 0)
        return unsupported(s, "experts (mixtral)");
    bool causal = true;
    status = gguf_get_bool(s->gguf, key_of(s, "attention.causal"), &causal, s->err);
    if (status && status != STATUS_NOT_FOUND)
        return status;
    if (!causal)
        return unsupported(s, "attention that is not causal");
    float factor = 1.0F;
    status = gguf_get_f32(s->gguf, key_of(s, "rope.scaling.attn_factor"), &factor, s->err);
    if (status && status != STATUS_NOT_FOUND)
        return status;
    if (factor != 1.0F)
        return unsupported(s, "a RoPE attention factor other than 1");
    return STATUS_OK;
}

enum status hparams_read(struct hparams *out, const struct gguf *gguf, struct error *err)
{
    struct source s = {.gguf = gguf, .arch = "", .err = err};
    struct hparams h = {0};
    enum status status;
    if ((status = read_arch(&s, &h.arch)) || (status = refuse_features(&s)) || (status = read_sizes(&s, &h)) ||
        (status = read_heads(&s, &h)) || (status = read_scaling(&s, &h)))
        return status;
    if (!gguf_find(gguf, key_of(&s, "attention.layer_norm_rms_epsilon")))
        return missing(&s);
    if ((status = read_f32_or(&s, "attention.layer_norm_rms_epsilon", 0.0F, 0.0F, 1.0F, &h.norm_eps)) ||
        (status = read_f32_or(&s, "rope.freq_base", 10000.0F, 1.0F, 1e12F, &h.rope_freq_base)))
        return status;
    *out = h;
    return STATUS_OK;
}

bool hparams_equal(const struct hparams *a, const struct hparams *b)
{
    return a->arch == b->arch && a->n_layers == b->n_layers && a->n_embd == b->n_embd &&
           a->n_vocab == b->n_vocab && a->n_ctx_train == b->n_ctx_train && a->n_heads == b->n_heads &&
           a->n_kv_heads == b->n_kv_heads && a->head_dim_k == b->head_dim_k && a->head_dim_v == b->head_dim_v &&
           a->n_ff == b->n_ff && a->n_rot == b->n_rot && a->rope_freq_base == b->rope_freq_base &&
           a->rope_scale == b->rope_scale && a->rope_scaling == b->rope_scaling && a->norm_eps == b->norm_eps;
}
