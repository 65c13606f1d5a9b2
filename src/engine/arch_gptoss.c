/* gpt-oss: experts behind a limited gate, whose shares are the softmax of those taken; biases on all matrices;
 * every other layer with a window; each head has a sink, a score that takes its part of the softmax. */
#include "engine/ops.h"

void arch_gptoss_layer(struct pass *pass, const struct layer_weights *w, uint32_t layer)
{
    ops_qkv(pass, w, w->attn_norm);
    pass_store(pass, w, layer, ROPE_HALVES);
    pass_attend(pass, layer); /* with the layer's window and sinks */
    ops_attended_add(pass, w);
    ops_experts_add(pass, w, w->attn_post_norm, GATE_SILU_LIMITED, EXPERTS_OF_TAKEN);
}
