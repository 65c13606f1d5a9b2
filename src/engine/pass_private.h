/* pass_private - how operations are cut into parts. Internal to pass*.c. */
#ifndef ENGINE_PASS_PRIVATE_H
#define ENGINE_PASS_PRIVATE_H

#include "engine/pass.h"

/* Sizes are measured compromises: a part must be worth its turn at the team's counter (about 0.1 us), and there
 * must be enough of them to keep all workers busy to the end. */
#define PASS_ROWS_A_PART    8 /* of the batch, for work on vectors */
#define PASS_PARTS_A_WORKER 4 /* of a matrix */

static inline uint32_t pass_min(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static inline uint32_t pass_n_blocks(uint32_t n, uint32_t of)
{
    return n / of + (n % of != 0);
}

void pass_each_row(struct pass *pass, void (*row)(const struct pass *pass, uint32_t row));

/* Rows of a part of a matrix, of which there are n_matrices that n_tokens each go through. */
uint32_t pass_rows_a_part(const struct pass *pass, const struct matrix *m, uint32_t panel, uint32_t n_tokens,
                          uint32_t n_matrices);
/* Rows that are whole panels of both. */
uint32_t pass_gated_panel(const struct pass *pass, const struct matrix *gate, const struct matrix *up);

void *pass_prepared(const struct pass *pass, const struct matrix *matrix); /* what the matrix reads next */
/* Rows [first, end) of m's product: adds the bias, if any. */
void pass_add_bias(const struct kernels *kernels, const struct matrix *m, const struct matmul *product,
                   uint32_t first, uint32_t end);
/* out = act(gate) * up; out may be one of them. */
void pass_gate(const struct kernels *kernels, enum gate_act act, float *out, const float *gate, const float *up,
               size_t n);

#endif
