#include "model/hparams.h"

#include "base/bytes.h"
#include "model/gguf.h"
#include "model/hparams_private.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const arch_names[ARCH_COUNT] = {
    [ARCH_LLAMA] = "llama",       [ARCH_QWEN2] = "qwen2",    [ARCH_QWEN3] = "qwen3",
    [ARCH_QWEN3MOE] = "qwen3moe", [ARCH_GEMMA2] = "gemma2",  [ARCH_GEMMA3] = "gemma3",
    [ARCH_PHI3] = "phi3",         [ARCH_OLMO2] = "olmo2",    [ARCH_GRANITE] = "granite",
    [ARCH_SMOLLM3] = "smollm3",   [ARCH_GPTOSS] = "gpt-oss",
};

const char *arch_name(enum arch arch)
{
    return (unsigned)arch < ARCH_COUNT ? arch_names[arch] : "unknown";
}

const char *hparams_key(struct hparams_source *s, const char *name)
{
    snprintf(s->key, sizeof s->key, "%s.%s", s->arch, name);
    return s->key;
}

enum status hparams_unsupported(const struct hparams_source *s, const char *what)
{
    return error_set(s->err, STATUS_UNSUPPORTED,
                     "'%s': key '%s' asks for %s, which is not supported in this version", gguf_path(s->gguf),
                     s->key, what);
}

/* A required key that is absent makes the file bad; without it nothing can be checked. */
bool hparams_has(struct hparams_source *s, const char *name)
{
    return gguf_find(s->gguf, hparams_key(s, name)) != NULL;
}

enum status hparams_missing(const struct hparams_source *s)
{
    return error_set(s->err, STATUS_BAD_DATA, "'%s': the key '%s' is missing; a model needs it",
                     gguf_path(s->gguf), s->key);
}

static enum status in_range(const struct hparams_source *s, uint32_t v, uint32_t min, uint32_t max)
{
    if (v >= min && v <= max)
        return STATUS_OK;
    return error_set(s->err, STATUS_BAD_DATA,
                     "'%s': '%s' is %" PRIu32 "; %" PRIu32 " to %" PRIu32 " are allowed", gguf_path(s->gguf),
                     s->key, v, min, max);
}

enum status hparams_u32(struct hparams_source *s, const char *name, uint32_t min, uint32_t max, uint32_t *out)
{
    uint32_t v;
    enum status status = gguf_get_u32(s->gguf, hparams_key(s, name), &v, s->err);
    if (status == STATUS_NOT_FOUND)
        return hparams_missing(s);
    if (status || (status = in_range(s, v, min, max)))
        return status;
    *out = v;
    return STATUS_OK;
}

enum status hparams_u32_or(struct hparams_source *s, const char *name, uint32_t fallback, uint32_t min,
                           uint32_t max, uint32_t *out)
{
    *out = fallback;
    if (gguf_find(s->gguf, hparams_key(s, name)))
        return hparams_u32(s, name, min, max, out);
    return in_range(s, fallback, min, max);
}

enum status hparams_f32_or(struct hparams_source *s, const char *name, float fallback, float min, float max,
                           float *out)
{
    float v = fallback;
    enum status status = gguf_get_f32(s->gguf, hparams_key(s, name), &v, s->err);
    if (status && status != STATUS_NOT_FOUND)
        return status;
    if (!(v >= min && v <= max)) /* NaN, too */
        return error_set(s->err, STATUS_BAD_DATA, "'%s': '%s' is %g; %g to %g are allowed", gguf_path(s->gguf),
                         s->key, (double)v, (double)min, (double)max);
    *out = v;
    return STATUS_OK;
}

static enum status unknown_arch(const struct hparams_source *s, struct bytes name)
{
    char text[33] = "", known[160] = "";
    for (size_t i = 0; i < name.size && i < sizeof text - 1; i++)
        text[i] = name.data[i] >= 0x20 && name.data[i] < 0x7f ? (char)name.data[i] : '?';
    for (int a = 0; a < ARCH_COUNT; a++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", a ? ", " : "", arch_names[a]);
    }
    return error_set(s->err, STATUS_UNSUPPORTED,
                     "'%s': the architecture '%s' is not supported in this version; these are: %s",
                     gguf_path(s->gguf), text, known);
}

static enum status read_arch(struct hparams_source *s, enum arch *out)
{
    struct bytes name;
    snprintf(s->key, sizeof s->key, "general.architecture");
    enum status status = gguf_get_string(s->gguf, s->key, &name, s->err);
    if (status == STATUS_NOT_FOUND)
        return hparams_missing(s);
    if (status)
        return status;
    for (int a = 0; a < ARCH_COUNT; a++)
        if (bytes_equal(name, bytes_of_text(arch_names[a]))) {
            *out = (enum arch)a;
            s->arch = arch_names[a];
            return STATUS_OK;
        }
    return unknown_arch(s, name);
}

