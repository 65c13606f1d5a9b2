/* granite: llama with factors of its own for the embedding, the scores, what a layer adds, and the logits. */
#include "engine/ops.h"

void arch_granite_layer(struct pass *pass, const struct layer_weights *w, uint32_t layer)
{
    ops_qkv(pass, w, w->attn_norm);
    pass_store(pass, w, layer, ROPE_PAIRS);
    pass_attend(pass, layer);
    ops_attended_add(pass, w);
    ops_gated_add(pass, &w->ffn, w->ffn_norm);
}
