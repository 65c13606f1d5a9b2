/* gemma3: gemma2 without caps, the heads of queries and keys normed; five of six layers have a window and turn
 * positions by another base. */
#include "engine/ops.h"

void arch_gemma3_layer(struct pass *pass, const struct layer_weights *w, uint32_t layer)
{
    ops_qkv(pass, w, w->attn_norm);
    pass_store(pass, w, layer, ROPE_HALVES);
    pass_attend(pass, layer);
    ops_attended(pass, w);
    pass_norm_add(pass, w->attn_post_norm);
    ops_gated(pass, &w->ffn, w->ffn_norm, GATE_GELU);
    pass_norm_add(pass, w->ffn_post_norm);
}
