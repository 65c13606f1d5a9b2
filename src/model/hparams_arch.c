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

enum status hparams_read_arch(struct hparams_source *source, struct hparams *h)
{
    static enum status (*const readers[ARCH_COUNT])(struct hparams_source *, struct hparams *) = {
        [ARCH_LLAMA] = read_llama,
        [ARCH_QWEN2] = no_experts,
        [ARCH_QWEN3] = no_experts,
        [ARCH_QWEN3MOE] = read_qwen3moe,
    };
    return readers[h->arch](source, h);
}
