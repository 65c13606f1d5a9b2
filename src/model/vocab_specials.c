#include "base/mem.h"
#include "model/vocab.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* GGUF does not say which tokens end an answer, so names do: those that llama.cpp knows. A token of such a name
 * is a control token whatever its type says: converters have marked many as ordinary text. */
static const char *const end_names[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|eot|>",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<|end_of_turn|>",
    "<|END_OF_TURN_TOKEN|>",
    "[e~[",
    "<|fim_pad|>",
    "<fim-pad>",
    "<fim_pad>",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<REPO>",
    "<reponame>",
    "<|file_sep|>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
    "<PAD>",
    "[PAD]",
    "<turn|>",
    "<|tool_response>",
};

/* Control by name as well, but they end nothing. */
static const char *const control_names[] = {
    "<|fim_prefix|>",
    "<fim-prefix>",
    "<fim_prefix>",
    "<PRE>",
    "\u2581<PRE>",
    "<|fim_suffix|>",
    "<fim-suffix>",
    "<fim_suffix>",
    "<SUF>",
    "\u2581<SUF>",
    "<|fim_middle|>",
    "<fim-middle>",
    "<fim_middle>",
    "<MID>",
    "\u2581<MID>",
    "<\uff5cfim\u2581begin\uff5c>",
    "<|code_prefix|>",
    "<|prefix|>",
    "<\uff5cfim\u2581hole\uff5c>",
    "<|code_suffix|>",
    "<|suffix|>",
    "<\uff5cfim\u2581end\uff5c>",
    "<|code_middle|>",
    "<|middle|>",
    /* Harmony's; llama.cpp shows them in answers, as if they were user-defined. Here nobody's text may give
       them. */
    "<|start|>",
    "<|message|>",
    "<|channel|>",
    "<|constrain|>",
    /* Gemma 4's, which converters mark as user-defined so that they show in answers: nobody's text may give
       them. */
    "<|channel>",
    "<channel|>",
    "<|tool_call>",
    "<tool_call|>",
    "<tool_response|>",
    "<|\"|>",
};

static uint32_t mark(struct vocab *v, const char *name, bool ends)
{
    uint32_t id = vocab_find(v, bytes_of_text(name));
    if (id == TOKENIZER_NO_ID)
        return id;
    v->types[id] = VOCAB_CONTROL;
    v->ends_generation[id] |= ends;
    return id;
}

static void mark_by_name(struct vocab *v)
{
    for (size_t i = 0; i < sizeof end_names / sizeof *end_names; i++)
        mark(v, end_names[i], true);
    for (size_t i = 0; i < sizeof control_names / sizeof *control_names; i++)
        mark(v, control_names[i], false);
}

static bool has(const struct vocab *v, const char *name)
{
    return vocab_find(v, bytes_of_text(name)) != TOKENIZER_NO_ID;
}

/* Names that end an answer in one format and not in another, as llama.cpp tells the formats apart. */
static void unmark_by_company(struct vocab *v)
{
    uint32_t end = vocab_find(v, bytes_of_text("<|end|>")), s = vocab_find(v, bytes_of_text("</s>"));
    bool calls = has(v, "<|call|>") || has(v, "<|calls|>");
    /* Harmony and its kin go on behind <|end|>: their answers end with <|return|>, <|flush|> or <|call|>. */
    if (end != TOKENIZER_NO_ID && calls && (has(v, "<|return|>") || has(v, "<|flush|>")))
        v->ends_generation[end] = 0;
    if (s != TOKENIZER_NO_ID && has(v, "<|tool_response>")) { /* HTML for Gemma 4 */
        v->ends_generation[s] = 0;
        v->types[s] = VOCAB_NORMAL;
    }
}

static void mark_by_id(struct vocab *v)
{
    static const enum vocab_id ends[] = {VOCAB_ID_EOS,     VOCAB_ID_EOT,     VOCAB_ID_EOM,
                                         VOCAB_ID_FIM_PAD, VOCAB_ID_FIM_REP, VOCAB_ID_FIM_SEP};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (v->ids[ends[i]] != TOKENIZER_NO_ID)
            v->ends_generation[v->ids[ends[i]]] = 1;
}

struct by_length {
    size_t n_bytes;
    uint32_t id;
};

static int longest_first(const void *a, const void *b)
{
    const struct by_length *x = a, *y = b;
    if (x->n_bytes != y->n_bytes)
        return x->n_bytes > y->n_bytes ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

bool vocab_is_special(const struct vocab *v, uint32_t id)
{
    bool by_type =
        v->types[id] == VOCAB_CONTROL || v->types[id] == VOCAB_USER_DEFINED || v->types[id] == VOCAB_UNKNOWN;
    size_t n_bytes = vocab_text(v, id).size;
    return by_type && n_bytes > 0 && n_bytes <= VOCAB_SPECIAL_BYTES_MAX;
}

static enum status list_specials(struct vocab *v, struct error *err)
{
    uint32_t n = 0;
    for (uint32_t id = 0; id < v->n; id++)
        n += vocab_is_special(v, id);
    struct by_length *list = mem_try_array(n, sizeof *list, SIZE_MAX / 2);
    v->specials = mem_try_array(n, sizeof *v->specials, SIZE_MAX / 2);
    if (!list || !v->specials) {
        mem_free(list);
        return error_set(err, STATUS_NO_MEMORY, "no memory for %" PRIu32 " special tokens", n);
    }
    for (uint32_t id = 0, i = 0; id < v->n; id++)
        if (vocab_is_special(v, id))
            list[i++] = (struct by_length){vocab_text(v, id).size, id};
    qsort(list, n, sizeof *list, longest_first);
    for (uint32_t i = 0; i < n; i++)
        v->specials[i] = list[i].id;
    v->n_specials = n;
    mem_free(list);
    return STATUS_OK;
}

/* "phi-3" or "phi3" in the model's name, in any case. */
static bool is_phi3(struct bytes name)
{
    for (size_t i = 0; i + 4 <= name.size; i++) {
        char at[5] = {0};
        for (size_t k = 0; k < 5 && i + k < name.size; k++) {
            uint8_t b = name.data[i + k];
            at[k] = (char)(b >= 'A' && b <= 'Z' ? b | 0x20 : b);
        }
        if (!memcmp(at, "phi3", 4) || !memcmp(at, "phi-3", 5))
            return true;
    }
    return false;
}

enum status vocab_specials_build(struct vocab *v, const struct vocab_source *source, struct error *err)
{
    mark_by_name(v);
    mark_by_id(v);
    unmark_by_company(v);
    v->strips_after_special = is_phi3(source->name);
    return list_specials(v, err);
}
