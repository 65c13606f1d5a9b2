#include "engine/ops.h"

arch_layer_fn arch_layer(enum arch arch)
{
    static const arch_layer_fn layers[ARCH_COUNT] = {
        [ARCH_LLAMA] = arch_llama_layer,     [ARCH_QWEN2] = arch_qwen2_layer,
        [ARCH_QWEN3] = arch_qwen3_layer,     [ARCH_QWEN3MOE] = arch_qwen3moe_layer,
        [ARCH_GEMMA2] = arch_gemma2_layer,   [ARCH_GEMMA3] = arch_gemma3_layer,
        [ARCH_PHI3] = arch_phi3_layer,       [ARCH_OLMO2] = arch_olmo2_layer,
        [ARCH_GRANITE] = arch_granite_layer, [ARCH_SMOLLM3] = arch_smollm3_layer,
        [ARCH_GPTOSS] = arch_gptoss_layer,
    };
    ASSERT((unsigned)arch < ARCH_COUNT);
    return layers[arch];
}

void ops_qkv(struct pass *pass, const struct layer_weights *w, const float *norm)
{
    const struct pass_buffers *b = pass->buffers;
    const struct matrix *qkv[] = {&w->q, &w->k, &w->v};
    const struct product products[] = {{&w->q, b->q}, {&w->k, b->k}, {&w->v, b->v}};

    pass_input(pass, b->x, norm, pass->hparams->n_embd, qkv, 3);
    pass_multiply(pass, products, 3);
}

static void attended_input(struct pass *pass, const struct layer_weights *w)
{
    const struct matrix *output[] = {&w->attn_output};
    pass_input(pass, pass->buffers->attended, NULL, w->attn_output.n_cols, output, 1);
}

void ops_attended_add(struct pass *pass, const struct layer_weights *w)
{
    attended_input(pass, w);
    pass_multiply_add(pass, &w->attn_output, pass->buffers->x);
}

void ops_attended(struct pass *pass, const struct layer_weights *w)
{
    const struct product product = {&w->attn_output, pass->buffers->product};
    attended_input(pass, w);
    pass_multiply(pass, &product, 1);
}

static void gated_input(struct pass *pass, const struct gated *ffn, const float *norm, enum gate_act act)
{
    const struct matrix *gate_up[] = {&ffn->gate, &ffn->up};

    pass_input(pass, pass->buffers->x, norm, pass->hparams->n_embd, gate_up, 2);
    pass_gated_input(pass, ffn, act);
}

void ops_gated_add(struct pass *pass, const struct gated *ffn, const float *norm)
{
    gated_input(pass, ffn, norm, GATE_SILU);
    pass_multiply_add(pass, &ffn->down, pass->buffers->x);
}

void ops_gated(struct pass *pass, const struct gated *ffn, const float *norm, enum gate_act act)
{
    const struct product product = {&ffn->down, pass->buffers->product};
    gated_input(pass, ffn, norm, act);
    pass_multiply(pass, &product, 1);
}
