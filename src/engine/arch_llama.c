/* llama: pre-norm, grouped queries, rotary positions on neighbouring pairs, SwiGLU; with experts it is mixtral.
 * Tied embeddings, rope_freqs and scaling of positions are the loader's. */
#include "engine/ops.h"

void arch_llama_layer(struct pass *pass, const struct layer_weights *w, uint32_t layer)
{
    ops_qkv(pass, w, w->attn_norm);
    pass_store(pass, w, layer, ROPE_PAIRS);
    pass_attend(pass, layer);
    ops_attended_add(pass, w);
    if (w->experts)
        ops_experts_add(pass, w, w->ffn_norm, GATE_SILU, EXPERTS_OF_ALL);
    else
        ops_gated_add(pass, &w->ffn, w->ffn_norm);
}
