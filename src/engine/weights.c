#include "engine/weights.h"

#include "base/mem.h"
#include "engine/weights_layout.h"
#include "kernels/kernels.h"
#include "kernels/rope.h"
#include "model/gguf.h"
#include "model/tensors.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define CHUNK_BYTES         ((size_t)4 << 20) /* read and packed at a time, by one thread */
#define LOADER_THREADS_MAX  64
#define WEIGHTS_ROPE_FACTOR 1e-6F /* a factor this small would only overflow angles */

struct weights {
    const struct kernels *kernels;
    struct hparams hparams;
    struct span span;
    uint8_t *memory; /* all tensors */
    size_t memory_bytes, bytes_per_token;
    struct layer_weights *layers; /* [span's] */
    struct matrix embedding, output;
    const float *output_norm;
    double *rope_frequencies; /* [n_rot / 2] */
};

/* --- what goes where ---------------------------------------------------------------------------------------
 */

struct chunk { /* rows of a matrix, or all of a vector (packed NULL) */
    const struct gguf_tensor *tensor;
    struct matrix matrix;
    uint32_t row_first, n_rows;
    uint64_t offset;
    size_t bytes;
    uint8_t *destination;
};

struct loader {
    const struct gguf *gguf;
    const struct kernels *kernels;
    const struct weights_progress *progress;
    struct weights *weights;
    struct tensor_table *table;
    size_t memory_used;
    struct chunk *chunks;
    size_t n_chunks, chunks_capacity;
    uint64_t bytes_total;

    _Atomic size_t next;
    pthread_mutex_t lock; /* for what follows */
    uint64_t bytes_done;
    enum status status;
    struct error err;
};

/* The first pass (memory is NULL) only counts. */
static uint8_t *take_memory(struct loader *loader, size_t bytes)
{
    size_t at = loader->memory_used;
    loader->memory_used += (bytes + KERNELS_ALIGNMENT - 1) / KERNELS_ALIGNMENT * KERNELS_ALIGNMENT;
    return loader->weights->memory ? loader->weights->memory + at : NULL;
}

static void add_chunk(struct loader *loader, const struct chunk *chunk)
{
    if (loader->n_chunks == loader->chunks_capacity) {
        loader->chunks_capacity = 2 * loader->chunks_capacity + 64;
        loader->chunks = mem_resize(loader->chunks, loader->chunks_capacity, sizeof *loader->chunks);
    }
    loader->chunks[loader->n_chunks++] = *chunk;
    loader->bytes_total += chunk->bytes;
}

static const float *place_vector(struct loader *loader, enum tensor_role role, uint32_t layer)
{
    const struct gguf_tensor *tensor = tensor_table_get(loader->table, role, layer);
    if (!tensor)
        return NULL;
    struct chunk chunk = {.tensor = tensor, .bytes = tensor->bytes};
    chunk.destination = take_memory(loader, tensor->bytes);
    if (chunk.destination)
        add_chunk(loader, &chunk);
    return (const float *)(const void *)chunk.destination;
}

static void add_matrix_chunks(struct loader *loader, const struct gguf_tensor *tensor,
                              const struct matrix *matrix, uint8_t *destination)
{
    uint32_t panel = loader->kernels->types[matrix->type].panel_rows;
    uint64_t row_bytes = tensor->bytes / matrix->n_rows;
    uint64_t n = CHUNK_BYTES / row_bytes / panel * panel;
    uint32_t rows = n < panel ? panel : n < matrix->n_rows ? (uint32_t)n : matrix->n_rows;

    for (uint32_t first = 0; first < matrix->n_rows;) {
        uint32_t left = matrix->n_rows - first, n_rows = left < rows ? left : rows;
        struct chunk chunk = {.tensor = tensor,
                              .matrix = *matrix,
                              .row_first = first,
                              .n_rows = n_rows,
                              .offset = first * row_bytes,
                              .bytes = n_rows * row_bytes,
                              .destination = destination};
        add_chunk(loader, &chunk);
        first += n_rows;
    }
}

static struct matrix place_matrix(struct loader *loader, enum tensor_role role, uint32_t layer)
{
    const struct gguf_tensor *tensor = tensor_table_get(loader->table, role, layer);
    struct matrix matrix = {.packed = NULL};

