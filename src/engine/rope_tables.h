/* rope_tables - by how much a position turns each pair: base, scaling and the file's factors in one. Internal
 * to the engine. Owned by the weights; immutable afterwards. */
#ifndef ENGINE_ROPE_TABLES_H
#define ENGINE_ROPE_TABLES_H

#include "base/error.h"
#include "model/hparams.h"

struct rope_factors { /* that the file has, each [n_rot / 2] or NULL */
    const float *all, *within, *beyond;
};

struct rope_tables {
    double *within;  /* [n_rot / 2] radians a position, for contexts up to hparams.rope_ctx_orig */
    double *beyond;  /* for longer ones; perhaps the same array */
    double *local;   /* of layers with a window; perhaps the same array */
    float magnitude; /* of cos and sin; local ones have 1 when they differ */
};

enum status rope_tables_make(struct rope_tables *out, const struct hparams *hparams,
                             const struct rope_factors *factors, struct error *err);
void rope_tables_free(struct rope_tables *tables);

#endif
