/* kernels - arithmetic on raw memory, as one table of functions for each level of instruction set.
 *
 * Every level gives the same bits (DESIGN section 8; ref/ is the meaning). Functions are pure: they keep
 * nothing, allocate nothing, start no thread, cannot fail; any number may run at once on different outputs.
 * Results depend neither on how rows are cut into ranges nor on which tokens are computed together.
 * Values that are not finite give NaN or infinity in what depends on them; which of them is not fixed.
 *
 * Every thread that computes calls kernels_thread_start() first. */
#ifndef KERNELS_KERNELS_H
#define KERNELS_KERNELS_H

#include "base/error.h"
#include "kernels/types.h"

#include <stddef.h>
#include <stdint.h>

#define ARITHMETIC_VERSION 2 /* of the rules; different versions never share a plan */
#define KERNELS_ALIGNMENT                                                                                      \
    64 /* of packed weights, prepared activations, tiles and partials: mem_try_aligned                         \
        */
#define KERNELS_LEVELS_MAX 5

/* --- matrices ---------------------------------------------------------------------------------------------
 *
 * A matrix has n_rows (outputs) of n_cols (inputs), n_cols a multiple of the type's block_elements. Its packed
 * form is private to the level and independent of how it was cut into pack() calls. Panels of panel_rows rows
 * lie one after the other, the last one padded: rows from a panel's first on are a matrix of their own, that
 * begins packed_bytes(the rows before, n_cols) behind. Both counts are at least 1 and below 2^31. */

/* Inputs of matmul in the form that a kind of weights wants, private to the level and to n_tokens: a range of
 * tokens of one buffer cannot be used as a buffer of its own. */
struct activation_part {
    uint32_t n_cols, n_tokens; /* of all */
    uint32_t token_first, token_end;
    uint32_t column_first, column_end; /* multiples of activation_columns, the end or n_cols */
};
static inline uint32_t activation_columns(enum tensor_type type) /* that are rounded together; 1: none */
{
    return tensor_type_info(type)->block_elements;
}
static inline struct activation_part activation_tokens(uint32_t n_cols, uint32_t n_tokens, uint32_t first,
                                                       uint32_t end)
{
    return (struct activation_part){n_cols, n_tokens, first, end, 0, n_cols};
}

struct activation_kernels {
    size_t (*bytes)(uint32_t n_cols, uint32_t n_tokens);
    /* Fills a part of `prepared`: its first column of token t is x[t * x_stride]. Parts may be filled in any
     * order by any threads. */
    void (*prepare)(void *prepared, const float *x, size_t x_stride, const struct activation_part *part);
};

struct matmul {
    const void *weights; /* packed; n_rows x n_cols */
    uint32_t n_rows, n_cols;
    const void *activations; /* prepared; n_tokens x n_cols */
    uint32_t n_tokens;
    float *out; /* row r of token t: out[t * out_stride + r]; any alignment */
    size_t out_stride;
};

struct type_kernels {
    const struct activation_kernels *activation; /* types with equal pointers share what was prepared */
    uint32_t panel_rows;
    size_t (*packed_bytes)(uint32_t n_rows, uint32_t n_cols);
    /* Packs rows [row_first, row_first + n), lying one after the other at `rows` as the file has them (any
     * alignment). row_first is a multiple of panel_rows; n as well unless the range ends at n_rows. */
    void (*pack)(void *packed, uint32_t n_rows, uint32_t n_cols, uint32_t row_first, uint32_t n,
                 const void *rows);
    /* One row as f32, from the packed form: embedding lookup. */
    void (*row)(float *out, const void *packed, uint32_t n_rows, uint32_t n_cols, uint32_t row);
    /* Rows [row_first, row_end); row_first a multiple of panel_rows, row_end as well or n_rows. */
    void (*matmul)(const struct matmul *m, uint32_t row_first, uint32_t row_end);
};

/* --- attention --------------------------------------------------------------------------------------------
 *
 * Keys and values of one layer lie in tiles of KV_TILE_POSITIONS absolute positions; position p is in tile
 * p / 64. Each tile gives a partial result for each query, partials are merged in ascending order of tiles,
 * starting with the first tile that a query sees or any before it. A tile needs no initialisation: what was
 * not stored has no influence. A sink is merged behind the last tile, as a partial of sum 1 without values. */

#define KV_TILE_POSITIONS 64

/* Q8_0: blocks of KV_BLOCK values of one head (the last one may be shorter), eight bits each and an f16 scale,
 * the least that is not below amax / 127. So what is read back is off by at most half of it. */
enum kv_element { KV_ELEMENT_F16, KV_ELEMENT_F32, KV_ELEMENT_Q8_0, KV_ELEMENT_COUNT };
#define KV_BLOCK 32

struct kv_layout {
    uint32_t n_kv_heads, head_dim_k, head_dim_v;
    enum kv_element element;
};

