/* qwen3: llama without biases, the heads of queries and keys normed, rotary positions on the halves of a head.
 */
#include "engine/ops.h"

void arch_qwen3_layer(struct pass *pass, const struct layer_weights *w, uint32_t layer)
{
    ops_qkv(pass, w, w->attn_norm);
    pass_store(pass, w, layer, ROPE_HALVES);
    pass_attend(pass, layer);
    ops_attended_add(pass, w);
    ops_gated_add(pass, &w->ffn, w->ffn_norm);
}
