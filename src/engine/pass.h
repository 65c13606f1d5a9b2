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

#define PASS_INPUTS_MAX 4 /* different prepared forms of one input that can be kept */

/* Scratch memory for n_rows rows, [n_rows][...] each; made by forward.c. */
struct pass_buffers {
    uint32_t n_rows;                 /* that fit */
    float *x;                        /* n_embd: the residual stream */
    float *normed;                   /* n_embd */
    float *product;                  /* n_embd: what is added to x */
    float *q, *k, *v, *attended;     /* heads */
    float *gate, *up;                /* n_ff */
    float *cos, *sin;                /* n_rot / 2 */
    float *cos_local, *sin_local;    /* of layers with a window where they differ, else NULL */
    void *prepared[PASS_INPUTS_MAX]; /* inputs of matrices, by kind of activation */
    float *partials;                 /* of attention, for each worker */
    size_t partials_stride;          /* floats a worker */
    struct expert_buffers experts;
    uint8_t input_of[TENSOR_TYPE_COUNT]; /* which of `prepared` matrices of a type read */
};

struct pass {
    struct crew *crew;
    const struct kernels *kernels;
    const struct hparams *hparams;
    struct batch *batch;
    const struct pass_buffers *buffers;
    uint32_t n_rows; /* of the batch, or those that go through the output */
    uint32_t n_workers;
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
/* gate = act(gate's product) * up's product. */
void pass_multiply_gated(struct pass *pass, const struct matrix *gate, const struct matrix *up,
                         enum gate_act act);
/* x += residual scale * RMS norm of `product`. */
void pass_norm_add(struct pass *pass, const float *norm);

/* Norms and turns the heads of q and k, as far as the model does, and stores k and v. */
void pass_store(struct pass *pass, const struct layer_weights *weights, uint32_t layer, enum rope_style style);
/* attended from q and what was stored up to each row's position, as far back as the layer sees. */
void pass_attend(struct pass *pass, uint32_t layer);

struct kv_layout pass_kv_layout(const struct hparams *hparams, enum kv_type kv_type);
size_t pass_partials_floats(const struct hparams *hparams); /* for one worker */

#endif
