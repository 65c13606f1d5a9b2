#include "model/chat_template.h"

#include "base/mem.h"
#include "model/chat_template_families.h"
#include "model/gguf.h"

#include <string.h>

#define TEMPLATE_BYTES_MAX ((size_t)1 << 20)

struct chat_template {
    const struct chat_family *family;
    bool is_known, wants_bos;
    char *bos, *eos;
    char *default_system; /* what the template says where no system message does; NULL: nothing */
    char *no_alternation; /* what it raises when turns do not alternate; NULL: it does not mind */
    char *no_system;      /* what it raises for a system message; NULL: it takes one */
    const char *reason;
};

/* --- recognising ---------------------------------------------------------------------------------------- */

/* "\n" in a template may be a line end or the two characters of its escape: here always a line end. */
static char *with_line_ends(const char *text)
{
    size_t n = 0, size = strlen(text);
    char *out = mem_string(text);
    for (size_t i = 0; i < size; i++) {
        bool escape = text[i] == '\\' && text[i + 1] == 'n';
        out[n++] = escape ? '\n' : text[i];
        i += escape;
    }
    out[n] = 0;
    return out;
}

/* The quoted text around `needle`, as raise_exception('...') has it; NULL where the template lacks it. */
static char *quoted_text(const char *text, const char *needle)
{
    const char *at = strstr(text, needle);
    if (!at)
        return NULL;
    const char *start = at;
    while (start > text && start[-1] != '\'' && start[-1] != '"')
        start--;
    return mem_string_n(start, strcspn(start, "'\""));
}

/* ChatML templates may hold a system turn of their own, as one literal. */
static char *default_system(const struct chat_family *family, const char *text)
{
    static const char marker[] = "<|im_start|>system\n";
    if (strcmp(family->name, "chatml") != 0)
        return NULL;
    for (const char *at = strstr(text, marker); at; at = strstr(at + 1, marker)) {
        const char *start = at + sizeof marker - 1;
        size_t n = strcspn(start, "'\"{}<");
        if (n > 0 && strncmp(start + n, "<|im_end|>", 10) == 0)
            return mem_string_n(start, n);
    }
    return NULL;
}

static void recognise(struct chat_template *t, const char *text)
{
    char *plain = with_line_ends(text);
    t->family = chat_family_of(plain);
    t->is_known = t->family != NULL;
    if (t->is_known) {
        t->default_system = default_system(t->family, plain);
        t->no_alternation = quoted_text(plain, "must alternate");
        t->no_system = quoted_text(plain, "System role not supported");
        t->wants_bos = strstr(plain, "bos_token") || (t->bos[0] && strstr(plain, t->bos));
        t->reason = "";
    }
    mem_free(plain);
}

enum status chat_template_create(struct chat_template **out, const char *template_text, const char *bos_text,
                                 const char *eos_text, struct error *err)
{
    if (template_text && strnlen(template_text, TEMPLATE_BYTES_MAX + 1) > TEMPLATE_BYTES_MAX)
        return error_set(err, STATUS_BAD_DATA, "tokenizer.chat_template has more than %zu bytes",
                         TEMPLATE_BYTES_MAX);
    struct chat_template *t = mem_new(sizeof *t);
    t->bos = mem_string(bos_text ? bos_text : "<s>");
    t->eos = mem_string(eos_text ? eos_text : "</s>");
    t->reason = "the model has no chat template";
    if (template_text) {
        t->reason = "the model's chat template is of no family that is known here";
        recognise(t, template_text);
    }
    if (!t->family)
        t->family = chat_family_named("chatml");
    *out = t;
    return STATUS_OK;
}

static char *token_text(const struct tokenizer *t, uint32_t id)
{
    struct buffer text;
    struct error err;
    buffer_init(&text, 0);
    if (id != TOKENIZER_NO_ID &&
        tokenizer_decode(t, &id, 1, DETOKENIZE_SPECIAL | DETOKENIZE_KEEP_SPACE, &text, &err))
        buffer_clear(&text);
    return buffer_take_string(&text);
}

enum status chat_template_of_model(struct chat_template **out, const struct gguf *gguf,
                                   const struct tokenizer *t, struct error *err)
{
    struct bytes text = {0};
    enum status status = gguf_get_string(gguf, "tokenizer.chat_template", &text, err);
    if (status && status != STATUS_NOT_FOUND)
        return status;
    char *copy = status ? NULL : mem_string_n((const char *)text.data, text.size);
    char *bos = token_text(t, tokenizer_bos(t)), *eos = token_text(t, tokenizer_eos(t));
    status = chat_template_create(out, copy, bos, eos, err);
    mem_free(copy);
    mem_free(bos);
    mem_free(eos);
    return status;
}

