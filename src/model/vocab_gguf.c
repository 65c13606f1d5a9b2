#include "base/mem.h"
#include "model/gguf.h"
#include "model/vocab.h"

#include <inttypes.h>
#include <string.h>

#define KEY(name) "tokenizer.ggml." name

const char *const vocab_id_keys[VOCAB_ID_COUNT] = {
    [VOCAB_ID_BOS] = KEY("bos_token_id"),         [VOCAB_ID_EOS] = KEY("eos_token_id"),
    [VOCAB_ID_EOT] = KEY("eot_token_id"),         [VOCAB_ID_EOM] = KEY("eom_token_id"),
    [VOCAB_ID_UNKNOWN] = KEY("unknown_token_id"), [VOCAB_ID_SEPARATOR] = KEY("seperator_token_id"),
    [VOCAB_ID_FIM_PAD] = KEY("fim_pad_token_id"), [VOCAB_ID_FIM_REP] = KEY("fim_rep_token_id"),
    [VOCAB_ID_FIM_SEP] = KEY("fim_sep_token_id"),
};

/* An absent key is no failure: the output then keeps what it had. */
static enum status optional(enum status status)
{
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status read_strings(const struct bytes **out, uint64_t *out_n, const struct gguf *gguf,
                                const char *key, struct error *err)
{
    const struct gguf_value *array = NULL;
    enum status status = gguf_get_array(gguf, key, GGUF_STRING, &array, err);
    if (status || !array)
        return optional(status);
    if (array->count > TOKENIZER_VOCAB_MAX)
        return error_set(err, STATUS_LIMIT, "%s has %" PRIu64 " entries, at most %u", key, array->count,
                         TOKENIZER_VOCAB_MAX);
    struct bytes *list = mem_try_array((size_t)array->count, sizeof *list, SIZE_MAX / 2);
    if (!list)
        return error_set(err, STATUS_NO_MEMORY, "no memory for the %" PRIu64 " entries of %s", array->count,
                         key);
    for (uint64_t i = 0; i < array->count; i++)
        list[i] = gguf_array_string(array, i);
    *out = list;
    *out_n = array->count;
    return STATUS_OK;
}

/* f32, or i32 as newer converters write some. */
static enum status read_scores(struct vocab_source *out, const struct gguf *gguf, struct error *err)
{
    const struct gguf_value *array = gguf_find(gguf, KEY("scores"));
    if (!array)
        return STATUS_OK;
    bool is_float = array->type == GGUF_ARRAY && array->element == GGUF_F32;
    enum gguf_type element = is_float ? GGUF_F32 : GGUF_I32;
    if (gguf_get_array(gguf, KEY("scores"), element, &array, err))
        return STATUS_BAD_DATA;
    float *scores = mem_try_array((size_t)array->count, sizeof *scores, SIZE_MAX / 2);
    if (!scores)
        return error_set(err, STATUS_NO_MEMORY, "no memory for %" PRIu64 " scores", array->count);
    for (uint64_t i = 0; i < array->count; i++)
        scores[i] = is_float ? gguf_array_f32(array, i) : (float)gguf_array_i32(array, i);
    out->scores = scores;
    out->n_scores = array->count;
    return STATUS_OK;
}

static enum status read_types(struct vocab_source *out, const struct gguf *gguf, struct error *err)
{
    const struct gguf_value *array = NULL;
    enum status status = gguf_get_array(gguf, KEY("token_type"), GGUF_I32, &array, err);
    if (status || !array)
        return optional(status);
    int32_t *types = mem_try_array((size_t)array->count, sizeof *types, SIZE_MAX / 2);
    if (!types)
        return error_set(err, STATUS_NO_MEMORY, "no memory for %" PRIu64 " token types", array->count);
    for (uint64_t i = 0; i < array->count; i++)
        types[i] = gguf_array_i32(array, i);
    out->types = types;
    out->n_types = array->count;
    return STATUS_OK;
}

static enum status read_id(int64_t *out, const struct gguf *gguf, const char *key, struct error *err)
{
    uint64_t id = 0;
    enum status status = gguf_get_integer(gguf, key, &id, err);
    if (status)
        return optional(status);
    if (id > INT64_MAX)
        return error_set(err, STATUS_BAD_DATA, "%s is %" PRIu64 ", which is no token", key, id);
    *out = (int64_t)id;
    return STATUS_OK;
}

static enum status read_flag(int8_t *out, const struct gguf *gguf, const char *key, struct error *err)
{
    bool value = false;
    enum status status = gguf_get_bool(gguf, key, &value, err);
    if (!status)
        *out = value;
    return optional(status);
}

static enum status read_all(struct vocab_source *out, const struct gguf *gguf, struct error *err)
{
    enum status status = gguf_get_string(gguf, KEY("model"), &out->model, err);
    if (status == STATUS_NOT_FOUND)
        return error_set(
            err, STATUS_NOT_FOUND,
            "%s has no vocabulary (no key tokenizer.ggml.model); a shard's is in tokenizer.gguf beside it",
            gguf_path(gguf));
    if (!status)
        status = optional(gguf_get_string(gguf, KEY("pre"), &out->pre, err));
    if (!status)
        status = optional(gguf_get_string(gguf, "general.name", &out->name, err));
    if (!status)
        status = read_strings(&out->tokens, &out->n_tokens, gguf, KEY("tokens"), err);
    if (!status)
        status = read_strings(&out->merges, &out->n_merges, gguf, KEY("merges"), err);
    if (!status)
        status = read_scores(out, gguf, err);
    if (!status)
        status = read_types(out, gguf, err);
    for (int i = 0; i < VOCAB_ID_COUNT && !status; i++)
        status = read_id(&out->ids[i], gguf, vocab_id_keys[i], err);
    if (!status)
        status = read_flag(&out->adds_bos, gguf, KEY("add_bos_token"), err);
    if (!status)
        status = read_flag(&out->adds_eos, gguf, KEY("add_eos_token"), err);
    if (!status)
        status = read_flag(&out->adds_sep, gguf, KEY("add_sep_token"), err);
    if (!status)
        status = read_flag(&out->adds_space_prefix, gguf, KEY("add_space_prefix"), err);
    return status;
}

enum status vocab_source_read(struct vocab_source *out, const struct gguf *gguf, struct error *err)
{
    struct vocab_source source = {.adds_bos = -1, .adds_eos = -1, .adds_sep = -1, .adds_space_prefix = -1};
    for (int i = 0; i < VOCAB_ID_COUNT; i++)
        source.ids[i] = -1;
    enum status status = read_all(&source, gguf, err);
    if (status) {
        vocab_source_free(&source);
        return status;
    }
    *out = source;
    return STATUS_OK;
}

void vocab_source_free(struct vocab_source *source)
{
    mem_free((void *)(uintptr_t)source->tokens);
    mem_free((void *)(uintptr_t)source->merges);
    mem_free((void *)(uintptr_t)source->scores);
    mem_free((void *)(uintptr_t)source->types);
    *source = (struct vocab_source){0};
}
