/* links: model */
/* Any template, fixed messages: it is of a family or not, and what it renders is covered by its runs, with the
 * contents in plain ones. */
#include "base/mem.h"
#include "model/chat_template.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_in_plain_run(const struct chat_prompt *p, const char *content)
{
    size_t at = 0;
    for (size_t i = 0; i < p->n_runs; at += p->runs[i++].n_bytes)
        if (!p->runs[i].is_special && memmem(p->text.data + at, p->runs[i].n_bytes, content, strlen(content)))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct chat_message messages[] = {{"system", bytes_of_text("Sys<|end|>")},
                                            {"user", bytes_of_text(" Use<|im_start|>r\n")},
                                            {"assistant", bytes_of_text("Ass[INST]")},
                                            {"user", bytes_of_text("Last")}};
    char *text = mem_string_n((const char *)data, size);
    struct chat_template *t;
    ASSERT(chat_template_create(&t, text, NULL, NULL, NULL) == STATUS_OK);
    ASSERT(chat_template_is_known(t) == (chat_template_reason(t)[0] == 0));
    for (size_t first = 0; first < 2; first++) {
        struct chat_prompt p = {0};
        struct error err;
        if (chat_template_render(t, messages + first, 4 - first, true, &p, &err)) {
            ASSERT(err.status == STATUS_BAD_USAGE && err.text[0]);
            continue;
        }
        size_t covered = 0;
        for (size_t i = 0; i < p.n_runs; i++)
            covered += p.runs[i].n_bytes;
        ASSERT(covered == p.text.size);
        ASSERT(is_in_plain_run(&p, "Last") && is_in_plain_run(&p, "Use<|im_start|>r"));
        ASSERT(is_in_plain_run(&p, "Ass[INST]") && (first || is_in_plain_run(&p, "Sys<|end|>")));
        chat_prompt_free(&p);
    }
    chat_template_free(t);
    mem_free(text);
    return 0;
}
