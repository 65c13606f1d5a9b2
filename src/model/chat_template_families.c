#include "model/chat_template_families.h"

#include <string.h>

#define DS_USER      "<\uff5cUser\uff5c>"
#define DS_ASSISTANT "<\uff5cAssistant\uff5c>"

/* What the template of Llama 3.1 and 3.2 says first; the date is the one it falls back to. */
#define LLAMA31_PREFACE "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"

/* Harmony. The identity and the rest that gpt-oss's template says first, without its line for today's date: a
 * prompt depends on nothing but its messages, and the format allows that. Answers begin in the channel that is
 * for the user, so nobody has to tell thoughts from them. */
#define GPTOSS_IDENTITY "You are ChatGPT, a large language model trained by OpenAI."
#define GPTOSS_OPENING                                                                                         \
    "<|start|>system<|message|>" GPTOSS_IDENTITY "\nKnowledge cutoff: 2024-06\n\nReasoning: medium\n\n# "      \
    "Valid channels: analysis, commentary, final. Channel "                                                    \
    "must be included for every message.<|end|>"
#define HARMONY_TURN(role, preface)                                                                            \
    {                                                                                                          \
        "<|start|>" role "<|message|>" preface, "<|end|>"                                                      \
    }
#define HARMONY_ANSWER "<|start|>assistant<|channel|>final<|message|>"

#define LLAMA3_TURN(role)                                                                                      \
    {                                                                                                          \
        "<|start_header_id|>" role "<|end_header_id|>\n\n", "<|eot_id|>"                                       \
    }
#define LLAMA3_TURNS                                                                                           \
    {                                                                                                          \
        LLAMA3_TURN("system"), LLAMA3_TURN("user"), LLAMA3_TURN("assistant")                                   \
    }
#define LLAMA4_TURN(role)                                                                                      \
    {                                                                                                          \
        "<|header_start|>" role "<|header_end|>\n\n", "<|eot|>"                                                \
    }
#define CHATML_TURN(role)                                                                                      \
    {                                                                                                          \
        "<|im_start|>" role "\n", "<|im_end|>\n"                                                               \
    }
#define PHI4_TURN(role)                                                                                        \
    {                                                                                                          \
        "<|im_start|>" role "<|im_sep|>", "<|im_end|>"                                                         \
    }
#define PLAIN_TURN(role)                                                                                       \
    {                                                                                                          \
        "<|" role "|>", "<|end|>"                                                                              \
    }
#define PHI3_TURN(role)                                                                                        \
    {                                                                                                          \
        "<|" role "|>\n", "<|end|>\n"                                                                          \
    }
#define ZEPHYR_TURN(role)                                                                                      \
    {                                                                                                          \
        "<|" role "|>\n", CHAT_EOS "\n"                                                                        \
    }
#define GRANITE_TURN(role)                                                                                     \
    {                                                                                                          \
        "<|start_of_role|>" role "<|end_of_role|>", "<|end_of_text|>\n"                                        \
    }
#define COMMAND_TURN(role)                                                                                     \
    {                                                                                                          \
        "<|START_OF_TURN_TOKEN|><|" role "_TOKEN|>", "<|END_OF_TURN_TOKEN|>"                                   \
    }

