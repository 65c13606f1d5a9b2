#include "model/tokenizer_split.h"

#include <string.h>

#define STAGE(name) tokenizer_stage_##name
#define LLAMA3                                                                                                 \
    {                                                                                                          \
        STAGE(llama3)                                                                                          \
    }
#define QWEN2                                                                                                  \
    {                                                                                                          \
        STAGE(qwen2)                                                                                           \
    }
#define GPT2                                                                                                   \
    {                                                                                                          \
        STAGE(gpt2)                                                                                            \
    }
#define STARCODER                                                                                              \
    {                                                                                                          \
        STAGE(number), STAGE(gpt2)                                                                             \
    }
#define DEEPSEEK3                                                                                              \
    {                                                                                                          \
        STAGE(number3), STAGE(deepseek3_cjk), STAGE(deepseek3)                                                 \
    }
#define BLOOM                                                                                                  \
    {                                                                                                          \
        STAGE(bloom)                                                                                           \
    }

/* The expressions behind these names, and which names share one, are those that llama.cpp's converter
 * writes. "default" is also for files without the key: made before it existed, they were read so. */
static const struct tokenizer_rule rules[] = {
    {"default", false, false, {STAGE(default_punctuation), STAGE(gpt2), STAGE(numbers), STAGE(ascii_digits3)}},
    {"llama-bpe", true, true, LLAMA3},
    {"llama3", true, true, LLAMA3},
    {"llama-v3", true, true, LLAMA3},
    {"falcon3", true, true, LLAMA3},
    {"falcon-h1", true, true, LLAMA3},
    {"pixtral", true, true, LLAMA3},
    {"midm-2.0", true, true, LLAMA3},
    {"lfm2", true, true, LLAMA3},
    {"minicpm5", true, false, {STAGE(number3), STAGE(llama3)}},
    {"dbrx", false, false, LLAMA3},
    {"smaug-bpe", false, false, LLAMA3},
    {"glm4", false, false, LLAMA3},
    {"chatglm-bpe", false, false, LLAMA3},
    {"qwen2", false, false, QWEN2},
    {"deepseek-r1-qwen", false, false, QWEN2},
    {"megrez", false, false, QWEN2},
    {"kormo", false, false, QWEN2},
    {"stablelm2", false, false, QWEN2},
    {"hunyuan", false, false, QWEN2},
    {"bailingmoe", false, false, QWEN2},
    {"bailingmoe2", false, false, QWEN2},
    {"llada-moe", false, false, QWEN2},
    {"grok-2", false, false, QWEN2},
    {"solar-open", false, false, QWEN2},
    {"qwen35", false, false, {STAGE(qwen35)}},
    {"seed-coder", false, false, {STAGE(seed_coder)}},
    {"gpt-2", false, false, GPT2},
    {"phi-2", false, false, GPT2},
    {"mpt", false, false, GPT2},
    {"olmo", false, false, GPT2},
    {"jais", false, false, GPT2},
    {"exaone4", false, false, GPT2},
    {"gigachat", false, false, GPT2},
    {"mellum", false, false, GPT2},
    {"a.x-4.0", false, false, GPT2},
    {"trillion", false, false, GPT2},
    {"granite-docling", false, false, GPT2},
    {"starcoder", false, false, STARCODER},
    {"refact", false, false, STARCODER},
    {"command-r", false, false, STARCODER},
    {"smollm", false, false, STARCODER},
    {"codeshell", false, false, STARCODER},
    {"exaone", false, false, STARCODER},
    {"minerva-7b", false, false, STARCODER},
    {"mellum2", false, false, STARCODER},
    {"falcon", false, false, {STAGE(falcon_punctuation), STAGE(gpt2), STAGE(ascii_digits3)}},
    {"deepseek-llm",
     false,
     false,
     {STAGE(newline), STAGE(deepseek_letters), STAGE(deepseek_punctuation), STAGE(trailing_space),
      STAGE(deepseek_cjk), STAGE(numbers)}},
    {"deepseek-coder",
     false,
     false,
     {STAGE(newline), STAGE(coder_letters), STAGE(coder_punctuation), STAGE(deepseek_cjk), STAGE(number)}},
    {"deepseek-v3", false, false, DEEPSEEK3},
    {"joyai-llm", false, false, DEEPSEEK3},
    {"hy_v4", false, false, DEEPSEEK3},
    {"hunyuan-dense", false, false, DEEPSEEK3},
    {"tekken", true, true, {STAGE(tekken)}},
    {"gpt-4o", false, false, {STAGE(gpt4o)}},
    {"llama4", false, false, {STAGE(gpt4o)}},
    {"kanana2", false, false, {STAGE(gpt4o)}},
    {"minimax-m2", false, false, {STAGE(gpt4o)}},
    {"bloom", false, false, BLOOM},
    {"poro-chat", false, false, BLOOM},
    {"gpt3-finnish", false, false, BLOOM},
    {"viking", false, false, {STAGE(bloom), STAGE(number)}},
};
#define N_RULES (sizeof rules / sizeof *rules)

/* One name for each expression; the table above has the others. */
static const char rule_names[] =
    "default, llama-bpe, minicpm5, dbrx, smaug-bpe, chatglm-bpe, qwen2, qwen35, seed-coder, gpt-2, mpt, olmo, "
    "starcoder, "
    "refact, command-r, smollm, codeshell, exaone, falcon, deepseek-llm, deepseek-coder, deepseek-v3, tekken, "
    "gpt-4o, "
    "bloom, viking";

const struct tokenizer_rule *tokenizer_split_rule(struct bytes name)
{
    for (size_t i = 0; i < N_RULES; i++)
        if (bytes_equal(name, bytes_of_text(rules[i].name)))
            return &rules[i];
    return NULL;
}

const char *tokenizer_split_names(void)
{
    return rule_names;
}

struct tokenizer_splitter tokenizer_split_over(const struct tokenizer_rule *rule, struct bytes text)
{
    struct tokenizer_splitter s = {.rule = rule, .text = text};
    s.ends[0] = text.size;
    return s;
}

bool tokenizer_split_next(struct tokenizer_splitter *s, struct bytes *piece)
{
    if (s->at == s->text.size)
        return false;
    while (s->depth > 0 && s->at == s->ends[s->depth])
        s->depth--;
    while (s->depth < TOKENIZER_STAGES_MAX && s->rule->stages[s->depth]) {
        struct bytes within = bytes_of(s->text.data, s->ends[s->depth]);
        s->ends[s->depth + 1] = s->rule->stages[s->depth](within, s->at);
        s->depth++;
    }
    size_t end = s->ends[s->depth];
    *piece = bytes_of(s->text.data + s->at, end - s->at);
    s->at = end;
    return true;
}
