/* batch - the steps that are computed together: rows of several sequences at several positions, one range of
 * layers. Internal to the engine; filled by engine.c, computed by forward.c. Thread: the engine's. */
#ifndef ENGINE_BATCH_H
#define ENGINE_BATCH_H

#include "engine/engine.h"
#include "engine/sequences.h"

#define BATCH_SPANS_MAX 256
#define BATCH_NO_PART   UINT16_MAX

struct batch_span { /* one step's rows */
    struct engine_step *step;
    struct sequence *sequence;
    uint32_t first_row;
    _Atomic bool is_bad; /* a value that is not finite came in or went out */
};

struct batch {
    const struct hparams *hparams;
    uint32_t layer_first, layer_end;
    uint32_t n_rows, n_spans;
    struct batch_span spans[BATCH_SPANS_MAX];
    uint16_t span_of_row[ENGINE_BATCH_TOKENS_MAX];
    uint32_t positions[ENGINE_BATCH_TOKENS_MAX];
    uint32_t tokens[ENGINE_BATCH_TOKENS_MAX];
    /* Who holds what; parts stay while the batch runs. */
    const struct weights *parts[ENGINE_PARTS_MAX];
    uint16_t part_of_layer[MODEL_LAYERS_MAX];
    const struct weights *embedding, *output; /* NULL where none is held */
};

#endif