static enum status read_vocab_size(struct hparams_source *s, uint32_t *out)
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
        return hparams_u32(s, "vocab_size", 1, MODEL_VOCAB_MAX, out);
    return status ? status : in_range(s, *out, 1, MODEL_VOCAB_MAX);
}

static enum status read_sizes(struct hparams_source *s, struct hparams *h)
{
    enum status status;
    (void)((status = hparams_u32(s, "block_count", 1, MODEL_LAYERS_MAX, &h->n_layers)) ||
           (status = hparams_u32(s, "context_length", 1, MODEL_CTX_MAX, &h->n_ctx_train)) ||
           (status = hparams_u32(s, "embedding_length", 1, MODEL_EMBD_MAX, &h->n_embd)) ||
           (status = hparams_u32(s, "feed_forward_length", 1, MODEL_FF_MAX, &h->n_ff)) ||
           (status = hparams_u32(s, "attention.head_count", 1, MODEL_HEADS_MAX, &h->n_heads)) ||
           (status = hparams_u32_or(s, "attention.head_count_kv", h->n_heads, 1, h->n_heads, &h->n_kv_heads)));
    if (status)
        return status;
    if (h->n_heads % h->n_kv_heads)
        return error_set(s->err, STATUS_BAD_DATA,
                         "'%s': '%s' is %" PRIu32 "; it must divide attention.head_count, %" PRIu32,
                         gguf_path(s->gguf), s->key, h->n_kv_heads, h->n_heads);
    return read_vocab_size(s, &h->n_vocab);
}

static enum status read_heads(struct hparams_source *s, struct hparams *h)
{
    bool both = gguf_find(s->gguf, hparams_key(s, "attention.value_length")) &&
                gguf_find(s->gguf, hparams_key(s, "attention.key_length"));
    if (!both && h->n_embd % h->n_heads)
        return error_set(s->err, STATUS_BAD_DATA,
                         "'%s': '%s.embedding_length' is %" PRIu32 "; without '%s' it must be a multiple of "
                         "attention.head_count, %" PRIu32,
                         gguf_path(s->gguf), s->arch, h->n_embd, s->key, h->n_heads);
    uint32_t even_share = h->n_embd / h->n_heads;
    enum status status;
    (void)((status =
                hparams_u32_or(s, "attention.key_length", even_share, 1, MODEL_HEAD_DIM_MAX, &h->head_dim_k)) ||
           (status = hparams_u32_or(s, "attention.value_length", even_share, 1, MODEL_HEAD_DIM_MAX,
                                    &h->head_dim_v)) ||
           (status = hparams_u32_or(s, "rope.dimension_count", h->head_dim_k, 2, h->head_dim_k, &h->n_rot)));
    if (status)
        return status;
    if (h->n_rot % 2)
        return error_set(s->err, STATUS_BAD_DATA, "'%s': '%s' is %" PRIu32 "; it must be even",
                         gguf_path(s->gguf), s->key, h->n_rot);
    return STATUS_OK;
}

/* --- rotary positions --------------------------------------------------------------------------------------
 */

/* YaRN (Peng et al. 2023): the slow pairs are stretched, the fast ones are not, between two numbers of turns
 * that a pair makes in the original context; cos and sin grow with the logarithm of the factor. */
static enum status read_yarn(struct hparams_source *s, struct hparams *h)
{
    float ext, log_multiplier;
    enum status status;
    if ((status = hparams_f32_or(s, "rope.scaling.yarn_log_multiplier", 0.0F, -1e6F, 1e6F, &log_multiplier)))
        return status;
    if (log_multiplier != 0.0F)
        return hparams_unsupported(s, "a YaRN magnitude of another kind");
    if ((status = hparams_f32_or(s, "rope.scaling.yarn_ext_factor", 1.0F, -1e6F, 1e6F, &ext)))
        return status;
    if (ext != 1.0F && ext != -1.0F) /* -1: the default */
        return hparams_unsupported(s, "a YaRN mix other than 1");
    (void)((status =
                hparams_f32_or(s, "rope.scaling.yarn_beta_fast", 32.0F, 1e-3F, 1e6F, &h->yarn_beta_fast)) ||
           (status = hparams_f32_or(s, "rope.scaling.yarn_beta_slow", 1.0F, 1e-3F, 1e6F, &h->yarn_beta_slow)));
    h->rope_scaling = ROPE_SCALING_YARN;
    return status;
}

