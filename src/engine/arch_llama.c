/* The llama architecture: pre-norm, grouped queries, rotary positions on pairs, SwiGLU. Tied embeddings,
 * rope_freqs and linear scaling are the loader's. */
#include "engine/pass.h"

#include <math.h>

static void attention(struct pass *pass, const struct layer_weights *w, uint32_t layer)
{
    const struct hparams *hp = pass->hparams;
    const struct pass_buffers *b = pass->buffers;
    const struct matrix *qkv[] = {&w->q, &w->k, &w->v}, *output[] = {&w->attn_output};
    const struct product products[] = {{&w->q, b->q}, {&w->k, b->k}, {&w->v, b->v}};

    pass_input(pass, b->x, w->attn_norm, hp->n_embd, qkv, 3);
    pass_multiply(pass, products, 3);
    pass_rope_store(pass, layer, ROPE_PAIRS);
    pass_attend(pass, layer, (float)(1.0 / sqrt((double)hp->head_dim_k)));
    pass_input(pass, b->attended, NULL, hp->n_heads * hp->head_dim_v, output, 1);
    pass_multiply_add(pass, &w->attn_output, b->x);
}

static void feed_forward(struct pass *pass, const struct layer_weights *w)
{
    const struct hparams *hp = pass->hparams;
    const struct pass_buffers *b = pass->buffers;
    const struct matrix *gate_up[] = {&w->gate, &w->up}, *down[] = {&w->down};

    pass_input(pass, b->x, w->ffn_norm, hp->n_embd, gate_up, 2);
    pass_multiply_swiglu(pass, &w->gate, &w->up);
    pass_input(pass, b->gate, NULL, hp->n_ff, down, 1);
    pass_multiply_add(pass, &w->down, b->x);
}

void arch_llama_layers(struct pass *pass)
{
    for (uint32_t layer = pass->batch->layer_first; layer < pass->batch->layer_end; layer++) {
        const struct layer_weights *w = pass_layer(pass, layer);
        attention(pass, w, layer);
        feed_forward(pass, w);
    }
}