void chat_template_free(struct chat_template *t)
{
    if (!t)
        return;
    mem_free(t->bos);
    mem_free(t->eos);
    mem_free(t->default_system);
    mem_free(t->no_alternation);
    mem_free(t->no_system);
    mem_free(t);
}

bool chat_template_is_known(const struct chat_template *t)
{
    return t->is_known;
}

const char *chat_template_family(const struct chat_template *t)
{
    return t->family->name;
}

const char *chat_template_reason(const struct chat_template *t)
{
    return t->reason;
}

const char *chat_template_stop_text(const struct chat_template *t)
{
    return t->family->stop;
}

/* --- rendering ------------------------------------------------------------------------------------------ */

void chat_prompt_free(struct chat_prompt *prompt)
{
    buffer_free(&prompt->text);
    mem_free(prompt->runs);
    *prompt = (struct chat_prompt){0};
}

static void add_run(struct chat_prompt *p, struct bytes text, bool is_special)
{
    if (text.size == 0)
        return;
    buffer_bytes(&p->text, text.data, text.size);
    if (p->n_runs && p->runs[p->n_runs - 1].is_special == is_special) {
        p->runs[p->n_runs - 1].n_bytes += text.size;
        return;
    }
    if (p->n_runs == p->capacity) {
        p->capacity = p->capacity ? 2 * p->capacity : 16;
        p->runs = mem_resize(p->runs, p->capacity, sizeof *p->runs);
    }
    p->runs[p->n_runs++] = (struct tokenizer_run){text.size, is_special};
}

/* A marker of the family, with what CHAT_BOS and CHAT_EOS stand for. */
static void add_marker(struct chat_prompt *p, const struct chat_template *t, const char *marker)
{
    while (*marker) {
        size_t n = strcspn(marker, CHAT_BOS CHAT_EOS);
        add_run(p, bytes_of(marker, n), true);
        marker += n;
        if (!*marker)
            break;
        add_run(p, bytes_of_text(*marker == CHAT_BOS[0] ? t->bos : t->eos), true);
        marker++;
    }
}

static bool is_white(uint8_t b)
{
    return b == ' ' || (b >= '\t' && b <= '\r');
}

static void add_content(struct chat_prompt *p, const struct chat_template *t, enum chat_role role,
                        struct bytes content)
{
    bool trims = role == CHAT_ASSISTANT && t->family->flags & CHAT_TRIM_ASSISTANT;
    if (trims || t->family->flags & CHAT_TRIM) {
        while (content.size && is_white(content.data[content.size - 1]))
            content.size--;
        while (content.size && is_white(content.data[0]))
            content = bytes_of(content.data + 1, content.size - 1);
    }
    add_run(p, content, false);
}

static enum chat_role role_of(const char *role)
{
    static const char *const names[] = {"system", "user", "assistant"};
    for (int i = 0; i < CHAT_ROLE_COUNT; i++)
        if (strcmp(role, names[i]) == 0)
            return (enum chat_role)i;
    return strcmp(role, "developer") == 0 ? CHAT_SYSTEM : CHAT_ROLE_COUNT;
}

/* A system message is the first one, if any; then user and assistant take turns where the template insists. */
static enum status check_order(const struct chat_template *t, const struct chat_message *messages, size_t n,
                               struct error *err)
{
    if (n == 0 || n > CHAT_MESSAGES_MAX)
        return error_set(err, STATUS_BAD_USAGE, "%zu messages: want 1 to %d", n, CHAT_MESSAGES_MAX);
    size_t first = role_of(messages[0].role) == CHAT_SYSTEM;
    for (size_t i = 0; i < n; i++) {
        enum chat_role role = role_of(messages[i].role);
        if (role == CHAT_ROLE_COUNT)
            return error_set(err, STATUS_BAD_USAGE,
                             "messages[%zu]: role '%.40s' is not supported: use system, user or assistant", i,
                             messages[i].role);
        if (role == CHAT_SYSTEM && t->no_system)
            return error_set(err, STATUS_BAD_USAGE, "messages[%zu]: the model's template says: %s", i,
                             t->no_system);
        bool before_user = i + 1 < n && role_of(messages[i + 1].role) != CHAT_ASSISTANT;
        if (role == CHAT_SYSTEM && t->family->flags & CHAT_SYSTEM_IN_USER && !before_user)
            return error_set(err, STATUS_BAD_USAGE,
                             "messages[%zu]: this model takes a system message only in front of a user's", i);
        bool in_turn = role == ((i - first) % 2 == 0 ? CHAT_USER : CHAT_ASSISTANT);
        if (i >= first && t->no_alternation && !in_turn)
            return error_set(err, STATUS_BAD_USAGE, "messages[%zu]: the model's template says: %s", i,
                             t->no_alternation);
    }
    return STATUS_OK;
}