static enum status read_scaling_factor(struct hparams_source *s, struct hparams *h)
{
    const char *name = hparams_has(s, "rope.scaling.factor") ? "rope.scaling.factor" : "rope.scale_linear";
    float factor;
    enum status status = hparams_f32_or(s, name, 0.0F, 0.0F, 1e6F, &factor);
    if (status || factor == 0.0F || factor == 1.0F)
        return status;
    h->rope_scaling = ROPE_SCALING_LINEAR;
    h->rope_scale = factor;
    return STATUS_OK;
}

static enum status read_scaling(struct hparams_source *s, struct hparams *h)
{
    struct bytes type = bytes_of_text("linear"); /* the format's default; without a factor it does nothing */
    enum status status = gguf_get_string(s->gguf, hparams_key(s, "rope.scaling.type"), &type, s->err);
    if (status && status != STATUS_NOT_FOUND)
        return status;
    bool is_yarn = bytes_equal(type, bytes_of_text("yarn")),
         is_long = bytes_equal(type, bytes_of_text("longrope")); /* its factors are tensors */
    h->rope_scaling = ROPE_SCALING_NONE;
    h->rope_scale = h->rope_magnitude = 1.0F;
    if (is_long && h->arch != ARCH_PHI3)
        return hparams_unsupported(s, "factors that this architecture does not have");
    if (!is_yarn && !is_long && !bytes_equal(type, bytes_of_text("linear")) &&
        !bytes_equal(type, bytes_of_text("none")))
        return hparams_unsupported(s, "a RoPE scaling other than none, linear, yarn and longrope");
    if ((status = hparams_f32_or(s, "rope.scaling.attn_factor", 1.0F, 1e-3F, 1e3F, &h->rope_magnitude)) ||
        (status = hparams_u32_or(s, "rope.scaling.original_context_length", h->n_ctx_train, 1, MODEL_CTX_MAX,
                                 &h->rope_ctx_orig)))
        return status;
    if (!bytes_equal(type, bytes_of_text("none")) && (status = read_scaling_factor(s, h)))
        return status;
    return is_yarn && h->rope_scaling != ROPE_SCALING_NONE ? read_yarn(s, h) : STATUS_OK;
}

/* --- experts -----------------------------------------------------------------------------------------------
 */

static enum status read_experts(struct hparams_source *s, struct hparams *h)
{
    enum status status;
    if ((status = hparams_u32_or(s, "expert_count", 0, 0, MODEL_EXPERTS_MAX, &h->n_experts)))
        return status;
    if (!h->n_experts)
        return STATUS_OK;
    return hparams_u32(s, "expert_used_count", 1, h->n_experts < MODEL_USED_MAX ? h->n_experts : MODEL_USED_MAX,
                       &h->n_experts_used);
}

/* What would change the arithmetic if it were overlooked. */
static enum status refuse_features(struct hparams_source *s)
{
    bool causal = true;
    enum status status = gguf_get_bool(s->gguf, hparams_key(s, "attention.causal"), &causal, s->err);
    if (status && status != STATUS_NOT_FOUND)
        return status;
    return causal ? STATUS_OK : hparams_unsupported(s, "attention that is not causal");
}

enum status hparams_read(struct hparams *out, const struct gguf *gguf, struct error *err)
{
    struct hparams_source s = {.gguf = gguf, .arch = "", .err = err};
    struct hparams h = {.embd_scale = 1.0F, .residual_scale = 1.0F, .logit_scale = 1.0F};
    enum status status;
    if ((status = read_arch(&s, &h.arch)) || (status = refuse_features(&s)) || (status = read_sizes(&s, &h)) ||
        (status = read_heads(&s, &h)) || (status = read_scaling(&s, &h)) || (status = read_experts(&s, &h)))
        return status;
    if (!hparams_has(&s, "attention.layer_norm_rms_epsilon"))
        return hparams_missing(&s);
    if ((status = hparams_f32_or(&s, "attention.layer_norm_rms_epsilon", 0.0F, 0.0F, 1.0F, &h.norm_eps)) ||
        (status = hparams_f32_or(&s, "rope.freq_base", 10000.0F, 1.0F, 1e12F, &h.rope_freq_base)))
        return status;
    h.attn_scale = (float)(1.0 / sqrt((double)h.head_dim_k));
    if ((status = hparams_read_arch(&s, &h)))
        return status;
    *out = h;
    return STATUS_OK;
}

/* --- what follows from them --------------------------------------------------------------------------------
 */

_Static_assert(sizeof(struct hparams) == 32 * 4, "members of four bytes without gaps: compared as memory");

bool hparams_equal(const struct hparams *a, const struct hparams *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

uint32_t hparams_layer_window(const struct hparams *h, uint32_t layer)
{
    return h->window_period && layer % h->window_period != h->window_period - 1 ? h->window : 0;
}

bool hparams_layer_has_rope(const struct hparams *h, uint32_t layer)
{
    return !h->nope_period || (layer + 1) % h->nope_period != 0;
}
