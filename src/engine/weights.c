#include "engine/weights.h"

#include "base/mem.h"
#include "engine/weights_layout.h"
#include "kernels/kernels.h"
#include "model/gguf.h"
#include "model/tensors.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define CHUNK_BYTES        ((size_t)4 << 20) /* read and packed at a time, by one thread */
#define LOADER_THREADS_MAX 64

struct weights {
    const struct kernels *kernels;
    struct hparams hparams;
    struct span span;
    uint8_t *memory; /* all tensors */
    size_t memory_bytes, bytes_per_token;
    struct layer_weights *layers; /* [span's] */
    struct matrix embedding, output;
    const float *output_norm;
    struct gated *experts; /* [span's][n_experts], of all layers */
    struct rope_tables rope;
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

/* `offset`: where the matrix begins in the tensor's data. */
static void add_matrix_chunks(struct loader *loader, const struct gguf_tensor *tensor, uint64_t offset,
                              uint64_t row_bytes, const struct matrix *matrix, uint8_t *destination)
{
    uint32_t panel = loader->kernels->types[matrix->type].panel_rows;
    uint64_t n = CHUNK_BYTES / row_bytes / panel * panel;
    uint32_t rows = n < panel ? panel : n < matrix->n_rows ? (uint32_t)n : matrix->n_rows;

    for (uint32_t first = 0; first < matrix->n_rows;) {
        uint32_t left = matrix->n_rows - first, n_rows = left < rows ? left : rows;
        struct chunk chunk = {.tensor = tensor,
                              .matrix = *matrix,
                              .row_first = first,
                              .n_rows = n_rows,
                              .offset = offset + first * row_bytes,
                              .bytes = n_rows * row_bytes,
                              .destination = destination};
        add_chunk(loader, &chunk);
        first += n_rows;
    }
}

/* A matrix of its own from the rows [row_first, row_first + n_rows) of a tensor, counted through all its
 * dimensions. */
static struct matrix place_rows(struct loader *loader, enum tensor_role role, uint32_t layer,
                                uint64_t row_first, uint32_t n_rows)
{
    const struct gguf_tensor *tensor = tensor_table_get(loader->table, role, layer);
    struct matrix matrix = {.packed = NULL};

    if (!tensor)
        return matrix;
    uint64_t row_bytes = tensor->bytes / (tensor->dims[1] * tensor->dims[2]);
    matrix.type = (enum tensor_type)tensor->type;
    matrix.n_cols = (uint32_t)tensor->dims[0];
    matrix.n_rows = n_rows;
    uint8_t *destination =
        take_memory(loader, loader->kernels->types[matrix.type].packed_bytes(n_rows, matrix.n_cols));
    matrix.packed = destination;
    if (destination)
        add_matrix_chunks(loader, tensor, row_first * row_bytes, row_bytes, &matrix, destination);
    return matrix;
}

static size_t matrix_bytes(const struct loader *loader, const struct matrix *m)
{
    return m->n_rows ? loader->kernels->types[m->type].packed_bytes(m->n_rows, m->n_cols) : 0;
}

static struct matrix place_matrix(struct loader *loader, enum tensor_role role, uint32_t layer)
{
    const struct gguf_tensor *tensor = tensor_table_get(loader->table, role, layer);
    return place_rows(loader, role, layer, 0, tensor ? (uint32_t)tensor->dims[1] : 0);
}

static void place_qkv(struct loader *loader, uint32_t layer, struct layer_weights *out)
{
    const struct hparams *hp = &loader->weights->hparams;
    uint32_t n_q = hp->n_heads * hp->head_dim_k, n_k = hp->n_kv_heads * hp->head_dim_k;

    if (tensor_table_get(loader->table, TENSOR_ATTN_QKV, layer)) {
        out->q = place_rows(loader, TENSOR_ATTN_QKV, layer, 0, n_q);
        out->k = place_rows(loader, TENSOR_ATTN_QKV, layer, n_q, n_k);
        out->v = place_rows(loader, TENSOR_ATTN_QKV, layer, n_q + n_k, hp->n_kv_heads * hp->head_dim_v);
    } else {
        out->q = place_matrix(loader, TENSOR_ATTN_Q, layer);
        out->k = place_matrix(loader, TENSOR_ATTN_K, layer);
        out->v = place_matrix(loader, TENSOR_ATTN_V, layer);
    }
    out->q.bias = place_vector(loader, TENSOR_ATTN_Q_BIAS, layer);
    out->k.bias = place_vector(loader, TENSOR_ATTN_K_BIAS, layer);
    out->v.bias = place_vector(loader, TENSOR_ATTN_V_BIAS, layer);
}

static void place_feed_forward(struct loader *loader, uint32_t layer, struct gated *out)
{
    const struct gguf_tensor *up = tensor_table_get(loader->table, TENSOR_FFN_UP, layer);
    uint32_t n_ff = loader->weights->hparams.n_ff;

    if (up && up->dims[1] == 2 * (uint64_t)n_ff) { /* both in one, the gate first */
        out->gate = place_rows(loader, TENSOR_FFN_UP, layer, 0, n_ff);
        out->up = place_rows(loader, TENSOR_FFN_UP, layer, n_ff, n_ff);
    } else {
        out->gate = place_matrix(loader, TENSOR_FFN_GATE, layer);
        out->up = place_matrix(loader, TENSOR_FFN_UP, layer);
    }
    out->down = place_matrix(loader, TENSOR_FFN_DOWN, layer);
}

/* Each expert's row of the biases, NULL where there are none. */
static void place_expert_biases(struct loader *loader, uint32_t layer, struct gated *experts)
{
    const struct hparams *hp = &loader->weights->hparams;
    const float *gate = place_vector(loader, TENSOR_EXPERTS_GATE_BIAS, layer);
    const float *up = place_vector(loader, TENSOR_EXPERTS_UP_BIAS, layer);
    const float *down = place_vector(loader, TENSOR_EXPERTS_DOWN_BIAS, layer);

    for (uint32_t e = 0; e < hp->n_experts; e++) {
        experts[e].gate.bias = gate ? gate + (size_t)e * hp->n_ff : NULL;
        experts[e].up.bias = up ? up + (size_t)e * hp->n_ff : NULL;
        experts[e].down.bias = down ? down + (size_t)e * hp->n_embd : NULL;
    }
}

static void place_experts(struct loader *loader, uint32_t layer, struct layer_weights *out)
{
    struct weights *w = loader->weights;
    uint32_t n_ff = w->hparams.n_ff, n_embd = w->hparams.n_embd, n_experts = w->hparams.n_experts;

    if (!n_experts)
        return;
    out->router = place_matrix(loader, TENSOR_FFN_ROUTER, layer);
    out->router.bias = place_vector(loader, TENSOR_FFN_ROUTER_BIAS, layer);
    out->experts = w->experts + (size_t)(layer - w->span.first_layer) * n_experts;
    for (uint32_t e = 0; e < n_experts; e++)
        out->experts[e] = (struct gated){
            .gate = place_rows(loader, TENSOR_EXPERTS_GATE, layer, (uint64_t)e * n_ff, n_ff),
            .up = place_rows(loader, TENSOR_EXPERTS_UP, layer, (uint64_t)e * n_ff, n_ff),
            .down = place_rows(loader, TENSOR_EXPERTS_DOWN, layer, (uint64_t)e * n_embd, n_embd)};
    place_expert_biases(loader, layer, out->experts);
}

/* What one token reads of a layer: of the experts, those that it takes. */
static size_t layer_bytes_per_token(const struct loader *loader, const struct layer_weights *l)
{
    const struct gated *ffn = l->experts ? &l->experts[0] : &l->ffn;
    size_t n = l->experts ? loader->weights->hparams.n_experts_used : 1;
    return matrix_bytes(loader, &l->q) + matrix_bytes(loader, &l->k) + matrix_bytes(loader, &l->v) +
           matrix_bytes(loader, &l->attn_output) + matrix_bytes(loader, &l->router) +
           n * (matrix_bytes(loader, &ffn->gate) + matrix_bytes(loader, &ffn->up) +
                matrix_bytes(loader, &ffn->down));
}

static void place_layer(struct loader *loader, uint32_t layer, struct layer_weights *out)
{
    out->attn_norm = place_vector(loader, TENSOR_ATTN_NORM, layer);
    place_qkv(loader, layer, out);
    out->q_norm = place_vector(loader, TENSOR_ATTN_Q_NORM, layer);
    out->k_norm = place_vector(loader, TENSOR_ATTN_K_NORM, layer);
    out->attn_sinks = place_vector(loader, TENSOR_ATTN_SINKS, layer);
    out->attn_output = place_matrix(loader, TENSOR_ATTN_OUTPUT, layer);
    out->attn_output.bias = place_vector(loader, TENSOR_ATTN_OUTPUT_BIAS, layer);
    out->attn_post_norm = place_vector(loader, TENSOR_ATTN_POST_NORM, layer);
    out->ffn_norm = place_vector(loader, TENSOR_FFN_NORM, layer);
    place_feed_forward(loader, layer, &out->ffn);
    place_experts(loader, layer, out);
    out->ffn_post_norm = place_vector(loader, TENSOR_FFN_POST_NORM, layer);
    loader->weights->bytes_per_token += layer_bytes_per_token(loader, out);
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
    } else {
        w->output = place_matrix(loader, TENSOR_OUTPUT, TENSOR_NO_LAYER);
    }
    w->bytes_per_token += matrix_bytes(loader, &w->output);
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

/* --- the file ----------------------------------------------------------------------------------------------
 */

/* Says what lies where; as long as there is no memory, only how much it takes. */
static struct rope_factors place(struct loader *loader)
{
    place_all(loader);
    struct rope_factors factors = {.all = place_vector(loader, TENSOR_ROPE_FREQS, TENSOR_NO_LAYER),
                                   .within = place_vector(loader, TENSOR_ROPE_SHORT, TENSOR_NO_LAYER),
                                   .beyond = place_vector(loader, TENSOR_ROPE_LONG, TENSOR_NO_LAYER)};
    loader->weights->memory_bytes = loader->memory_used;
    return factors;
}

static enum status load_tensors(struct loader *loader, uint32_t n_threads, struct error *err)
{
    struct weights *w = loader->weights;

    (void)place(loader);
    w->memory = mem_try_large(w->memory_bytes);
    if (!w->memory)
        return error_set(err, STATUS_NO_MEMORY, "no memory for %zu bytes of weights", w->memory_bytes);
    struct rope_factors factors = place(loader);
    pthread_mutex_init(&loader->lock, NULL);
    enum status status = load_in_parallel(loader, n_threads, err);
    pthread_mutex_destroy(&loader->lock);
    return status ? status : rope_tables_make(&w->rope, &w->hparams, &factors, err);
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
    if (status)
        return status;
    size_t n_layers = w->span.end_layer - w->span.first_layer, n_experts = n_layers * w->hparams.n_experts;
    w->layers = mem_array(n_layers, sizeof *w->layers);
    w->experts = n_experts ? mem_try_large(n_experts * sizeof *w->experts) : NULL;
    if (n_experts && !w->experts)
        return error_set(err, STATUS_NO_MEMORY, "no memory for the places of %zu experts", n_experts);
    return STATUS_OK;
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
    mem_free(weights->experts);
    rope_tables_free(&weights->rope);
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

const struct rope_tables *weights_rope(const struct weights *weights)
{
    return &weights->rope;
}
