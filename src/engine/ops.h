/* ops - what architectures are made of: groups of operations of a pass that belong together, over the residual
 * stream x. Internal to the engine.
 *
 * An architecture is one function, a straight list of these for one layer; arch_layer() finds it. */
#ifndef ENGINE_OPS_H
#define ENGINE_OPS_H

#include "engine/pass.h"

typedef void (*arch_layer_fn)(struct pass *pass, const struct layer_weights *weights, uint32_t layer);
arch_layer_fn arch_layer(enum arch arch);

void arch_llama_layer(struct pass *pass, const struct layer_weights *w, uint32_t layer);
void arch_qwen2_layer(struct pass *pass, const struct layer_weights *w, uint32_t layer);
void arch_qwen3_layer(struct pass *pass, const struct layer_weights *w, uint32_t layer);
void arch_qwen3moe_layer(struct pass *pass, const struct layer_weights *w, uint32_t layer);
void arch_gemma2_layer(struct pass *pass, const struct layer_weights *w, uint32_t layer);
void arch_gemma3_layer(struct pass *pass, const struct layer_weights *w, uint32_t layer);
void arch_phi3_layer(struct pass *pass, const struct layer_weights *w, uint32_t layer);
void arch_olmo2_layer(struct pass *pass, const struct layer_weights *w, uint32_t layer);
void arch_granite_layer(struct pass *pass, const struct layer_weights *w, uint32_t layer);
void arch_smollm3_layer(struct pass *pass, const struct layer_weights *w, uint32_t layer);
void arch_gptoss_layer(struct pass *pass, const struct layer_weights *w, uint32_t layer);

/* q, k and v of x, normed first unless norm is NULL. */
void ops_qkv(struct pass *pass, const struct layer_weights *w, const float *norm);
/* x += output matrix of what was attended. */
void ops_attended_add(struct pass *pass, const struct layer_weights *w);
/* product = the same, for a norm of its own. */
void ops_attended(struct pass *pass, const struct layer_weights *w);
/* x += down(act(gate(norm(x))) * up(norm(x))) */
void ops_gated_add(struct pass *pass, const struct gated *ffn, const float *norm);
/* product = the same. norm may be NULL. */
void ops_gated(struct pass *pass, const struct gated *ffn, const float *norm, enum gate_act act);
/* x += the experts of norm(x) (experts.h) */
void ops_experts_add(struct pass *pass, const struct layer_weights *w, const float *norm, enum gate_act act,
                     enum expert_shares shares);

#endif
