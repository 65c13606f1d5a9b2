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
    _Atomic bool is_bad; /* a value that is not finite came in or went out */
};

/* Rows of the matrices that are computed, span after span. */
struct batch_rows {
    uint32_t n;
    uint16_t span[ENGINE_BATCH_TOKENS_MAX];
    uint16_t of_step[ENGINE_BATCH_TOKENS_MAX]; /* which of its step's tokens */
    uint32_t positions[ENGINE_BATCH_TOKENS_MAX];
    uint32_t first_of_span[BATCH_SPANS_MAX + 1]; /* a span's end where the next one's begin */
};

struct batch {
    const struct hparams *hparams;
    uint32_t layer_first, layer_end;
    uint32_t n_spans;
    struct batch_span spans[BATCH_SPANS_MAX];
    struct batch_rows all;
    /* Those of which somebody reads what the last layer makes: of a prompt the last one at most. All others are
     * done with once their keys and values are stored there. Never none. */
    struct batch_rows wanted;
    /* Who holds what; parts stay while the batch runs. */
    const struct weights *parts[ENGINE_PARTS_MAX];
    uint16_t part_of_layer[MODEL_LAYERS_MAX];
    const struct weights *embedding, *output; /* NULL where none is held */
};

#endif
