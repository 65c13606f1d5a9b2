/* experts - a feed-forward in many copies, of which each token takes a few: operations of a pass, and the
 * memory that they need. Internal to the engine.
 *
 * Tokens are gathered by expert, so that an expert's matrices are read once for a batch. The rule (DESIGN
 * section 8): n_experts_used are taken, of equals the lower id, and results are added by ascending id, each as
 * fma(result, share, sum).
 * EXPERTS_OF_ALL: the likeliest by the softmax of the router's product; a share is the probability divided by
 * the sum of those taken, added by ascending id. EXPERTS_OF_TAKEN: those of the largest products; shares are
 * the softmax of the products taken, in ascending order of ids. */
#ifndef ENGINE_EXPERTS_H
#define ENGINE_EXPERTS_H

#include <stddef.h>
#include <stdint.h>

struct activation_kernels;

enum expert_shares { EXPERTS_OF_ALL, EXPERTS_OF_TAKEN };

/* A pair is one row of the batch and one of its experts; pairs are numbered by expert, then by row. */
struct expert_buffers {
    float *scores;        /* [n_rows][n_experts]: the router's product */
    uint32_t *ids;        /* [n_rows][n_used], ascending; then the pairs' numbers */
    float *shares;        /* [n_rows][n_used] */
    uint32_t *rows;       /* [pairs] */
    uint32_t *first_pair; /* [n_experts + 1] */
    uint32_t *active;     /* [n_experts]: those that have pairs, then UINT32_MAX */
    float *gate, *up;     /* [pairs][n_ff] */
    float *out;           /* [pairs][n_embd] */
    uint8_t *prepared[2]; /* inputs of gate and up: of their kind each, of the first where it is the same */
    size_t prepared_bytes;
};

/* That the inputs of one kind may take, however pairs are shared out. */
size_t experts_prepared_bytes(const struct activation_kernels *kind, uint32_t n_cols, uint32_t n_pairs,
                              uint32_t n_experts);

#endif
