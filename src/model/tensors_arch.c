/* Which tensors each architecture has, and their shapes. */
#include "model/tensors.h"

#define HAS(role) (UINT64_C(1) << TENSOR_##role)

#define MODEL      (HAS(TOKEN_EMBD) | HAS(OUTPUT_NORM))
#define QKV        (HAS(ATTN_Q) | HAS(ATTN_K) | HAS(ATTN_V))
#define BIASES     (HAS(ATTN_Q_BIAS) | HAS(ATTN_K_BIAS) | HAS(ATTN_V_BIAS))
#define POST_NORMS (HAS(ATTN_POST_NORM) | HAS(FFN_POST_NORM))
#define HEAD_NORMS (HAS(ATTN_Q_NORM) | HAS(ATTN_K_NORM))
#define PRE_NORM   (HAS(ATTN_NORM) | HAS(FFN_NORM))
#define DENSE      (HAS(FFN_GATE) | HAS(FFN_UP) | HAS(FFN_DOWN))
#define EXPERTS    (HAS(FFN_ROUTER) | HAS(EXPERTS_GATE) | HAS(EXPERTS_UP) | HAS(EXPERTS_DOWN))
#define EXPERT_BIASES                                                                                          \
    (HAS(FFN_ROUTER_BIAS) | HAS(EXPERTS_GATE_BIAS) | HAS(EXPERTS_UP_BIAS) | HAS(EXPERTS_DOWN_BIAS))
#define COMMON (MODEL | QKV | PRE_NORM | HAS(ATTN_OUTPUT))

/* `dense` and `experts`: what the feed-forward needs of one kind or the other; 0: that kind is not known. */
static const struct arch_tensors {
    uint64_t needed, dense, experts, optional;
} arch_table[ARCH_COUNT] = {
    [ARCH_LLAMA] = {COMMON, DENSE, EXPERTS, HAS(OUTPUT) | HAS(ROPE_FREQS) | BIASES},
    [ARCH_QWEN3] = {COMMON | HEAD_NORMS, DENSE, 0, HAS(OUTPUT)},
    [ARCH_QWEN3MOE] = {COMMON | HEAD_NORMS, 0, EXPERTS, HAS(OUTPUT)},
    [ARCH_GEMMA2] = {COMMON | POST_NORMS, DENSE, 0, HAS(OUTPUT)},
    [ARCH_GEMMA3] = {COMMON | POST_NORMS | HEAD_NORMS, DENSE, 0, HAS(OUTPUT)},
    [ARCH_PHI3] = {MODEL | PRE_NORM | HAS(ATTN_QKV) | HAS(ATTN_OUTPUT), HAS(FFN_UP) | HAS(FFN_DOWN), 0,
                   HAS(OUTPUT) | HAS(ROPE_LONG) | HAS(ROPE_SHORT)},
    [ARCH_OLMO2] = {MODEL | QKV | HEAD_NORMS | POST_NORMS | HAS(ATTN_OUTPUT), DENSE, 0, HAS(OUTPUT)},
    [ARCH_GRANITE] = {COMMON, DENSE, 0, HAS(OUTPUT) | HAS(ROPE_FREQS) | BIASES},
    [ARCH_SMOLLM3] = {COMMON, DENSE, 0, HAS(OUTPUT) | BIASES},
    [ARCH_QWEN2] = {COMMON | BIASES, DENSE, 0, HAS(OUTPUT)},
    [ARCH_GPTOSS] = {MODEL | QKV | BIASES | HAS(ATTN_NORM) | HAS(ATTN_SINKS) | HAS(ATTN_OUTPUT) |
                         HAS(ATTN_OUTPUT_BIAS) | HAS(ATTN_POST_NORM),
                     0, EXPERTS | EXPERT_BIASES, HAS(OUTPUT)},
};

_Static_assert(TENSOR_ROLE_COUNT <= 64, "a bit for each role");

enum tensor_need tensor_need_of(const struct hparams *h, enum tensor_role role)
{
    const struct arch_tensors *t = &arch_table[h->arch];
    uint64_t bit = UINT64_C(1) << role;
    if ((t->needed | (h->n_experts ? t->experts : t->dense)) & bit)
        return TENSOR_NEEDED;
    return t->optional & bit ? TENSOR_OPTIONAL : TENSOR_FOREIGN;
}

