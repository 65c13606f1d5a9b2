/* gemma2: norms before and behind both halves of a layer, GELU, capped scores and logits, every other layer
 * with a window, the embedding scaled. The output is the embedding's. */
#include "engine/ops.h"

void arch_gemma2_layer(struct pass *pass, const struct layer_weights *w, uint32_t layer)
{
    ops_qkv(pass, w, w->attn_norm);
    pass_store(pass, w, layer, ROPE_HALVES);
    pass_attend(pass, layer); /* caps scores, sees back as far as the layer's window */
    ops_attended(pass, w);
    pass_norm_add(pass, w->attn_post_norm);
    ops_gated(pass, &w->ffn, w->ffn_norm, GATE_GELU);
    pass_norm_add(pass, w->ffn_post_norm);
}
