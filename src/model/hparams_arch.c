/* What each architecture reads beyond the common keys, with llama.cpp's defaults where a key is optional. */
#include "model/gguf.h"
#include "model/hparams_private.h"

#include <math.h>

/* What the file asks for and this architecture does not know would change the answer silently. */
static enum status no_experts(struct hparams_source *s, struct hparams *h)
{
    hparams_key(s, "expert_count");
    return h->n_experts ? hparams_unsupported(s, "experts in this architecture") : STATUS_OK;
}

/* Experts of any number, mixtral's; their feed-forward is as wide as feed_forward_length says. */
static enum status read_llama(struct hparams_source *s, struct hparams *h)
{
    (void)s;
    (void)h;
    return STATUS_OK;
}

static enum status read_qwen3moe(struct hparams_source *s, struct hparams *h)
{
    if (!h->n_experts) {
        hparams_key(s, "expert_count");
        return hparams_missing(s);
    }
    return hparams_u32_or(s, "expert_feed_forward_length", h->n_ff / h->n_experts_used, 1, MODEL_FF_MAX,
                          &h->n_ff);
}

/* Scores of the largest gemma models are scaled by the heads' even share of the embedding. */
static void scale_gemma(struct hparams *h, uint32_t n_layers_of_largest)
{
    h->embd_scale = sqrtf((float)h->n_embd);
    if (h->n_layers == n_layers_of_largest)
        h->attn_scale = 1.0F / sqrtf((float)(h->n_embd / h->n_heads));
}

static enum status read_gemma2(struct hparams_source *s, struct hparams *h)
{
    enum status status = no_experts(s, h);
    h->window_period = 2;
    scale_gemma(h, 46);
    (void)(status ||
           (status = hparams_u32_or(s, "attention.sliding_window", 4096, 1, MODEL_CTX_MAX, &h->window)) ||
           (status = hparams_f32_or(s, "attn_logit_softcapping", 50.0F, 0.0F, 1e6F, &h->attn_softcap)) ||
           (status = hparams_f32_or(s, "final_logit_softcapping", 30.0F, 0.0F, 1e6F, &h->final_softcap)));
    return status;
}

static enum status read_gemma3(struct hparams_source *s, struct hparams *h)
{
    enum status status = no_experts(s, h);
    scale_gemma(h, 62);
    (void)(status || (status = hparams_u32(s, "attention.sliding_window", 1, MODEL_CTX_MAX, &h->window)) ||
           (status = hparams_u32_or(s, "attention.sliding_window_pattern", 6, 1, MODEL_LAYERS_MAX,
                                    &h->window_period)) ||
           (status =
                hparams_f32_or(s, "rope.freq_base_swa", 10000.0F, 1.0F, 1e12F, &h->rope_freq_base_local)) ||
           (status = hparams_f32_or(s, "final_logit_softcapping", 0.0F, 0.0F, 1e6F, &h->final_softcap)));
    return status;
}

/* The later ones of this name (OLMo 3) have windows; YaRN is for the layers without. */
static enum status read_olmo2(struct hparams_source *s, struct hparams *h)
{
    enum status status = no_experts(s, h);
    h->norm_spans_heads = 1;
    if (status || (status = hparams_u32_or(s, "attention.sliding_window", 0, 0, MODEL_CTX_MAX, &h->window)) ||
        !h->window)
        return status;
    h->rope_freq_base_local = h->rope_freq_base;
    return hparams_u32_or(s, "attention.sliding_window_pattern", 4, 1, MODEL_LAYERS_MAX, &h->window_period);
}

static enum status read_granite(struct hparams_source *s, struct hparams *h)
{
    bool has_rope = true;
    float logit_scale = 1.0F, attn_scale = 0.0F;
    enum status status = no_experts(s, h);
    (void)(status || (status = hparams_f32_or(s, "embedding_scale", 1.0F, 1e-6F, 1e6F, &h->embd_scale)) ||
           (status = hparams_f32_or(s, "residual_scale", 1.0F, 1e-6F, 1e6F, &h->residual_scale)) ||
           (status = hparams_f32_or(s, "attention.scale", 0.0F, 0.0F, 1e6F, &attn_scale)) ||
           (status = hparams_f32_or(s, "logit_scale", 1.0F, 1e-6F, 1e6F, &logit_scale)));
    if (status)
        return status;
    h->attn_scale = attn_scale > 0 ? attn_scale : h->attn_scale;
    h->logit_scale = 1.0F / logit_scale;
    status = gguf_get_bool(s->gguf, hparams_key(s, "rope.scaling.finetuned"), &has_rope, s->err);
    if (status && status != STATUS_NOT_FOUND)
        return status;
    return has_rope ? STATUS_OK : hparams_unsupported(s, "no RoPE");
}

static enum status read_smollm3(struct hparams_source *s, struct hparams *h)
{
    h->nope_period = 4;
    return no_experts(s, h);
}

/* One set of frequencies for all layers, and heads that turn as a whole. */
static enum status read_gptoss(struct hparams_source *s, struct hparams *h)
{
    float base_local;
    enum status status;
    if (!h->n_experts) {
        hparams_key(s, "expert_count");
        return hparams_missing(s);
    }
    (void)((status = hparams_u32(s, "expert_feed_forward_length", 1, MODEL_FF_MAX, &h->n_ff)) ||
           (status = hparams_u32(s, "attention.sliding_window", 1, MODEL_CTX_MAX, &h->window)) ||
           (status = hparams_u32_or(s, "attention.sliding_window_pattern", 2, 1, MODEL_LAYERS_MAX,
                                    &h->window_period)) ||
           (status = hparams_f32_or(s, "rope.freq_base_swa", h->rope_freq_base, 1.0F, 1e12F, &base_local)));
    if (status)
        return status;
    if (base_local != h->rope_freq_base)
        return hparams_unsupported(s, "frequencies of their own for layers with a window");
    hparams_key(s, "rope.dimension_count");
    return h->n_rot == h->head_dim_k && h->n_rot == h->head_dim_v
               ? STATUS_OK
               : hparams_unsupported(s, "heads of another size");
}

enum status hparams_read_arch(struct hparams_source *source, struct hparams *h)
{
    static enum status (*const readers[ARCH_COUNT])(struct hparams_source *, struct hparams *) = {
        [ARCH_LLAMA] = read_llama,       [ARCH_QWEN2] = no_experts,     [ARCH_QWEN3] = no_experts,
        [ARCH_QWEN3MOE] = read_qwen3moe, [ARCH_GEMMA2] = read_gemma2,   [ARCH_GEMMA3] = read_gemma3,
        [ARCH_OLMO2] = read_olmo2,       [ARCH_GRANITE] = read_granite, [ARCH_SMOLLM3] = read_smollm3,
        [ARCH_GPTOSS] = read_gptoss,     [ARCH_PHI3] = no_experts, /* attention.sliding_window is ignored, as
                                                                      llama.cpp does */

    };
    return readers[h->arch](source, h);
}
