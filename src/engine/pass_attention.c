/* The operations between the matrices of attention: keys and values into their tiles, queries over them. */
#include "engine/pass_private.h"

#include <string.h>

/* Queries of a part, enough of them for a tile's keys and values to be made f32 once for all. */
#define ATTEND_QUERIES_A_PART 64
#define ATTEND_ROWS_MIN       8 /* that are worth a part of their own */
#define ATTEND_PARTS_A_WORKER 4

static const enum kv_element elements[KV_TYPE_COUNT] = {
    [KV_F16] = KV_ELEMENT_F16, [KV_F32] = KV_ELEMENT_F32, [KV_Q8_0] = KV_ELEMENT_Q8_0};

struct kv_layout pass_kv_layout(const struct hparams *hparams, enum kv_type kv_type)
{
    return (struct kv_layout){.n_kv_heads = hparams->n_kv_heads,
                              .head_dim_k = hparams->head_dim_k,
                              .head_dim_v = hparams->head_dim_v,
                              .element = elements[kv_type]};
}

static void *const *tiles_of(const struct pass *pass, const struct batch_span *span, uint32_t layer)
{
    uint16_t part = pass->batch->part_of_layer[layer];
    return kv_cache_tiles(span->sequence->caches[part], layer - weights_first_layer(pass->batch->parts[part]));
}

static struct kv_layout layout_of(const struct pass *pass, const struct batch_span *span)
{
    return pass_kv_layout(pass->hparams, span->sequence->is_probe ? KV_F16 : pass->kv_type);
}

struct layer_part {
    const struct pass *pass;
    const struct layer_weights *weights;
    uint32_t layer;
    enum rope_style style;
    uint32_t rows_a_part; /* of attention */
};

static void norm_heads(const struct pass *pass, float *heads, uint32_t n_heads, uint32_t head_dim,
                       const float *norm)
{
    if (pass->hparams->norm_spans_heads) {
        head_dim *= n_heads;
        n_heads = 1;
    }
    for (uint32_t h = 0; norm && h < n_heads; h++)
        pass->kernels->rms_norm(heads + (size_t)h * head_dim, heads + (size_t)h * head_dim, norm, head_dim,
                                pass->hparams->norm_eps);
}

static void turn_heads(const struct layer_part *part, uint32_t row, float *q, float *k)
{
    const struct hparams *hp = part->pass->hparams;
    const struct pass_buffers *b = part->pass->buffers;
    bool is_local = b->cos_local && hparams_layer_window(hp, part->layer);
    size_t at = (size_t)row * (hp->n_rot / 2);
    const float *cos = (is_local ? b->cos_local : b->cos) + at, *sin = (is_local ? b->sin_local : b->sin) + at;

    if (!hparams_layer_has_rope(hp, part->layer))
        return;
    part->pass->kernels->rope[part->style](q, hp->n_heads, hp->head_dim_k, hp->n_rot, cos, sin);
    part->pass->kernels->rope[part->style](k, hp->n_kv_heads, hp->head_dim_k, hp->n_rot, cos, sin);
}

static void store_row(const struct layer_part *part, uint32_t row)
{
    const struct pass *pass = part->pass;
    const struct hparams *hp = pass->hparams;
    const struct layer_weights *w = part->weights;
    const struct batch_span *span = &pass->batch->spans[pass->rows->span[row]];
    struct kv_layout layout = layout_of(pass, span);
    size_t n_q = (size_t)hp->n_heads * hp->head_dim_k, n_k = (size_t)hp->n_kv_heads * hp->head_dim_k;
    size_t n_v = (size_t)hp->n_kv_heads * hp->head_dim_v;
    uint32_t position = pass->rows->positions[row];
    float *q = pass->buffers->q + row * n_q, *k = pass->buffers->k + row * n_k,
          *v = pass->buffers->v + row * n_v;

    norm_heads(pass, q, hp->n_heads, hp->head_dim_k, w->q_norm);
    norm_heads(pass, k, hp->n_kv_heads, hp->head_dim_k, w->k_norm);
    turn_heads(part, row, q, k);
    pass->kernels->kv_store(&layout, tiles_of(pass, span, part->layer)[position / KV_TILE_POSITIONS],
                            position % KV_TILE_POSITIONS, k, v);
}

static void run_store(void *arg, uint32_t index, uint32_t worker)
{
    const struct layer_part *part = arg;
    uint32_t first = index * PASS_ROWS_A_PART, end = pass_min(first + PASS_ROWS_A_PART, part->pass->n_rows);
    (void)worker;
    for (uint32_t row = first; row < end; row++)
        store_row(part, row);
}

void pass_store(struct pass *pass, const struct layer_weights *weights, uint32_t layer, enum rope_style style)
{
    struct layer_part part = {.pass = pass, .weights = weights, .layer = layer, .style = style};
    crew_share(pass->crew, pass_n_blocks(pass->n_rows, PASS_ROWS_A_PART), run_store, &part);
}

