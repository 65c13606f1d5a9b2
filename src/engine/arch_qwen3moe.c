/* qwen3moe: qwen3 with experts in place of the feed-forward; a token's shares of its experts add up to 1. */
#include "engine/ops.h"

void arch_qwen3moe_layer(struct pass *pass, const struct layer_weights *w, uint32_t layer)
{
    ops_qkv(pass, w, w->attn_norm);
    pass_store(pass, w, layer, ROPE_HALVES);
    pass_attend(pass, layer);
    ops_attended_add(pass, w);
    ops_experts_add(pass, w, w->ffn_norm, GATE_SILU, EXPERTS_OF_ALL);
}
