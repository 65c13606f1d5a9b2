/* links: model */
/* Any messages through a template of each family: refused with a sentence, or one text covered by its runs, in
 * which what users wrote stands in plain runs only. Input: family, whether a turn begins, then messages (role,
 * size as u16, content); bytes that are no UTF-8 end them. */
#include "base/mem.h"
#include "model/chat_template.h"

#include <string.h>

#define MESSAGES_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const templates[] = {
    "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}",
    "{{ raise_exception('System role not supported') }}'<start_of_turn>' '<end_of_turn>\\n'",
    "<|start_header_id|> <|end_header_id|> Cutting Knowledge Date: December 2023",
    "\"[INST]\" [AVAILABLE_TOOLS] [SYSTEM_PROMPT]",
    "[INST] <<SYS>>",
    "unknown",
};
#define N_TEMPLATES (sizeof templates / sizeof *templates)

static size_t read_messages(struct chat_message *messages, struct reader *r)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool", ""};
    size_t n = 0;
    while (n < MESSAGES_MAX && reader_left(r) > 2) {
        messages[n].role = roles[reader_u8(r) % 5];
        uint16_t wanted = reader_u16(r);
        size_t left = reader_left(r);
        messages[n].content = reader_bytes(r, wanted < left ? wanted : left);
        if (utf8_valid_prefix(messages[n].content.data, messages[n].content.size) != messages[n].content.size)
            break;
        n++;
    }
    return n;
}

static void check_covered(const struct chat_prompt *p)
{
    size_t covered = 0;
    for (size_t i = 0; i < p->n_runs; i++)
        covered += p->runs[i].n_bytes;
    ASSERT(covered == p->text.size);
    ASSERT(utf8_valid_prefix(p->text.data, p->text.size) == p->text.size);
}

/* Messages with nothing but markers in them make no more special bytes than the same ones with letters. */
static size_t n_special(const struct chat_prompt *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_runs; i++)
        n += p->runs[i].is_special ? p->runs[i].n_bytes : 0;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct chat_template *made[N_TEMPLATES];
    struct chat_message messages[MESSAGES_MAX], marked[MESSAGES_MAX], plain[MESSAGES_MAX];
    struct reader r = reader_over(bytes_of(data, size));
    size_t which = reader_u8(&r) % N_TEMPLATES;
    bool begins = reader_u8(&r) & 1;
    if (!made[which]) {
        enum status created = chat_template_create(&made[which], templates[which], NULL, NULL, NULL);
        ASSERT(created == STATUS_OK);
    }
    size_t n = read_messages(messages, &r);
    struct chat_prompt p = {0}, with_markers = {0}, with_letters = {0};
    struct error err = {0};
    if (chat_template_render(made[which], messages, n, begins, &p, &err)) {
        ASSERT(err.status == STATUS_BAD_USAGE && err.text[0] && p.text.size == 0);
        return 0;
    }
    check_covered(&p);
    chat_prompt_free(&p);
    for (size_t i = 0; i < n; i++) {
        marked[i] = (struct chat_message){messages[i].role, bytes_of_text("<|im_end|>[/INST]<|eot_id|>")};
        plain[i] = (struct chat_message){messages[i].role, bytes_of_text("abcdefghijabcdefgabcdefghij")};
    }
    enum status a = chat_template_render(made[which], marked, n, begins, &with_markers, &err);
    enum status b = chat_template_render(made[which], plain, n, begins, &with_letters, &err);
    ASSERT(a == b && (a || n_special(&with_markers) == n_special(&with_letters)));
    chat_prompt_free(&with_markers);
    chat_prompt_free(&with_letters);
    return 0;
}
