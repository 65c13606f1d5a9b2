/* tensors - which tensors a span of layers needs, by name and shape: the one place that says what a complete
 * model or shard is. The loader, split and verify ask here.
 *
 * Thread: any; immutable after binding. */
#ifndef MODEL_TENSORS_H
#define MODEL_TENSORS_H

#include "model/gguf.h"
#include "model/hparams.h"

enum tensor_role {
    TENSOR_TOKEN_EMBD,
    TENSOR_OUTPUT_NORM,
    TENSOR_OUTPUT,     /* absent: the embedding is used (tied) */
    TENSOR_ROPE_FREQS, /* factors that divide the frequencies, optional; goes into every shard, as the next two
                        */
    TENSOR_ROPE_LONG,  /* the same for contexts beyond the original one, */
    TENSOR_ROPE_SHORT, /* and up to it */
    TENSOR_ATTN_NORM,  /* from here on blk.N.NAME.weight or .bias */
    TENSOR_ATTN_Q,
    TENSOR_ATTN_K,
    TENSOR_ATTN_V,
    TENSOR_ATTN_QKV, /* the three in one */
    TENSOR_ATTN_Q_BIAS,
    TENSOR_ATTN_K_BIAS,
    TENSOR_ATTN_V_BIAS,
    TENSOR_ATTN_Q_NORM,
    TENSOR_ATTN_K_NORM,
    TENSOR_ATTN_SINKS, /* a score a head, of nothing: takes its part of the softmax */
    TENSOR_ATTN_OUTPUT,
    TENSOR_ATTN_OUTPUT_BIAS,
    TENSOR_ATTN_POST_NORM,
    TENSOR_FFN_NORM,
    TENSOR_FFN_GATE,
    TENSOR_FFN_DOWN,
    TENSOR_FFN_UP, /* with the gate in front of it where the architecture has them in one */
    TENSOR_FFN_POST_NORM,
    TENSOR_FFN_ROUTER, /* which experts take a token */
    TENSOR_FFN_ROUTER_BIAS,
    TENSOR_EXPERTS_GATE,
    TENSOR_EXPERTS_DOWN,
    TENSOR_EXPERTS_UP,
    TENSOR_EXPERTS_GATE_BIAS, /* a row an expert, as the next two */
    TENSOR_EXPERTS_DOWN_BIAS,
    TENSOR_EXPERTS_UP_BIAS,
    TENSOR_ROLE_COUNT
};
#define TENSOR_ROLE_LAYER_FIRST TENSOR_ATTN_NORM
#define TENSOR_LAYER_ROLES      (TENSOR_ROLE_COUNT - TENSOR_ROLE_LAYER_FIRST)
#define TENSOR_NO_LAYER         UINT32_MAX

enum tensor_need { TENSOR_FOREIGN, TENSOR_OPTIONAL, TENSOR_NEEDED }; /* of an architecture */

/* Layers [first_layer, end_layer) and what goes with them. */
struct span {
    uint32_t first_layer, end_layer;
    bool embedding; /* holds the token embedding, to start from ids */
    bool output;    /* holds output norm and head (perhaps the tied embedding) */
};

struct tensor_shape {
    uint32_t n_dims;
    uint64_t dims[3]; /* dims[0] varies fastest: a matrix has dims[1] rows of dims[0]; dims[2] matrices */
};

/* "blk.3.attn_q.weight"; layer is TENSOR_NO_LAYER for the roles before TENSOR_ROLE_LAYER_FIRST. */
void tensor_name(char out[GGUF_NAME_BYTES_MAX + 1], enum tensor_role role, uint32_t layer);
/* False for a name that no role has. *layer is TENSOR_NO_LAYER where there is none. */
bool tensor_role_of(const char *name, enum tensor_role *role, uint32_t *layer);
bool tensor_role_is_vector(enum tensor_role role); /* or vectors: added or multiplied, always F32 */
bool tensor_role_is_rope(enum tensor_role role);   /* goes into every shard */
/* By the architecture and by whether there are experts. */
enum tensor_need tensor_need_of(const struct hparams *hparams, enum tensor_role role);
struct tensor_shape tensor_shape_of(const struct hparams *hparams, enum tensor_role role);

/* The span that a file claims: the keys shoal.shard.* where present, else the whole model. `index` and `count`
 * (NULL is fine) are 0 and 1 for a whole model. */
enum status span_read(struct span *out, uint32_t *index, uint32_t *count, const struct gguf *gguf,
                      const struct hparams *hparams, struct error *err);

struct tensor_table; /* borrows from the gguf */

/* Finds every tensor that the span needs and checks its type (vectors F32, matrices one that loads) and shape.
 * BAD_DATA: missing, or wrong shape. UNSUPPORTED: a type that does not load, or a tensor that belongs to no
 * role of this architecture, by name. */
enum status tensor_table_bind(struct tensor_table **out, const struct gguf *gguf, const struct hparams *hparams,
                              const struct span *span, struct error *err);
void tensor_table_free(struct tensor_table *table);
/* NULL: not in this span, or optional and absent. `layer` is the model's, not the span's. A tied head gives the
 * embedding for TENSOR_OUTPUT. */
const struct gguf_tensor *tensor_table_get(const struct tensor_table *table, enum tensor_role role,
                                           uint32_t layer);
bool tensor_table_is_tied(const struct tensor_table *table); /* of a span with output */

#endif