    if (!tensor)
        return matrix;
    matrix.type = (enum tensor_type)tensor->type;
    matrix.n_cols = (uint32_t)tensor->dims[0];
    matrix.n_rows = (uint32_t)tensor->dims[1];
    size_t bytes = loader->kernels->types[matrix.type].packed_bytes(matrix.n_rows, matrix.n_cols);
    uint8_t *destination = take_memory(loader, bytes);
    matrix.packed = destination;
    if (destination)
        add_matrix_chunks(loader, tensor, &matrix, destination);
    if (role != TENSOR_TOKEN_EMBD)
        loader->weights->bytes_per_token += bytes;
    return matrix;
}

static void place_layer(struct loader *loader, uint32_t layer, struct layer_weights *out)
{
    out->attn_norm = place_vector(loader, TENSOR_ATTN_NORM, layer);
    out->q = place_matrix(loader, TENSOR_ATTN_Q, layer);
    out->k = place_matrix(loader, TENSOR_ATTN_K, layer);
    out->v = place_matrix(loader, TENSOR_ATTN_V, layer);
    out->attn_output = place_matrix(loader, TENSOR_ATTN_OUTPUT, layer);
    out->ffn_norm = place_vector(loader, TENSOR_FFN_NORM, layer);
    out->gate = place_matrix(loader, TENSOR_FFN_GATE, layer);
    out->up = place_matrix(loader, TENSOR_FFN_UP, layer);
    out->down = place_matrix(loader, TENSOR_FFN_DOWN, layer);
}

static void place_all(struct loader *loader)
{
    struct weights *w = loader->weights;

    loader->memory_used = w->bytes_per_token = 0;
    if (w->span.embedding)
        w->embedding = place_matrix(loader, TENSOR_TOKEN_EMBD, TENSOR_NO_LAYER);
    for (uint32_t layer = w->span.first_layer; layer < w->span.end_layer; layer++)
        place_layer(loader, layer, &w->layers[layer - w->span.first_layer]);
    if (!w->span.output)
        return;
    w->output_norm = place_vector(loader, TENSOR_OUTPUT_NORM, TENSOR_NO_LAYER);
    if (w->span.embedding && tensor_table_is_tied(loader->table)) { /* held once, used twice */
        w->output = w->embedding;
        w->bytes_per_token +=
            loader->kernels->types[w->output.type].packed_bytes(w->output.n_rows, w->output.n_cols);
    } else {
        w->output = place_matrix(loader, TENSOR_OUTPUT, TENSOR_NO_LAYER);
    }
}

/* --- reading and packing -----------------------------------------------------------------------------------
 */

/* Lock held. */
static void loader_fail(struct loader *loader, enum status status, const struct error *err)
{
    if (loader->status)
        return;
    loader->status = status;
    loader->err = *err;
}

static bool is_cancelled(const struct loader *loader)
{
    const struct weights_progress *p = loader->progress;
    return p && p->cancel && __atomic_load_n(p->cancel, __ATOMIC_RELAXED);
}

static enum status load_chunk(struct loader *loader, const struct chunk *chunk, void *buffer, struct error *err)
{
    void *into = chunk->matrix.packed ? buffer : chunk->destination;

    if (is_cancelled(loader))
        return error_set(err, STATUS_CANCELLED, "loading was cancelled");
    enum status status = gguf_read_tensor(loader->gguf, chunk->tensor, chunk->offset, into, chunk->bytes, err);
    if (!status && chunk->matrix.packed)
        loader->kernels->types[chunk->matrix.type].pack(chunk->destination, chunk->matrix.n_rows,
                                                        chunk->matrix.n_cols, chunk->row_first, chunk->n_rows,
                                                        buffer);
    return status;
}

/* False: this thread should stop. */
static bool chunk_ended(struct loader *loader, const struct chunk *chunk, enum status status,
                        const struct error *err)
{
    pthread_mutex_lock(&loader->lock);
    if (status)
        loader_fail(loader, status, err);
    else
        loader->bytes_done += chunk->bytes;
    if (!loader->status && loader->progress && loader->progress->report)
        loader->progress->report(loader->progress->arg, loader->bytes_done, loader->bytes_total);
    bool goes_on = !loader->status;
    pthread_mutex_unlock(&loader->lock);
    return goes_on;
}

