/* weights_layout - where the tensors of one file lie in memory. Internal to the engine: weights.c fills it, the
 * operations read it.
 *
 * What a file holds in one (queries, keys and values; gate and up; all experts of a layer) lies here in
 * matrices of their own, so that the operations know one form only. */
#ifndef ENGINE_WEIGHTS_LAYOUT_H
#define ENGINE_WEIGHTS_LAYOUT_H

#include "engine/rope_tables.h"
#include "engine/weights.h"
#include "kernels/types.h"

struct matrix {
    enum tensor_type type;
    uint32_t n_rows, n_cols; /* outputs, inputs */
    const void *packed;      /* NULL: not here */
    const float *bias;       /* [n_rows] added to the product; NULL: none */
};

struct gated { /* a gated feed-forward, of a layer or of one expert */
    struct matrix gate, up, down;
};

struct layer_weights { /* NULL: not in this architecture, or optional and absent */
    const float *attn_norm, *attn_post_norm, *ffn_norm, *ffn_post_norm;
    const float *q_norm, *k_norm, *attn_sinks;
    struct matrix q, k, v, attn_output;
    struct gated ffn;
    struct matrix router;
    struct gated *experts; /* [n_experts] */
};

const struct layer_weights *weights_layer(const struct weights *weights, uint32_t layer);
const struct matrix *weights_embedding(const struct weights *weights); /* rows are tokens */
const struct matrix *weights_output(const struct weights *weights);    /* perhaps the embedding */
const float *weights_output_norm(const struct weights *weights);
const struct rope_tables *weights_rope(const struct weights *weights);

#endif
