/* pass - one member's way through a batch, and the operations it is made of. Internal to the engine.
 *
 * Every member of the team walks through the same list of operations (engine/team.h); each operation is cut
 * into parts by rows of the batch, rows of a matrix or heads. All functions here are such operations. */
#ifndef ENGINE_PASS_H
#define ENGINE_PASS_H

#include "engine/batch.h"
#include "engine/experts.h"
#include "engine/team.h"
#include "engine/weights_layout.h"
#include "kernels/kernels.h"

#define PASS_GATED_ROWS 4 /* of which a gated product is kept whole */
#define PASS_INPUTS_MAX 4 /* different prepared forms of one input that can be kept */

/* Scratch memory for n_rows rows, [n_rows][...] each; made by forward.c. */
struct pass_buffers {
    uint32_t n_rows;              /* that fit */
    float *x;                     /* n_embd: the residual stream */
    float *normed;                /* n_embd: for experts; else NULL */
    float *product;               /* n_embd: what has a norm of its own before it is added to x */
    void *phases;                 /* what attention has, and in its place later what the FFN has */
    float *q, *k, *v;             /* heads; in `phases` */
    float *attended;              /* heads; q itself where their values are as long: each replaces its query */
    float *cos, *sin;             /* n_rot / 2 */
    float *cos_local, *sin_local; /* of layers with a window where they differ, else NULL */
    void *prepared[PASS_INPUTS_MAX];    /* inputs of matrices, by kind of activation: n_embd, heads */
    void *prepared_ff[PASS_INPUTS_MAX]; /* n_ff; all in the same place, in `phases`; with experts NULL */
    float *gated;                       /* [PASS_GATED_ROWS][n_ff]; where there are experts NULL */
    float *slices;                      /* for each worker: products that are used where they arise */
    size_t slices_stride;               /* floats a worker */
    float *partials;                    /* of attention, for each worker */
    size_t partials_stride;             /* floats a worker */
    struct expert_buffers experts;
    uint8_t input_of[TENSOR_TYPE_COUNT]; /* which of `prepared` matrices of a type read */
};

struct pass {
    struct crew *crew;
    const struct kernels *kernels;
    const struct hparams *hparams;
    struct batch *batch;
    const struct pass_buffers *buffers;
    const struct batch_rows *rows; /* all of the batch, or the wanted */
    uint32_t n_rows;               /* so many, or those that go through the output */
    uint32_t n_workers;
    void *const *inputs;  /* what matrices read next: prepared or prepared_ff */
    enum kv_type kv_type; /* of serving sequences */
    uint32_t n_ctx;       /* positions that one of them may have */
};

enum gate_act { GATE_SILU, GATE_GELU, GATE_SILU_LIMITED };

struct product {
    const struct matrix *matrix;
    float *out; /* [n_rows][matrix rows] */
};

const struct layer_weights *pass_layer(const struct pass *pass, uint32_t layer);

/* x from tokens or hidden_in, checked; angles of all positions. */
void pass_begin(struct pass *pass);
/* hidden_out from x, checked. */
void pass_end(struct pass *pass);

/* Readies `x` [n_rows][n_cols] as the input of these matrices; with `norm`, RMS norm of it instead. */
void pass_input(struct pass *pass, const float *x, const float *norm, uint32_t n_cols,
                const struct matrix *const *matrices, uint32_t n_matrices);
/* Products of the input that was readied for these matrices, at most 3. Here and below, a matrix that has a
 * bias adds it. */
void pass_multiply(struct pass *pass, const struct product *products, uint32_t n_products);
/* x += product of the readied input, times the model's residual scale. */
void pass_multiply_add(struct pass *pass, const struct matrix *matrix, float *x);
/* Readies act(gate's product) * up's product of the readied input as the input of `down`. */
void pass_gated_input(struct pass *pass, const struct gated *ffn, enum gate_act act);
/* x += residual scale * RMS norm of `product`. */
void pass_norm_add(struct pass *pass, const float *norm);

/* Norms and turns the heads of q and k, as far as the model does, and stores k and v. */
void pass_store(struct pass *pass, const struct layer_weights *weights, uint32_t layer, enum rope_style style);
/* attended from q and what was stored up to each row's position, as far back as the layer sees. In the batch's
 * last layer first leaves all rows but the wanted. */
void pass_attend(struct pass *pass, uint32_t layer);

struct kv_layout pass_kv_layout(const struct hparams *hparams, enum kv_type kv_type);
size_t pass_partials_floats(const struct hparams *hparams); /* for one worker */
size_t pass_slices_floats(const struct hparams *hparams, uint32_t n_rows, uint32_t n_workers); /* the same */

#endif