/* Narrower families come before the wider ones that would also match. */
static const struct chat_family families[] = {
    {"gpt-oss",
     {"<|start|>", "<|channel|>", GPTOSS_IDENTITY},
     GPTOSS_OPENING,
     "",
     {HARMONY_TURN("developer", "# Instructions\n\n"), HARMONY_TURN("user", ""), {HARMONY_ANSWER, "<|end|>"}},
     HARMONY_ANSWER,
     "<|return|>",
     0},
    {"harmony",
     {"<|start|>", "<|channel|>", "<|message|>"},
     "",
     "",
     {HARMONY_TURN("system", ""), HARMONY_TURN("user", ""), {HARMONY_ANSWER, "<|end|>"}},
     HARMONY_ANSWER,
     "<|return|>",
     0},
    {"phi4",
     {"<|im_start|>", "<|im_sep|>"},
     "",
     "",
     {PHI4_TURN("system"), PHI4_TURN("user"), PHI4_TURN("assistant")},
     "<|im_start|>assistant<|im_sep|>",
     "<|im_end|>",
     0},
    {"chatml",
     {"<|im_start|>", "<|im_end|>"},
     "",
     "",
     {CHATML_TURN("system"), CHATML_TURN("user"), CHATML_TURN("assistant")},
     "<|im_start|>assistant\n",
     "<|im_end|>",
     0},
    {"mistral-v7-tekken",
     {"[SYSTEM_PROMPT]", "'[INST]' + "},
     "",
     "",
     {{"[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"}, {"[INST]", "[/INST]"}, {"", CHAT_EOS}},
     "",
     "",
     0},
    {"mistral-v7",
     {"[SYSTEM_PROMPT]", "[INST]"},
     "",
     "",
     {{"[SYSTEM_PROMPT] ", "[/SYSTEM_PROMPT]"}, {"[INST] ", "[/INST]"}, {" ", CHAT_EOS}},
     "",
     "",
     0},
    {"mistral-v3-tekken",
     {"\"[INST]\"", "[AVAILABLE_TOOLS]"},
     "",
     "",
     {{"", "\n\n"}, {"[INST]", "[/INST]"}, {"", CHAT_EOS}},
     "",
     "",
     CHAT_SYSTEM_IN_USER},
    {"mistral-v1",
     {" [INST]", "' [INST] ' + system_message"},
     "",
     "",
     {{"", "\n\n"}, {" [INST] ", " [/INST]"}, {" ", CHAT_EOS}},
     "",
     "",
     CHAT_SYSTEM_IN_USER},
    {"mistral-v3",
     {"[INST]", "[AVAILABLE_TOOLS]"},
     "",
     "",
     {{"", "\n\n"}, {"[INST] ", "[/INST]"}, {" ", CHAT_EOS}},
     "",
     "",
     CHAT_SYSTEM_IN_USER | CHAT_TRIM_ASSISTANT},
    {"llama2",
     {"[INST]", "<<SYS>>"},
     "",
     "",
     {{"<<SYS>>\n", "\n<</SYS>>\n\n"}, {"[INST] ", " [/INST]"}, {" ", " " CHAT_EOS}},
     "",
     "",
     CHAT_SYSTEM_IN_USER | CHAT_TRIM | CHAT_BOS_PER_USER},
    {"mistral-v0",
     {"'[INST] ' + message['content'] + ' [/INST]'", "message['content'] + eos_token"},
     "",
     "",
     {{"", "\n\n"}, {"[INST] ", " [/INST]"}, {"", CHAT_EOS}},
     "",
     "",
     CHAT_SYSTEM_IN_USER},
    {"plain",
     {"'<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}", "'<|assistant|>' }}"},
     "",
     "",
     {PLAIN_TURN("system"), PLAIN_TURN("user"), PLAIN_TURN("assistant")},
     "<|assistant|>",
     "<|end|>",
     0},
    {"phi3",
     {"<|assistant|>\n", "<|end|>\n"},
     "",
     "",
     {PHI3_TURN("system"), PHI3_TURN("user"), PHI3_TURN("assistant")},
     "<|assistant|>\n",
     "<|end|>",
     0},
    {"zephyr",
     {"<|user|>\n' + message['content'] + eos_token", "<|assistant|>"},
     "",
     "",
     {ZEPHYR_TURN("system"), ZEPHYR_TURN("user"), ZEPHYR_TURN("assistant")},
     "<|assistant|>\n",
     "",
     0},
    {"gemma",
     {"<start_of_turn>", "<end_of_turn>"},
     "",
     "",
     {{"", "\n\n"},
      {"<start_of_turn>user\n", "<end_of_turn>\n"},
      {"<start_of_turn>model\n", "<end_of_turn>\n"}},
     "<start_of_turn>model\n",
     "<end_of_turn>",
     CHAT_SYSTEM_IN_USER | CHAT_TRIM},
    {"llama3.1",
     {"<|start_header_id|>", "<|end_header_id|>", "Cutting Knowledge Date: December 2023"},
     "",
     LLAMA31_PREFACE,
     LLAMA3_TURNS,
     "<|start_header_id|>assistant<|end_header_id|>\n\n",
     "<|eot_id|>",
     CHAT_TRIM},
    {"llama3",
     {"<|start_header_id|>", "<|end_header_id|>"},
     "",
     "",
     LLAMA3_TURNS,
     "<|start_header_id|>assistant<|end_header_id|>\n\n",
     "<|eot_id|>",
     CHAT_TRIM},
    {"llama4",
     {"<|header_start|>", "<|header_end|>"},
     "",
     "",
     {LLAMA4_TURN("system"), LLAMA4_TURN("user"), LLAMA4_TURN("assistant")},
     "<|header_start|>assistant<|header_end|>\n\n",
     "<|eot|>",
     CHAT_TRIM},
    {"command-r",
     {"<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>"},
     "",
     "",
     {COMMAND_TURN("SYSTEM"), COMMAND_TURN("USER"), COMMAND_TURN("CHATBOT")},
     "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
     "<|END_OF_TURN_TOKEN|>",
     CHAT_TRIM},
    {"openchat",
     {"GPT4 Correct "},
     "",
     "",
     {{"", "<|end_of_turn|>"},
      {"GPT4 Correct User: ", "<|end_of_turn|>"},
      {"GPT4 Correct Assistant: ", "<|end_of_turn|>"}},
     "GPT4 Correct Assistant:",
     "<|end_of_turn|>",
     0},
    {"vicuna",
     {"USER: ", "ASSISTANT: "},
     "",
     "",
     {{"", "\n\n"}, {"USER: ", "\n"}, {"ASSISTANT: ", CHAT_EOS "\n"}},
     "ASSISTANT:",
     "USER:",
     0},
    {"deepseek-coder",
     {"### Instruction:", "<|EOT|>"},
     "",
     "",
     {{"", ""}, {"### Instruction:\n", "\n"}, {"### Response:\n", "\n<|EOT|>\n"}},
     "### Response:\n",
     "<|EOT|>",
     0},
    {"deepseek2",
     {"'Assistant: ' + message['content'] + eos_token"},
     "",
     "",
     {{"", "\n\n"}, {"User: ", "\n\n"}, {"Assistant: ", CHAT_EOS}},
     "Assistant:",
     "",
     0},
    {"deepseek3",
     {DS_USER, DS_ASSISTANT},
     "",
     "",
     {{"", ""}, {DS_USER, ""}, {DS_ASSISTANT, CHAT_EOS}},
     DS_ASSISTANT,
     "",
     0},
    {"granite",
     {"<|start_of_role|>", "<|end_of_role|>"},
     "",
     "",
     {GRANITE_TURN("system"), GRANITE_TURN("user"), GRANITE_TURN("assistant")},
     "<|start_of_role|>assistant<|end_of_role|>",
     "<|end_of_text|>",
     0},
};
#define N_FAMILIES (sizeof families / sizeof *families)

const struct chat_family *chat_family_of(const char *template_text)
{
    for (size_t i = 0; i < N_FAMILIES; i++) {
        size_t n = 0;
        while (n < 3 && families[i].has[n] && strstr(template_text, families[i].has[n]))
            n++;
        if (n == 3 || !families[i].has[n])
            return &families[i];
    }
    return NULL;
}

const struct chat_family *chat_family_named(const char *name)
{
    for (size_t i = 0; i < N_FAMILIES; i++)
        if (strcmp(families[i].name, name) == 0)
            return &families[i];
    return NULL;
}
