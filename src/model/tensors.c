#include "model/tensors.h"

#include "base/mem.h"
#include "kernels/types.h"
#include "model/shards.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Behind "blk.N." for those of layers. */
static const char *const role_names[TENSOR_ROLE_COUNT] = {
    [TENSOR_TOKEN_EMBD] = "token_embd.weight",
    [TENSOR_OUTPUT_NORM] = "output_norm.weight",
    [TENSOR_OUTPUT] = "output.weight",
    [TENSOR_ROPE_FREQS] = "rope_freqs.weight",
    [TENSOR_ROPE_LONG] = "rope_factors_long.weight",
    [TENSOR_ROPE_SHORT] = "rope_factors_short.weight",
    [TENSOR_ATTN_NORM] = "attn_norm.weight",
    [TENSOR_ATTN_Q] = "attn_q.weight",
    [TENSOR_ATTN_K] = "attn_k.weight",
    [TENSOR_ATTN_V] = "attn_v.weight",
    [TENSOR_ATTN_QKV] = "attn_qkv.weight",
    [TENSOR_ATTN_Q_BIAS] = "attn_q.bias",
    [TENSOR_ATTN_K_BIAS] = "attn_k.bias",
    [TENSOR_ATTN_V_BIAS] = "attn_v.bias",
    [TENSOR_ATTN_Q_NORM] = "attn_q_norm.weight",
    [TENSOR_ATTN_K_NORM] = "attn_k_norm.weight",
    [TENSOR_ATTN_SINKS] = "attn_sinks.weight",
    [TENSOR_ATTN_OUTPUT] = "attn_output.weight",
    [TENSOR_ATTN_OUTPUT_BIAS] = "attn_output.bias",
    [TENSOR_ATTN_POST_NORM] = "post_attention_norm.weight",
    [TENSOR_FFN_NORM] = "ffn_norm.weight",
    [TENSOR_FFN_GATE] = "ffn_gate.weight",
    [TENSOR_FFN_DOWN] = "ffn_down.weight",
    [TENSOR_FFN_UP] = "ffn_up.weight",
    [TENSOR_FFN_POST_NORM] = "post_ffw_norm.weight",
    [TENSOR_FFN_ROUTER] = "ffn_gate_inp.weight",
    [TENSOR_FFN_ROUTER_BIAS] = "ffn_gate_inp.bias",
    [TENSOR_EXPERTS_GATE] = "ffn_gate_exps.weight",
    [TENSOR_EXPERTS_DOWN] = "ffn_down_exps.weight",
    [TENSOR_EXPERTS_UP] = "ffn_up_exps.weight",
    [TENSOR_EXPERTS_GATE_BIAS] = "ffn_gate_exps.bias",
    [TENSOR_EXPERTS_DOWN_BIAS] = "ffn_down_exps.bias",
    [TENSOR_EXPERTS_UP_BIAS] = "ffn_up_exps.bias",
};

void tensor_name(char out[GGUF_NAME_BYTES_MAX + 1], enum tensor_role role, uint32_t layer)
{
    if (role < TENSOR_ROLE_LAYER_FIRST)
        snprintf(out, GGUF_NAME_BYTES_MAX + 1, "%s", role_names[role]);
    else
        snprintf(out, GGUF_NAME_BYTES_MAX + 1, "blk.%" PRIu32 ".%s", layer, role_names[role]);
}

bool tensor_role_is_rope(enum tensor_role role)
{
    return role == TENSOR_ROPE_FREQS || role == TENSOR_ROPE_LONG || role == TENSOR_ROPE_SHORT;
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
    for (int r = first; r < end; r++)
        if (strcmp(rest, role_names[r]) == 0) {
            *role = (enum tensor_role)r;
            *layer = n;
            return true;
        }
    return false;
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

/* "32 x 19" */
static void shape_text(char out[80], uint32_t n_dims, const uint64_t *dims)
{
    out[0] = '\0';
    for (uint32_t i = 0; i < n_dims && i < 3; i++) {
        size_t used = strlen(out);
        snprintf(out + used, 80 - used, "%s%" PRIu64, i ? " x " : "", dims[i]);
    }
}

static enum status wrong_shape(const struct gguf *gguf, const struct gguf_tensor *t,
                               const struct tensor_shape *want, struct error *err)
{
    char found[80], wanted[80];
    shape_text(found, t->n_dims, t->dims);
    shape_text(wanted, want->n_dims, want->dims);
    return error_set(err, STATUS_BAD_DATA,
                     "'%s': tensor '%s' has %" PRIu32 " dimensions, %s; the hyper-parameters say %" PRIu32
                     ", %s",
                     gguf_path(gguf), t->name, t->n_dims, found, want->n_dims, wanted);
}

static enum status check_tensor(const struct gguf *gguf, const struct gguf_tensor *t, enum tensor_role role,
                                const struct hparams *hparams, struct error *err)
{
    struct tensor_shape want = tensor_shape_of(hparams, role);
    const struct tensor_type_info *info = tensor_type_info(t->type);
    if (t->n_dims != want.n_dims || memcmp(t->dims, want.dims, sizeof want.dims) != 0)
        return wrong_shape(gguf, t, &want, err);
    if (tensor_role_is_vector(role) && t->type != TENSOR_TYPE_F32)
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
    if (!tensor_role_of(t->name, &role, &layer) || (layer != TENSOR_NO_LAYER && layer >= hparams->n_layers) ||
        tensor_need_of(hparams, role) == TENSOR_FOREIGN)
        return error_set(
            err, STATUS_UNSUPPORTED, "'%s': tensor '%s' is none that the %s architecture has in this version%s",
            gguf_path(gguf), t->name, arch_name(hparams->arch), hparams->n_experts ? " with experts" : "");
    const struct gguf_tensor **slot = slot_of(table, role, layer);
    if (!slot)
        return error_set(err, STATUS_BAD_DATA, "'%s': tensor '%s' is not of layers [%" PRIu32 ", %" PRIu32 ")",
                         gguf_path(gguf), t->name, table->span.first_layer, table->span.end_layer);
    *slot = t;
    return check_tensor(gguf, t, role, hparams, err);
}

static enum status check_complete(const struct tensor_table *table, const struct gguf *gguf,
                                  const struct hparams *hparams, struct error *err)
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
            if (!table->layers[l][r] && !missing &&
                tensor_need_of(hparams, (enum tensor_role)(TENSOR_ROLE_LAYER_FIRST + r)) == TENSOR_NEEDED) {
                tensor_name(name, (enum tensor_role)(TENSOR_ROLE_LAYER_FIRST + r), span->first_layer + l);
                missing = name;
            }
    if (missing)
        return error_set(err, STATUS_BAD_DATA, "'%s': the tensor '%s' is missing%s", gguf_path(gguf), missing,
                         gguf_n_tensors(gguf) ? "" : ": the file has no tensors, only a vocabulary perhaps");
    for (int r = 0; r < TENSOR_ROLE_LAYER_FIRST; r++) {
        bool wanted = tensor_role_is_rope((enum tensor_role)r) ||
                      (r == TENSOR_TOKEN_EMBD ? span->embedding || tied : span->output);
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
        status = check_complete(table, gguf, hparams, err);
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
