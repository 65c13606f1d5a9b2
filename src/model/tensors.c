#include "model/tensors.h"

#include "base/mem.h"
#include "kernels/types.h"
#include "model/shards.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const role_names[TENSOR_ROLE_COUNT] = {
    [TENSOR_TOKEN_EMBD] = "token_embd",   [TENSOR_OUTPUT_NORM] = "output_norm",
    [TENSOR_OUTPUT] = "output",           [TENSOR_ROPE_FREQS] = "rope_freqs",
    [TENSOR_ATTN_NORM] = "attn_norm",     [TENSOR_ATTN_Q] = "attn_q",
    [TENSOR_ATTN_K] = "attn_k",           [TENSOR_ATTN_V] = "attn_v",
    [TENSOR_ATTN_OUTPUT] = "attn_output", [TENSOR_FFN_NORM] = "ffn_norm",
    [TENSOR_FFN_GATE] = "ffn_gate",       [TENSOR_FFN_DOWN] = "ffn_down",
    [TENSOR_FFN_UP] = "ffn_up",
};

const char *tensor_role_name(enum tensor_role role)
{
    return (unsigned)role < TENSOR_ROLE_COUNT ? role_names[role] : "unknown";
}

void tensor_name(char out[GGUF_NAME_BYTES_MAX + 1], enum tensor_role role, uint32_t layer)
{
    if (role < TENSOR_ROLE_LAYER_FIRST)
        snprintf(out, GGUF_NAME_BYTES_MAX + 1, "%s.weight", tensor_role_name(role));
    else
        snprintf(out, GGUF_NAME_BYTES_MAX + 1, "blk.%" PRIu32 ".%s.weight", layer, tensor_role_name(role));
}

/* "blk.17.": the number, without leading zeros; *rest is what follows. */
static bool take_layer(const char *name, uint32_t *layer, const char **rest)
{
    if (strncmp(name, "blk.", 4) != 0)
        return false;
    const char *at = name + 4;
    uint32_t n = 0;
    if (*at == '0' && at[1] != '.')
        return false;
    for (; *at >= '0' && *at <= '9'; at++) {
        n = n * 10 + (uint32_t)(*at - '0');
        if (n >= MODEL_LAYERS_MAX)
            return false;
    }
    if (at == name + 4 || *at != '.')
        return false;
    *layer = n;
    *rest = at + 1;
    return true;
}

bool tensor_role_of(const char *name, enum tensor_role *role, uint32_t *layer)
{
    const char *rest = name;
    uint32_t n = TENSOR_NO_LAYER;
    bool in_layer = take_layer(name, &n, &rest);
    int first = in_layer ? TENSOR_ROLE_LAYER_FIRST : 0,
        end = in_layer ? TENSOR_ROLE_COUNT : TENSOR_ROLE_LAYER_FIRST;
    for (int r = first; r < end; r++) {
        size_t length = strlen(role_names[r]);
        if (strncmp(rest, role_names[r], length) == 0 && strcmp(rest + length, ".weight") == 0) {
            *role = (enum tensor_role)r;
            *layer = n;
            return true;
        }
    }
    return false;
}

static struct tensor_shape vector(uint64_t n)
{
    return (struct tensor_shape){.n_dims = 1, .dims = {n, 1}};
}

static struct tensor_shape matrix(uint64_t n_in, uint64_t n_out)
{
    return (struct tensor_shape){.n_dims = 2, .dims = {n_in, n_out}};
}

struct tensor_shape tensor_shape_of(const struct hparams *h, enum tensor_role role)
{
    uint64_t n_q = (uint64_t)h->n_heads * h->head_dim_k, n_k = (uint64_t)h->n_kv_heads * h->head_dim_k;
    uint64_t n_v = (uint64_t)h->n_kv_heads * h->head_dim_v, n_o = (uint64_t)h->n_heads * h->head_dim_v;
    switch (role) {
    case TENSOR_TOKEN_EMBD:
    case TENSOR_OUTPUT:
        return matrix(h->n_embd, h->n_vocab);
    case TENSOR_ROPE_FREQS:
        return vector(h->n_rot / 2);
    case TENSOR_ATTN_Q:
        return matrix(h->n_embd, n_q);
    case TENSOR_ATTN_K:
        return matrix(h->n_embd, n_k);
    case TENSOR_ATTN_V:
        return matrix(h->n_embd, n_v);
    case TENSOR_ATTN_OUTPUT:
        return matrix(n_o, h->n_embd);
    case TENSOR_FFN_GATE:
    case TENSOR_FFN_UP:
        return matrix(h->n_embd, h->n_ff);
    case TENSOR_FFN_DOWN:
        return matrix(h->n_ff, h->n_embd);
    case TENSOR_OUTPUT_NORM:
    case TENSOR_ATTN_NORM:
    case TENSOR_FFN_NORM:
    case TENSOR_ROLE_COUNT:
        break;
    }
    return vector(h->n_embd);
}

