#include "model/tokenizer_split.h"

#include <string.h>

#define STAGE(name) tokenizer_stage_##name
#define STAGES(...)                                                                                            \
    {                                                                                                          \
        __VA_ARGS__                                                                                            \
    }
#define FLAG(name)   TOKENIZER_RULE_##name
#define LLAMA3_FLAGS (FLAG(WHOLE_WORDS) | FLAG(ADD_BOS))

/* clang-format off */
#define DEFAULT        STAGES(STAGE(default_punctuation), STAGE(gpt2), STAGE(numbers), STAGE(ascii_digits3))
#define LLAMA3         STAGES(STAGE(llama3))
#define MINICPM5       STAGES(STAGE(number3), STAGE(llama3))
#define JAIS2          STAGES(STAGE(llama3), STAGE(jais_spaces))
#define QWEN2          STAGES(STAGE(qwen2))
#define LAGUNA         STAGES(STAGE(newline_runs), STAGE(qwen2))
#define QWEN35         STAGES(STAGE(qwen35))
#define SEED_CODER     STAGES(STAGE(seed_coder))
#define UFAKZEKA       STAGES(STAGE(ufakzeka))
#define EXAONE_MOE     STAGES(STAGE(exaone_moe))
#define GPT2           STAGES(STAGE(gpt2))
#define STARCODER      STAGES(STAGE(number), STAGE(gpt2))
#define FALCON         STAGES(STAGE(falcon_punctuation), STAGE(gpt2), STAGE(ascii_digits3))
#define CHAMELEON      STAGES(STAGE(chameleon_tokens), STAGE(chameleon_spaces), STAGE(number), \
                              STAGE(chameleon_signs), STAGE(gpt2))
#define DEEPSEEK_LLM   STAGES(STAGE(newline), STAGE(deepseek_letters), STAGE(deepseek_punctuation), STAGE(trailing_space), \
                              STAGE(deepseek_cjk), STAGE(numbers))
#define DEEPSEEK_CODER STAGES(STAGE(newline), STAGE(coder_letters), STAGE(coder_punctuation), \
                              STAGE(deepseek_cjk), STAGE(number))
#define DEEPSEEK3      STAGES(STAGE(number3), STAGE(deepseek3_cjk), STAGE(deepseek3))
#define SPARK          STAGES(STAGE(number3), STAGE(deepseek3_cjk), STAGE(spark), STAGE(number))
#define AFMOE          STAGES(STAGE(numbers), STAGE(numbers_lead), STAGE(numbers3), \
                              STAGE(afmoe_scripts), STAGE(deepseek3))
#define TEKKEN         STAGES(STAGE(tekken))
#define GPT4O          STAGES(STAGE(gpt4o))
#define YOUTU          STAGES(STAGE(youtu_scripts), STAGE(youtu))
#define TINY_AYA       STAGES(STAGE(bounded_decimals), STAGE(decimals_lead), STAGE(decimals3), STAGE(gpt4o))
#define KIMI_K2        STAGES(STAGE(kimi_k2))
#define SUPERBPE       STAGES(STAGE(numbers), STAGE(superbpe_lead), STAGE(superbpe_threes))
#define BLOOM          STAGES(STAGE(bloom))
#define VIKING         STAGES(STAGE(bloom), STAGE(number))
#define NEWLINES       STAGES(STAGE(newline_runs))

/* The expressions behind these names, and which names share one, are those that llama.cpp's converter
 * writes. Where it only comes near to an expression of a model's own (tekken and gpt-4o know case in ASCII only
 * there), the model's own counts. "default" is also for files without the key: made before it existed, they
 * were read so. ALSO is a further name of an expression that stands above it. */
