/* weights_layout - where the tensors of one file lie in memory. Internal to the engine: weights.c fills it, the
 * operations read it. */
#ifndef ENGINE_WEIGHTS_LAYOUT_H
#define ENGINE_WEIGHTS_LAYOUT_H

#include "engine/weights.h"
#include "kernels/types.h"

struct matrix {
    enum tensor_type type;
    uint32_t n_rows, n_cols; /* outputs, inputs */
    const void *packed;      /* NULL: not here */
};

struct layer_weights {
    const float *attn_norm, *ffn_norm;
    struct matrix q, k, v, attn_output, gate, up, down;
};

const struct layer_weights *weights_layer(const struct weights *weights, uint32_t layer);
const struct matrix *weights_embedding(const struct weights *weights); /* rows are tokens */
const struct matrix *weights_output(const struct weights *weights);    /* perhaps the embedding */
const float *weights_output_norm(const struct weights *weights);
/* Radians by position, n_rot / 2 of them: base, scaling and the file's factors in one. */
const double *weights_rope_frequencies(const struct weights *weights);

#endif