/* Families whose system text lies inside the next user turn: the texts of all system messages that wait. */
static void add_waiting_system(struct chat_prompt *p, const struct chat_template *t,
                               const struct chat_message *messages, size_t i)
{
    size_t from = i;
    while (from > 0 && role_of(messages[from - 1].role) == CHAT_SYSTEM)
        from--;
    for (; from < i; from++) {
        add_marker(p, t, t->family->turns[CHAT_SYSTEM].before);
        add_content(p, t, CHAT_SYSTEM, messages[from].content);
        add_marker(p, t, t->family->turns[CHAT_SYSTEM].after);
    }
}

static void add_message(struct chat_prompt *p, const struct chat_template *t,
                        const struct chat_message *messages, size_t i)
{
    enum chat_role role = role_of(messages[i].role);
    const struct chat_turn *turn = &t->family->turns[role];
    bool system_in_user = t->family->flags & CHAT_SYSTEM_IN_USER;
    if (role == CHAT_SYSTEM && system_in_user)
        return;
    bool first_user = role == CHAT_USER && p->n_runs == 0;
    if (role == CHAT_USER && t->family->flags & CHAT_BOS_PER_USER && !first_user)
        add_marker(p, t, CHAT_BOS);
    add_marker(p, t, turn->before);
    if (role == CHAT_USER && system_in_user)
        add_waiting_system(p, t, messages, i);
    if (role == CHAT_SYSTEM && i == 0)
        add_marker(p, t, t->family->system_preface);
    add_content(p, t, role, messages[i].content);
    add_marker(p, t, turn->after);
}

/* What the template says by itself where no system message comes first. */
static void add_own_system(struct chat_prompt *p, const struct chat_template *t)
{
    const struct chat_turn *turn = &t->family->turns[CHAT_SYSTEM];
    if (!t->default_system && !t->family->system_preface[0])
        return;
    add_marker(p, t, turn->before);
    add_marker(p, t, t->family->system_preface);
    if (t->default_system)
        add_run(p, bytes_of_text(t->default_system), false);
    add_marker(p, t, turn->after);
}

enum status chat_template_render(const struct chat_template *t, const struct chat_message *messages,
                                 size_t n_messages, bool add_generation_prompt, struct chat_prompt *out,
                                 struct error *err)
{
    enum status status = check_order(t, messages, n_messages, err);
    if (status)
        return status;
    struct chat_prompt p = {0};
    buffer_init(&p.text, 2 * TOKENIZER_TEXT_MAX);
    add_marker(&p, t, t->family->opening);
    if (role_of(messages[0].role) != CHAT_SYSTEM)
        add_own_system(&p, t);
    for (size_t i = 0; i < n_messages; i++)
        add_message(&p, t, messages, i);
    if (add_generation_prompt)
        add_marker(&p, t, t->family->generation);
    if (p.text.failed) {
        chat_prompt_free(&p);
        return error_set(err, STATUS_LIMIT, "the messages pass %zu bytes", 2 * TOKENIZER_TEXT_MAX);
    }
    *out = p;
    return STATUS_OK;
}

enum status chat_template_encode(const struct chat_template *t, const struct tokenizer *tokenizer,
                                 const struct chat_message *messages, size_t n_messages,
                                 bool add_generation_prompt, struct tokenizer_ids *ids, struct error *err)
{
    struct chat_prompt prompt;
    enum status status = chat_template_render(t, messages, n_messages, add_generation_prompt, &prompt, err);
    if (status)
        return status;
    size_t n_before = ids->n;
    uint32_t bos = tokenizer_bos(tokenizer);
    if (bos != TOKENIZER_NO_ID && (t->wants_bos || tokenizer_adds_bos(tokenizer)))
        tokenizer_ids_append(ids, bos);
    status =
        tokenizer_encode_runs(tokenizer, buffer_view(&prompt.text), prompt.runs, prompt.n_runs, 0, ids, err);
    if (status)
        ids->n = n_before;
    chat_prompt_free(&prompt);
    return status;
}