bool tensor_role_is_vector(enum tensor_role role)
{
    switch (role) {
    case TENSOR_TOKEN_EMBD:
    case TENSOR_OUTPUT:
    case TENSOR_ATTN_Q:
    case TENSOR_ATTN_K:
    case TENSOR_ATTN_V:
    case TENSOR_ATTN_QKV:
    case TENSOR_ATTN_OUTPUT:
    case TENSOR_FFN_GATE:
    case TENSOR_FFN_DOWN:
    case TENSOR_FFN_UP:
    case TENSOR_FFN_ROUTER:
    case TENSOR_EXPERTS_GATE:
    case TENSOR_EXPERTS_DOWN:
    case TENSOR_EXPERTS_UP:
        return false;
    default:
        return true;
    }
}

static struct tensor_shape vector(uint64_t n)
{
    return (struct tensor_shape){.n_dims = 1, .dims = {n, 1, 1}};
}

static struct tensor_shape matrix(uint64_t n_in, uint64_t n_out)
{
    return (struct tensor_shape){.n_dims = 2, .dims = {n_in, n_out, 1}};
}

static struct tensor_shape matrices(uint64_t n_in, uint64_t n_out, uint64_t n)
{
    return (struct tensor_shape){.n_dims = 3, .dims = {n_in, n_out, n}};
}

static struct tensor_shape attention_shape(const struct hparams *h, enum tensor_role role)
{
    uint64_t n_q = (uint64_t)h->n_heads * h->head_dim_k, n_k = (uint64_t)h->n_kv_heads * h->head_dim_k;
    uint64_t n_v = (uint64_t)h->n_kv_heads * h->head_dim_v, n_o = (uint64_t)h->n_heads * h->head_dim_v;
    switch (role) {
    case TENSOR_ATTN_Q:
        return matrix(h->n_embd, n_q);
    case TENSOR_ATTN_K:
        return matrix(h->n_embd, n_k);
    case TENSOR_ATTN_V:
        return matrix(h->n_embd, n_v);
    case TENSOR_ATTN_QKV:
        return matrix(h->n_embd, n_q + n_k + n_v);
    case TENSOR_ATTN_OUTPUT:
        return matrix(n_o, h->n_embd);
    case TENSOR_ATTN_SINKS:
        return vector(h->n_heads);
    case TENSOR_ATTN_Q_BIAS:
        return vector(n_q);
    case TENSOR_ATTN_K_BIAS:
        return vector(n_k);
    case TENSOR_ATTN_V_BIAS:
        return vector(n_v);
    case TENSOR_ATTN_Q_NORM:
        return vector(h->norm_spans_heads ? n_q : h->head_dim_k);
    default: /* ATTN_K_NORM */
        return vector(h->norm_spans_heads ? n_k : h->head_dim_k);
    }
}

struct tensor_shape tensor_shape_of(const struct hparams *h, enum tensor_role role)
{
    switch (role) {
    case TENSOR_TOKEN_EMBD:
    case TENSOR_OUTPUT:
        return matrix(h->n_embd, h->n_vocab);
    case TENSOR_ROPE_FREQS:
    case TENSOR_ROPE_LONG:
    case TENSOR_ROPE_SHORT:
        return vector(h->n_rot / 2);
    case TENSOR_FFN_GATE:
        return matrix(h->n_embd, h->n_ff);
    case TENSOR_FFN_UP:
        return matrix(h->n_embd, h->arch == ARCH_PHI3 ? 2 * (uint64_t)h->n_ff : h->n_ff);
    case TENSOR_FFN_DOWN:
        return matrix(h->n_ff, h->n_embd);
    case TENSOR_FFN_ROUTER:
        return matrix(h->n_embd, h->n_experts);
    case TENSOR_FFN_ROUTER_BIAS:
        return vector(h->n_experts);
    case TENSOR_EXPERTS_GATE_BIAS:
    case TENSOR_EXPERTS_UP_BIAS:
        return matrix(h->n_ff, h->n_experts);
    case TENSOR_EXPERTS_DOWN_BIAS:
        return matrix(h->n_embd, h->n_experts);
    case TENSOR_EXPERTS_GATE:
    case TENSOR_EXPERTS_UP:
        return matrices(h->n_embd, h->n_ff, h->n_experts);
    case TENSOR_EXPERTS_DOWN:
        return matrices(h->n_ff, h->n_embd, h->n_experts);
    case TENSOR_OUTPUT_NORM:
    case TENSOR_ATTN_NORM:
    case TENSOR_ATTN_POST_NORM:
    case TENSOR_ATTN_OUTPUT_BIAS:
    case TENSOR_FFN_NORM:
    case TENSOR_FFN_POST_NORM:
    case TENSOR_ROLE_COUNT:
        return vector(h->n_embd);
    default:
        return attention_shape(h, role);
    }
}