#define RULES(RULE, ALSO) \
    RULE("default", 0, DEFAULT) \
    RULE("llama-bpe", LLAMA3_FLAGS, LLAMA3) \
    ALSO("llama3", LLAMA3_FLAGS, LLAMA3) \
    ALSO("llama-v3", LLAMA3_FLAGS, LLAMA3) \
    ALSO("falcon3", LLAMA3_FLAGS, LLAMA3) \
    ALSO("falcon-h1", LLAMA3_FLAGS, LLAMA3) \
    ALSO("pixtral", LLAMA3_FLAGS, LLAMA3) \
    ALSO("midm-2.0", LLAMA3_FLAGS, LLAMA3) \
    ALSO("lfm2", LLAMA3_FLAGS, LLAMA3) \
    ALSO("jina-v5-nano", LLAMA3_FLAGS, LLAMA3) \
    ALSO("dbrx", 0, LLAMA3) \
    ALSO("smaug-bpe", 0, LLAMA3) \
    ALSO("glm4", 0, LLAMA3) \
    ALSO("chatglm-bpe", 0, LLAMA3) \
    RULE("minicpm5", FLAG(WHOLE_WORDS), MINICPM5) \
    RULE("jais-2", 0, JAIS2) \
    RULE("qwen2", 0, QWEN2) \
    ALSO("deepseek-r1-qwen", 0, QWEN2) \
    ALSO("megrez", 0, QWEN2) \
    ALSO("kormo", 0, QWEN2) \
    ALSO("f2llmv2", 0, QWEN2) \
    ALSO("stablelm2", 0, QWEN2) \
    ALSO("hunyuan", 0, QWEN2) \
    ALSO("bailingmoe", 0, QWEN2) \
    ALSO("bailingmoe2", 0, QWEN2) \
    ALSO("llada-moe", 0, QWEN2) \
    ALSO("grok-2", 0, QWEN2) \
    ALSO("solar-open", 0, QWEN2) \
    RULE("laguna", 0, LAGUNA) \
    RULE("qwen35", 0, QWEN35) \
    RULE("seed-coder", 0, SEED_CODER) \
    RULE("ufakzeka", 0, UFAKZEKA) \
    RULE("exaone-moe", 0, EXAONE_MOE) \
    RULE("gpt-2", 0, GPT2) \
    ALSO("phi-2", 0, GPT2) \
    ALSO("mpt", 0, GPT2) \
    ALSO("olmo", 0, GPT2) \
    ALSO("jais", 0, GPT2) \
    ALSO("exaone4", 0, GPT2) \
    ALSO("gigachat", 0, GPT2) \
    ALSO("mellum", 0, GPT2) \
    ALSO("a.x-4.0", 0, GPT2) \
    ALSO("trillion", 0, GPT2) \
    ALSO("granite-docling", 0, GPT2) \
    ALSO("modern-bert", 0, GPT2) \
    ALSO("jina-es", 0, GPT2) \
    ALSO("jina-de", 0, GPT2) \
    ALSO("jina-v2-es", 0, GPT2) \
    ALSO("jina-v2-de", 0, GPT2) \
    ALSO("jina-v1-en", FLAG(ADD_SEP), GPT2) \
    ALSO("jina-v2-code", FLAG(ADD_SEP), GPT2) \
    ALSO("roberta-bpe", FLAG(ADD_SEP), GPT2) \
    RULE("starcoder", 0, STARCODER) \
    ALSO("refact", 0, STARCODER) \
    ALSO("command-r", 0, STARCODER) \
    ALSO("smollm", 0, STARCODER) \
    ALSO("codeshell", 0, STARCODER) \
    ALSO("exaone", 0, STARCODER) \
    ALSO("minerva-7b", 0, STARCODER) \
    ALSO("mellum2", 0, STARCODER) \
    RULE("falcon", 0, FALCON) \
    RULE("chameleon", FLAG(ADD_BOS), CHAMELEON) \
    RULE("deepseek-llm", 0, DEEPSEEK_LLM) \
    RULE("deepseek-coder", 0, DEEPSEEK_CODER) \
    RULE("deepseek-v3", 0, DEEPSEEK3) \
    ALSO("joyai-llm", 0, DEEPSEEK3) \
    ALSO("hy_v4", 0, DEEPSEEK3) \
    ALSO("hunyuan-dense", 0, DEEPSEEK3) \
    RULE("spark2_5", 0, SPARK) \
    RULE("afmoe", 0, AFMOE) \
    RULE("tekken", LLAMA3_FLAGS, TEKKEN) \
    RULE("gpt-4o", 0, GPT4O) \
    ALSO("llama4", 0, GPT4O) \
    ALSO("kanana2", 0, GPT4O) \
    ALSO("talkie", 0, GPT4O) \
    ALSO("minimax-m2", 0, GPT4O) \
    ALSO("granite-embed-multi-97m", FLAG(WHOLE_WORDS), GPT4O) \
    RULE("youtu", FLAG(WHOLE_WORDS), YOUTU) \
    RULE("tiny_aya", 0, TINY_AYA) \
    ALSO("cohere2moe", 0, TINY_AYA) \
    RULE("kimi-k2", 0, KIMI_K2) \
    RULE("superbpe", 0, SUPERBPE) \
    RULE("bloom", 0, BLOOM) \
    ALSO("poro-chat", 0, BLOOM) \
    ALSO("gpt3-finnish", 0, BLOOM) \
    RULE("viking", 0, VIKING) \
    RULE("gemma4", FLAG(RAW) | FLAG(WHOLE_LINES) | FLAG(ADD_BOS), NEWLINES) \
    ALSO("granite-embed-multi-311m", FLAG(RAW) | FLAG(WHOLE_LINES) | FLAG(ADD_BOS), NEWLINES) \
    ALSO("sarvam-moe", FLAG(RAW), NEWLINES) \

#define AS_RULE(name, flags, stages) {name, flags, stages},
#define AS_NAME(name, flags, stages) ", " name
#define NO_NAME(name, flags, stages)
static const struct tokenizer_rule rules[] = {RULES(AS_RULE, AS_RULE)};
static const char rule_names[] = RULES(AS_NAME, NO_NAME);
/* clang-format on */
#define N_RULES (sizeof rules / sizeof *rules)

const struct tokenizer_rule *tokenizer_split_rule(struct bytes name)
{
    for (size_t i = 0; i < N_RULES; i++)
        if (bytes_equal(name, bytes_of_text(rules[i].name)))
            return &rules[i];
    return NULL;
}

const struct tokenizer_rule *tokenizer_split_rule_at(size_t i)
{
    return i < N_RULES ? &rules[i] : NULL;
}

const char *tokenizer_split_names(void)
{
    return rule_names + 2; /* the first one has a comma too */
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