/* --- spans ---------------------------------------------------------------------------------------------- */

static enum status shard_key(const struct gguf *gguf, const char *key, uint32_t *out, struct error *err)
{
    enum status status = gguf_get_u32(gguf, key, out, err);
    return status == STATUS_NOT_FOUND
               ? error_set(err, STATUS_BAD_DATA, "'%s': a shard without the key '%s'", gguf_path(gguf), key)
               : status;
}

enum status span_read(struct span *out, uint32_t *index, uint32_t *count, const struct gguf *gguf,
                      const struct hparams *hparams, struct error *err)
{
    uint32_t i = 0, n = 1, first = 0, end = hparams->n_layers;
    enum status status;
    bool is_shard = gguf_find(gguf, KEY_SHARD_INDEX) || gguf_find(gguf, KEY_SHARD_COUNT) ||
                    gguf_find(gguf, KEY_SHARD_FIRST_LAYER) || gguf_find(gguf, KEY_SHARD_END_LAYER);
    if (is_shard && ((status = shard_key(gguf, KEY_SHARD_INDEX, &i, err)) ||
                     (status = shard_key(gguf, KEY_SHARD_COUNT, &n, err)) ||
                     (status = shard_key(gguf, KEY_SHARD_FIRST_LAYER, &first, err)) ||
                     (status = shard_key(gguf, KEY_SHARD_END_LAYER, &end, err))))
        return status;
    if (n > hparams->n_layers || i >= n)
        return error_set(err, STATUS_BAD_DATA,
                         "'%s': shard %" PRIu32 " of %" PRIu32 " cannot be: the model has %" PRIu32 " layers",
                         gguf_path(gguf), i, n, hparams->n_layers);
    if (first >= end || end > hparams->n_layers || (i == 0) != (first == 0) ||
        (i == n - 1) != (end == hparams->n_layers))
        return error_set(err, STATUS_BAD_DATA,
                         "'%s': shard %" PRIu32 " of %" PRIu32 " cannot have the layers [%" PRIu32 ", %" PRIu32
                         ") of %" PRIu32,
                         gguf_path(gguf), i, n, first, end, hparams->n_layers);
    *out = (struct span){
        .first_layer = first, .end_layer = end, .embedding = first == 0, .output = end == hparams->n_layers};
    if (index)
        *index = i;
    if (count)
        *count = n;
    return STATUS_OK;
}

/* --- a span's tensors ------------------------------------------------------------------------------------- */

struct tensor_table {
    struct span span;
    const struct gguf_tensor *model[TENSOR_ROLE_LAYER_FIRST];
    const struct gguf_tensor *(*layers)[TENSOR_LAYER_ROLES];
};

static const struct gguf_tensor **slot_of(struct tensor_table *table, enum tensor_role role, uint32_t layer)
{
    if (role < TENSOR_ROLE_LAYER_FIRST)
        return &table->model[role];
    if (layer < table->span.first_layer || layer >= table->span.end_layer)
        return NULL;
    return &table->layers[layer - table->span.first_layer][role - TENSOR_ROLE_LAYER_FIRST];
}

static enum status check_tensor(const struct gguf *gguf, const struct gguf_tensor *t, enum tensor_role role,
                                const struct hparams *hparams, struct error *err)
{
    struct tensor_shape want = tensor_shape_of(hparams, role);
    const struct tensor_type_info *info = tensor_type_info(t->type);
    if (t->n_dims != want.n_dims || t->dims[0] != want.dims[0] || t->dims[1] != want.dims[1])
        return error_set(err, STATUS_BAD_DATA,
                         "'%s': tensor '%s' has %" PRIu32 " dimensions, %" PRIu64 " x %" PRIu64
                         "; the hyper-parameters say %" PRIu32 ", %" PRIu64 " x %" PRIu64,
                         gguf_path(gguf), t->name, t->n_dims, t->dims[0], t->dims[1], want.n_dims, want.dims[0],
                         want.dims[1]);
    if (want.n_dims == 1 && t->type != TENSOR_TYPE_F32)
        return error_set(err, STATUS_UNSUPPORTED, "'%s': tensor '%s' is of type %s; a vector must be F32",
                         gguf_path(gguf), t->name, info->name);
    if (!info->can_compute)
        return error_set(err, STATUS_UNSUPPORTED,
                         "'%s': tensor '%s' is of type %s, which does not load in this version",
                         gguf_path(gguf), t->name, info->name);
    return STATUS_OK;
}