static uint32_t rows_a_part_max(const struct hparams *hp)
{
    uint32_t rows = ATTEND_QUERIES_A_PART / (hp->n_heads / hp->n_kv_heads);
    return rows < ATTEND_ROWS_MIN ? ATTEND_ROWS_MIN : rows;
}

size_t pass_partials_floats(const struct hparams *hp)
{
    size_t group = hp->n_heads / hp->n_kv_heads;
    return 2 * rows_a_part_max(hp) * group * attention_partial_floats(hp->head_dim_v);
}

/* Rows [first, end) of one span for one kv head. */
static void attend_rows(const struct layer_part *part, const struct batch_span *span, uint32_t first,
                        uint32_t end, uint32_t kv_head, uint32_t worker)
{
    const struct pass *pass = part->pass;
    const struct hparams *hp = pass->hparams;
    const struct pass_buffers *b = pass->buffers;
    size_t q_stride = (size_t)hp->n_heads * hp->head_dim_k, out_stride = (size_t)hp->n_heads * hp->head_dim_v;
    struct attention attention = {.layout = layout_of(pass, span),
                                  .n_heads = hp->n_heads,
                                  .window = hparams_layer_window(hp, part->layer),
                                  .scale = hp->attn_scale,
                                  .softcap = hp->attn_softcap,
                                  .sinks = pass_layer(pass, part->layer)->attn_sinks};
    struct attention_queries queries = {.q = b->q + first * q_stride,
                                        .q_stride = q_stride,
                                        .positions = pass->rows->positions + first,
                                        .n_tokens = end - first};
    kernels_attend(pass->kernels, &attention, tiles_of(pass, span, part->layer), kv_head, &queries,
                   b->attended + first * out_stride, out_stride, b->partials + worker * b->partials_stride);
}

static uint32_t blocks_of_span(const struct batch_rows *rows, uint32_t span, uint32_t rows_a_part)
{
    return pass_n_blocks(rows->first_of_span[span + 1] - rows->first_of_span[span], rows_a_part);
}

/* Parts: blocks of rows that do not cross spans, times kv heads. */
static void run_attend(void *arg, uint32_t index, uint32_t worker)
{
    const struct layer_part *part = arg;
    const struct pass *pass = part->pass;
    uint32_t n_kv_heads = pass->hparams->n_kv_heads;
    uint32_t block = index / n_kv_heads, i = 0, n;

    while (block >= (n = blocks_of_span(pass->rows, i, part->rows_a_part))) {
        block -= n;
        i++;
    }
    uint32_t first = pass->rows->first_of_span[i] + block * part->rows_a_part;
    uint32_t end = pass_min(first + part->rows_a_part, pass->rows->first_of_span[i + 1]);
    attend_rows(part, &pass->batch->spans[i], first, end, index % n_kv_heads, worker);
}

static uint32_t n_blocks(const struct pass *pass, uint32_t rows_a_part)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < pass->batch->n_spans; i++)
        n += blocks_of_span(pass->rows, i, rows_a_part);
    return n;
}

/* x and q of the wanted rows to the front. One part: rows move into each other's places. */
static void run_keep_wanted(void *arg, uint32_t index, uint32_t worker)
{
    const struct pass *pass = arg;
    const struct batch *batch = pass->batch;
    size_t n_embd = pass->hparams->n_embd, n_q = (size_t)pass->hparams->n_heads * pass->hparams->head_dim_k;
    float *x = pass->buffers->x, *q = pass->buffers->q;
    (void)index, (void)worker;

    for (uint32_t to = 0; to < batch->wanted.n; to++) {
        uint32_t from = batch->all.first_of_span[batch->wanted.span[to]] + batch->wanted.of_step[to];
        if (from == to)
            continue;
        memcpy(x + to * n_embd, x + from * n_embd, n_embd * sizeof *x);
        memcpy(q + to * n_q, q + from * n_q, n_q * sizeof *q);
    }
}

static void keep_wanted(struct pass *pass)
{
    if (pass->batch->wanted.n == pass->n_rows)
        return;
    crew_share(pass->crew, 1, run_keep_wanted, pass);
    pass->rows = &pass->batch->wanted;
    pass->n_rows = pass->rows->n;
}

void pass_attend(struct pass *pass, uint32_t layer)
{
    struct layer_part part = {.pass = pass, .layer = layer, .rows_a_part = rows_a_part_max(pass->hparams)};
    uint32_t n_kv_heads = pass->hparams->n_kv_heads;

    if (layer + 1 == pass->batch->layer_end)
        keep_wanted(pass);
    while (part.rows_a_part > ATTEND_ROWS_MIN &&
           n_blocks(pass, part.rows_a_part) * n_kv_heads < pass->n_workers * ATTEND_PARTS_A_WORKER)
        part.rows_a_part /= 2;
    crew_share(pass->crew, n_blocks(pass, part.rows_a_part) * n_kv_heads, run_attend, &part);
}
