/* smollm3: llama, but every fourth layer does not turn positions. */
#include "engine/ops.h"

void arch_smollm3_layer(struct pass *pass, const struct layer_weights *w, uint32_t layer)
{
    ops_qkv(pass, w, w->attn_norm);
    pass_store(pass, w, layer, ROPE_PAIRS); /* where the layer has positions */
    pass_attend(pass, layer);
    ops_attended_add(pass, w);
    ops_gated_add(pass, &w->ffn, w->ffn_norm);
}