struct attention {
    struct kv_layout layout;
    uint32_t n_heads;      /* a multiple of n_kv_heads */
    uint32_t window;       /* a query at p sees positions above p - window, up to p; 0: all up to p */
    float scale;           /* of the scores, 1 / sqrt(head_dim_k) mostly */
    const float *sinks;    /* [n_heads] a score more for each query, of no value: takes its part; NULL: none */
    float softcap;         /* scaled scores become softcap * tanh(score / softcap); 0: they stay */
    const void *next_tile; /* what attend_tile will be asked for next, to be fetched meanwhile; NULL is fine */
};

/* Some tokens' queries, rope applied: head h of token t is q[t * q_stride + h * head_dim_k ...]. */
struct attention_queries {
    const float *q;
    size_t q_stride;
    const uint32_t *positions; /* of each token */
    uint32_t n_tokens;
};

/* --- vectors -------------------------------------------------------------------------------------------- */

enum rope_style { ROPE_PAIRS, ROPE_HALVES, ROPE_STYLE_COUNT }; /* x[2i], x[2i + 1] or x[i], x[i + n / 2] */

struct kernels {
    const char *level; /* "ref", "avx2", "avxvnni", "avx512", "amx", "neon": the values of SHOAL_CPU */
    struct type_kernels types[TENSOR_TYPE_COUNT]; /* filled where the type's can_compute is true */

    /* out = x / sqrt(mean(x^2) + eps) * weight; out may be x. */
    void (*rms_norm)(float *out, const float *x, const float *weight, uint32_t n, float eps);
    void (*add)(float *out, const float *a, const float *b,
                size_t n); /* out may be a or b; mul and gates too */
    void (*mul)(float *out, const float *a, const float *b, size_t n);
    void (*add_scaled)(float *out, const float *x, float scale, size_t n);    /* out = fma(x, scale, out) */
    void (*swiglu)(float *out, const float *gate, const float *up, size_t n); /* gate / (1 + exp(-gate)) * up */
    void (*geglu)(float *out, const float *gate, const float *up, size_t n);  /* gelu(gate), by tanh, * up */
    /* x / (1 + exp(-1.702 x)) * (y + 1), x = min(gate, 7), y = up within -7 and 7 */
    void (*swiglu_limited)(float *out, const float *gate, const float *up, size_t n);
    void (*softcap)(float *x, float cap, size_t n); /* cap * tanh(x / cap), in place */
    void (*softmax)(float *x, uint32_t n);          /* in place, n > 0 */
    /* Turns the first n_rot values of each head by the angles of kernels/rope.h (n_rot / 2 of each). */
    void (*rope[ROPE_STYLE_COUNT])(float *heads, uint32_t n_heads, uint32_t head_dim, uint32_t n_rot,
                                   const float *cos, const float *sin);

    /* Position `slot` of a tile: k is n_kv_heads x head_dim_k, v is n_kv_heads x head_dim_v. Different slots
     * may be stored at once. */
    void (*kv_store)(const struct kv_layout *layout, void *tile, uint32_t slot, const float *k, const float *v);
    /* The heads of one kv head over one tile: partials is n_tokens x (n_heads / n_kv_heads) partials. Tokens
     * that see nothing of the tile get an empty partial. */
    void (*attend_tile)(const struct attention *a, const void *tile, uint32_t tile_index, uint32_t kv_head,
                        const struct attention_queries *queries, float *partials);
    /* into = into merged with next (the later tile's), for n partials. */
    void (*attend_merge)(float *into, const float *next, uint32_t n, uint32_t head_dim_v);
    /* One head's result; zeros for an empty partial. */
    void (*attend_finish)(float *out, const float *partial, uint32_t head_dim_v);
};

/* Floats of one partial: largest score, sum, padding, accumulated values. */
#define ATTENTION_PARTIAL_HEAD 16
static inline size_t attention_partial_floats(uint32_t head_dim_v)
{
    return ATTENTION_PARTIAL_HEAD + ((size_t)head_dim_v + 15) / 16 * 16;
}
void attention_partials_clear(float *partials, uint32_t n, uint32_t head_dim_v); /* all empty */

/* A multiple of KERNELS_ALIGNMENT. */
size_t kv_tile_bytes(const struct kv_layout *layout);

/* The queries of one kv head over all tiles that they see, in order: out[t * out_stride + h * head_dim_v ...].
 * The same bits as tile by tile. `scratch` holds 2 * n_tokens * group partials. */
void kernels_attend(const struct kernels *k, const struct attention *a, void *const *tiles, uint32_t kv_head,
                    const struct attention_queries *queries, float *out, size_t out_stride, float *scratch);

/* --- levels --------------------------------------------------------------------------------------------- */

/* The level that SHOAL_CPU names, else this machine's best. BAD_USAGE when the machine or the program lacks it.
 */
enum status kernels_select(const struct kernels **out, struct error *err);
enum status kernels_select_level(const struct kernels **out, const char *name, struct error *err);
/* All levels of this machine, the best last; returns how many. */
uint32_t kernels_levels(const struct kernels *out[KERNELS_LEVELS_MAX]);

/* Rounds to nearest, ties to even; denormals are kept, in and out; no floating point exception traps. */
void kernels_thread_start(void);

#endif