static enum status bind_one(struct tensor_table *table, const struct gguf *gguf, const struct gguf_tensor *t,
                            const struct hparams *hparams, struct error *err)
{
    enum tensor_role role;
    uint32_t layer;
    if (!tensor_role_of(t->name, &role, &layer) || (layer != TENSOR_NO_LAYER && layer >= hparams->n_layers))
        return error_set(
            err, STATUS_UNSUPPORTED,
            "'%s': tensor '%s' is none that the %s architecture has in this version (biases and experts "
            "are not supported)",
            gguf_path(gguf), t->name, arch_name(hparams->arch));
    const struct gguf_tensor **slot = slot_of(table, role, layer);
    if (!slot)
        return error_set(err, STATUS_BAD_DATA, "'%s': tensor '%s' is not of layers [%" PRIu32 ", %" PRIu32 ")",
                         gguf_path(gguf), t->name, table->span.first_layer, table->span.end_layer);
    *slot = t;
    return check_tensor(gguf, t, role, hparams, err);
}

static enum status check_complete(const struct tensor_table *table, const struct gguf *gguf, struct error *err)
{
    const struct span *span = &table->span;
    const char *missing = NULL;
    char name[GGUF_NAME_BYTES_MAX + 1];
    bool tied = span->output && !table->model[TENSOR_OUTPUT];
    if ((span->embedding || tied) && !table->model[TENSOR_TOKEN_EMBD])
        missing = "token_embd.weight";
    if (span->output && !table->model[TENSOR_OUTPUT_NORM])
        missing = "output_norm.weight";
    for (uint32_t l = 0; l < span->end_layer - span->first_layer; l++)
        for (int r = 0; r < TENSOR_LAYER_ROLES; r++)
            if (!table->layers[l][r] && !missing) {
                tensor_name(name, (enum tensor_role)(TENSOR_ROLE_LAYER_FIRST + r), span->first_layer + l);
                missing = name;
            }
    if (missing)
        return error_set(err, STATUS_BAD_DATA, "'%s': the tensor '%s' is missing%s", gguf_path(gguf), missing,
                         gguf_n_tensors(gguf) ? "" : ": the file has no tensors, only a vocabulary perhaps");
    for (int r = 0; r < TENSOR_ROLE_LAYER_FIRST; r++) {
        bool wanted =
            r == TENSOR_ROPE_FREQS || (r == TENSOR_TOKEN_EMBD ? span->embedding || tied : span->output);
        if (table->model[r] && !wanted)
            return error_set(err, STATUS_BAD_DATA,
                             "'%s': tensor '%s' does not belong to layers [%" PRIu32 ", %" PRIu32 ")",
                             gguf_path(gguf), table->model[r]->name, span->first_layer, span->end_layer);
    }
    return STATUS_OK;
}

enum status tensor_table_bind(struct tensor_table **out, const struct gguf *gguf, const struct hparams *hparams,
                              const struct span *span, struct error *err)
{
    ASSERT(span->first_layer < span->end_layer && span->end_layer <= hparams->n_layers);
    struct tensor_table *table = mem_new(sizeof *table);
    enum status status = STATUS_OK;
    table->span = *span;
    table->layers = mem_array(span->end_layer - span->first_layer, sizeof *table->layers);
    for (size_t i = 0; !status && i < gguf_n_tensors(gguf); i++)
        status = bind_one(table, gguf, gguf_tensor_at(gguf, i), hparams, err);
    if (!status)
        status = check_complete(table, gguf, err);
    if (status) {
        tensor_table_free(table);
        return status;
    }
    *out = table;
    return STATUS_OK;
}

void tensor_table_free(struct tensor_table *table)
{
    if (!table)
        return;
    mem_free(table->layers);
    mem_free(table);
}

const struct gguf_tensor *tensor_table_get(const struct tensor_table *table, enum tensor_role role,
                                           uint32_t layer)
{
    if (role == TENSOR_OUTPUT && tensor_table_is_tied(table))
        role = TENSOR_TOKEN_EMBD;
    if (role < TENSOR_ROLE_LAYER_FIRST)
        return table->model[role];
    if (layer < table->span.first_layer || layer >= table->span.end_layer)
        return NULL;
    return table->layers[layer - table->span.first_layer][role - TENSOR_ROLE_LAYER_FIRST];
}

bool tensor_table_is_tied(const struct tensor_table *table)
{
    return table->span.output && !table->model[TENSOR_OUTPUT];
}
