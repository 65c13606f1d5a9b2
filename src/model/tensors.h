/* tensors - which tensors a span of layers needs, by name and shape: the one place that says what a complete
 * model or shard is. The loader, split and verify ask here.
 *
 * Thread: any; immutable after binding. */
#ifndef MODEL_TENSORS_H
#define MODEL_TENSORS_H

#include "model/gguf.h"
#include "model/hparams.h"

enum tensor_role {
    TENSOR_TOKEN_EMBD,  /* token_embd.weight */
    TENSOR_OUTPUT_NORM, /* output_norm.weight */
    TENSOR_OUTPUT,      /* output.weight; absent: the embedding is used (tied) */
    TENSOR_ROPE_FREQS,  /* rope_freqs.weight; factors, optional */
    TENSOR_ATTN_NORM,   /* from here on blk.N.NAME.weight */
    TENSOR_ATTN_Q,
    TENSOR_ATTN_K,
    TENSOR_ATTN_V,
    TENSOR_ATTN_OUTPUT,
    TENSOR_FFN_NORM,
    TENSOR_FFN_GATE,
    TENSOR_FFN_DOWN,
    TENSOR_FFN_UP,
    TENSOR_ROLE_COUNT
};
#define TENSOR_ROLE_LAYER_FIRST TENSOR_ATTN_NORM
#define TENSOR_LAYER_ROLES      (TENSOR_ROLE_COUNT - TENSOR_ROLE_LAYER_FIRST)
#define TENSOR_NO_LAYER         UINT32_MAX

/* Layers [first_layer, end_layer) and what goes with them. */
struct span {
    uint32_t first_layer, end_layer;
    bool embedding; /* holds the token embedding, to start from ids */
    bool output;    /* holds output norm and head (perhaps the tied embedding) */
};

struct tensor_shape {
    uint32_t n_dims;
    uint64_t dims[2]; /* dims[0] varies fastest: a matrix has dims[1] rows of dims[0] */
};

const char *tensor_role_name(enum tensor_role role); /* "attn_q", "token_embd" */
/* "blk.3.attn_q.weight"; layer is TENSOR_NO_LAYER for the first four roles. */
void tensor_name(char out[GGUF_NAME_BYTES_MAX + 1], enum tensor_role role, uint32_t layer);
/* False for a name that no role has. *layer is TENSOR_NO_LAYER where there is none. */
bool tensor_role_of(const char *name, enum tensor_role *role, uint32_t *layer);
struct tensor_shape tensor_shape_of(const struct hparams *hparams, enum tensor_role role);

/* The span that a file claims: the keys shoal.shard.* where present, else the whole model. `index` and `count`
 * (NULL is fine) are 0 and 1 for a whole model. */
enum status span_read(struct span *out, uint32_t *index, uint32_t *count, const struct gguf *gguf,
                      const struct hparams *hparams, struct error *err);

struct tensor_table; /* borrows from the gguf */

/* Finds every tensor that the span needs and checks its type (vectors F32, matrices one that loads) and shape.
 * BAD_DATA: missing, or wrong shape. UNSUPPORTED: a type that does not load, or a tensor that belongs to no
 * role (biases, experts), by name. */
enum status tensor_table_bind(struct tensor_table **out, const struct gguf *gguf, const struct hparams *hparams,
                              const struct span *span, struct error *err);
void tensor_table_free(struct tensor_table *table);
/* NULL: not in this span, or optional and absent. `layer` is the model's, not the span's. A tied head gives the
 * embedding for TENSOR_OUTPUT. */
const struct gguf_tensor *tensor_table_get(const struct tensor_table *table, enum tensor_role role,
                                           uint32_t layer);
bool tensor_table_is_tied(const struct tensor_table *table); /* of a span with output */

#endif
