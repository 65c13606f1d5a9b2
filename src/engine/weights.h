/* weights - the tensors of one file (a whole model or a shard) in memory, in the layout that this
 * machine's kernels use, held once.
 *
 * Loading reads the file (never maps it), checks every tensor's type and shape against the
 * hyper-parameters before the first multiply, and repacks in parallel; what is read is released as it is
 * repacked. Immutable afterwards. Thread: weights_load on any but the loop; the rest from any. */
#ifndef ENGINE_WEIGHTS_H
#define ENGINE_WEIGHTS_H

#include "base/error.h"
#include "model/hparams.h"

#include <stddef.h>
#include <stdint.h>

struct kernels;
struct weights;

struct weights_progress {
    void (*report)(void *arg, uint64_t bytes_done, uint64_t bytes_total); /* NULL is fine */
    void *arg;
    const bool *cancel; /* NULL, or set from another thread to stop (STATUS_CANCELLED) */
};

/* `path`: a GGUF file; llama.cpp split parts are found from the first. With the keys shoal.shard.* only the
 * span's layers are expected, without them all. Errors name file, tensor, expected and found. */
enum status weights_load(struct weights **out, const char *path, const struct kernels *kernels,
                         uint32_t n_threads, const struct weights_progress *progress, struct error *err);
void weights_free(struct weights *weights);

/* What a file's weights would take, from its header alone (all of it was checked as for loading). */
struct weights_size {
    struct hparams hparams;
    uint32_t first_layer, end_layer;
    size_t bytes;      /* in memory; loading takes a few MiB more for each thread */
    size_t file_bytes; /* of tensors */
};
enum status weights_measure(struct weights_size *out, const char *path, const struct kernels *kernels,
                            struct error *err);

const struct hparams *weights_hparams(const struct weights *weights);
const struct kernels *weights_kernels(const struct weights *weights); /* whose layout they are in */
uint32_t weights_first_layer(const struct weights *weights);
uint32_t weights_end_layer(const struct weights *weights);
bool weights_has_embedding(const struct weights *weights);
bool weights_has_output(const struct weights *weights);
size_t weights_bytes(const struct weights *weights);           /* in memory */
size_t weights_bytes_per_token(const struct weights *weights); /* that decoding one token reads */

#endif