static void *load_chunks(void *arg)
{
    struct loader *loader = arg;
    size_t largest = 0;
    struct error err = {.status = STATUS_OK};

    for (size_t i = 0; i < loader->n_chunks; i++)
        if (loader->chunks[i].matrix.packed && loader->chunks[i].bytes > largest)
            largest = loader->chunks[i].bytes;
    void *buffer = mem_try_large(largest);
    if (!buffer) {
        error_set(&err, STATUS_NO_MEMORY, "no memory for a buffer of %zu bytes", largest);
        chunk_ended(loader, NULL, STATUS_NO_MEMORY, &err);
        return NULL;
    }
    kernels_thread_start();
    for (size_t i; (i = atomic_fetch_add(&loader->next, 1)) < loader->n_chunks;) {
        enum status status = load_chunk(loader, &loader->chunks[i], buffer, &err);
        if (!chunk_ended(loader, &loader->chunks[i], status, &err))
            break;
    }
    mem_free(buffer);
    return NULL;
}

static enum status load_in_parallel(struct loader *loader, uint32_t n_threads, struct error *err)
{
    pthread_t threads[LOADER_THREADS_MAX];
    uint32_t n_started = 0;

    n_threads = n_threads < 1 ? 1 : n_threads > LOADER_THREADS_MAX ? LOADER_THREADS_MAX : n_threads;
    while (n_started < n_threads && !pthread_create(&threads[n_started], NULL, load_chunks, loader))
        n_started++;
    for (uint32_t i = 0; i < n_started; i++)
        pthread_join(threads[i], NULL);
    if (!n_started)
        return error_set(err, STATUS_NO_MEMORY, "no thread could be started to load weights");
    if (loader->status && err)
        *err = loader->err;
    return loader->status;
}

/* --- rotary frequencies ------------------------------------------------------------------------------------
 */

static enum status make_rope(struct weights *w, const float *factors, struct error *err)
{
    uint32_t n_pairs = w->hparams.n_rot / 2;

    for (uint32_t i = 0; factors && i < n_pairs; i++)
        if (!(factors[i] >= WEIGHTS_ROPE_FACTOR && factors[i] <= 1 / WEIGHTS_ROPE_FACTOR))
            return error_set(err, STATUS_BAD_DATA,
                             "rope_freqs.weight: factor %u is %g; it must be from %g to %g", i,
                             (double)factors[i], (double)WEIGHTS_ROPE_FACTOR, 1 / (double)WEIGHTS_ROPE_FACTOR);
    w->rope_frequencies = mem_array(n_pairs, sizeof *w->rope_frequencies);
    if (!n_pairs)
        return STATUS_OK;
    rope_frequencies(w->rope_frequencies, w->hparams.n_rot, w->hparams.rope_freq_base, factors);
    if (w->hparams.rope_scaling == ROPE_SCALING_LINEAR)
        for (uint32_t i = 0; i < n_pairs; i++)
            w->rope_frequencies[i] /= (double)w->hparams.rope_scale;
    return STATUS_OK;
}

/* --- the file ----------------------------------------------------------------------------------------------
 */

/* Says what lies where; as long as there is no memory, only how much it takes. */
static const float *place(struct loader *loader)
{
    place_all(loader);
    const float *rope_factors = place_vector(loader, TENSOR_ROPE_FREQS, TENSOR_NO_LAYER);
    loader->weights->memory_bytes = loader->memory_used;
    return rope_factors;
}

static enum status load_tensors(struct loader *loader, uint32_t n_threads, struct error *err)
{
    struct weights *w = loader->weights;

    (void)place(loader);
    w->memory = mem_try_large(w->memory_bytes);
    if (!w->memory)
        return error_set(err, STATUS_NO_MEMORY, "no memory for %zu bytes of weights", w->memory_bytes);
    const float *rope_factors = place(loader);
    pthread_mutex_init(&loader->lock, NULL);
    enum status status = load_in_parallel(loader, n_threads, err);
    pthread_mutex_destroy(&loader->lock);
    return status ? status : make_rope(w, rope_factors, err);
}

