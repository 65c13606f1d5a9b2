/* phi3: llama with queries, keys and values in one matrix, and gate and up in one (taken apart when loaded);
 * rotary positions on the halves of a head, by other factors where the context is longer than the original one.
 */
#include "engine/ops.h"

void arch_phi3_layer(struct pass *pass, const struct layer_weights *w, uint32_t layer)
{
    ops_qkv(pass, w, w->attn_norm);
    pass_store(pass, w, layer, ROPE_HALVES);
    pass_attend(pass, layer);
    ops_attended_add(pass, w);
    ops_gated_add(pass, &w->ffn, w->ffn_norm);
}
