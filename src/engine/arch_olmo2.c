/* olmo2: no norm before either half of a layer but one behind it; queries and keys are normed across all heads.
 * Where three of four layers have a window, those turn positions unscaled. */
#include "engine/ops.h"

void arch_olmo2_layer(struct pass *pass, const struct layer_weights *w, uint32_t layer)
{
    ops_qkv(pass, w, NULL);
    pass_store(pass, w, layer, ROPE_HALVES);
    pass_attend(pass, layer);
    ops_attended(pass, w);
    pass_norm_add(pass, w->attn_post_norm);
    ops_gated(pass, &w->ffn, NULL, GATE_SILU);
    pass_norm_add(pass, w->ffn_post_norm);
}