/* Opens and checks the file; *loader borrows from both. */
static enum status loader_open(struct loader *loader, struct weights *w, struct gguf **gguf, const char *path,
                               const struct kernels *kernels, struct error *err)
{
    enum status status = gguf_open(gguf, path, err);

    w->kernels = kernels;
    *loader = (struct loader){.gguf = *gguf, .kernels = kernels, .weights = w};
    if (!status)
        status = hparams_read(&w->hparams, *gguf, err);
    if (!status)
        status = span_read(&w->span, NULL, NULL, *gguf, &w->hparams, err);
    if (!status)
        status = tensor_table_bind(&loader->table, *gguf, &w->hparams, &w->span, err);
    if (!status)
        w->layers = mem_array(w->span.end_layer - w->span.first_layer, sizeof *w->layers);
    return status;
}

static void loader_close(struct loader *loader, struct gguf *gguf)
{
    tensor_table_free(loader->table);
    mem_free(loader->chunks);
    gguf_close(gguf);
}

enum status weights_load(struct weights **out, const char *path, const struct kernels *kernels,
                         uint32_t n_threads, const struct weights_progress *progress, struct error *err)
{
    struct weights *weights = mem_new(sizeof *weights);
    struct gguf *gguf = NULL;
    struct loader loader;
    enum status status = loader_open(&loader, weights, &gguf, path, kernels, err);

    loader.progress = progress;
    if (!status)
        status = load_tensors(&loader, n_threads, err);
    loader_close(&loader, gguf);
    if (status) {
        weights_free(weights);
        return status;
    }
    *out = weights;
    return STATUS_OK;
}

enum status weights_measure(struct weights_size *out, const char *path, const struct kernels *kernels,
                            struct error *err)
{
    struct weights *weights = mem_new(sizeof *weights);
    struct gguf *gguf = NULL;
    struct loader loader;
    enum status status = loader_open(&loader, weights, &gguf, path, kernels, err);

    if (!status) {
        (void)place(&loader);
        *out = (struct weights_size){.hparams = weights->hparams,
                                     .first_layer = weights->span.first_layer,
                                     .end_layer = weights->span.end_layer,
                                     .bytes = weights->memory_bytes,
                                     .file_bytes = gguf_tensor_bytes(gguf)};
    }
    loader_close(&loader, gguf);
    weights_free(weights);
    return status;
}

void weights_free(struct weights *weights)
{
    if (!weights)
        return;
    mem_free(weights->memory);
    mem_free(weights->layers);
    mem_free(weights->rope_frequencies);
    mem_free(weights);
}

/* --- what is there -----------------------------------------------------------------------------------------
 */

const struct hparams *weights_hparams(const struct weights *weights)
{
    return &weights->hparams;
}

const struct kernels *weights_kernels(const struct weights *weights)
{
    return weights->kernels;
}

uint32_t weights_first_layer(const struct weights *weights)
{
    return weights->span.first_layer;
}

uint32_t weights_end_layer(const struct weights *weights)
{
    return weights->span.end_layer;
}

bool weights_has_embedding(const struct weights *weights)
{
    return weights->span.embedding;
}

bool weights_has_output(const struct weights *weights)
{
    return weights->span.output;
}

size_t weights_bytes(const struct weights *weights)
{
    return weights->memory_bytes;
}

size_t weights_bytes_per_token(const struct weights *weights)
{
    return weights->bytes_per_token;
}

const struct layer_weights *weights_layer(const struct weights *weights, uint32_t layer)
{
    ASSERT(layer >= weights->span.first_layer && layer < weights->span.end_layer);
    return &weights->layers[layer - weights->span.first_layer];
}

const struct matrix *weights_embedding(const struct weights *weights)
{
    return &weights->embedding;
}

const struct matrix *weights_output(const struct weights *weights)
{
    return &weights->output;
}

const float *weights_output_norm(const struct weights *weights)
{
    return weights->output_norm;
}

const double *weights_rope_frequencies(const struct weights *weights)
{
    return weights->rope_frequencies;
}
